"""``/responses``: published tickets, offers, and the dialog about each."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from api.auth.deps import CurrentUser, InvalidToken, UserOnce, WorkerUser
from api.core.db import Reads, Session
from api.core.errors import Forbidden, NotFound, Unauthenticated
from api.core.fields import PathId
from api.core.idempotency import IdempotencyMismatch
from api.core.paging import InvalidCursor, Slice
from api.core.problems import problems
from api.core.revisions import tagged
from api.tickets import present
from api.tickets import queries as tickets
from api.tickets.deps import LockedTicket
from api.tickets.models import InvalidTransition
from api.tickets.responses import queries, service
from api.tickets.responses.queries import MessageQuery, OfferQuery
from api.tickets.responses.schemas import (
    OfferMessageOut,
    OfferMessagePage,
    OfferOut,
    OfferPage,
    OfferText,
)
from api.tickets.responses.service import AlreadyResponded, NotInPool, NotPublishable, ResponseClosed
from api.tickets.schemas import TicketOut
from api.users.service import NotAWorker

router = APIRouter(tags=["responses"])

ACCESS = (Unauthenticated, InvalidToken, Forbidden, NotFound)


@router.post("/tickets/{ticket_id}/publish", responses=problems(*ACCESS, NotPublishable))
async def publish_ticket(
    ticket: LockedTicket, session: Session, caller: CurrentUser, response: Response
) -> TicketOut:
    """Put a new ticket into the workers' pool, where they offer to do it."""
    service.publish(session, ticket, actor=caller)
    tagged(response, ticket.version)
    return present.whole(ticket, caller)


@router.post("/tickets/{ticket_id}/unpublish", responses=problems(*ACCESS))
async def unpublish_ticket(
    ticket: LockedTicket, session: Session, caller: CurrentUser, response: Response
) -> TicketOut:
    """Take a ticket out of the pool again."""
    service.unpublish(session, ticket, actor=caller)
    tagged(response, ticket.version)
    return present.whole(ticket, caller)


@router.post(
    "/tickets/{ticket_id}/responses",
    response_model=OfferOut,
    status_code=status.HTTP_201_CREATED,
    responses=problems(*ACCESS, NotInPool, AlreadyResponded, IdempotencyMismatch),
)
async def create_response(
    ticket_id: PathId, body: OfferText, session: Session, worker: WorkerUser, once: UserOnce
) -> Response:
    """Offer to do a published ticket; one dialog for each worker."""

    async def create() -> OfferOut:
        ticket = await tickets.lock(session, ticket_id, viewer=worker, glimpse=True)
        offer_id = await service.offer(session, ticket, body.text, worker=worker)
        return await queries.by_id(session, offer_id)

    return await once(create, OfferOut.model_validate)


@router.get(
    "/tickets/{ticket_id}/responses",
    response_model=OfferPage,
    responses=problems(Unauthenticated, InvalidToken, NotFound, InvalidCursor),
)
async def list_ticket_responses(
    ticket_id: PathId, query: Annotated[OfferQuery, Query()], session: Reads, viewer: CurrentUser
) -> Slice[OfferOut]:
    """List the offers for a ticket: all for the one who published it, a worker their own."""
    ticket = await tickets.get(session, ticket_id, viewer=viewer, glimpse=True)
    return await queries.find(session, query, viewer=viewer, ticket_id=ticket.id)


@router.get(
    "/responses", response_model=OfferPage, responses=problems(Unauthenticated, InvalidToken, InvalidCursor)
)
async def list_responses(
    query: Annotated[OfferQuery, Query()], session: Reads, viewer: CurrentUser
) -> Slice[OfferOut]:
    """List the offers one takes part in, on whatever ticket; a worker sees what became of theirs."""
    return await queries.find(session, query, viewer=viewer)


@router.get(
    "/responses/{response_id}/messages",
    response_model=OfferMessagePage,
    responses=problems(Unauthenticated, InvalidToken, NotFound, InvalidCursor),
)
async def list_response_messages(
    response_id: PathId, query: Annotated[MessageQuery, Query()], session: Reads, viewer: CurrentUser
) -> Slice[OfferMessageOut]:
    """List what was said about an offer, oldest first."""
    await queries.whereabouts(session, response_id, viewer=viewer)
    return await queries.find_messages(session, response_id, query)


@router.post(
    "/responses/{response_id}/messages",
    response_model=OfferMessageOut,
    status_code=status.HTTP_201_CREATED,
    responses=problems(Unauthenticated, InvalidToken, NotFound, ResponseClosed, IdempotencyMismatch),
)
async def create_response_message(
    response_id: PathId, body: OfferText, session: Session, caller: CurrentUser, once: UserOnce
) -> Response:
    """Say something about an offer: the worker, or the one who published."""

    async def create() -> OfferMessageOut:
        message_id = await service.say(session, response_id, body.text, actor=caller)
        query = MessageQuery(after=message_id - 1, size=1)
        return (await queries.find_messages(session, response_id, query)).items[0]

    return await once(create, OfferMessageOut.model_validate)


@router.post(
    "/responses/{response_id}/accept",
    responses=problems(*ACCESS, InvalidTransition, ResponseClosed, NotAWorker),
)
async def accept_response(
    response_id: PathId, session: Session, caller: CurrentUser, response: Response
) -> TicketOut:
    """Give the ticket to the worker who offered; of two at once, one succeeds."""
    ticket = await service.accept(session, response_id, actor=caller)
    tagged(response, ticket.version)
    return present.whole(ticket, caller)
