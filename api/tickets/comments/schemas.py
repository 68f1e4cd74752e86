"""What the API accepts and returns about comments."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.core.fields import Body, Id, Out, Text, Utc, like
from api.core.paging import Page
from api.tickets.attachments.schemas import AttachmentOut
from api.tickets.comments.models import Visibility
from api.tickets.schemas import Author

CommentText = Annotated[Text, StringConstraints(min_length=1, max_length=10_000)]


class PublicCommentCreate(Body):
    """A contribution of the client who has the ticket's code."""

    model_config = like(text="Any news? I am at home after six.")

    text: CommentText
    parent_id: Id | None = Field(None, description="The comment this one answers")


class CommentCreate(PublicCommentCreate):
    """A contribution to the conversation."""

    model_config = like(text="Which model is it?", visibility="public")

    visibility: Visibility = Field(Visibility.PUBLIC, description="`internal` is for those who work here")


class CommentUpdate(Body):
    """The text as it should have been."""

    model_config = like(text="Which model and year is it?")

    text: CommentText


class ReadUpTo(Body):
    """How far the caller has read."""

    model_config = like(comment_id=42)

    comment_id: Id | None = Field(None, strict=True, description="All that is there when left out")


class CommentOut(Out):
    """One contribution to a ticket's conversation."""

    id: int
    text: str | None = Field(description="Null when it was taken back")
    visibility: Visibility
    parent_id: int | None
    author: Author | None = Field(description="Null for the client who writes by the ticket's code")
    created_at: Utc
    edited_at: Utc | None
    withdrawn_at: Utc | None
    attachments: list[AttachmentOut]


class CommentPage(Page[CommentOut]):
    """One page of a conversation, newest first unless asked otherwise."""


CommentSort = Literal["-id", "id"]
