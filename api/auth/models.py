"""Who may sign in, and where they are signed in."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from api.core.db import Base, Record, text_enum
from api.core.revisions import Versioned


class Role(StrEnum):
    """What a user may do (see the roles of the README)."""

    ADMIN = "admin"
    MANAGER = "manager"
    WORKER = "worker"
    CLIENT = "client"


class Language(StrEnum):
    """Languages of the user interface."""

    RU = "ru"
    EN = "en"


STAFF: Final = frozenset({Role.ADMIN, Role.MANAGER})


class User(Record, Versioned, Base):
    """An account: staff, or a registered customer."""

    __tablename__ = "users"
    __table_args__ = (
        Index(None, "role", "id"),
        CheckConstraint("username <> ''", name="username_given"),
    )

    username: Mapped[str]
    username_key: Mapped[str] = mapped_column(unique=True)
    """``username`` case-folded: what is compared."""
    email: Mapped[str | None]
    email_key: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str | None]
    phone: Mapped[str | None]
    role: Mapped[Role] = mapped_column(text_enum(Role, "role"))
    department: Mapped[str | None]
    language: Mapped[Language] = mapped_column(text_enum(Language, "language"), default=Language.RU)
    is_active: Mapped[bool] = mapped_column(server_default="true", default=True)
    deleted_at: Mapped[datetime | None]
    password_hash: Mapped[str]
    search: Mapped[Any] = mapped_column(
        TSVECTOR,
        Computed("search_document(VARIADIC ARRAY[username, name, email, phone, department])", persisted=True),
        deferred=True,
    )

    @property
    def is_staff(self) -> bool:
        """Whether this user runs the shop: admin or manager."""
        return self.role in STAFF


USER_FIELDS: Final = ("username", "email", "name", "phone", "role", "department", "language", "is_active")
"""Fields whose changes are written down."""


class UserSession(Record, Base):
    """A sign-in on one device; its refresh tokens are one family."""

    __tablename__ = "sessions"

    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]
    address: Mapped[str | None]
    user_agent: Mapped[str | None]


class RefreshToken(Base):
    """The digest of a refresh token; used ones stay, so that a second use is noticed."""

    __tablename__ = "refresh_tokens"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey(UserSession.id, ondelete="CASCADE"), index=True)
    used_at: Mapped[datetime | None]
