"""How a ticket looks to the one who asked: rows and objects into answers."""

from typing import Any, Final

from pydantic_core import to_json

from api.auth.models import Role, User
from api.core.paging import AnyRow
from api.tickets import states
from api.tickets.highlights import OF_CLIENT, OF_TICKET, TOLD, highlights
from api.tickets.lists import Listed
from api.tickets.models import Ticket, parties
from api.tickets.schemas import Actor, ClientBrief, EventOut, TicketOut, WorkerBrief

FIRST: Final = ("id", "code", "title", "address", "status", "priority", "viewed")
THEN: Final = (
    "created_by",
    "published_at",
    "scheduled_at",
    "due_at",
    "resolution",
    "hold_reason",
    "cancel_reason",
    "created_at",
    "updated_at",
    "assigned_at",
    "in_progress_at",
    "done_at",
    "closed_at",
    "canceled_at",
)
SHARED: Final = FIRST + THEN
"""What a ticket tells as it is."""

UNTOLD: Final = {"client": None, "address": None, "code": None, "created_by": None, "unread_comments": 0}
"""What a worker does not learn of a ticket in the pool: whose it is, and how to pass for them."""


def listed(found: Listed, words: str | None) -> bytes:
    """Return a page of tickets as JSON, with what of them matches ``words``.

    A ``TicketPage``, but that no model is built to be taken apart. The rows come from columns whose
    types the database keeps. That this is what the model would have written is a test
    (``test_a_list_is_written_as_its_model_would_be``).
    """
    page, viewer = found.page, found.caller
    return to_json(
        {
            "items": [_item(row, viewer, words) for row in page.items],
            "total": page.total,
            "total_is_exact": page.total_is_exact,
            "page": page.page,
            "size": page.size,
            "pages": page.pages,
            "next_cursor": page.next_cursor,
            "did_you_mean": found.did_you_mean,
        }
    )


def _item(row: AnyRow, viewer: User, words: str | None) -> dict[str, Any]:
    """Return a ticket of a list, in the order of ``TicketListed``; ``row`` is one of ``lists.LISTED``."""
    worker = None
    if row.worker_id is not None:
        worker = {"id": row.worker_id, "username": row.worker_username, "name": row.worker_name}
    is_staff = viewer.is_staff
    contact = (row.client_name, row.client_phone, row.client_email)
    ticket = {
        **dict(zip(FIRST, row, strict=False)),
        "client": _contact_of(row.client_id, contact, viewer),
        "worker": worker,
        **dict(zip(THEN, row[len(FIRST) :], strict=False)),
        "requester_ip": row.requester_ip if is_staff else None,
        "requester_ua": row.requester_ua if is_staff else None,
        "unread_comments": row.unread_comments,
        "allowed_statuses": states.allowed(row.status, parties(row.worker_id, row.account_id, viewer)),
        "highlight": highlights(row, words, fields=_read_by(row, viewer)) if words else None,
    }
    return ticket if _theirs(row.worker_id, viewer) else ticket | UNTOLD


def _read_by(row: AnyRow, viewer: User) -> tuple[str, ...]:
    """Return in which fields ``viewer`` reads what was found."""
    if not _theirs(row.worker_id, viewer):
        return TOLD
    return (*TOLD, *OF_TICKET) if viewer.role is Role.CLIENT else (*TOLD, *OF_TICKET, *OF_CLIENT)


def whole(ticket: Ticket, viewer: User) -> TicketOut:
    """Return a ticket with everything ``viewer`` may know of it."""
    shown = TicketOut(
        **{field: getattr(ticket, field) for field in SHARED},
        description=ticket.description,
        client=_contact(ClientBrief.model_validate(ticket.client), viewer),
        worker=WorkerBrief.model_validate(ticket.worker) if ticket.worker else None,
        requester_ip=ticket.requester_ip if viewer.is_staff else None,
        requester_ua=ticket.requester_ua if viewer.is_staff else None,
        unread_comments=ticket.unread_comments or 0,
        allowed_statuses=states.allowed(ticket.status, ticket.parties(viewer)),
    )
    return shown if _theirs(ticket.worker_id, viewer) else shown.model_copy(update=UNTOLD)


def _theirs(worker_id: int | None, viewer: User) -> bool:
    return viewer.role is not Role.WORKER or worker_id == viewer.id


def _contact(known: ClientBrief, viewer: User) -> ClientBrief:
    name, phone, email = known.name, known.phone, known.email
    return ClientBrief(**_contact_of(known.id, (name, phone, email), viewer))


def _contact_of(client_id: int, known: tuple[str, str | None, str | None], viewer: User) -> dict[str, Any]:
    # What the shop knows of an e-mail is not told to whoever registers with it: registered
    # customers see what they gave themselves.
    if viewer.role is Role.CLIENT:
        known = (viewer.name or viewer.username, viewer.phone, viewer.email)
    return {"id": client_id, "name": known[0], "phone": known[1], "email": known[2]}


def event(row: AnyRow) -> EventOut:
    """Return a line of the history."""
    actor = None
    if row.actor_id is not None:
        actor = Actor(id=row.actor_id, username=row.actor_username, role=row.actor_role)
    return EventOut(
        id=row.id,
        at=row.at,
        actor=actor,
        event=row.event,
        changes=row.changes,
        note=row.note,
        subject_id=row.subject_id,
    )
