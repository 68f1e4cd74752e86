"""Every SELECT on accounts."""

from typing import Any, Final

from pydantic import Field
from sqlalchemy import Subquery, column, func, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.errors import NotFound
from api.core.paging import AnyRow, AnySelect, Key, SearchQuery, Slice, paginate
from api.core.search import matches
from api.users.schemas import Active, UserSort

# The floor above owns this table; what is needed of it here is one count.
_tickets: Final = table("tickets", column("worker_id"), column("status"))
OPEN: Final = ("new", "assigned", "in_progress", "on_hold")

KEYS: Final = {
    "id": Key(User.id),
    "username": Key(User.username_key),
    "name": Key(func.coalesce(User.name, "")),
    "created_at": Key(User.created_at),
}


class UserQuery(SearchQuery):
    """Query string of ``GET /users``."""

    role: list[Role] = Field([], description="Any of these; all when empty")
    is_active: Active = None
    sort: UserSort = "id"


def open_tickets() -> Any:
    """Return how many open tickets the user of the row is responsible for."""
    return (
        select(func.count())
        .select_from(_tickets)
        .where(_tickets.c.worker_id == User.id, _tickets.c.status.in_(OPEN))
        .scalar_subquery()
        .label("open_tickets")
    )


def _shown() -> AnySelect:
    return select(
        User.id,
        User.username,
        User.email,
        User.name,
        User.phone,
        User.role,
        User.department,
        User.language,
        User.is_active,
        User.created_at,
        User.version,
        open_tickets(),
    )


async def find(session: AsyncSession, query: UserQuery, *, viewer: User) -> Slice[AnyRow]:
    """Return one page of the accounts ``viewer`` may see: managers see workers."""
    found = select(User.id)
    if viewer.role is not Role.ADMIN:
        found = found.where(User.role == Role.WORKER)
    if query.role:
        found = found.where(User.role.in_(query.role))
    if query.is_active is not None:
        found = found.where(User.is_active.is_(query.is_active))
    if query.words:
        found = found.where(matches(User.search, query.words))

    def show(page: Subquery) -> AnySelect:
        return _shown().join(page, page.c.id == User.id)

    return await paginate(session, found, query, keys=KEYS, sort=query.sort, show=show)


async def get(session: AsyncSession, user_id: int, *, viewer: User) -> AnyRow:
    """Return an account ``viewer`` may see.

    Raises:
        NotFound: (404) no such account, or not ``viewer``'s to see.
    """
    statement = _shown().where(User.id == user_id)
    if viewer.role is not Role.ADMIN:
        statement = statement.where(User.role == Role.WORKER)
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise NotFound("user")
    return found
