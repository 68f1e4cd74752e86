"""Signing in and out. Callers own the transaction."""

from dataclasses import dataclass

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import RefreshToken, Role, User, UserSession
from api.auth.schemas import PasswordChange, TokenPair
from api.core import security
from api.core.db import Database, now
from api.core.errors import AppError
from api.core.fields import key_of
from api.core.limits import Limiter, RateLimited
from api.core.security import Claims, PasswordHasher
from api.settings import Settings

ATTEMPTS_FROM_ONE_ADDRESS = 10
"""One address may fail this many times as often as one account: a whole office sits behind it."""


class InvalidCredentials(AppError):
    """Unknown user or wrong password; deliberately not said which."""

    status = 401
    code = "invalid_credentials"
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012  as the base declares it


class TooManyAttempts(RateLimited):
    """Too many failed sign-ins for this account or from this address."""

    code = "too_many_attempts"


class InvalidRefreshToken(AppError):
    """The refresh token is unknown, or its session has ended."""

    status = 401
    code = "invalid_token"
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}  # noqa: RUF012


class TokenReused(AppError):
    """A refresh token was used twice, so somebody may have stolen it: the session ends."""

    status = 401
    code = "token_reused"
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}  # noqa: RUF012
    keeps_changes = True


class WrongPassword(AppError):
    """The current password is not right."""

    status = 422
    code = "wrong_password"


@dataclass(frozen=True, slots=True)
class Device:
    """Where a sign-in comes from."""

    address: str
    user_agent: str | None


async def login(
    session: AsyncSession,
    name: str,
    password: str,
    *,
    device: Device,
    database: Database,
    hasher: PasswordHasher,
    limiter: Limiter,
    settings: Settings,
) -> TokenPair:
    """Sign a user in by username or e-mail.

    An attempt counts before the password is looked at, so that many at once cannot outrun the
    limit, and is forgiven when it succeeds. While the password is hashed, or waits for its
    turn, no connection is held: a crowd at the door must not starve everybody inside.

    Raises:
        InvalidCredentials: (401) alike in words and time for unknown user and wrong password.
        TooManyAttempts: (429) with the seconds to wait.
    """
    key = key_of(name)
    limit = settings.login_limit
    by_address = limit and type(limit)(
        limit.amount * ATTEMPTS_FROM_ONE_ADDRESS, limit.multiples, limit.namespace
    )
    counted = [(limit, "login", key), (by_address, "login-from", device.address)]
    waits = [await limiter.hit(item, *what) for item, *what in counted]
    if seconds := max(waits):
        msg = f"too many failed attempts, try again in {seconds} s"
        raise TooManyAttempts(msg, seconds=seconds)
    async with database.reads() as reads:
        user = await reads.scalar(
            select(User).where(or_(User.username_key == key, User.email_key == key), User.is_active).limit(1)
        )
    matches = await hasher.verify(password, user.password_hash if user else None)
    if user is None or not matches or not await _unchanged(session, user):
        msg = "wrong username or password"
        raise InvalidCredentials(msg)
    for item, *what in counted:
        await limiter.forgive(item, *what)
    opened = UserSession(
        user_id=user.id,
        last_used_at=now(),
        expires_at=now() + settings.refresh_token_ttl,
        address=device.address,
        user_agent=device.user_agent,
    )
    session.add(opened)
    await session.flush()
    return _pair(session, opened, user.role, settings)


async def _unchanged(session: AsyncSession, user: User) -> bool:
    # Locked until the new session is written: a password that changes at this very moment
    # either ends that session too, or is seen here.
    same = select(User.id).where(User.id == user.id, User.password_hash == user.password_hash, User.is_active)
    return await session.scalar(same.with_for_update(read=True)) is not None


async def refresh(session: AsyncSession, token: str, *, settings: Settings) -> TokenPair:
    """Exchange a refresh token for a new pair.

    Raises:
        InvalidRefreshToken: (401) unknown token, or its session has ended.
        TokenReused: (401) it was used before; the whole family is revoked.
    """
    found = (
        await session.execute(
            select(RefreshToken, UserSession, User.role)
            .join(UserSession, UserSession.id == RefreshToken.session_id)
            .join(User, User.id == UserSession.user_id)
            .where(
                RefreshToken.digest == security.digest(token),
                UserSession.revoked_at.is_(None),
                UserSession.expires_at > now(),
                User.is_active,
            )
            .with_for_update(of=RefreshToken)
        )
    ).one_or_none()
    if found is None:
        msg = "refresh token invalid, sign in again"
        raise InvalidRefreshToken(msg)
    used, opened, role = found
    if used.used_at is not None:
        opened.revoked_at = now()
        msg = "this refresh token was used before; the session is closed, sign in again"
        raise TokenReused(msg)
    used.used_at = opened.last_used_at = now()
    opened.expires_at = now() + settings.refresh_token_ttl
    return _pair(session, opened, role, settings)


def _pair(session: AsyncSession, opened: UserSession, role: Role, settings: Settings) -> TokenPair:
    token = security.random_token()
    session.add(RefreshToken(digest=security.digest(token), session_id=opened.id))
    return TokenPair(
        access_token=security.issue_access_token(
            Claims(opened.user_id, opened.id, role),
            key=settings.secret_key.get_secret_value(),
            ttl=settings.access_token_ttl,
        ),
        token_type="bearer",  # noqa: S106  the kind of token, not a secret
        expires_in=int(settings.access_token_ttl.total_seconds()),
        refresh_token=token,
    )


async def end_sessions(
    session: AsyncSession, user_id: int, *, only: int | None = None, but: int | None = None
) -> None:
    """End a user's sessions: all, ``only`` one, or all ``but`` one."""
    live = update(UserSession).where(UserSession.user_id == user_id, UserSession.revoked_at.is_(None))
    if only is not None:
        live = live.where(UserSession.id == only)
    if but is not None:
        live = live.where(UserSession.id != but)
    await session.execute(live.values(revoked_at=now()))


async def change_password(
    session: AsyncSession, user: User, change: PasswordChange, *, claims: Claims, hasher: PasswordHasher
) -> None:
    """Set a new password; every other session of the user ends.

    Raises:
        WrongPassword: (422) the current one is not right.
    """
    if not await hasher.verify(change.current_password, user.password_hash):
        msg = "the current password is not right"
        raise WrongPassword(msg)
    new_hash = await hasher.hash(change.new_password)
    await session.execute(update(User).where(User.id == user.id).values(password_hash=new_hash))
    await end_sessions(session, user.id, but=claims.session_id)
