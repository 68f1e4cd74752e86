"""Every SELECT on offers, and the one rule of who takes part in which dialog."""

from typing import Final

from pydantic import Field
from sqlalchemy import ColumnElement, Subquery, and_, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.errors import NotFound
from api.core.fields import Id
from api.core.paging import AnyRow, AnySelect, Key, PageQuery, Slice, paginate
from api.tickets.models import Ticket
from api.tickets.responses.models import Offer, OfferMessage, OfferStatus
from api.tickets.responses.schemas import OfferMessageOut, OfferOut, OfferSort, OfferTicket
from api.tickets.schemas import Author, WorkerBrief

OFFER_KEYS: Final = {"id": Key(Offer.id)}
MESSAGE_KEYS: Final = {"id": Key(OfferMessage.id)}


class OfferQuery(PageQuery):
    """Query string of offers."""

    status: list[OfferStatus] = Field([], description="Any of these; all when empty")
    sort: OfferSort = "-id"


class MessageQuery(PageQuery):
    """Query string of a dialog."""

    size: int = Field(50, ge=1, le=100, description="Messages on a page")
    after: Id | None = Field(None, description="Only messages with a greater id")
    sort: OfferSort = "id"


def takes_part(viewer: User) -> ColumnElement[bool]:
    """Return which offers ``viewer`` sees: a worker their own, a client those on what they published."""
    match viewer.role:
        case Role.ADMIN | Role.MANAGER:
            return true()
        case Role.WORKER:
            return Offer.worker_id == viewer.id
        case Role.CLIENT:
            return and_(Ticket.account_id == viewer.id, Ticket.published_by == viewer.id)


async def find(
    session: AsyncSession, query: OfferQuery, *, viewer: User, ticket_id: int | None = None
) -> Slice[OfferOut]:
    """Return one page of the offers ``viewer`` takes part in, of one ticket or of all."""
    found = select(Offer.id).join(Ticket, Ticket.id == Offer.ticket_id).where(takes_part(viewer))
    if ticket_id is not None:
        found = found.where(Offer.ticket_id == ticket_id)
    if query.status:
        found = found.where(Offer.status.in_(query.status))

    def show(page: Subquery) -> AnySelect:
        return _shown().join(page, page.c.id == Offer.id)

    slice_ = await paginate(session, found, query, keys=OFFER_KEYS, sort=query.sort, show=show)
    return slice_.map(_told)


async def by_id(session: AsyncSession, offer_id: int) -> OfferOut:
    """Return an offer that was just made."""
    return _told((await session.execute(_shown().where(Offer.id == offer_id))).one())


def _shown() -> AnySelect:
    last = (
        select(OfferMessage.text, OfferMessage.created_at)
        .where(OfferMessage.response_id == Offer.id)
        .order_by(OfferMessage.id.desc())
        .limit(1)
        .lateral("last")
    )
    total = (
        select(func.count())
        .select_from(OfferMessage)
        .where(OfferMessage.response_id == Offer.id)
        .scalar_subquery()
    )
    return (
        select(
            Offer.id,
            Offer.status,
            Offer.created_at,
            Ticket.id.label("ticket_id"),
            Ticket.title,
            Ticket.status.label("ticket_status"),
            User.id.label("worker_id"),
            User.username,
            User.name,
            total.label("messages_total"),
            last.c.text.label("last_message"),
            last.c.created_at.label("last_message_at"),
        )
        .select_from(Offer)
        .join(Ticket, Ticket.id == Offer.ticket_id)
        .join(User, User.id == Offer.worker_id)
        .join(last, true())
    )


def _told(row: AnyRow) -> OfferOut:
    return OfferOut(
        id=row.id,
        ticket=OfferTicket(id=row.ticket_id, title=row.title, status=row.ticket_status),
        worker=WorkerBrief(id=row.worker_id, username=row.username, name=row.name),
        status=row.status,
        created_at=row.created_at,
        messages_total=row.messages_total,
        last_message=row.last_message,
        last_message_at=row.last_message_at,
    )


async def find_messages(session: AsyncSession, offer_id: int, query: MessageQuery) -> Slice[OfferMessageOut]:
    """Return one page of a dialog; the caller has checked who takes part."""
    found = select(OfferMessage.id).where(OfferMessage.response_id == offer_id)
    if query.after is not None:
        found = found.where(OfferMessage.id > query.after)

    def show(page: Subquery) -> AnySelect:
        return (
            select(
                OfferMessage.id,
                OfferMessage.text,
                OfferMessage.created_at,
                User.id.label("author_id"),
                func.coalesce(User.name, User.username).label("author_name"),
                User.role.label("author_role"),
            )
            .select_from(page)
            .join(OfferMessage, OfferMessage.id == page.c.id)
            .outerjoin(User, User.id == OfferMessage.author_id)
        )

    def told(row: AnyRow) -> OfferMessageOut:
        author = None
        if row.author_id is not None:
            author = Author(id=row.author_id, name=row.author_name, role=row.author_role)
        return OfferMessageOut(id=row.id, author=author, text=row.text, created_at=row.created_at)

    slice_ = await paginate(session, found, query, keys=MESSAGE_KEYS, sort=query.sort, show=show)
    return slice_.map(told)


async def whereabouts(session: AsyncSession, offer_id: int, *, viewer: User) -> tuple[int, int]:
    """Return the ids of the ticket and the worker of an offer ``viewer`` takes part in.

    Raises:
        NotFound: (404) no such offer, or somebody else's.
    """
    statement = (
        select(Offer.ticket_id, Offer.worker_id)
        .join(Ticket, Ticket.id == Offer.ticket_id)
        .where(Offer.id == offer_id, takes_part(viewer))
    )
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise NotFound("response")
    return found.ticket_id, found.worker_id


async def lock_all(session: AsyncSession, ticket_id: int) -> list[Offer]:
    """Return a ticket's offers, locked; the ticket is locked already."""
    statement = select(Offer).where(Offer.ticket_id == ticket_id).order_by(Offer.id).with_for_update()
    return list(await session.scalars(statement))
