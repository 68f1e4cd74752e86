"""Rules of files. Callers own the transaction."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.db import Database, now
from api.core.errors import AppError, Forbidden, TooLarge, Unavailable, invalid_field
from api.core.jobs import enqueue, jobs
from api.core.storage import Storage
from api.settings import Settings, get_settings
from api.tickets import history
from api.tickets.attachments import inspection, queries
from api.tickets.attachments.inspection import Findings
from api.tickets.attachments.models import Attachment
from api.tickets.comments.editing import NoLongerEditable, is_recent
from api.tickets.comments.models import Comment, Visibility
from api.tickets.comments.reading import readable_by
from api.tickets.models import Ticket
from api.tickets.service import ON_DELETE

_DRAWING: Final = asyncio.Semaphore(2)
"""Pictures are unpacked to be drawn small: two at once is memory enough."""
ORPHANED_AFTER: Final = timedelta(days=1)


class TooManyFiles(AppError):
    """The ticket has as many files as it may have."""

    status = 409
    code = "too_many_files"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that lies in the storage, and is nobody's yet."""

    filename: str
    key: str
    thumbnail_key: str | None
    findings: Findings


async def store(storage: Storage, file: IO[bytes], filename: str | None, *, settings: Settings) -> Stored:
    """Look at a file and put it into the storage; holds no database connection meanwhile.

    Raises:
        UnsupportedType: (415). TooLarge: (413). Unavailable: (503).
    """
    async with _DRAWING:
        findings = await asyncio.to_thread(inspection.inspect, file)
    if findings.size > settings.attachment_max_size:
        msg = f"the file is larger than {settings.attachment_max_size} bytes"
        raise TooLarge(msg)
    thumbnail_key = storage.new_key() if findings.thumbnail else None
    stored = Stored(inspection.tame_name(filename), storage.new_key(), thumbnail_key, findings)
    try:
        await storage.put(stored.key, file)
        if thumbnail_key and findings.thumbnail:
            await storage.put(thumbnail_key, findings.thumbnail)
    except BaseException:
        await discard(storage, stored)
        raise
    return stored


async def discard(storage: Storage, stored: Stored) -> None:
    """Take back what :func:`store` put, because it was refused after all."""
    with suppress(Unavailable):  # the sweep does it later
        await storage.delete(key for key in (stored.key, stored.thumbnail_key) if key)


async def attach(
    session: AsyncSession,
    ticket: Ticket,
    stored: Stored,
    *,
    author: User | None,
    comment_id: int | None,
    settings: Settings,
) -> Attachment:
    """Hang a stored file on ``ticket``, which must be locked, or on one of its comments.

    Raises:
        TooManyFiles: (409). TooLarge: (413) the sum. Invalid: (422) another ticket's comment.
    """
    count, size = await queries.totals(session, ticket.id)
    if count >= settings.attachments_per_ticket:
        msg = f"a ticket has at most {settings.attachments_per_ticket} files"
        raise TooManyFiles(msg)
    if size + stored.findings.size > settings.attachments_size_per_ticket:
        msg = f"a ticket's files have at most {settings.attachments_size_per_ticket} bytes"
        raise TooLarge(msg)
    internal = comment_id is not None and await _is_internal(session, ticket, comment_id, author)
    made = Attachment(
        ticket_id=ticket.id,
        comment_id=comment_id,
        author_id=author.id if author else None,
        filename=stored.filename,
        content_type=stored.findings.content_type,
        size=stored.findings.size,
        sha256=stored.findings.sha256,
        key=stored.key,
        thumbnail_key=stored.thumbnail_key,
        created_at=now(),
    )
    session.add(made)
    await session.flush()
    history.add(
        session,
        ticket,
        "file_added",
        actor=author,
        internal=internal,
        subject_id=made.id,
        note=made.filename,
    )
    return made


