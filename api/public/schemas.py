"""What somebody without an account gets to see."""

from pydantic import Field

from api.core.fields import Out, Utc
from api.tickets.comments.schemas import CommentOut
from api.tickets.states import Status


class Receipt(Out):
    """Proof that the request arrived, and the code to follow it by."""

    id: int
    code: str = Field(examples=["7KQ2-M9TD-3XWB-A5RP"])
    status: Status
    created_at: Utc


class Milestone(Out):
    """A status the ticket reached, and when."""

    status: Status
    at: Utc


class PublicTicket(Out):
    """A ticket as whoever has its code may see it: no contact data, nothing internal."""

    code: str
    status: Status
    title: str
    created_at: Utc
    scheduled_at: Utc | None
    resolution: str | None
    milestones: list[Milestone] = Field(description="In the order they were reached")
    comments: list[CommentOut] = Field(description="The newest public ones, newest first")
    allowed_statuses: list[Status] = Field(description="Where its client may move it now")
