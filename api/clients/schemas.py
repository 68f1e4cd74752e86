"""What the API accepts and returns about clients."""

from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from api.core.fields import Body, Comment, Email, Line, Out, Phone, Utc, like
from api.core.paging import Page

EXAMPLE: Final[dict[str, Any]] = {
    "name": "Ivan Petrov",
    "phone": "+7 912 345-67-89",
    "email": "ivan@example.com",
}


class ClientCreate(Body):
    """A client; at least one of phone and e-mail."""

    model_config = like(**EXAMPLE)

    name: Line
    phone: Phone | None = None
    email: Email | None = None
    comment: Comment | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.phone is None and self.email is None:
            msg = "phone or email is needed"
            raise ValueError(msg)
        return self


class ClientUpdate(Body):
    """What may change of a client; what is left out stays."""

    model_config = like(phone="+7 912 345-67-89", comment="Rings twice")

    name: Line = Field("", validate_default=False)
    phone: Phone | None = None
    email: Email | None = None
    comment: Comment | None = None


class ClientOut(Out):
    """A client, with a count of what they brought."""

    id: int
    name: str
    phone: str | None = Field(description="As it was given")
    email: str | None
    comment: str | None
    created_at: Utc
    open_tickets: int
    tickets_total: int
    last_ticket_at: Utc | None


class ClientPage(Page[ClientOut]):
    """One page of clients."""


ClientSort = Literal["id", "-id", "name", "-name", "created_at", "-created_at"]
