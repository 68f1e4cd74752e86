"""Rules of the pool: publishing, offering, accepting. Callers own the transaction."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.db import now
from api.core.errors import AppError, Forbidden
from api.tickets import history
from api.tickets import queries as tickets
from api.tickets.models import InvalidTransition, Ticket
from api.tickets.responses import queries
from api.tickets.responses.models import Offer, OfferMessage, OfferStatus
from api.tickets.service import assign
from api.tickets.states import Party, Status
from api.users import service as users

PUBLISHER = frozenset({Party.STAFF})
"""Who publishes a ticket may give it away, whether they work here or not."""


class NotPublishable(AppError):
    """Only a new ticket is put into the pool."""

    status = 409
    code = "not_publishable"


class NotInPool(AppError):
    """The ticket takes no offers: it is not published, or somebody has it."""

    status = 409
    code = "not_in_pool"


class AlreadyResponded(AppError):
    """One worker makes one offer; `id` tells which. Go on in its dialog."""

    status = 409
    code = "already_responded"


class ResponseClosed(AppError):
    """The offer was declined."""

    status = 409
    code = "response_closed"


def publish(session: AsyncSession, ticket: Ticket, *, actor: User) -> Ticket:
    """Put ``ticket``, which must be locked, into the workers' pool.

    Raises:
        Forbidden: (403) not staff, nor the client who made it. NotPublishable: (409) not new.
    """
    _require_publisher(ticket, actor)
    if ticket.status is not Status.NEW:
        msg = f"only a new ticket is published; this one is {ticket.status}"
        raise NotPublishable(msg)
    if ticket.published_at is None:
        ticket.published_at, ticket.published_by = now(), actor.id
        history.record(session, ticket, "published", actor=actor)
    return ticket


def unpublish(session: AsyncSession, ticket: Ticket, *, actor: User) -> Ticket:
    """Take ``ticket``, which must be locked, out of the pool; offers stay, and wait.

    Raises:
        Forbidden: (403) not staff, nor the client who made it.
    """
    _require_publisher(ticket, actor)
    if ticket.published_at is not None:
        ticket.published_at = ticket.published_by = None
        history.record(session, ticket, "unpublished", actor=actor)
    return ticket


def _require_publisher(ticket: Ticket, actor: User) -> None:
    its_maker = actor.role is Role.CLIENT and ticket.created_by == actor.id
    if not actor.is_staff and not its_maker:
        msg = "staff publish tickets, and customers their own"
        raise Forbidden(msg)


async def offer(session: AsyncSession, ticket: Ticket, text: str, *, worker: User) -> int:
    """Offer to do ``ticket``, which must be locked; return the offer's id.

    Raises:
        NotInPool: (409). AlreadyResponded: (409) with the ``id`` of the first offer.
    """
    if not tickets.in_pool(ticket):
        msg = "this ticket takes no offers"
        raise NotInPool(msg)
    made = await session.scalar(
        select(Offer).where(Offer.ticket_id == ticket.id, Offer.worker_id == worker.id)
    )
    if made is None:
        made = Offer(ticket_id=ticket.id, worker_id=worker.id)
        session.add(made)
    elif made.status is OfferStatus.OPEN:
        msg = "you have made an offer; go on in its dialog"
        raise AlreadyResponded(msg, id=made.id)
    made.status = OfferStatus.OPEN  # anew: the ticket came back to the pool after somebody else had it
    await session.flush()
    session.add(OfferMessage(response_id=made.id, author_id=worker.id, text=text))
    _tell(session, ticket, made.id, "offered", actor=worker, worker_id=worker.id)
    await session.flush()
    return made.id


async def say(session: AsyncSession, offer_id: int, text: str, *, actor: User) -> int:
    """Add a message to a dialog ``actor`` takes part in; return its id.

    Raises:
        NotFound: (404). ResponseClosed: (409).
    """
    ticket_id, worker_id = await queries.whereabouts(session, offer_id, viewer=actor)
    ticket = await tickets.lock_any(session, ticket_id)
    made = await session.get_one(Offer, offer_id)
    if made.status is OfferStatus.DECLINED:
        msg = "this offer was declined"
        raise ResponseClosed(msg)
    message = OfferMessage(response_id=offer_id, author_id=actor.id, text=text)
    session.add(message)
    _tell(session, ticket, offer_id, "offer_message", actor=actor, worker_id=worker_id)
    await session.flush()
    return message.id


async def accept(session: AsyncSession, offer_id: int, *, actor: User) -> Ticket:
    """Give the ticket to the worker who offered; every other open offer is declined.

    Raises:
        NotFound: (404). Forbidden: (403) a worker's own offer. ResponseClosed,
        InvalidTransition: (409) another offer was accepted first. NotAWorker: (422).
    """
    ticket_id, worker_id = await queries.whereabouts(session, offer_id, viewer=actor)
    if actor.role is Role.WORKER:
        msg = "the one who published accepts offers"
        raise Forbidden(msg)
    worker = await users.active_worker(session, worker_id)  # before the ticket: the order of all locks
    ticket = await tickets.lock_any(session, ticket_id, viewer=actor)
    offers = await queries.lock_all(session, ticket_id)
    chosen = next(made for made in offers if made.id == offer_id)  # they go with their ticket only
    if ticket.status is not Status.NEW:
        raise InvalidTransition(ticket.status, Status.ASSIGNED, ticket.parties(actor))
    if chosen.status is not OfferStatus.OPEN:
        msg = f"this offer is {chosen.status}: the worker has to offer anew"
        raise ResponseClosed(msg)
    await assign(session, ticket, worker, actor=actor, by=PUBLISHER)
    chosen.status = OfferStatus.ACCEPTED
    _tell(session, ticket, chosen.id, "offer_accepted", actor=actor, worker_id=worker_id)
    for other in offers:
        if other.status is OfferStatus.OPEN and other is not chosen:
            other.status = OfferStatus.DECLINED
            _tell(session, ticket, other.id, "offer_declined", actor=actor, worker_id=other.worker_id)
    await session.flush()
    return ticket


def _tell(
    session: AsyncSession, ticket: Ticket, offer_id: int, event: str, *, actor: User, worker_id: int
) -> None:
    # What is said about offers is between the worker and the one who published: the client
    # hears of it only as that one.
    internal = ticket.published_by is None or ticket.published_by != ticket.account_id
    history.add(
        session, ticket, event, actor=actor, internal=internal, subject_id=offer_id, worker_id=worker_id
    )
