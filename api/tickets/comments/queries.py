"""Every SELECT on comments."""

from collections.abc import Iterable
from typing import Final

from pydantic import Field
from sqlalchemy import Subquery, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from api.auth.models import User
from api.core.errors import NotFound
from api.core.fields import Id
from api.core.paging import AnyRow, AnySelect, Key, PageQuery, Slice, paginate
from api.tickets import queries as tickets
from api.tickets.attachments import queries as attachments
from api.tickets.attachments.schemas import AttachmentOut
from api.tickets.comments.models import Comment
from api.tickets.comments.reading import readable_by
from api.tickets.comments.schemas import CommentOut, CommentSort
from api.tickets.models import Ticket
from api.tickets.schemas import Author

KEYS: Final = {"id": Key(Comment.id)}


class CommentQuery(PageQuery):
    """Query string of a ticket's comments."""

    size: int = Field(20, ge=1, le=100, description="Comments on a page")
    after: Id | None = Field(None, description="Only comments with a greater id")
    sort: CommentSort = "-id"


async def find(
    session: AsyncSession, ticket_id: int, query: CommentQuery, *, viewer: User | None
) -> Slice[CommentOut]:
    """Return one page of a ticket's conversation, as far as ``viewer`` may read it."""
    found = select(Comment.id).where(Comment.ticket_id == ticket_id, readable_by(viewer))
    if query.after is not None:
        found = found.where(Comment.id > query.after)

    def show(page: Subquery) -> AnySelect:
        return _shown().join(page, page.c.id == Comment.id)

    slice_ = await paginate(session, found, query, keys=KEYS, sort=query.sort, show=show)
    files = await attachments.of_comments(session, [row.id for row in slice_.items])
    return slice_.map(lambda row: told(row, files.get(row.id, [])))


async def by_ids(session: AsyncSession, ids: Iterable[int]) -> dict[int, CommentOut]:
    """Return comments by id; the caller has checked who reads them."""
    found = (await session.execute(_shown().where(Comment.id.in_(list(ids))))).all()
    files = await attachments.of_comments(session, [row.id for row in found])
    return {row.id: told(row, files.get(row.id, [])) for row in found}


def _shown() -> AnySelect:
    return (
        select(
            Comment.id,
            Comment.text,
            Comment.visibility,
            Comment.parent_id,
            Comment.created_at,
            Comment.edited_at,
            Comment.withdrawn_at,
            User.id.label("author_id"),
            func.coalesce(User.name, User.username).label("author_name"),
            User.role.label("author_role"),
        )
        .select_from(Comment)
        .outerjoin(User, User.id == Comment.author_id)
    )


def told(row: AnyRow, files: list[AttachmentOut]) -> CommentOut:
    """Return a row and its files as the API tells them."""
    author = None
    if row.author_id is not None:
        author = Author(id=row.author_id, name=row.author_name, role=row.author_role)
    return CommentOut(
        id=row.id,
        text=row.text,
        visibility=row.visibility,
        parent_id=row.parent_id,
        author=author,
        created_at=row.created_at,
        edited_at=row.edited_at,
        withdrawn_at=row.withdrawn_at,
        attachments=files,
    )


async def lock(session: AsyncSession, comment_id: int, *, viewer: User) -> tuple[Comment, Ticket]:
    """Return a comment ``viewer`` may read and its ticket, both locked.

    The ticket first, as everywhere: whoever writes to a conversation holds its ticket.

    Raises:
        NotFound: (404) no such comment, or not ``viewer``'s to know.
    """
    ticket_id = await session.scalar(select(Comment.ticket_id).where(Comment.id == comment_id))
    if ticket_id is None:
        raise NotFound("comment")
    try:
        ticket = await tickets.lock(session, ticket_id, viewer=viewer)
    except NotFound:
        raise NotFound("comment") from None
    statement = select(Comment).where(Comment.id == comment_id, readable_by(viewer))
    comment = await session.scalar(statement.options(joinedload(Comment.author)).with_for_update(of=Comment))
    if comment is None:
        raise NotFound("comment")
    return comment, ticket
