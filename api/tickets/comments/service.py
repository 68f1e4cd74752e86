"""Rules of the conversation. Callers own the transaction, and hold the ticket's lock."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import func

from api.auth.models import Role, User
from api.core.db import now
from api.core.errors import Forbidden, invalid_field
from api.tickets import history
from api.tickets.attachments import service as attachments
from api.tickets.comments.editing import NoLongerEditable, is_recent
from api.tickets.comments.models import Comment, TicketRead, Visibility
from api.tickets.comments.reading import readable_by
from api.tickets.comments.schemas import CommentCreate
from api.tickets.models import Ticket


async def add(
    session: AsyncSession,
    ticket: Ticket,
    new: CommentCreate,
    *,
    author: User | None,
    key: str | None = None,
) -> Comment:
    """Say something about ``ticket``; ``author`` None is the client who has the code.

    With a ``key`` that the same author used before, the comment of then is returned and nothing
    is added.

    Raises:
        Forbidden: (403) clients write no internal comments.
        Invalid: (422) ``parent_id`` is not in this conversation, or is less public than the answer.
    """
    outside = author is None or author.role is Role.CLIENT
    if outside and new.visibility is Visibility.INTERNAL:
        msg = "internal comments are for those who work here"
        raise Forbidden(msg)
    if key is not None:
        # Two who count 1, 2, 3 use the same words: one must not be told that the other's was theirs.
        key = f"{author.id if author else 'code'} {key}"
        if (said := await _said(session, ticket, key)) is not None:
            return said
    if new.parent_id is not None:
        await _require_parent(session, ticket, new)
    comment = Comment(
        ticket_id=ticket.id,
        author_id=author.id if author else None,
        visibility=new.visibility,
        parent_id=new.parent_id,
        text=new.text,
        key=key,
        created_at=now(),
    )
    session.add(comment)
    await session.flush()
    if author is not None:
        await mark_read(session, ticket.id, author, up_to=comment.id)
    _tell(session, ticket, comment, "commented", author)
    return comment


async def _said(session: AsyncSession, ticket: Ticket, key: str) -> Comment | None:
    statement = select(Comment).where(Comment.ticket_id == ticket.id, Comment.key == key)
    said: Comment | None = await session.scalar(statement)
    return said


async def _require_parent(session: AsyncSession, ticket: Ticket, new: CommentCreate) -> None:
    statement = select(Comment.id).where(Comment.id == new.parent_id, Comment.ticket_id == ticket.id)
    if new.visibility is Visibility.PUBLIC:  # its readers would be told of what they may not know
        statement = statement.where(Comment.visibility == Visibility.PUBLIC)
    if await session.scalar(statement) is None:
        raise invalid_field(["body", "parent_id"], "is no comment of this ticket")


def edit(session: AsyncSession, ticket: Ticket, comment: Comment, text: str, *, author: User) -> None:
    """Put another text in place of one's own.

    Raises:
        Forbidden: (403) somebody else's. NoLongerEditable: (409).
    """
    _require_own(comment, author)
    comment.text, comment.edited_at = text, now()
    _tell(session, ticket, comment, "comment_edited", author)


async def withdraw(session: AsyncSession, ticket: Ticket, comment: Comment, *, author: User) -> None:
    """Take one's own comment back, and its files with it; its place in the conversation stays.

    Raises:
        Forbidden: (403) somebody else's. NoLongerEditable: (409).
    """
    _require_own(comment, author)
    comment.text, comment.withdrawn_at = None, now()
    _tell(session, ticket, comment, "comment_withdrawn", author)
    await attachments.remove_from(session, ticket, comment, actor=author)


def _require_own(comment: Comment, author: User) -> None:
    if comment.author_id != author.id:
        msg = "only its author changes a comment"
        raise Forbidden(msg)
    if comment.withdrawn_at is not None or not is_recent(comment.created_at):
        msg = "a comment can be changed for 15 minutes, and not once it was taken back"
        raise NoLongerEditable(msg)


def _tell(session: AsyncSession, ticket: Ticket, comment: Comment, event: str, author: User | None) -> None:
    internal = comment.visibility is Visibility.INTERNAL
    history.add(session, ticket, event, actor=author, internal=internal, subject_id=comment.id)


async def mark_read(session: AsyncSession, ticket_id: int, reader: User, *, up_to: int | None) -> None:
    """Note how far ``reader`` has read, never less far than before; None is all there is."""
    newest = select(func.coalesce(func.max(Comment.id), 0)).where(
        Comment.ticket_id == ticket_id, readable_by(reader)
    )
    if up_to is not None:
        newest = newest.where(Comment.id <= up_to)
    statement = insert(TicketRead).values(
        ticket_id=ticket_id, user_id=reader.id, last_comment_id=newest.scalar_subquery()
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["ticket_id", "user_id"],
            set_={
                "last_comment_id": func.greatest(
                    TicketRead.last_comment_id, statement.excluded.last_comment_id
                )
            },
        )
    )
