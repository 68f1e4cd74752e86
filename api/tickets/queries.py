"""Every SELECT on tickets, and the one rule of who may see which."""

from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, Select, Subquery, and_, case, false, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, joinedload, with_expression

from api.auth.models import Role, User
from api.clients.models import Client
from api.core.errors import NotFound
from api.core.fields import Id, Moment
from api.core.paging import AnyRow, AnySelect, Key, PageQuery, SearchQuery, Slice, moment_key, paginate
from api.core.revisions import Change
from api.core.search import matches
from api.tickets.comments.reading import unread
from api.tickets.models import Ticket, TicketEvent
from api.tickets.schemas import TicketSort
from api.tickets.states import OPEN, Priority, Status

_RANK: Final = {priority: rank for rank, priority in enumerate(Priority)}
_STAGE: Final = {status: stage for stage, status in enumerate(Status)}

KEYS: Final = {
    "id": Key(Ticket.id),
    "created_at": Key(Ticket.created_at),
    "updated_at": Key(Ticket.updated_at),
    "priority": Key(case(_RANK, value=Ticket.priority)),
    "status": Key(case(_STAGE, value=Ticket.status)),
    "scheduled_at": moment_key(Ticket.scheduled_at),
    "due_at": moment_key(Ticket.due_at),
}


class TicketQuery(SearchQuery):
    """Query string of ``GET /tickets``. A new filter is a field here and a line in ``where``."""

    status: list[Status] = Field([], description="Any of these; all when empty")
    priority: list[Priority] = Field([], description="Any of these; all when empty")
    worker_id: Id | Literal["none"] | None = Field(None, description="A worker's id, or `none`")
    client_id: Id | None = None
    viewed: bool | None = None
    overdue: bool | None = Field(None, description="Whether an open ticket's `due_at` has passed")
    created_from: Moment | None = Field(None, description="This moment or later")
    created_to: Moment | None = Field(None, description="Before this moment")
    scheduled_from: Moment | None = Field(None, description="This moment or later")
    scheduled_to: Moment | None = Field(None, description="Before this moment")
    pool: bool | None = Field(
        None, description="Published ones that take offers; a worker sees no contact data"
    )
    sort: TicketSort = "-created_at"

    def where(  # noqa: C901  a list of filters, not a tangle
        self, document: ColumnElement[Any] | InstrumentedAttribute[Any]
    ) -> Iterator[ColumnElement[bool]]:
        """Yield one SQL condition per filter the caller set; ``document`` is what is searched."""
        if self.words:
            yield matches(document, self.words)
        if self.status:
            yield Ticket.status.in_(self.status)
        if self.priority:
            yield Ticket.priority.in_(self.priority)
        if self.worker_id is not None:
            nobody = self.worker_id == "none"
            yield Ticket.worker_id.is_(None) if nobody else Ticket.worker_id == self.worker_id
        if self.client_id is not None:
            yield Ticket.client_id == self.client_id
        if self.viewed is not None:
            yield Ticket.viewed.is_(self.viewed)
        if self.pool is not None:
            yield pooled() if self.pool else ~pooled()
        if self.overdue is not None:
            yield overdue() if self.overdue else ~func.coalesce(overdue(), false())
        if self.created_from is not None:
            yield Ticket.created_at >= self.created_from
        if self.created_to is not None:
            yield Ticket.created_at < self.created_to
        if self.scheduled_from is not None:
            yield Ticket.scheduled_at >= self.scheduled_from
        if self.scheduled_to is not None:
            yield Ticket.scheduled_at < self.scheduled_to


def overdue() -> ColumnElement[bool]:
    """Return the condition that a ticket should have been finished by now."""
    return (Ticket.due_at < func.now()) & Ticket.status.in_(OPEN)


def visible_to(viewer: User) -> ColumnElement[bool]:
    """Return the one rule of who may see which tickets."""
    match viewer.role:
        case Role.ADMIN | Role.MANAGER:
            return true()
        case Role.WORKER:
            return Ticket.worker_id == viewer.id
        case Role.CLIENT:
            return Ticket.account_id == viewer.id


