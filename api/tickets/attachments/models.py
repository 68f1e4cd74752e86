"""Files on tickets and comments."""

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from api.auth.models import User
from api.core.db import Base, Record
from api.tickets.comments.models import Comment
from api.tickets.models import Ticket


class Attachment(Record, Base):
    """A file; its content lies in the storage under ``key``."""

    __tablename__ = "attachments"
    __table_args__ = (Index(None, "ticket_id", "id"), Index(None, "comment_id"))

    ticket_id: Mapped[int] = mapped_column(ForeignKey(Ticket.id, ondelete="CASCADE"))
    comment_id: Mapped[int | None] = mapped_column(ForeignKey(Comment.id, ondelete="SET NULL"))
    author_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    """Null for the client who has the ticket's code."""
    filename: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    thumbnail_key: Mapped[str | None] = mapped_column(unique=True)
