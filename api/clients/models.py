"""People and companies that ask for repairs."""

from typing import Any, Final

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from api.core.db import Base, Record
from api.core.revisions import Versioned


class Client(Record, Versioned, Base):
    """Someone who has things repaired; needs no account."""

    __tablename__ = "clients"
    __table_args__ = (
        CheckConstraint("email IS NOT NULL OR phone IS NOT NULL OR user_id IS NOT NULL", name="reachable"),
        Index("ix_clients_created_at_id", "created_at", "id"),
        Index(None, "name", "id"),
        Index(None, "search", postgresql_using="gin"),
    )

    name: Mapped[str]
    phone: Mapped[str | None]
    """As it was given."""
    phone_key: Mapped[str | None] = mapped_column(unique=True)
    """In E.164: what is compared."""
    email: Mapped[str | None]
    email_key: Mapped[str | None] = mapped_column(unique=True)
    comment: Mapped[str | None]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), unique=True)
    """The account this client made, if any; an account without contact data is reached through it."""
    search: Mapped[Any] = mapped_column(
        TSVECTOR,
        Computed(
            "search_document(VARIADIC ARRAY[name, email, comment]) || phone_document(phone_key, 4)",
            persisted=True,
        ),
        deferred=True,
    )


CLIENT_FIELDS: Final = ("name", "phone", "email", "comment")
"""Fields whose changes are written down."""
