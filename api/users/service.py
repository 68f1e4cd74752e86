"""Rules about accounts. Callers own the transaction."""

from typing import Final, Protocol

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.accounts import check_phone, create_user, require_version, save_user, set_keys
from api.auth.models import USER_FIELDS, Role, User
from api.auth.service import end_sessions
from api.core.db import now
from api.core.errors import AppError, NotFound, invalid_field
from api.core.revisions import IfMatch, revise
from api.core.security import PasswordHasher
from api.users.schemas import UserCreate, UserUpdate

ACTIVE_ADMIN: Final = (User.role == Role.ADMIN) & User.is_active


class HasOpenTickets(AppError):
    """The worker is responsible for open tickets; `count` says how many."""

    status = 409
    code = "has_open_tickets"


class LastAdmin(AppError):
    """Nobody could run the shop any more."""

    status = 409
    code = "last_admin"


class OwnAccount(AppError):
    """Nobody deletes, deactivates or demotes the account they are signed in with."""

    status = 409
    code = "own_account"


class NotAWorker(AppError):
    """Tickets go to active users whose role is worker."""

    status = 422
    code = "not_a_worker"


class Work(Protocol):
    """What a worker is responsible for. The floor that knows tickets fills it in."""

    async def count(self, session: AsyncSession, worker_id: int) -> int:
        """Return how many open pieces of work the worker has."""

    async def hand_over(self, session: AsyncSession, worker_id: int, to: User, *, actor: User) -> None:
        """Give all of them to another worker."""


class _Registry:
    """Holds the one :class:`Work`, which is set when the tickets' room is imported."""

    work: Work | None = None


REGISTRY = _Registry()


async def create(session: AsyncSession, new: UserCreate, *, hasher: PasswordHasher, region: str) -> User:
    """Save an account.

    Raises:
        UsernameTaken, EmailTaken: (409).
    """
    return await create_user(session, new.model_dump(), hasher=hasher, region=region)


async def locked(session: AsyncSession, user_id: int) -> User:
    """Return an account, its row locked until the transaction ends, and those of all active admins.

    In the order of their ids, so that two admins who deactivate each other at once end with one
    admin and not in a deadlock. The key stays unlocked: whoever names an admin as the actor of
    something else need not wait.

    Raises:
        NotFound: (404).
    """
    found = await session.scalars(
        select(User)
        .where((User.id == user_id) | ACTIVE_ADMIN)
        .order_by(User.id)
        .with_for_update(key_share=True)
    )
    user = next((user for user in found.all() if user.id == user_id), None)
    if user is None:
        raise NotFound("user")
    return user


async def active_worker(session: AsyncSession, user_id: int) -> User:
    """Return a worker who may be given tickets; the row is kept from changing meanwhile.

    Raises:
        NotAWorker: (422) no such user, another role, or deactivated.
    """
    worker = await session.scalar(
        select(User)
        .where(User.id == user_id, User.role == Role.WORKER, User.is_active)
        .with_for_update(read=True)
    )
    if worker is None:
        msg = "worker_id must be an active worker"
        raise NotAWorker(msg, errors=[{"loc": ["body", "worker_id"], "msg": msg, "type": "not_a_worker"}])
    return worker


async def update(
    session: AsyncSession,
    user_id: int,
    change: UserUpdate,
    *,
    actor: User,
    if_match: IfMatch,
    hasher: PasswordHasher,
    region: str,
) -> User:
    """Change an account; a new role, password or deactivation ends its sessions.

    Raises:
        NotFound: (404). Stale: (412). UsernameTaken, EmailTaken, LastAdmin, OwnAccount,
        HasOpenTickets: (409).
    """
    values = change.model_dump(exclude_unset=True)
    password = values.pop("password", None)
    check_phone(values.get("phone"), region)
    password_hash = None if password is None else await hasher.hash(password)
    user = await locked(session, user_id)
    await require_version(session, user, if_match)
    leaves = not values.get("is_active", True) or values.get("role", user.role) is not user.role
    if user.is_active and leaves:
        await _may_leave(session, user, actor=actor)
    rights_change = leaves or (values.get("is_active") is True and not user.is_active)
    for field, value in values.items():
        setattr(user, field, value)
    set_keys(user)
    if user.is_active:
        user.deleted_at = None
    if password_hash is not None:
        user.password_hash = password_hash
    revise(session, user, USER_FIELDS, actor_id=actor.id)
    await save_user(session)  # before anything else flushes, so that a name that is taken is told as such
    if password_hash is not None or rights_change:
        await end_sessions(session, user.id)
    return user


async def delete(
    session: AsyncSession, user_id: int, *, actor: User, if_match: IfMatch, reassign_to: int | None
) -> None:
    """Deactivate an account and keep its history; open tickets go to ``reassign_to``.

    Raises:
        NotFound: (404). Stale: (412). LastAdmin, OwnAccount, HasOpenTickets: (409).
        NotAWorker: (422) ``reassign_to`` cannot be given tickets.
    """
    user = await locked(session, user_id)
    await require_version(session, user, if_match)
    if reassign_to is not None:
        if reassign_to == user_id:
            raise invalid_field(["query", "reassign_to"], "must be another worker")
        heir = await active_worker(session, reassign_to)
        if REGISTRY.work is not None and user.role is Role.WORKER:
            await REGISTRY.work.hand_over(session, user.id, heir, actor=actor)
    await _may_leave(session, user, actor=actor)
    if not user.is_active:
        return
    user.is_active, user.deleted_at = False, now()
    revise(session, user, USER_FIELDS, actor_id=actor.id)
    await end_sessions(session, user.id)


async def _may_leave(session: AsyncSession, user: User, *, actor: User) -> None:
    if user.role is Role.ADMIN and user.is_active:
        admins = await session.scalars(select(User.id).where(ACTIVE_ADMIN).limit(2))
        if len(admins.all()) == 1:
            msg = "this is the last active admin"
            raise LastAdmin(msg)
    if user.id == actor.id:
        msg = "this is your own account"
        raise OwnAccount(msg)
    if user.role is Role.WORKER and REGISTRY.work is not None:
        count = await REGISTRY.work.count(session, user.id)
        if count:
            msg = f"{count} open tickets are assigned to this worker; name another one in reassign_to"
            raise HasOpenTickets(msg, count=count)
