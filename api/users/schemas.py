"""What the API accepts and returns about accounts."""

from typing import Annotated, Literal

from pydantic import Field

from api.auth.models import Role
from api.auth.schemas import UserOut as Account
from api.core.fields import Body, Email, Line, Password, Phone, Username, like
from api.core.paging import Page

Department = Line


class UserOut(Account):
    """A user; `open_tickets` counts the open tickets a worker is responsible for."""

    open_tickets: int = Field(description="0 for everybody but workers")


class UserPage(Page[UserOut]):
    """One page of users."""


class UserCreate(Body):
    """A new account."""

    model_config = like(username="anna", password="a long one", role="worker", name="Anna")

    username: Username
    password: Password
    role: Role
    email: Email | None = None
    name: Line | None = None
    phone: Phone | None = None
    department: Department | None = None


class UserUpdate(Body):
    """What an admin may change of an account; what is left out stays."""

    model_config = like(department="Kitchen appliances", is_active=False)

    username: Username = Field("", validate_default=False)
    password: Password = Field("", validate_default=False)
    role: Role = Role.CLIENT
    email: Email | None = None
    name: Line | None = None
    phone: Phone | None = None
    department: Department | None = None
    is_active: bool = True


UserSort = Literal["id", "-id", "username", "-username", "name", "-name", "created_at", "-created_at"]
Active = Annotated[bool | None, Field(description="Only active ones, or only inactive ones")]
