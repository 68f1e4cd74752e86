"""The single exit of a change: whoever changes a ticket tells it here, in the same transaction."""

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import User
from api.core.db import now
from api.core.revisions import Changes, pending_changes
from api.tickets.models import TICKET_FIELDS, Ticket, TicketEvent


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


def record_created(session: AsyncSession, ticket: Ticket, *, actor: User | None, note: str | None) -> None:
    """Write down the first line; ``note`` is what differs from what is known of the client.

    The note is not for the client's eyes: it would tell whoever knows an e-mail what is known
    of the one it belongs to.
    """
    add(session, ticket, "created", actor=actor, changes={"status": [None, ticket.status.value]})
    if note:
        add(session, ticket, "contact_differs", actor=actor, note=note, internal=True)


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