def may_see(ticket: Ticket, viewer: User) -> bool:
    """Tell whether ``viewer`` may see ``ticket``: :func:`visible_to` for one that is at hand."""
    return viewer.is_staff or viewer.id == (
        ticket.worker_id if viewer.role is Role.WORKER else ticket.account_id
    )


def pooled() -> ColumnElement[bool]:
    """Return the condition that workers may offer to do a ticket."""
    return and_(Ticket.published_at.is_not(None), Ticket.status == Status.NEW)


def in_pool(ticket: Ticket) -> bool:
    """Tell the same of one that is at hand."""
    return ticket.published_at is not None and ticket.status is Status.NEW


_LISTED: Final = (
    Ticket.id,
    Ticket.code,
    Ticket.title,
    Ticket.address,
    Ticket.status,
    Ticket.priority,
    Ticket.viewed,
    Ticket.worker_id,
    Ticket.account_id,
    Ticket.created_by,
    Ticket.published_at,
    Ticket.scheduled_at,
    Ticket.due_at,
    Ticket.resolution,
    Ticket.hold_reason,
    Ticket.cancel_reason,
    Ticket.created_at,
    Ticket.updated_at,
    Ticket.assigned_at,
    Ticket.in_progress_at,
    Ticket.done_at,
    Ticket.closed_at,
    Ticket.canceled_at,
    Ticket.requester_ip,
    Ticket.requester_ua,
    Client.id.label("client_id"),
    Client.name.label("client_name"),
    Client.phone.label("client_phone"),
    Client.email.label("client_email"),
    User.username.label("worker_username"),
    User.name.label("worker_name"),
)


async def find(session: AsyncSession, query: TicketQuery, *, viewer: User) -> Slice[AnyRow]:
    """Return one page of the tickets ``viewer`` may see.

    Rows, not objects: building objects for ten tickets costs more than the query.
    """
    found = select(Ticket.id)
    if query.pool and viewer.role is Role.WORKER:
        # The whole document has the client's name and phone in it, and would tell them by guessing.
        found = found.where(*query.where(func.search_document(Ticket.title, Ticket.description)))
        if query.client_id is not None:  # so would this
            found = found.where(false())
    else:
        found = found.where(visible_to(viewer), *query.where(Ticket.search))

    def show(page: Subquery) -> AnySelect:
        return (
            select(*_LISTED, unread(viewer, Ticket.id).label("unread_comments"))
            .select_from(page)
            .join(Ticket, Ticket.id == page.c.id)
            .join(Client, Client.id == Ticket.client_id)
            .outerjoin(User, User.id == Ticket.worker_id)
        )

    return await paginate(session, found, query, keys=KEYS, sort=query.sort, show=show)


async def get(session: AsyncSession, ticket_id: int, *, viewer: User, glimpse: bool = False) -> Ticket:
    """Return a ticket ``viewer`` may see; with ``glimpse``, also what a worker sees of the pool.

    Raises:
        NotFound: (404) no such ticket, or not ``viewer``'s to see.
    """
    return _found(await session.scalar(_whole(viewer).where(Ticket.id == ticket_id)), viewer, glimpse=glimpse)


async def lock(session: AsyncSession, ticket_id: int, *, viewer: User, glimpse: bool = False) -> Ticket:
    """Return a ticket ``viewer`` may see, its row locked until the transaction ends.

    Locked by id first and checked then: a condition on a column that the winner of a race has
    just changed would let the losers see 404 instead of 409.

    Raises:
        NotFound: (404) no such ticket, or not ``viewer``'s to see.
    """
    statement = _whole(viewer).where(Ticket.id == ticket_id).with_for_update(of=Ticket)
    return _found(await session.scalar(statement), viewer, glimpse=glimpse)


async def lock_any(session: AsyncSession, ticket_id: int, *, viewer: User | None = None) -> Ticket:
    """Return a ticket, locked; the caller has checked by other means that it may be known.

    Raises:
        NotFound: (404) it was deleted meanwhile.
    """
    statement = _whole(viewer).where(Ticket.id == ticket_id).with_for_update(of=Ticket)
    ticket = await session.scalar(statement)
    if ticket is None:
        raise NotFound("ticket")
    return ticket


