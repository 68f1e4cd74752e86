"""The single exit of a change: whoever changes a ticket tells it here, in the same transaction."""

from typing import Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    Insert,
    false,
    insert,
    literal,
    literal_column,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import User
from api.core.db import now
from api.core.revisions import Changes, pending_changes
from api.tickets.models import TICKET_FIELDS, Ticket, TicketEvent
from api.tickets.states import Status


def record(
    session: AsyncSession,
    ticket: Ticket,
    event: str,
    *,
    actor: User | None,
    note: str | None = None,
    names: Changes | None = None,
) -> None:
    """Write down that ``event`` happened and which fields it changed; the version goes up by one.

    ``names`` are changes told beside those of the ticket's own fields: who a number stands for.
    """
    changes = pending_changes(ticket, TICKET_FIELDS) | (names or {})
    ticket.version += 1
    ticket.updated_at = now()
    add(session, ticket, event, actor=actor, changes=changes, note=note)


_LINE: Final = ("ticket_id", "actor_id", "event", "changes", "note", "internal", "version")


def line_of(changed: CTE, event: str, changes: Changes, *, actor_id: ColumnElement[int]) -> Insert:
    """Return the INSERT of what :func:`record` writes, for a statement that changes a ticket unseen."""
    kind = TicketEvent.changes.type
    line = select(
        changed.c.id, actor_id, literal(event), literal(changes, kind), null(), false(), changed.c.version
    )
    return insert(TicketEvent).from_select(_LINE, line)


def first_lines(ticket: CTE, owner: CTE, *, actor_id: ColumnElement[int | None]) -> Insert:
    """Return the INSERT of what begins a ticket's history, as part of the statement that makes it.

    What ``differs`` from what is known of its ``owner`` is not for the client's eyes: it would
    tell whoever knows an e-mail what is known of the one it belongs to.
    """
    status, nothing = [
        literal(changes, TicketEvent.changes.type) for changes in ({"status": [None, Status.NEW]}, {})
    ]
    version: ColumnElement[int] = literal_column("1")
    created = select(ticket.c.id, actor_id, literal("created"), status, null(), false(), version)
    differs = (
        select(ticket.c.id, actor_id, literal("contact_differs"), nothing, owner.c.differs, true(), version)
        .join_from(ticket, owner, true())
        .where(owner.c.differs.is_not(None))
    )
    return insert(TicketEvent).from_select(_LINE, union_all(created, differs))


def add(
    session: AsyncSession,
    ticket: Ticket,
    event: str,
    *,
    actor: User | None,
    changes: Changes | None = None,
    note: str | None = None,
    internal: bool = False,
    subject_id: int | None = None,
    worker_id: int | None = None,
) -> None:
    """Add a line as it is.

    A trigger of the database tells everybody who listens, once the transaction has committed.
    Whoever adds lines holds the ticket's lock, so that a ticket's lines become visible in the
    order of their ids and nobody who follows them misses one.
    """
    session.add(
        TicketEvent(
            ticket_id=ticket.id,
            actor_id=actor.id if actor else None,
            event=event,
            changes=changes or {},
            note=note,
            internal=internal,
            version=ticket.version,
            subject_id=subject_id,
            worker_id=worker_id,
        )
    )
