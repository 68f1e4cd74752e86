"""Offers of workers to do a published ticket, and the dialog about each."""

from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.auth.models import User
from api.core.db import Base, Record, text_enum
from api.tickets.models import Ticket


class OfferStatus(StrEnum):
    """What became of an offer."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"


class Offer(Record, Base):
    """One worker's offer to do one ticket; at most one for each worker."""

    __tablename__ = "responses"
    __table_args__ = (UniqueConstraint("ticket_id", "worker_id"), Index(None, "worker_id", "id"))

    ticket_id: Mapped[int] = mapped_column(ForeignKey(Ticket.id, ondelete="CASCADE"))
    worker_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    status: Mapped[OfferStatus] = mapped_column(text_enum(OfferStatus, "status"), default=OfferStatus.OPEN)

    worker: Mapped[User] = relationship(lazy="raise")


class OfferMessage(Record, Base):
    """One message of the dialog between the worker and the one who published."""

    __tablename__ = "response_messages"
    __table_args__ = (Index(None, "response_id", "id"),)

    response_id: Mapped[int] = mapped_column(ForeignKey(Offer.id, ondelete="CASCADE"))
    author_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    text: Mapped[str]
