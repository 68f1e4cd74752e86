"""``/public/tickets/{code}/…``: the client's side of the conversation, by code."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response, status
from fastapi.responses import StreamingResponse

from api.auth.deps import AppSettings, PublicLimit, PublicOnce
from api.core.db import CurrentDatabase, Reads, Session, database_of
from api.core.errors import Forbidden, NotFound, TooLarge, Unavailable
from api.core.fields import MAX_ID, PathId
from api.core.idempotency import IdempotencyMismatch, OnceFor
from api.core.limits import RateLimited
from api.core.paging import InvalidCursor, Slice
from api.core.problems import problems
from api.public.deps import Code
from api.tickets import queries
from api.tickets.attachments import queries as attachments
from api.tickets.attachments import service as files
from api.tickets.attachments.inspection import UnsupportedType
from api.tickets.attachments.queries import AttachmentQuery
from api.tickets.attachments.router import CONTENT, FileStorage, Small, Upload, keep, served
from api.tickets.attachments.schemas import AttachmentOut, AttachmentPage
from api.tickets.attachments.service import TooManyFiles
from api.tickets.comments import queries as comments
from api.tickets.comments import service as conversation
from api.tickets.comments.editing import NoLongerEditable
from api.tickets.comments.queries import CommentQuery
from api.tickets.comments.schemas import CommentCreate, CommentOut, CommentPage, PublicCommentCreate

router = APIRouter(prefix="/public/tickets/{code}", tags=["public"])

CommentId = Annotated[
    int | None, Form(ge=1, le=MAX_ID, description="A comment made by the code that it belongs to")
]


@router.get("/comments", response_model=CommentPage, responses=problems(NotFound, InvalidCursor))
async def list_public_comments(
    code: Code, query: Annotated[CommentQuery, Query()], session: Reads
) -> Slice[CommentOut]:
    """List the public comments of a request, newest first."""
    ticket = await queries.by_code(session, code)
    return await comments.find(session, ticket.id, query, viewer=None)


@router.post(
    "/comments",
    response_model=CommentOut,
    status_code=status.HTTP_201_CREATED,
    dependencies=[PublicLimit],
    responses=problems(NotFound, RateLimited, IdempotencyMismatch),
)
async def create_public_comment(
    code: Code, body: PublicCommentCreate, session: Session, once: PublicOnce
) -> Response:
    """Answer, or ask, as the client who has the code."""

    async def create() -> CommentOut:
        ticket = await queries.by_code(session, code, lock=True)
        new = CommentCreate(text=body.text, parent_id=body.parent_id)
        comment = await conversation.add(session, ticket, new, author=None)
        return (await comments.by_ids(session, [comment.id]))[comment.id]

    return await once(create, CommentOut.model_validate)


@router.post(
    "/attachments",
    status_code=status.HTTP_201_CREATED,
    dependencies=[PublicLimit],
    response_model=AttachmentOut,
    responses=problems(NotFound, UnsupportedType, TooLarge, TooManyFiles, RateLimited, IdempotencyMismatch),
)
async def upload_public_attachment(
    code: Code,
    file: Upload,
    database: CurrentDatabase,
    session: Session,
    storage: FileStorage,
    settings: AppSettings,
    once: Annotated[OnceFor, Depends()],
    comment_id: CommentId = None,
) -> Response:
    """Send a photo or a paper along, as the client who has the code."""
    async with database.reads() as reads:
        await queries.by_code(reads, code)
    stored = await files.store(storage, file.file, file.filename, settings=settings)

    async def attach() -> AttachmentOut:
        ticket = await queries.by_code(session, code, lock=True)
        made = await files.attach(
            session, ticket, stored, author=None, comment_id=comment_id, settings=settings
        )
        return await attachments.by_id(session, made.id)

    same = {"filename": stored.filename, "sha256": stored.findings.sha256, "comment_id": comment_id}
    return await keep(storage, stored, await once.caller("public", **same), attach)


@router.get("/attachments", response_model=AttachmentPage, responses=problems(NotFound, InvalidCursor))
async def list_public_attachments(
    code: Code, query: Annotated[AttachmentQuery, Query()], session: Reads
) -> Slice[AttachmentOut]:
    """List the files of a request that its client may see."""
    ticket = await queries.by_code(session, code)
    return await attachments.find(session, ticket.id, query, viewer=None)


@router.get(
    "/attachments/{attachment_id}",
    response_class=StreamingResponse,
    responses=problems(NotFound, Unavailable) | CONTENT,
)
async def download_public_attachment(
    request: Request, code: Code, attachment_id: PathId, storage: FileStorage, *, thumbnail: Small = False
) -> StreamingResponse:
    """Download a file of one's own request, or its thumbnail."""
    async with database_of(request).reads() as session:
        ticket = await queries.by_code(session, code)
        attachment = await attachments.get(session, attachment_id, viewer=None)
    if attachment.ticket_id != ticket.id:
        raise NotFound("attachment")
    return await served(attachment, storage, thumbnail=thumbnail)


@router.delete(
    "/attachments/{attachment_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[PublicLimit],
    responses=problems(NotFound, Forbidden, NoLongerEditable, RateLimited),
)
async def delete_public_attachment(code: Code, attachment_id: PathId, session: Session) -> None:
    """Take back a file that was sent by the code, within 15 minutes."""
    ticket = await queries.by_code(session, code, lock=True)
    attachment = await attachments.get(session, attachment_id, viewer=None)
    if attachment.ticket_id != ticket.id:
        raise NotFound("attachment")
    await files.remove_by_code(session, ticket, attachment)
