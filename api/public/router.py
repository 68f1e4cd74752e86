"""``/public``: what works without signing in."""

from fastapi import APIRouter, Request, Response, status
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.deps import PublicLimit, Region
from api.core.db import Reads, Session, database_of
from api.core.errors import NotFound
from api.core.idempotency import Answered, CurrentKey, IdempotencyMismatch, created
from api.core.limits import RateLimited
from api.core.problems import problems
from api.public.deps import ITS_CLIENT, Code
from api.public.schemas import Milestone, PublicTicket, Receipt
from api.tickets import intake, queries, service, states
from api.tickets.comments import queries as comments
from api.tickets.comments.queries import CommentQuery
from api.tickets.deps import CurrentRequester
from api.tickets.intake import DuplicateTicket
from api.tickets.models import InvalidTransition, ReasonRequired, Ticket
from api.tickets.schemas import NO_REASON, PublicTicketCreate, Reason
from api.tickets.states import Status

router = APIRouter(tags=["public"])


async def _shown(session: AsyncSession, ticket: Ticket) -> PublicTicket:
    reached = {
        Status.NEW: ticket.created_at,
        Status.ASSIGNED: ticket.assigned_at,
        Status.IN_PROGRESS: ticket.in_progress_at,
        Status.DONE: ticket.done_at,
        Status.CLOSED: ticket.closed_at,
        Status.CANCELED: ticket.canceled_at,
    }
    said = (await comments.find(session, ticket.id, CommentQuery(), viewer=None)).items
    return PublicTicket(
        code=ticket.code,
        status=ticket.status,
        title=ticket.title,
        created_at=ticket.created_at,
        scheduled_at=ticket.scheduled_at,
        resolution=ticket.resolution,
        milestones=sorted(
            (Milestone(status=status, at=at) for status, at in reached.items() if at is not None),
            key=lambda milestone: milestone.at,
        ),
        comments=said,
        allowed_statuses=states.allowed(ticket.status, ITS_CLIENT),
    )


SUBMIT = {
    "response_model": Receipt,
    "status_code": status.HTTP_201_CREATED,
    "dependencies": [PublicLimit],
    "responses": problems(DuplicateTicket, RateLimited, IdempotencyMismatch),
}


@router.post("/public/tickets", operation_id="submit_ticket", **SUBMIT)  # type: ignore[arg-type]  # as above
@router.post("/tickets/public", include_in_schema=False, **SUBMIT)  # type: ignore[arg-type]
async def submit_ticket(
    request: Request, body: PublicTicketCreate, requester: CurrentRequester, region: Region, key: CurrentKey
) -> Response:
    """Ask for a repair; the answer has the code to follow it by."""
    attempt = await key.attempt_of("public")
    async with database_of(request).reads() as session:
        made = await intake.submit(
            session,
            body,
            attempt=attempt,
            answer=Receipt.model_validate,
            requester=requester,
            region=region,
        )
    return made.replay(attempt) if isinstance(made, Answered) else created(Receipt.model_validate(made))


@router.get("/public/tickets/{code}", responses=problems(NotFound))
async def follow_ticket(code: Code, session: Reads) -> PublicTicket:
    """Show how far a request is."""
    return await _shown(session, await queries.by_code(session, code))


@router.post(
    "/public/tickets/{code}/cancel",
    dependencies=[PublicLimit],
    responses=problems(NotFound, InvalidTransition, ReasonRequired, RateLimited),
)
async def cancel_own_ticket(code: Code, session: Session, body: Reason = NO_REASON) -> PublicTicket:
    """Take a request back while nobody has begun with it, and say why."""
    ticket = await queries.by_code(session, code, lock=True)
    await service.move(session, ticket, Status.CANCELED, by=ITS_CLIENT, actor=None, reason=body.reason)
    return await _shown(session, ticket)


@router.post(
    "/public/tickets/{code}/reopen",
    dependencies=[PublicLimit],
    responses=problems(NotFound, InvalidTransition, ReasonRequired, RateLimited),
)
async def reopen_own_ticket(code: Code, session: Session, body: Reason = NO_REASON) -> PublicTicket:
    """Send work back that is said to be done, and say what is wrong with it."""
    ticket = await queries.by_code(session, code, lock=True)
    await service.move(
        session,
        ticket,
        Status.IN_PROGRESS,
        by=ITS_CLIENT,
        actor=None,
        only_from=states.FINISHED,
        reason=body.reason,
    )
    return await _shown(session, ticket)
