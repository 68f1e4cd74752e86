"""Every SELECT of one ticket and of its history, and the one rule of who may see which."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import Field
from sqlalchemy import ColumnElement, Select, Subquery, and_, func, literal_column, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, joinedload, with_expression

from api.auth.models import Role, User
from api.core.errors import NotFound
from api.core.paging import AnyRow, AnySelect, Key, PageQuery, Slice, paginate
from api.core.revisions import Change
from api.tickets.comments.reading import unread
from api.tickets.models import Ticket, TicketEvent
from api.tickets.states import OPEN, Status


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


def listed(
    column: ColumnElement[Any] | InstrumentedAttribute[Any], members: Iterable[StrEnum]
) -> ColumnElement[bool]:
    """Return the condition that ``column`` is one of ``members``.

    They are written out: an index on part of the rows is of use only where the plan can see that
    it has all that is asked for.
    """
    return column.in_([literal_column(f"'{member}'") for member in members])


def pooled() -> ColumnElement[bool]:
    """Return the condition that workers may offer to do a ticket."""
    return and_(Ticket.published_at.is_not(None), listed(Ticket.status, (Status.NEW,)))


def in_pool(ticket: Ticket) -> bool:
    """Tell the same of one that is at hand."""
    return ticket.published_at is not None and ticket.status is Status.NEW


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
