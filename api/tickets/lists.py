"""``GET /tickets``: its filters, and its page in one statement."""

from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, Subquery, case, false, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from api.auth.models import Role, User
from api.clients.models import Client
from api.core.fields import Id, Moment
from api.core.paging import AnyRow, AnySelect, Key, SearchQuery, Slice, moment_key, paginate
from api.core.search import matches
from api.tickets.comments.reading import unread
from api.tickets.models import Ticket
from api.tickets.queries import pooled, visible_to
from api.tickets.schemas import TicketSort
from api.tickets.states import OPEN, Priority, Status

_RANK: Final = {priority: rank for rank, priority in enumerate(Priority)}
_STAGE: Final = {status: stage for stage, status in enumerate(Status)}

KEYS: Final = {
    "id": Key(Ticket.id),
    "created_at": Key(Ticket.created_at),
    "updated_at": Key(Ticket.updated_at),
    "priority": Key(case(_RANK, value=Ticket.priority)),
    "status": Key(case(_STAGE, value=Ticket.status)),
    "scheduled_at": moment_key(Ticket.scheduled_at),
    "due_at": moment_key(Ticket.due_at),
}


class TicketQuery(SearchQuery):
    """Query string of ``GET /tickets``. A new filter is a field here and a line in ``where``."""

    status: list[Status] = Field([], description="Any of these; all when empty")
    priority: list[Priority] = Field([], description="Any of these; all when empty")
    worker_id: Id | Literal["none"] | None = Field(None, description="A worker's id, or `none`")
    client_id: Id | None = None
    viewed: bool | None = None
    overdue: bool | None = Field(None, description="Whether an open ticket's `due_at` has passed")
    created_from: Moment | None = Field(None, description="This moment or later")
    created_to: Moment | None = Field(None, description="Before this moment")
    scheduled_from: Moment | None = Field(None, description="This moment or later")
    scheduled_to: Moment | None = Field(None, description="Before this moment")
    pool: bool | None = Field(
        None, description="Published ones that take offers; a worker sees no contact data"
    )
    sort: TicketSort = "-created_at"

    def where(  # noqa: C901  a list of filters, not a tangle
        self, document: ColumnElement[Any] | InstrumentedAttribute[Any]
    ) -> Iterator[ColumnElement[bool]]:
        """Yield one SQL condition per filter the caller set; ``document`` is what is searched."""
        if self.words:
            yield matches(document, self.words)
        if self.status:
            yield Ticket.status.in_(self.status)
        if self.priority:
            yield Ticket.priority.in_(self.priority)
        if self.worker_id is not None:
            nobody = self.worker_id == "none"
            yield Ticket.worker_id.is_(None) if nobody else Ticket.worker_id == self.worker_id
        if self.client_id is not None:
            yield Ticket.client_id == self.client_id
        if self.viewed is not None:
            yield Ticket.viewed.is_(self.viewed)
        if self.pool is not None:
            yield pooled() if self.pool else ~pooled()
        if self.overdue is not None:
            yield overdue() if self.overdue else ~func.coalesce(overdue(), false())
        if self.created_from is not None:
            yield Ticket.created_at >= self.created_from
        if self.created_to is not None:
            yield Ticket.created_at < self.created_to
        if self.scheduled_from is not None:
            yield Ticket.scheduled_at >= self.scheduled_from
        if self.scheduled_to is not None:
            yield Ticket.scheduled_at < self.scheduled_to


def overdue() -> ColumnElement[bool]:
    """Return the condition that a ticket should have been finished by now."""
    return (Ticket.due_at < func.now()) & Ticket.status.in_(OPEN)


_LISTED: Final = (
    Ticket.id,
    Ticket.code,
    Ticket.title,
    Ticket.address,
    Ticket.status,
    Ticket.priority,
    Ticket.viewed,
    Ticket.worker_id,
    Ticket.account_id,
    Ticket.created_by,
    Ticket.published_at,
    Ticket.scheduled_at,
    Ticket.due_at,
    Ticket.resolution,
    Ticket.hold_reason,
    Ticket.cancel_reason,
    Ticket.created_at,
    Ticket.updated_at,
    Ticket.assigned_at,
    Ticket.in_progress_at,
    Ticket.done_at,
    Ticket.closed_at,
    Ticket.canceled_at,
    Ticket.requester_ip,
    Ticket.requester_ua,
    Client.id.label("client_id"),
    Client.name.label("client_name"),
    Client.phone.label("client_phone"),
    Client.email.label("client_email"),
    User.username.label("worker_username"),
    User.name.label("worker_name"),
)


async def find(session: AsyncSession, query: TicketQuery, *, viewer: User) -> Slice[AnyRow]:
    """Return one page of the tickets ``viewer`` may see.

    Rows, not objects: building objects for ten tickets costs more than the query.
    """
    found = select(Ticket.id)
    if query.pool and viewer.role is Role.WORKER:
        # The whole document has the client's name and phone in it, and would tell them by guessing.
        found = found.where(*query.where(func.search_document(Ticket.title, Ticket.description)))
        if query.client_id is not None:  # so would this
            found = found.where(false())
    else:
        found = found.where(visible_to(viewer), *query.where(Ticket.search))

    def show(page: Subquery) -> AnySelect:
        return (
            select(*_LISTED, unread(viewer, Ticket.id).label("unread_comments"))
            .select_from(page)
            .join(Ticket, Ticket.id == page.c.id)
            .join(Client, Client.id == Ticket.client_id)
            .outerjoin(User, User.id == Ticket.worker_id)
        )

    return await paginate(session, found, query, keys=KEYS, sort=query.sort, show=show)
