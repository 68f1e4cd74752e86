"""What the API accepts and returns about tickets."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from api.auth.models import Role
from api.clients.schemas import EXAMPLE, ClientCreate
from api.core.fields import Address, Body, Comment, Description, Id, Moment, Note, Out, Text, Title, Utc, like
from api.core.paging import Page
from api.tickets.states import Priority, Status

PublicPriority = Literal[Priority.LOW, Priority.NORMAL, Priority.HIGH]

REQUEST: dict[str, Any] = {
    "title": "The washing machine does not drain",
    "description": "Water stays in the drum after the wash.",
    "address": "12 Lenin street, flat 5",
}


class ClientBrief(Out):
    """The client, beside a ticket."""

    id: int
    name: str
    phone: str | None
    email: str | None


class WorkerBrief(Out):
    """The worker, beside a ticket."""

    id: int
    username: str
    name: str | None


class TicketBrief(Out):
    """A ticket in a list: all but the description."""

    id: int
    code: str | None = Field(
        description="What the client follows the ticket by; null in the pool",
        examples=["7KQ2-M9TD-3XWB-A5RP"],
    )
    title: str
    address: str | None
    status: Status
    priority: Priority
    viewed: bool = Field(description="Whether the assigned worker has opened it")
    client: ClientBrief | None = Field(description="Null for a worker who only sees it in the pool")
    worker: WorkerBrief | None
    created_by: int | None = Field(description="Id of the user who made it; null from the public form")
    published_at: Utc | None = Field(description="Since when workers may offer to do it")
    scheduled_at: Utc | None
    due_at: Utc | None
    resolution: str | None
    hold_reason: str | None
    cancel_reason: str | None
    created_at: Utc
    updated_at: Utc
    assigned_at: Utc | None
    in_progress_at: Utc | None
    done_at: Utc | None
    closed_at: Utc | None
    canceled_at: Utc | None
    requester_ip: str | None = Field(description="Null for all but admins and managers")
    requester_ua: str | None = Field(description="Null for all but admins and managers")
    unread_comments: int = Field(description="Comments by others that the caller has not read")
    allowed_statuses: list[Status] = Field(description="Where the caller may move it now")


class TicketOut(TicketBrief):
    """A ticket."""

    description: str | None


class Highlight(Out):
    """Where a field has what was searched for: plain text, and places in it."""

    field: str = Field(examples=["title"])
    text: str = Field(description="The field, or of a long one the part that matches", examples=["Tap leaks"])
    spans: list[Annotated[list[int], Field(min_length=2, max_length=2)]] = Field(
        description="First character and length of each match in `text`, in Unicode code points",
        examples=[[[0, 3]]],
    )


class TicketListed(TicketBrief):
    """A ticket in the list of tickets."""

    highlight: list[Highlight] | None = Field(description="What matches the search; null without one")


class TicketPage(Page[TicketListed]):
    """One page of tickets.

    Of a search that very many tickets answer, `total` says how many were come across, and
    `total_is_exact` is false. By any sort but the time of creation, its pages then have the newest
    of them only; words that only old tickets have in great number may show some of these.
    """

    did_you_mean: str | None = Field(
        None, description="Where nothing is found: the search without a slip of the pen that finds something"
    )


class TicketRequest(Body):
    """What anybody says when asking for a repair."""

    title: Title
    description: Description | None = None
    address: Address | None = Field(None, description="Where the work is")
    scheduled_at: Moment | None = Field(None, description="When it would suit")


class PublicTicketCreate(TicketRequest):
    """A request without an account."""

    model_config = like(**REQUEST, client=EXAMPLE)

    priority: PublicPriority = Priority.NORMAL
    client: ClientCreate


class TicketCreate(TicketRequest):
    """A new ticket by a signed-in user.

    Staff name the client by `client_id` or `client`; a registered customer's own account stands
    in for both. `due_at`, `worker_id` and the priority `urgent` are for staff.
    """

    model_config = like(**REQUEST, client=EXAMPLE, priority="high")

    priority: Priority = Priority.NORMAL
    client_id: Id | None = None
    client: ClientCreate | None = None
    due_at: Moment | None = None
    worker_id: Id | None = None

    @model_validator(mode="after")
    def _one_client(self) -> Self:
        if self.client_id is not None and self.client is not None:
            msg = "give either client_id or client"
            raise ValueError(msg)
        return self


class TicketUpdate(Body):
    """What may change of a ticket; what is left out stays.

    `status` and `worker_id` follow the same rules as the actions do; `reason` and `resolution`
    go with a `status` that wants them.
    """

    model_config = like(priority="urgent", due_at="2026-12-01T18:00:00+03:00")

    title: Title = Field("", validate_default=False)
    description: Description | None = None
    address: Address | None = None
    priority: Priority = Priority.NORMAL
    scheduled_at: Moment | None = None
    due_at: Moment | None = None
    status: Status = Status.NEW
    worker_id: Id | None = None
    reason: Note | None = None
    resolution: Comment | None = None


class Assign(Body):
    """Who gets the ticket; null takes it from whoever has it."""

    model_config = like(worker_id=2)

    worker_id: Id | None


class Move(Body):
    """A move by the transition table."""

    model_config = like(new_status="done", resolution="Replaced the pump")

    new_status: Status
    reason: Note | None = Field(None, description="Needed to hold, cancel and reopen")
    resolution: Comment | None = Field(None, description="What was done; goes with `done`")


class Reason(Body):
    """Why."""

    model_config = like(reason="Waiting for a spare part")

    reason: Note | None = Field(None, description="Needed")


class Resolution(Body):
    """What was done."""

    model_config = like(resolution="Replaced the pump")

    resolution: Comment | None = None


NO_REASON: Final = Reason()
NO_RESOLUTION: Final = Resolution()


class Claim(Body):
    """A tracking code."""

    model_config = like(code="7KQ2-M9TD-3XWB-A5RP")

    code: Annotated[Text, StringConstraints(max_length=64)]


class Actor(Out):
    """Who did something."""

    id: int
    username: str
    role: Role


class Author(Out):
    """Who said it."""

    id: int
    name: str
    role: Role


class EventOut(Out):
    """One line of a ticket's history."""

    id: int
    at: Utc
    actor: Actor | None = Field(description="Null when it was done without an account")
    event: str = Field(examples=["assigned"])
    changes: dict[str, Annotated[list[Any], Field(min_length=2, max_length=2)]] = Field(
        description="Field to what it was and what it is since", examples=[{"status": ["new", "assigned"]}]
    )
    note: str | None
    subject_id: int | None = Field(description="The comment, file or response that the event is about")


class HistoryPage(Page[EventOut]):
    """One page of a ticket's history, oldest first."""


TicketSort = Literal[
    "created_at",
    "-created_at",
    "updated_at",
    "-updated_at",
    "priority",
    "-priority",
    "scheduled_at",
    "-scheduled_at",
    "due_at",
    "-due_at",
    "status",
    "-status",
    "id",
    "-id",
    "relevance",
]
