"""``/tickets``: what is to be repaired, by whom, and how far it is."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, status

from api.auth.deps import (
    ClientUser,
    CurrentClaims,
    CurrentUser,
    DeskUser,
    InvalidToken,
    Region,
    StaffOrClient,
    StaffUser,
    UserOnce,
    as_caller,
    need,
    user_of,
)
from api.auth.models import Role, User
from api.core.db import CurrentDatabase, Reads, Session, database_of
from api.core.errors import Forbidden, NotFound, Unauthenticated
from api.core.fields import PathId
from api.core.idempotency import IdempotencyMismatch
from api.core.paging import InvalidCursor, Slice
from api.core.problems import problems
from api.core.revisions import Stale, etag, tagged
from api.core.security import read_code
from api.tickets import intake, lists, present, queries, service, stats
from api.tickets.deps import (
    AdminsTicket,
    CurrentRequester,
    Expected,
    GlimpsedTicket,
    LockedTicket,
    VisibleTicket,
)
from api.tickets.filters import TicketQuery
from api.tickets.intake import ClientRequired, DuplicateTicket
from api.tickets.models import InvalidTransition, ReasonRequired, Ticket
from api.tickets.queries import HistoryQuery
from api.tickets.schemas import (
    NO_REASON,
    NO_RESOLUTION,
    Assign,
    Claim,
    HistoryPage,
    Move,
    Reason,
    Resolution,
    TicketCreate,
    TicketOut,
    TicketPage,
    TicketUpdate,
)
from api.tickets.service import AlreadyClaimed, WorkerRequired
from api.tickets.states import FINISHED, Status
from api.tickets.stats import StatsQuery, TicketStats
from api.users import service as users
from api.users.service import NotAWorker

router = APIRouter(prefix="/tickets", tags=["tickets"])

SIGNED_IN = (Unauthenticated, InvalidToken)
ACCESS = (*SIGNED_IN, Forbidden)
MOVE = (*ACCESS, NotFound, InvalidTransition)


def _answer(ticket: Ticket, viewer: User, response: Response) -> TicketOut:
    tagged(response, ticket.version)
    return present.whole(ticket, viewer)


class TicketMover:
    """Moves the ticket of the path for the caller; what all actions have in common."""

    def __init__(
        self,
        ticket: LockedTicket,
        caller: CurrentUser,
        session: Session,
        if_match: Expected,
        response: Response,
    ) -> None:
        self._ticket, self._caller, self._session = ticket, caller, session
        self._if_match, self._response = if_match, response

    async def to(
        self,
        target: Status,
        *,
        only_from: Iterable[Status] = Status,
        reason: str | None = None,
        resolution: str | None = None,
    ) -> TicketOut:
        """Move the ticket to ``target`` and return what became of it."""
        await service.move(
            self._session,
            self._ticket,
            target,
            by=self._ticket.parties(self._caller),
            actor=self._caller,
            if_match=self._if_match,
            only_from=only_from,
            reason=reason,
            resolution=resolution,
        )
        return _answer(self._ticket, self._caller, self._response)


Mover = Annotated[TicketMover, Depends(scope="function")]


@router.get("", response_model=TicketPage, responses=problems(*SIGNED_IN, InvalidCursor))
async def list_tickets(
    query: Annotated[TicketQuery, Query()], database: CurrentDatabase, claims: CurrentClaims
) -> Response:
    """List the tickets you may see, newest first; filters combine."""
    async with database.reads() as session:
        found = await as_caller(
            session, claims, lambda role: lists.find(session, query, claims=claims, role=role)
        )
    return Response(present.listed(found, query.words), media_type="application/json")


@router.post(
    "",
    response_model=TicketOut,
    status_code=status.HTTP_201_CREATED,
    responses=problems(*ACCESS, NotFound, DuplicateTicket, ClientRequired, NotAWorker, IdempotencyMismatch),
)
async def create_ticket(
    body: TicketCreate,
    session: Session,
    caller: StaffOrClient,
    requester: CurrentRequester,
    region: Region,
    once: UserOnce,
) -> Response:
    """Open a ticket: staff for any client, a registered customer for themselves."""
    return await once(
        lambda: intake.create(session, body, actor=caller, requester=requester, region=region),
        lambda ticket: present.whole(ticket, caller),
        headers=lambda ticket: {"ETag": etag(ticket.version)},
    )


@router.get("/stats", responses=problems(*ACCESS))
async def ticket_stats(
    query: Annotated[StatsQuery, Query()], session: Reads, viewer: DeskUser
) -> TicketStats:
    """Count tickets, and measure how long they take; a worker sees their own figures."""
    return await stats.compute(session, query, viewer=viewer)


@router.post("/claim", responses=problems(*ACCESS, NotFound, AlreadyClaimed))
async def claim_ticket(body: Claim, session: Session, account: ClientUser, response: Response) -> TicketOut:
    """Tie a ticket to one's account by its code."""
    code = read_code(body.code)
    if code is None:
        raise NotFound("ticket")
    ticket = await queries.by_code(session, code, lock=True, viewer=account)
    await service.claim(session, ticket, account=account)
    return _answer(ticket, account, response)


