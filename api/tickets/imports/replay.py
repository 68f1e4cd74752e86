"""Walks a ticket through its history, by the same moves as the API's."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from api.core.revisions import Changes, plain
from api.tickets.imports.lives import Person, Step
from api.tickets.models import TICKET_FIELDS, Ticket
from api.tickets.states import Party

STAMPS: Final = ("assigned_at", "in_progress_at", "done_at", "closed_at", "canceled_at")
BY_STAFF: Final = frozenset({Party.STAFF})


def replayed(ticket: Ticket, steps: Sequence[Step], differs: str | None) -> Iterator[dict[str, Any]]:
    """Walk ``ticket`` through ``steps`` and yield the rows that the API would have written.

    ``differs`` is what the file says of the client and is not what is known.
    """
    yield _line(ticket, ticket.created_at, "created", {"status": [None, ticket.status.value]})
    if differs:
        yield _line(ticket, ticket.created_at, "contact_differs", {}, note=differs) | {"internal": True}
    names: dict[int, str] = {}
    for step in steps:
        before = {name: getattr(ticket, name) for name in (*TICKET_FIELDS, *STAMPS)}
        if step.target is not None:
            ticket.move(step.target, by=BY_STAFF, reason=step.note)
        for stamp in STAMPS:  # the move stamped this very moment
            if getattr(ticket, stamp) not in (None, before[stamp]):
                setattr(ticket, stamp, step.at)
        who: dict[str, Any] = {}
        if step.event in ("assigned", "unassigned"):
            ticket.worker_id, ticket.viewed = (step.worker.id if step.worker else None), False
            if step.worker:
                names[step.worker.id] = step.worker.username
            who = {"worker": [names.get(before["worker_id"]), names.get(ticket.worker_id or 0)]}
        if who == {"worker": [None, None]}:  # a file that does not say who
            who = {}
        if step.event == "viewed":
            ticket.viewed = True
        else:
            ticket.version += 1
            ticket.updated_at = step.at
        ticket.resolution = step.resolution or ticket.resolution
        after = {name: getattr(ticket, name) for name in TICKET_FIELDS}
        changes = {n: [plain(before[n]), plain(now)] for n, now in after.items() if now != before[n]}
        yield _line(ticket, step.at, step.event, changes | who, actor=step.actor, note=step.note)


def _line(
    ticket: Ticket,
    at: datetime,
    event: str,
    changes: Changes,
    *,
    actor: Person | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    return {
        "created_at": at,
        "actor_id": actor.id if actor else None,
        "event": event,
        "changes": changes,
        "note": note,
        "internal": False,
        "version": ticket.version,
    }
