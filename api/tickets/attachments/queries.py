"""Every SELECT on files."""

from collections.abc import Iterable
from typing import Final

from pydantic import Field
from sqlalchemy import ColumnElement, Subquery, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import User
from api.core.errors import NotFound
from api.core.paging import AnyRow, AnySelect, Key, PageQuery, Slice, paginate
from api.tickets.attachments.models import Attachment
from api.tickets.attachments.schemas import AttachmentOut
from api.tickets.comments.models import Comment
from api.tickets.comments.reading import readable_by
from api.tickets.schemas import Author

KEYS: Final = {"id": Key(Attachment.id)}


class AttachmentQuery(PageQuery):
    """Query string of a ticket's files."""

    size: int = Field(50, ge=1, le=100, description="Files on a page")


def _readable(viewer: User | None) -> ColumnElement[bool]:
    # A file on an internal comment is internal; one on the ticket itself is for all in scope.
    return or_(Attachment.comment_id.is_(None), readable_by(viewer))


async def find(
    session: AsyncSession, ticket_id: int, query: AttachmentQuery, *, viewer: User | None
) -> Slice[AttachmentOut]:
    """Return one page of a ticket's files, as far as ``viewer`` may see them."""
    found = (
        select(Attachment.id)
        .outerjoin(Comment, Comment.id == Attachment.comment_id)
        .where(Attachment.ticket_id == ticket_id, _readable(viewer))
    )

    def show(page: Subquery) -> AnySelect:
        return _shown().join(page, page.c.id == Attachment.id)

    slice_ = await paginate(session, found, query, keys=KEYS, sort="id", show=show)
    return slice_.map(told)


async def of_comments(session: AsyncSession, comment_ids: Iterable[int]) -> dict[int, list[AttachmentOut]]:
    """Return the files of comments; the caller has checked who reads those."""
    statement = _shown().where(Attachment.comment_id.in_(list(comment_ids))).order_by(Attachment.id)
    files: dict[int, list[AttachmentOut]] = {}
    for row in await session.execute(statement):
        files.setdefault(row.comment_id, []).append(told(row))
    return files


async def by_id(session: AsyncSession, attachment_id: int) -> AttachmentOut:
    """Return a file that was just stored."""
    return told((await session.execute(_shown().where(Attachment.id == attachment_id))).one())


async def get(session: AsyncSession, attachment_id: int, *, viewer: User | None) -> Attachment:
    """Return a file whose comment ``viewer`` may read; the caller checks the ticket.

    Raises:
        NotFound: (404).
    """
    statement = (
        select(Attachment)
        .outerjoin(Comment, Comment.id == Attachment.comment_id)
        .where(Attachment.id == attachment_id, _readable(viewer))
    )
    found = await session.scalar(statement)
    if found is None:
        raise NotFound("attachment")
    return found


async def totals(session: AsyncSession, ticket_id: int) -> tuple[int, int]:
    """Return how many files a ticket has, and their bytes."""
    statement = select(func.count(), func.coalesce(func.sum(Attachment.size), 0)).where(
        Attachment.ticket_id == ticket_id
    )
    count, size = (await session.execute(statement)).one()
    return count, int(size)


async def keys_of(session: AsyncSession, ticket_id: int) -> list[str]:
    """Return the storage keys of all of a ticket's files."""
    statement = select(Attachment.key, Attachment.thumbnail_key).where(Attachment.ticket_id == ticket_id)
    return [key for row in await session.execute(statement) for key in row if key is not None]


def _shown() -> AnySelect:
    return (
        select(
            Attachment.id,
            Attachment.filename,
            Attachment.content_type,
            Attachment.size,
            Attachment.sha256,
            Attachment.created_at,
            Attachment.comment_id,
            Attachment.thumbnail_key.is_not(None).label("has_thumbnail"),
            User.id.label("author_id"),
            func.coalesce(User.name, User.username).label("author_name"),
            User.role.label("author_role"),
        )
        .select_from(Attachment)
        .outerjoin(User, User.id == Attachment.author_id)
    )


def told(row: AnyRow) -> AttachmentOut:
    """Return a row as the API tells it."""
    author = None
    if row.author_id is not None:
        author = Author(id=row.author_id, name=row.author_name, role=row.author_role)
    fields = ("id", "filename", "content_type", "size", "sha256", "created_at", "comment_id", "has_thumbnail")
    return AttachmentOut(**{field: getattr(row, field) for field in fields}, author=author)
