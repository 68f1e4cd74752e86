"""What a live socket tells of a ticket: the lines of its history, as its viewer may read them."""

from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.tickets.comments import queries as comments
from api.tickets.models import Ticket, TicketEvent
from api.tickets.queries import told_to

KINDS: Final = {
    "commented": "comment",
    "comment_edited": "comment_edited",
    "comment_withdrawn": "comment_withdrawn",
    "assigned": "assigned",
    "unassigned": "assigned",
    "file_added": "attachment",
    "file_deleted": "attachment_deleted",
    "edited": "edited",
    "viewed": "viewed",
}
"""Type of the message for an event; moves are ``status``, what is said about offers is ``response``."""
OFFERS: Final = ("offered", "offer_message", "offer_accepted", "offer_declined")
BATCH: Final = 200


async def newest(session: AsyncSession, ticket_id: int) -> int:
    """Return the id of a ticket's last line."""
    statement = select(func.coalesce(func.max(TicketEvent.id), 0)).where(TicketEvent.ticket_id == ticket_id)
    return await session.scalar(statement) or 0


async def since(
    session: AsyncSession, ticket: Ticket, after: int, *, viewer: User | None
) -> tuple[list[dict[str, Any]], int]:
    """Return the messages for the lines after ``after``, and the id of the last line looked at.

    At most a batch; call again while the id goes up.
    """
    statement = (
        select(
            TicketEvent.id,
            TicketEvent.created_at,
            TicketEvent.event,
            TicketEvent.changes,
            TicketEvent.note,
            TicketEvent.subject_id,
            told_to(viewer).label("told"),
            User.id.label("actor_id"),
            func.coalesce(User.name, User.username).label("actor_name"),
            User.role.label("actor_role"),
        )
        .outerjoin(User, User.id == TicketEvent.actor_id)
        .where(TicketEvent.ticket_id == ticket.id, TicketEvent.id > after)
        .order_by(TicketEvent.id)
        .limit(BATCH)
    )
    rows = (await session.execute(statement)).all()
    told = [row for row in rows if row.told]
    about = [row.subject_id for row in told if row.event.startswith("comment") and row.subject_id]
    said = await comments.by_ids(session, about) if about else {}
    messages = [_message(row, ticket, viewer) for row in told]
    for message, row in zip(messages, told, strict=True):
        if row.subject_id in said and row.event.startswith("comment"):
            message["comment"] = said[row.subject_id].model_dump(mode="json")
    return messages, rows[-1].id if rows else after


def _message(row: Any, ticket: Ticket, viewer: User | None) -> dict[str, Any]:
    kind = "response" if row.event in OFFERS else KINDS.get(row.event, "status")
    actor = None
    if row.actor_id is not None:
        actor = {"id": row.actor_id, "name": row.actor_name, "role": row.actor_role.value}
    message = {
        "type": kind,
        "event_id": row.id,
        "event": row.event,
        "at": row.created_at.isoformat().replace("+00:00", "Z"),
        "actor": actor,
        "status": ticket.status.value,
        "subject_id": row.subject_id,
    }
    if viewer is not None and viewer.role is not Role.CLIENT:
        message["changes"] = row.changes
    return message
