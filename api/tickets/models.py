"""A ticket and its history."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column, query_expression, relationship

from api.auth.models import Role, User
from api.clients.models import Client
from api.core.db import Base, Record, now, text_enum
from api.core.errors import AppError
from api.core.revisions import Versioned
from api.tickets import states
from api.tickets.states import OPEN, Party, Priority, Status


class InvalidTransition(AppError):
    """The ticket's status does not allow this move, or another move was faster."""

    status = 409
    code = "invalid_transition"

    def __init__(self, current: Status, target: Status, parties: Iterable[Party]) -> None:
        super().__init__(
            f"a ticket that is {current} cannot become {target}",
            # `status` is the HTTP status in a problem (RFC 9457), so the ticket's has a name of its own.
            ticket_status=current,
            allowed=states.allowed(current, parties),
        )


class ReasonRequired(AppError):
    """Hold, cancel and reopen want to know why."""

    status = 422
    code = "reason_required"


def parties(worker_id: int | None, account_id: int | None, viewer: User) -> frozenset[Party]:
    """Return what ``viewer`` is to a ticket with this worker and this registered client."""
    if viewer.is_staff:
        return frozenset({Party.STAFF})
    if viewer.role is Role.WORKER and worker_id == viewer.id:
        return frozenset({Party.ITS_WORKER})
    if viewer.role is Role.CLIENT and account_id == viewer.id:
        return frozenset({Party.ITS_CLIENT})
    return frozenset()


def members(enum: type[StrEnum]) -> str:
    """Return SQL for the array of what is in ``enum``."""
    return f"'{{{','.join(enum)}}}'::character varying[]"


def rank(column: str, enum: type[StrEnum]) -> str:
    """Return SQL for the place of a column's value in ``enum``; the index and the query must be alike."""
    return f"(array_position({members(enum)}, {column}) - 1)"


