"""Accounts: making them, and what is unique about them. Callers own the transaction."""

from typing import Any

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import USER_FIELDS, Role, User
from api.auth.schemas import ProfileUpdate, Register
from api.core.db import violated
from api.core.errors import AppError, invalid_field
from api.core.fields import e164, key_of
from api.core.revisions import IfMatch, changes_of, revise
from api.core.security import PasswordHasher
from api.settings import Settings

FIRST_ACCOUNTS_LOCK = 7_270_001
"""Key of the advisory lock under which the first accounts are made."""


class RegistrationClosed(AppError):
    """This shop does not let customers make accounts (`REGISTRATION_OPEN`)."""

    status = 403
    code = "registration_closed"


class UsernameTaken(AppError):
    """Somebody has this username, whatever its case."""

    status = 409
    code = "username_taken"


class EmailTaken(AppError):
    """Somebody has this e-mail, whatever its case."""

    status = 409
    code = "email_taken"


async def register(
    session: AsyncSession, new: Register, *, hasher: PasswordHasher, settings: Settings
) -> User:
    """Make a customer's account.

    Raises:
        RegistrationClosed: (403) the setting says no.
        UsernameTaken, EmailTaken: (409).
    """
    if not settings.registration_open:
        msg = "registration is closed here"
        raise RegistrationClosed(msg)
    return await create_user(
        session, new.model_dump() | {"role": Role.CLIENT}, hasher=hasher, region=settings.phone_region
    )


async def create_user(
    session: AsyncSession, values: dict[str, Any], *, hasher: PasswordHasher, region: str
) -> User:
    """Save a user; ``values`` are a schema's, with the password in plain.

    Raises:
        UsernameTaken, EmailTaken: (409).
    """
    password = values.pop("password")
    check_phone(values.get("phone"), region)
    user = User(**values, version=1)
    set_keys(user)
    user.password_hash = await hasher.hash(password)
    session.add(user)
    await save_user(session)
    return user


def set_keys(user: User) -> None:
    """Derive what is compared from what is shown."""
    user.username_key = key_of(user.username)
    user.email_key = key_of(user.email) if user.email else None


def check_phone(phone: str | None, region: str) -> None:
    """Refuse what cannot be a phone number.

    Raises:
        Invalid: (422).
    """
    if phone is not None and e164(phone, region) is None:
        raise invalid_field(["body", "phone"], "is not a phone number")


async def save_user(session: AsyncSession) -> None:
    """Flush, telling names that are taken from other faults.

    Raises:
        UsernameTaken, EmailTaken: (409).
    """
    try:
        await session.flush()
    except IntegrityError as error:
        constraint = violated(error)
        if constraint == "uq_users_username_key":
            msg = "this username is taken"
            raise UsernameTaken(msg) from error
        if constraint == "uq_users_email_key":
            msg = "this e-mail is taken"
            raise EmailTaken(msg) from error
        raise


async def require_version(session: AsyncSession, user: User, if_match: IfMatch) -> None:
    """Refuse to change anything but what the caller saw.

    Raises:
        Stale: (412).
    """
    if not if_match.admits(user.version):
        if_match.require(user.version, await changes_of(session, user, select(User.id, User.username)))


async def update_profile(
    session: AsyncSession, user_id: int, change: ProfileUpdate, *, if_match: IfMatch, region: str
) -> User:
    """Change one's own account.

    Raises:
        Stale: (412). Invalid: (422) the phone cannot be a number.
    """
    values = change.model_dump(exclude_unset=True)
    check_phone(values.get("phone"), region)
    user = await session.get_one(User, user_id, with_for_update=True)
    await require_version(session, user, if_match)
    for field, value in values.items():
        setattr(user, field, value)
    revise(session, user, USER_FIELDS, actor_id=user_id)
    return user


async def create_first_accounts(session: AsyncSession, *, hasher: PasswordHasher, settings: Settings) -> int:
    """Make the first accounts where no user exists; return how many.

    However many processes start together, one of them does it.
    """
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": FIRST_ACCOUNTS_LOCK})
    if await session.scalar(select(User.id).limit(1)) is not None:
        return 0
    for username, password, role in settings.first_accounts:
        await create_user(
            session,
            {"username": username, "password": password, "role": Role(role), "name": username.capitalize()},
            hasher=hasher,
            region=settings.phone_region,
        )
    return len(settings.first_accounts)
