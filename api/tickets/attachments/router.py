"""``/attachments``: files on tickets and comments."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile, status
from fastapi.responses import StreamingResponse

from api.auth.deps import AppSettings, CurrentUser, InvalidToken
from api.core.db import CurrentDatabase, Reads, Session, database_of
from api.core.errors import Forbidden, NotFound, TooLarge, Unauthenticated, Unavailable
from api.core.fields import MAX_ID, PathId
from api.core.idempotency import IdempotencyMismatch, Once, OnceFor
from api.core.paging import InvalidCursor, Slice
from api.core.problems import problems
from api.core.storage import Storage
from api.tickets import queries as tickets
from api.tickets.attachments import queries, service
from api.tickets.attachments.inspection import UnsupportedType
from api.tickets.attachments.models import Attachment
from api.tickets.attachments.queries import AttachmentQuery
from api.tickets.attachments.schemas import AttachmentOut, AttachmentPage
from api.tickets.attachments.service import TooManyFiles
from api.tickets.deps import VisibleTicket

router = APIRouter(tags=["attachments"])

ACCESS = (Unauthenticated, InvalidToken, NotFound)
CONTENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


def storage_of(request: Request) -> Storage:
    """Return where the application keeps files."""
    storage: Storage = request.app.state.storage
    return storage


FileStorage = Annotated[Storage, Depends(storage_of)]
Upload = Annotated[UploadFile, File(description="Its type is told by content", examples=["kitchen.jpg"])]
CommentId = Annotated[int | None, Form(ge=1, le=MAX_ID, description="One's own comment that it belongs to")]
Small = Annotated[bool, Query(description="A small JPEG instead, where `has_thumbnail`")]


@router.post(
    "/tickets/{ticket_id}/attachments",
    status_code=status.HTTP_201_CREATED,
    response_model=AttachmentOut,
    responses=problems(*ACCESS, UnsupportedType, TooLarge, TooManyFiles, IdempotencyMismatch),
)
async def upload_attachment(
    ticket_id: PathId,
    file: Upload,
    caller: CurrentUser,
    database: CurrentDatabase,
    session: Session,
    storage: FileStorage,
    settings: AppSettings,
    once: Annotated[OnceFor, Depends()],
    comment_id: CommentId = None,
) -> Response:
    """Add a file to a ticket, or to one's own comment on it."""
    async with database.reads() as reads:
        await tickets.get(reads, ticket_id, viewer=caller)
    stored = await service.store(storage, file.file, file.filename, settings=settings)

    async def attach() -> AttachmentOut:
        ticket = await tickets.lock(session, ticket_id, viewer=caller)
        made = await service.attach(
            session, ticket, stored, author=caller, comment_id=comment_id, settings=settings
        )
        return await queries.by_id(session, made.id)

    same = {"filename": stored.filename, "sha256": stored.findings.sha256, "comment_id": comment_id}
    return await keep(storage, stored, await once.caller(f"user {caller.id}", **same), attach)


async def keep(
    storage: Storage, stored: service.Stored, once: Once, attach_it: Callable[[], Awaitable[AttachmentOut]]
) -> Response:
    """Answer with the file that ``attach_it`` makes of ``stored``; what is not needed goes again.

    Not where COMMIT fails: that does not tell whether it happened, and the sweep finds out.
    """
    kept = False

    async def create() -> AttachmentOut:
        nonlocal kept
        made = await attach_it()
        kept = True
        return made

    try:
        return await once(create, AttachmentOut.model_validate)
    finally:
        if not kept:  # refused, or sent before under the same key
            await service.discard(storage, stored)


@router.get(
    "/tickets/{ticket_id}/attachments",
    response_model=AttachmentPage,
    responses=problems(*ACCESS, InvalidCursor),
)
async def list_attachments(
    ticket: VisibleTicket, query: Annotated[AttachmentQuery, Query()], session: Reads, viewer: CurrentUser
) -> Slice[AttachmentOut]:
    """List a ticket's files, oldest first."""
    return await queries.find(session, ticket.id, query, viewer=viewer)


async def visible_attachment(request: Request, attachment_id: PathId, viewer: CurrentUser) -> Attachment:
    """Return the file of the path, if the caller may see it; its connection is given back at once.

    Raises:
        NotFound: (404).
    """
    async with database_of(request).reads() as session:
        attachment = await queries.get(session, attachment_id, viewer=viewer)
        try:
            await tickets.get(session, attachment.ticket_id, viewer=viewer)
        except NotFound:
            raise NotFound("attachment") from None
        return attachment


VisibleAttachment = Annotated[Attachment, Depends(visible_attachment)]


@router.get(
    "/attachments/{attachment_id}",
    response_class=StreamingResponse,
    responses=problems(*ACCESS, Unavailable) | CONTENT,
)
async def download_attachment(
    attachment: VisibleAttachment, storage: FileStorage, *, thumbnail: Small = False
) -> StreamingResponse:
    """Download a file, or its thumbnail."""
    return await served(attachment, storage, thumbnail=thumbnail)


async def served(attachment: Attachment, storage: Storage, *, thumbnail: bool) -> StreamingResponse:
    """Return a file as an answer that no browser runs or shows in the page's name."""
    key = attachment.thumbnail_key if thumbnail else attachment.key
    if key is None:
        raise NotFound("thumbnail")
    try:
        content = await storage.stream(key)
    except FileNotFoundError:
        raise NotFound("attachment") from None
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(attachment.filename, safe='')}",
        "Cache-Control": "private, max-age=3600, immutable",
    }
    if not thumbnail:
        headers["Content-Length"] = str(attachment.size)
    return StreamingResponse(
        content, headers=headers, media_type="image/jpeg" if thumbnail else attachment.content_type
    )


@router.delete(
    "/attachments/{attachment_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*ACCESS, Forbidden),
)
async def delete_attachment(attachment: VisibleAttachment, session: Session, caller: CurrentUser) -> None:
    """Delete a file: its author, or an admin."""
    ticket = await tickets.lock(session, attachment.ticket_id, viewer=caller)
    same = await queries.get(session, attachment.id, viewer=caller)
    await service.remove(session, ticket, same, actor=caller)