async def _is_internal(session: AsyncSession, ticket: Ticket, comment_id: int, author: User | None) -> bool:
    statement = select(Comment).where(
        Comment.id == comment_id,
        Comment.ticket_id == ticket.id,
        Comment.withdrawn_at.is_(None),
        readable_by(author),
    )
    comment = await session.scalar(statement)
    own = comment is not None and comment.author_id == (author.id if author else None)
    if comment is None or not own:
        raise invalid_field(["body", "comment_id"], "is no comment of yours on this ticket")
    return comment.visibility is Visibility.INTERNAL


async def remove(session: AsyncSession, ticket: Ticket, attachment: Attachment, *, actor: User) -> None:
    """Delete a file; its content goes once the transaction has committed.

    Raises:
        Forbidden: (403) neither its author nor an admin.
    """
    if attachment.author_id != actor.id and actor.role is not Role.ADMIN:
        msg = "its author and admins delete a file"
        raise Forbidden(msg)
    internal = attachment.comment_id is not None and await session.scalar(
        select(Comment.visibility == Visibility.INTERNAL).where(Comment.id == attachment.comment_id)
    )
    await _remove(session, ticket, [attachment], actor=actor, internal=bool(internal))


async def remove_by_code(session: AsyncSession, ticket: Ticket, attachment: Attachment) -> None:
    """Take back a file that was sent by the ticket's code.

    Raises:
        Forbidden: (403) somebody else's. NoLongerEditable: (409).
    """
    if attachment.author_id is not None:
        msg = "only what was sent by the code is taken back by it"
        raise Forbidden(msg)
    if not is_recent(attachment.created_at):
        msg = "a file can be taken back for 15 minutes"
        raise NoLongerEditable(msg)
    await _remove(session, ticket, [attachment], actor=None, internal=False)


async def remove_from(session: AsyncSession, ticket: Ticket, comment: Comment, *, actor: User) -> None:
    """Delete the files of a comment that is taken back."""
    found = await session.scalars(
        select(Attachment).where(Attachment.comment_id == comment.id).order_by(Attachment.id)
    )
    internal = comment.visibility is Visibility.INTERNAL
    await _remove(session, ticket, found.all(), actor=actor, internal=internal)


async def _remove(
    session: AsyncSession,
    ticket: Ticket,
    attachments: Sequence[Attachment],
    *,
    actor: User | None,
    internal: bool,
) -> None:
    for attachment in attachments:
        history.add(
            session,
            ticket,
            "file_deleted",
            actor=actor,
            internal=internal,
            subject_id=attachment.id,
            note=attachment.filename,
        )
        await session.delete(attachment)
    keys = [key for one in attachments for key in (one.key, one.thumbnail_key) if key]
    if keys:
        await enqueue(session, DELETE_FILES, keys=keys)


async def forget_files(session: AsyncSession, ticket: Ticket) -> None:
    """See to it that the files of a ticket go when the ticket does."""
    keys = await queries.keys_of(session, ticket.id)
    if keys:
        await enqueue(session, DELETE_FILES, keys=keys)


ON_DELETE.append(forget_files)
DELETE_FILES: Final = "delete_files"


@jobs.task(name=DELETE_FILES, retry=10)
async def delete_files(keys: list[str]) -> None:
    """Delete files from the storage; may run twice."""
    await Storage(get_settings()).delete(keys)


@jobs.periodic(cron="41 3 * * *")
@jobs.task(name="sweep_files", queueing_lock="sweep_files")
async def sweep_files(timestamp: int) -> None:  # noqa: ARG001  the library passes when it was due
    """Delete files that nobody's row names: what a process left that was killed between the two."""
    settings = get_settings()
    storage, database = Storage(settings), Database.connect(settings)
    try:
        async for keys in storage.older_than(now() - ORPHANED_AFTER):
            async with database.reads() as session:
                named = await session.execute(
                    select(Attachment.key, Attachment.thumbnail_key).where(
                        Attachment.key.in_(keys) | Attachment.thumbnail_key.in_(keys)
                    )
                )
                known = {key for row in named for key in row}
            await storage.delete(key for key in keys if key not in known and key != "health")
    finally:
        await database.engine.dispose()