@router.get("/{ticket_id}", responses=problems(*SIGNED_IN, NotFound))
async def get_ticket(
    ticket: GlimpsedTicket, viewer: CurrentUser, session: Reads, response: Response
) -> TicketOut:
    """Show one ticket; the first time its worker does so, it counts as viewed."""
    await service.mark_viewed(session, ticket, viewer)
    return _answer(ticket, viewer, response)


@router.patch(
    "/{ticket_id}",
    responses=problems(*MOVE, Stale, ReasonRequired, WorkerRequired, NotAWorker),
)
async def update_ticket(
    ticket_id: PathId,
    body: TicketUpdate,
    session: Session,
    caller: CurrentUser,
    if_match: Expected,
    response: Response,
) -> TicketOut:
    """Change a ticket; what is left out stays. Its creator may while it is new, staff always."""
    ticket = await service.update(session, ticket_id, body, actor=caller, if_match=if_match)
    return _answer(ticket, caller, response)


@router.delete(
    "/{ticket_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*ACCESS, NotFound, Stale),
)
async def delete_ticket(ticket: AdminsTicket, session: Session, if_match: Expected) -> None:
    """Delete a ticket with its history, for good."""
    await service.delete(session, ticket, if_match=if_match)


@router.get(
    "/{ticket_id}/history",
    response_model=HistoryPage,
    responses=problems(*SIGNED_IN, NotFound, InvalidCursor),
)
async def ticket_history(
    ticket: VisibleTicket, query: Annotated[HistoryQuery, Query()], session: Reads, viewer: CurrentUser
) -> Slice[object]:
    """Tell what happened to a ticket, oldest first."""
    found = await queries.find_history(session, ticket, query, viewer=viewer)
    return found.map(present.event)


@router.post("/{ticket_id}/assign", responses=problems(*MOVE, NotAWorker))
async def assign_ticket(
    ticket_id: PathId,
    body: Assign,
    session: Session,
    staff: StaffUser,
    if_match: Expected,
    response: Response,
) -> TicketOut:
    """Give a ticket to a worker, or with null take it back."""
    worker = None if body.worker_id is None else await users.active_worker(session, body.worker_id)
    ticket = await queries.lock(session, ticket_id, viewer=staff)
    await service.assign(session, ticket, worker, actor=staff, if_match=if_match)
    return _answer(ticket, staff, response)


@router.post("/{ticket_id}/take", responses=problems(*MOVE))
async def take_ticket(
    request: Request,
    ticket_id: PathId,
    claims: CurrentClaims,
    session: Session,
    if_match: Expected,
    response: Response,
) -> TicketOut:
    """Start work on a ticket that is assigned to you; of any number at once, one succeeds."""
    async with database_of(request).reads() as stroke:
        taken = await service.take(stroke, ticket_id, claims, if_match=if_match)
    if taken is not None and taken.worker is not None:
        return _answer(taken, taken.worker, response)
    worker = need(await user_of(session, claims), Role.WORKER)
    ticket = await queries.lock(session, ticket_id, viewer=worker)
    mover = TicketMover(ticket, worker, session, if_match, response)
    return await mover.to(Status.IN_PROGRESS, only_from=(Status.ASSIGNED,))


@router.post("/{ticket_id}/status", responses=problems(*MOVE, ReasonRequired, WorkerRequired))
async def move_ticket(body: Move, move: Mover) -> TicketOut:
    """Move a ticket by the transition table."""
    return await move.to(body.new_status, reason=body.reason, resolution=body.resolution)


@router.post("/{ticket_id}/complete", responses=problems(*MOVE))
async def complete_ticket(move: Mover, body: Resolution = NO_RESOLUTION) -> TicketOut:
    """Say that the work is done."""
    return await move.to(Status.DONE, resolution=body.resolution)


@router.post("/{ticket_id}/cancel", responses=problems(*MOVE, ReasonRequired))
async def cancel_ticket(move: Mover, body: Reason = NO_REASON) -> TicketOut:
    """Give a ticket up, and say why."""
    return await move.to(Status.CANCELED, reason=body.reason)


@router.post("/{ticket_id}/close", responses=problems(*MOVE))
async def close_ticket(move: Mover) -> TicketOut:
    """Accept work that is done."""
    return await move.to(Status.CLOSED)


@router.post("/{ticket_id}/reopen", responses=problems(*MOVE, ReasonRequired))
async def reopen_ticket(move: Mover, body: Reason = NO_REASON) -> TicketOut:
    """Send work back that was done, and say why."""
    return await move.to(Status.IN_PROGRESS, only_from=FINISHED, reason=body.reason)


@router.post("/{ticket_id}/hold", responses=problems(*MOVE, ReasonRequired))
async def hold_ticket(move: Mover, body: Reason = NO_REASON) -> TicketOut:
    """Pause work, and say what it waits for."""
    return await move.to(Status.ON_HOLD, reason=body.reason)


@router.post("/{ticket_id}/resume", responses=problems(*MOVE))
async def resume_ticket(move: Mover) -> TicketOut:
    """Go on with work that was on hold."""
    return await move.to(Status.IN_PROGRESS, only_from=(Status.ON_HOLD,))
