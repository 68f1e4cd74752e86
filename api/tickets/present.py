"""How a ticket looks to the one who asked: rows and objects into answers."""

from typing import Final

from api.auth.models import Role, User
from api.core.paging import AnyRow
from api.tickets import states
from api.tickets.models import Ticket, parties
from api.tickets.schemas import Actor, ClientBrief, EventOut, TicketBrief, TicketOut, WorkerBrief

SHARED = (
    "id",
    "code",
    "title",
    "address",
    "status",
    "priority",
    "viewed",
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

UNTOLD: Final = {"client": None, "address": None, "code": None, "created_by": None, "unread_comments": 0}
"""What a worker does not learn of a ticket in the pool: whose it is, and how to pass for them."""


def brief(row: AnyRow, viewer: User) -> TicketBrief:
    """Return a ticket of a list."""
    contact = ClientBrief(
        id=row.client_id, name=row.client_name, phone=row.client_phone, email=row.client_email
    )
    worker = None
    if row.worker_id is not None:
        worker = WorkerBrief(id=row.worker_id, username=row.worker_username, name=row.worker_name)
    ticket = TicketBrief(
        **{field: getattr(row, field) for field in SHARED},
        client=_contact(contact, viewer),
        worker=worker,
        requester_ip=row.requester_ip if viewer.is_staff else None,
        requester_ua=row.requester_ua if viewer.is_staff else None,
        unread_comments=row.unread_comments,
        allowed_statuses=states.allowed(row.status, parties(row.worker_id, row.account_id, viewer)),
    )
    return ticket if _theirs(row.worker_id, viewer) else ticket.model_copy(update=UNTOLD)


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
    # What the shop knows of an e-mail is not told to whoever registers with it: registered
    # customers see what they gave themselves.
    if viewer.role is not Role.CLIENT:
        return known
    name = viewer.name or viewer.username
    return ClientBrief(id=known.id, name=name, phone=viewer.phone, email=viewer.email)


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
