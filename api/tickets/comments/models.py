"""What people say about a ticket, and how far each has read."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.auth.models import User
from api.core.db import Base, Record, text_enum
from api.tickets.models import Ticket


class Visibility(StrEnum):
    """Who reads a comment."""

    PUBLIC = "public"
    INTERNAL = "internal"


class Comment(Record, Base):
    """One contribution to a ticket's conversation."""

    __tablename__ = "comments"
    __table_args__ = (
        Index(None, "ticket_id", "id"),
        UniqueConstraint("ticket_id", "key"),
        CheckConstraint("text IS NOT NULL OR withdrawn_at IS NOT NULL", name="text_given"),
    )

    ticket_id: Mapped[int] = mapped_column(ForeignKey(Ticket.id, ondelete="CASCADE"))
    author_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    """Null for the client who writes by the ticket's code."""
    visibility: Mapped[Visibility] = mapped_column(text_enum(Visibility, "visibility"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("comments.id", ondelete="SET NULL"))
    text: Mapped[str | None]
    """Null once it was taken back."""
    key: Mapped[str | None]
    """The sender's own word for it: sent again after a broken line, it is not written twice."""
    edited_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]

    author: Mapped[User | None] = relationship(lazy="raise")


class TicketRead(Base):
    """Up to which comment a user has read a ticket's conversation."""

    __tablename__ = "ticket_reads"

    ticket_id: Mapped[int] = mapped_column(ForeignKey(Ticket.id, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    last_comment_id: Mapped[int]
