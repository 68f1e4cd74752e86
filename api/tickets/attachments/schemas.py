"""What the API returns about files."""

from pydantic import Field

from api.core.fields import Out, Utc
from api.core.paging import Page
from api.tickets.schemas import Author


class AttachmentOut(Out):
    """A file on a ticket or a comment."""

    id: int
    filename: str
    content_type: str = Field(description="By content, not by name", examples=["image/jpeg"])
    size: int = Field(description="Bytes")
    sha256: str
    created_at: Utc
    author: Author | None = Field(description="Null for the client who has the ticket's code")
    comment_id: int | None
    has_thumbnail: bool = Field(description="Whether `?thumbnail=true` gives a small JPEG")


class AttachmentPage(Page[AttachmentOut]):
    """One page of a ticket's files, oldest first."""
