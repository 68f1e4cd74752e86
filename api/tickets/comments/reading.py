"""Who reads which comments, and what of them is unread: the part of the room that ticket lists need."""

from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from api.auth.models import Role, User
from api.tickets.comments.models import Comment, TicketRead, Visibility


def readable_by(viewer: User | None) -> ColumnElement[bool]:
    """Return which comments ``viewer`` reads; None is the client who has the code."""
    if viewer is None or viewer.role is Role.CLIENT:
        return Comment.visibility == Visibility.PUBLIC
    return true()


def unread(viewer: User, ticket_id: InstrumentedAttribute[int]) -> Any:
    """Return how many comments of the row's ticket ``viewer`` has not read; own ones are read."""
    read = (
        select(TicketRead.last_comment_id)
        .where(TicketRead.ticket_id == ticket_id, TicketRead.user_id == viewer.id)
        # Said outright: two levels down, the row's ticket would become one of the subquery's own.
        .correlate(ticket_id.parent)
        .scalar_subquery()
    )
    return (
        select(func.count())
        .select_from(Comment)
        .where(
            Comment.ticket_id == ticket_id,
            Comment.id > func.coalesce(read, 0),
            or_(Comment.author_id.is_(None), Comment.author_id != viewer.id),
            Comment.withdrawn_at.is_(None),
            readable_by(viewer),
        )
        .scalar_subquery()
    )