class Ticket(Record, Versioned, Base):
    """A request for a repair, from first contact to closing."""

    __tablename__ = "tickets"
    # One index for each order a list can come in, and for what is asked for in it: see tests/test_plans.py.
    # Each costs some 95 bytes of WAL for a ticket that comes in, unless it leaves out what new ones lack.
    __table_args__ = (
        Index("ix_tickets_created_at_id", desc("created_at"), desc("id")),
        Index("ix_tickets_updated_at_id", desc("updated_at"), desc("id")),
        Index("ix_tickets_priority_rank_id", text(rank("priority", Priority)), "id"),
        Index("ix_tickets_status_rank_id", text(rank("status", Status)), "id"),
        Index(
            "ix_tickets_status_created_at_id_priority",
            "status",
            desc("created_at"),
            desc("id"),
            postgresql_include=["priority"],
        ),
        Index("ix_tickets_priority_created_at_id", "priority", desc("created_at"), desc("id")),
        Index("ix_tickets_worker_id_created_at_id", "worker_id", desc("created_at"), desc("id")),
        Index(
            "ix_tickets_worker_status",
            "worker_id",
            "status",
            desc("created_at"),
            desc("id"),
            postgresql_where=text("worker_id IS NOT NULL"),
        ),
        Index(
            "ix_tickets_worker_priority",
            "worker_id",
            "priority",
            desc("created_at"),
            desc("id"),
            postgresql_where=text("worker_id IS NOT NULL"),
        ),
        Index("ix_tickets_client_id_created_at_id", "client_id", desc("created_at"), desc("id")),
        Index(
            "ix_tickets_account",
            "account_id",
            desc("created_at"),
            desc("id"),
            postgresql_where=text("account_id IS NOT NULL"),
        ),
        Index("ix_tickets_due", "due_at", "id", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "ix_tickets_scheduled",
            "scheduled_at",
            "id",
            postgresql_include=["created_at", "worker_id"],
            postgresql_where=text("scheduled_at IS NOT NULL"),
        ),
        Index(
            "ix_tickets_open",
            "due_at",
            "id",
            postgresql_include=[
                "created_at",
                "updated_at",
                "scheduled_at",
                "status",
                "priority",
                "worker_id",
            ],
            postgresql_where=text("status IN ('new', 'assigned', 'in_progress', 'on_hold')"),
        ),
        Index(
            "ix_tickets_unviewed",
            "worker_id",
            desc("created_at"),
            desc("id"),
            postgresql_where=text("NOT viewed"),
        ),
        Index(
            "ix_tickets_pool",
            desc("created_at"),
            desc("id"),
            postgresql_where=text("published_at IS NOT NULL AND status = 'new'"),
        ),
        Index(
            "ix_tickets_overdue",
            "due_at",
            postgresql_include=["worker_id"],
            postgresql_where=text(
                f"due_at IS NOT NULL AND status IN ({', '.join(repr(s.value) for s in OPEN)})"
            ),
        ),
        Index(
            None,
            "done_at",
            postgresql_include=["worker_id", "created_at"],
            postgresql_where=text("done_at IS NOT NULL"),
        ),
        Index(None, "search", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        CheckConstraint(
            "worker_id IS NOT NULL OR status NOT IN ('assigned', 'in_progress', 'on_hold')", name="has_worker"
        ),
    )

    code: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    description: Mapped[str | None]
    address: Mapped[str | None]
    status: Mapped[Status] = mapped_column(text_enum(Status, "status"), default=Status.NEW)
    priority: Mapped[Priority] = mapped_column(text_enum(Priority, "priority"), default=Priority.NORMAL)
    viewed: Mapped[bool] = mapped_column(server_default="false", default=False)

    client_id: Mapped[int] = mapped_column(ForeignKey(Client.id, ondelete="RESTRICT"))
    worker_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"))
    created_by: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    account_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    """The registered client who may see this ticket."""

    scheduled_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    resolution: Mapped[str | None]
    hold_reason: Mapped[str | None]
    cancel_reason: Mapped[str | None]
    assigned_at: Mapped[datetime | None]
    in_progress_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]

    requester_ip: Mapped[str | None]
    requester_ua: Mapped[str | None]
    fingerprint: Mapped[bytes | None] = mapped_column(unique=True)
    """Hash of what was asked by whom, as long as it is open: the guard against double submits."""
    external_id: Mapped[str | None] = mapped_column(unique=True)
    """What another system calls this ticket; a second import of it changes nothing."""
    search: Mapped[Any] = mapped_column(TSVECTOR, server_default=text("''::tsvector"), deferred=True)
    """Words of the ticket and its client, kept by triggers; see ``api.core.search``."""

    published_at: Mapped[datetime | None]
    """Since when workers may offer to do it; null while it is not in the pool."""
    published_by: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))

    unread_comments: Mapped[int | None] = query_expression(expire_on_flush=False)
    """Comments that whoever asked has not read; set by the queries that know who asks."""

    client: Mapped[Client] = relationship(lazy="raise")
    worker: Mapped[User | None] = relationship(lazy="raise", foreign_keys=[worker_id])

    def parties(self, viewer: User) -> frozenset[Party]:
        """Return what ``viewer`` is to this ticket."""
        return parties(self.worker_id, self.account_id, viewer)

    def move(self, target: Status, *, by: frozenset[Party], reason: str | None = None) -> None:
        """Move the ticket to ``target`` and stamp the time. The only writer of ``status``.

        Raises:
            InvalidTransition: (409) the table of ``states`` has no such move from here.
            ReasonRequired: (422) the move wants a reason.
        """
        if target not in states.allowed(self.status, by):
            raise InvalidTransition(self.status, target, by)
        if states.needs_reason(self.status, target) and not reason:
            msg = "say why: reason is required"
            raise ReasonRequired(msg)
        was, self.status = self.status, target
        self._stamp(was, target)
        self.hold_reason = reason if target is Status.ON_HOLD else None
        if target is Status.CANCELED:
            self.cancel_reason = reason
        if target not in OPEN:
            self.fingerprint = None

    def _stamp(self, was: Status, target: Status) -> None:
        moment = now()
        match target:
            case Status.NEW:
                self.assigned_at = self.in_progress_at = None
            case Status.ASSIGNED:
                self.assigned_at, self.in_progress_at = moment, None
            case Status.IN_PROGRESS if was is Status.ON_HOLD:
                pass  # a pause does not make the work begin anew
            case Status.IN_PROGRESS:
                self.in_progress_at, self.done_at, self.closed_at = moment, None, None
            case Status.ON_HOLD:
                pass  # the history knows when
            case Status.DONE:
                self.done_at = moment
            case Status.CLOSED:
                self.closed_at = moment
            case Status.CANCELED:
                self.canceled_at = moment


TICKET_FIELDS: Final = (
    "title",
    "description",
    "address",
    "status",
    "priority",
    "viewed",
    "worker_id",
    "scheduled_at",
    "due_at",
    "resolution",
    "hold_reason",
    "cancel_reason",
    "published_at",
)
"""Fields whose changes the history tells."""


class TicketEvent(Record, Base):
    """One line of a ticket's history. Written once, never changed."""

    __tablename__ = "ticket_events"
    __table_args__ = (Index(None, "ticket_id", "id"),)

    ticket_id: Mapped[int] = mapped_column(ForeignKey(Ticket.id, ondelete="CASCADE"))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    event: Mapped[str]
    changes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    note: Mapped[str | None]
    internal: Mapped[bool] = mapped_column(server_default="false", default=False)
    """Not for the client's eyes."""
    version: Mapped[int]
    """The ticket's version after the change."""
    subject_id: Mapped[int | None]
    """What it is about beside the ticket: the comment, file or response that ``event`` names."""
    worker_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    """The one worker who may read it beside the publisher: what is said about an offer."""
