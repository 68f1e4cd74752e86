"""What the API accepts and returns about offers."""

from typing import Literal

from pydantic import Field

from api.core.fields import Body, Note, Out, Utc, like
from api.core.paging import Page
from api.tickets.responses.models import OfferStatus
from api.tickets.schemas import Author, WorkerBrief
from api.tickets.states import Status


class OfferText(Body):
    """A message: the offer itself, or what is said about it."""

    model_config = like(text="I can come tomorrow at ten, two hours of work.")

    text: Note


class OfferTicket(Out):
    """The ticket beside an offer: what a worker may know before it is theirs."""

    id: int
    title: str
    status: Status


class OfferOut(Out):
    """One worker's offer."""

    id: int
    ticket: OfferTicket
    worker: WorkerBrief
    status: OfferStatus
    created_at: Utc
    messages_total: int
    last_message: str = Field(description="What was said last")
    last_message_at: Utc


class OfferPage(Page[OfferOut]):
    """One page of offers."""


class OfferMessageOut(Out):
    """One message of the dialog about an offer."""

    id: int
    author: Author | None
    text: str
    created_at: Utc


class OfferMessagePage(Page[OfferMessageOut]):
    """One page of a dialog, oldest first unless asked otherwise."""


OfferSort = Literal["id", "-id"]
