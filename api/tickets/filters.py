"""What tickets can be listed by: the filters and the sorts of ``GET /tickets``."""

from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import Field, model_validator
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Text,
    cast,
    false,
    func,
    literal_column,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

from api.core.fields import Id, Moment
from api.core.paging import Key, SearchQuery, moment_key
from api.core.ready import parameter
from api.core.search import Question
from api.tickets.models import Ticket, members
from api.tickets.queries import listed, pooled
from api.tickets.questions import RELEVANCE
from api.tickets.schemas import TicketSort
from api.tickets.states import OPEN, Priority, Status

S = TypeVar("S", bound=StrEnum)


def _rank(column: InstrumentedAttribute[S], enum: type[S]) -> ColumnElement[int]:
    # Of the column, not of its name: a search says the same of rows it has read.
    return func.array_position(literal_column(members(enum)), column, type_=Integer) - literal_column("1")


QUESTION: Final = Question.of(parameter("words", Text))
"""What is searched for."""

KEYS: Final = {
    "id": Key(Ticket.id),
    "created_at": Key(Ticket.created_at),
    "updated_at": Key(Ticket.updated_at),
    "priority": Key(_rank(Ticket.priority, Priority)),
    "status": Key(_rank(Ticket.status, Status)),
    "scheduled_at": moment_key(Ticket.scheduled_at),
    "due_at": moment_key(Ticket.due_at),
    RELEVANCE: Key(cast(func.ts_rank(Ticket.search, QUESTION.full, 1), DOUBLE_PRECISION)),
}
_MOMENT: Final = DateTime(timezone=True)


PARAMETERS: Final[dict[str, TypeEngine[Any]]] = {
    "worker_id": BigInteger(),
    "client_id": BigInteger(),
    "created_from": _MOMENT,
    "created_to": _MOMENT,
    "scheduled_from": _MOMENT,
    "scheduled_to": _MOMENT,
}
"""Filters whose values are parameters."""


def _given(name: str) -> ColumnElement[Any]:
    return parameter(name, PARAMETERS[name])


def _some(every: type[S], chosen: Collection[S]) -> tuple[S, ...]:
    some = tuple(member for member in every if member in chosen)
    return () if len(some) == len(every) else some


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
    sort: TicketSort = Field("-created_at", description="`relevance` goes with `search`")

    @model_validator(mode="after")
    def _relevant_to_something(self) -> Self:
        if self.sort == RELEVANCE and not self.words:
            msg = "sort by relevance needs search"
            raise ValueError(msg)
        return self

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Those that are asked for; none where it is all of them."""
        return _some(Status, self.status)

    @property
    def priorities(self) -> tuple[Priority, ...]:
        """Those that are asked for; none where it is all of them."""
        return _some(Priority, self.priority)

    @property
    def form(self) -> tuple[Any, ...]:
        """What of the question is written into its statement; the rest goes with it as parameters."""
        chosen = (self.statuses, self.priorities, self.worker_id == "none", self.viewed, self.overdue)
        given = tuple(getattr(self, name) is not None for name in PARAMETERS)
        page = 0 if self.words or self.cursor else self.page
        return (self.sort, self.size, page, self.pool, chosen, given)

    def where(self) -> Iterator[ColumnElement[bool]]:  # noqa: C901  a list of filters, not a tangle
        """Yield one SQL condition per filter the caller set; what is searched for comes beside them."""
        for asked, chosen in ((Ticket.status, self.statuses), (Ticket.priority, self.priorities)):
            if chosen:
                yield listed(asked, chosen)
        if self.worker_id is not None:
            nobody = self.worker_id == "none"
            yield Ticket.worker_id.is_(None) if nobody else Ticket.worker_id == _given("worker_id")
        if self.client_id is not None:
            yield Ticket.client_id == _given("client_id")
        if self.viewed is not None:
            yield Ticket.viewed.is_(True) if self.viewed else ~Ticket.viewed
        if self.pool is not None:
            yield pooled() if self.pool else ~pooled()
        if self.overdue is not None:
            yield overdue() if self.overdue else ~func.coalesce(overdue(), false())
        if self.created_from is not None:
            yield Ticket.created_at >= _given("created_from")
        if self.created_to is not None:
            yield Ticket.created_at < _given("created_to")
        if self.scheduled_from is not None:
            yield Ticket.scheduled_at >= _given("scheduled_from")
        if self.scheduled_to is not None:
            yield Ticket.scheduled_at < _given("scheduled_to")

    def narrowing(self) -> Iterator[ColumnElement[bool]]:
        """Yield those of them that an index ordered by ``created_at`` serves, but for the statuses."""
        if self.worker_id not in (None, "none"):
            yield Ticket.worker_id == _given("worker_id")
        if self.client_id is not None:
            yield Ticket.client_id == _given("client_id")
        if self.pool:
            yield pooled()
        if self.created_from is not None:
            yield Ticket.created_at >= _given("created_from")
        if self.created_to is not None:
            yield Ticket.created_at < _given("created_to")


def overdue() -> ColumnElement[bool]:
    """Return the condition that a ticket should have been finished by now."""
    return (Ticket.due_at < func.now()) & listed(Ticket.status, OPEN)
