"""``/tickets/{id}/comments``: what client, dispatcher and worker say to each other."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from api.auth.deps import CurrentUser, InvalidToken, UserOnce
from api.core.db import Reads, Session
from api.core.errors import Forbidden, NotFound, Unauthenticated
from api.core.fields import PathId
from api.core.idempotency import IdempotencyMismatch
from api.core.paging import InvalidCursor, Slice
from api.core.problems import problems
from api.tickets import queries as tickets
from api.tickets.comments import queries, service
from api.tickets.comments.editing import NoLongerEditable
from api.tickets.comments.queries import CommentQuery
from api.tickets.comments.schemas import CommentCreate, CommentOut, CommentPage, CommentUpdate, ReadUpTo
from api.tickets.deps import LockedTicket, VisibleTicket

router = APIRouter(tags=["conversation"])

ACCESS = (Unauthenticated, InvalidToken, NotFound)
ALL_OF_IT = ReadUpTo()


@router.get(
    "/tickets/{ticket_id}/comments", response_model=CommentPage, responses=problems(*ACCESS, InvalidCursor)
)
async def list_comments(
    ticket: VisibleTicket, query: Annotated[CommentQuery, Query()], session: Reads, viewer: CurrentUser
) -> Slice[CommentOut]:
    """List a ticket's comments, newest first; internal ones for those who work here."""
    return await queries.find(session, ticket.id, query, viewer=viewer)


@router.post(
    "/tickets/{ticket_id}/comments",
    response_model=CommentOut,
    status_code=status.HTTP_201_CREATED,
    responses=problems(*ACCESS, Forbidden, IdempotencyMismatch),
)
async def create_comment(
    ticket: LockedTicket, body: CommentCreate, session: Session, caller: CurrentUser, once: UserOnce
) -> Response:
    """Say something: to everybody in the conversation, or internally."""

    async def create() -> CommentOut:
        comment = await service.add(session, ticket, body, author=caller)
        return (await queries.by_ids(session, [comment.id]))[comment.id]

    return await once(create, CommentOut.model_validate)


@router.post("/tickets/{ticket_id}/read", status_code=status.HTTP_204_NO_CONTENT, responses=problems(*ACCESS))
async def mark_read(
    ticket_id: PathId, session: Session, caller: CurrentUser, body: ReadUpTo = ALL_OF_IT
) -> None:
    """Say how far one has read; the unread count begins after it."""
    ticket = await tickets.get(session, ticket_id, viewer=caller)
    await service.mark_read(session, ticket.id, caller, up_to=body.comment_id)


@router.patch("/comments/{comment_id}", responses=problems(*ACCESS, Forbidden, NoLongerEditable))
async def update_comment(
    comment_id: PathId, body: CommentUpdate, session: Session, caller: CurrentUser
) -> CommentOut:
    """Put another text in place of one's own, within 15 minutes."""
    comment, ticket = await queries.lock(session, comment_id, viewer=caller)
    service.edit(session, ticket, comment, body.text, author=caller)
    await session.flush()
    return (await queries.by_ids(session, [comment.id]))[comment.id]


@router.delete(
    "/comments/{comment_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*ACCESS, Forbidden, NoLongerEditable),
)
async def withdraw_comment(comment_id: PathId, session: Session, caller: CurrentUser) -> None:
    """Take one's own comment and its files back, within 15 minutes; its place stays."""
    comment, ticket = await queries.lock(session, comment_id, viewer=caller)
    await service.withdraw(session, ticket, comment, author=caller)