def _found(ticket: Ticket | None, viewer: User, *, glimpse: bool) -> Ticket:
    offered = glimpse and ticket is not None and viewer.role is Role.WORKER and in_pool(ticket)
    if ticket is None or not (may_see(ticket, viewer) or offered):
        raise NotFound("ticket")
    return ticket


def _whole(viewer: User | None = None) -> Select[Ticket]:
    whole = select(Ticket).options(joinedload(Ticket.client, innerjoin=True), joinedload(Ticket.worker))
    if viewer is None:
        return whole
    return whole.options(with_expression(Ticket.unread_comments, unread(viewer, Ticket.id)))


async def by_code(
    session: AsyncSession, code: str, *, lock: bool = False, viewer: User | None = None
) -> Ticket:
    """Return the ticket with a tracking code; for a ``viewer``, with what they have not read.

    Raises:
        NotFound: (404).
    """
    statement = _whole(viewer).where(Ticket.code == code)
    ticket = await session.scalar(statement.with_for_update(of=Ticket) if lock else statement)
    if ticket is None:
        raise NotFound("ticket")
    return ticket


def told_to(viewer: User | None) -> ColumnElement[bool]:
    """Return which lines of a ticket's history ``viewer`` reads; None is the client with the code."""
    if viewer is not None and viewer.is_staff:
        return true()
    if viewer is not None and viewer.role is Role.WORKER:
        return or_(TicketEvent.worker_id.is_(None), TicketEvent.worker_id == viewer.id)
    return TicketEvent.internal.is_(False)


class HistoryQuery(PageQuery):
    """Query string of a ticket's history."""

    size: int = Field(50, ge=1, le=100, description="Lines on a page")


async def find_history(
    session: AsyncSession, ticket: Ticket, query: HistoryQuery, *, viewer: User
) -> Slice[AnyRow]:
    """Return one page of a ticket's history, oldest first, as far as ``viewer`` may read it."""
    found = select(TicketEvent.id).where(TicketEvent.ticket_id == ticket.id)
    found = found.where(told_to(viewer))

    def show(page: Subquery) -> AnySelect:
        return (
            select(
                TicketEvent.id,
                TicketEvent.created_at.label("at"),
                TicketEvent.event,
                TicketEvent.changes,
                TicketEvent.note,
                TicketEvent.subject_id,
                User.id.label("actor_id"),
                User.username.label("actor_username"),
                User.role.label("actor_role"),
            )
            .select_from(page)
            .join(TicketEvent, TicketEvent.id == page.c.id)
            .outerjoin(User, User.id == TicketEvent.actor_id)
        )

    return await paginate(session, found, query, keys={"id": Key(TicketEvent.id)}, sort="id", show=show)


async def changes_of(session: AsyncSession, ticket: Ticket) -> list[Change]:
    """Return what each version changed, for a caller whose version is old."""
    found = await session.execute(
        select(TicketEvent.version, User.username, TicketEvent.created_at, TicketEvent.changes)
        .outerjoin(User, User.id == TicketEvent.actor_id)
        .where(TicketEvent.ticket_id == ticket.id)
        .order_by(TicketEvent.id)
    )
    return [Change(*row) for row in found]


async def count_open(session: AsyncSession, worker_id: int) -> int:
    """Return how many open tickets a worker is responsible for."""
    statement = select(func.count()).where(Ticket.worker_id == worker_id, Ticket.status.in_(OPEN))
    return await session.scalar(statement) or 0


async def lock_open(session: AsyncSession, worker_id: int) -> list[Ticket]:
    """Return a worker's open tickets, locked in the order of their ids."""
    statement = _whole().where(Ticket.worker_id == worker_id, Ticket.status.in_(OPEN))
    found = await session.scalars(statement.order_by(Ticket.id).with_for_update(of=Ticket))
    return list(found)
