"""What the API accepts and returns about signing in."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from api.auth.models import Language, Role
from api.core.fields import Body, Email, Line, Out, Password, Phone, Text, Username, Utc, like

Given = Annotated[str, StringConstraints(max_length=128)]
"""A password as typed at sign-in: bounded, so that a huge one is refused before it is hashed."""
Name = Annotated[Text, StringConstraints(min_length=1, max_length=254)]
"""A username or an e-mail, as typed at sign-in."""
Token = Annotated[Text, StringConstraints(min_length=1, max_length=500)]


class Login(Body):
    """Username or e-mail, and password."""

    model_config = like(username="admin", password="admin123")

    username: Name | None = Field(None, description="The username, or the e-mail")
    email: Name | None = Field(None, description="The same under another name; one of the two")
    password: Given

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.username is None) == (self.email is None):
            msg = "give either username or email"
            raise ValueError(msg)
        return self

    @property
    def name(self) -> str:
        """What the caller signs in with."""
        return self.username or self.email or ""


class TokenForm(Body):
    """The password form of OAuth2 (RFC 6749 §4.3.2); what it says of client and scope is not needed here."""

    model_config = Body.model_config | {
        "json_schema_extra": {"examples": [{"username": "admin", "password": "admin123"}]}
    }

    grant_type: Literal["password"] = "password"
    username: Name = Field(description="The username, or the e-mail")
    password: Given
    scope: Annotated[str, StringConstraints(max_length=500)] = ""
    client_id: Annotated[str, StringConstraints(max_length=500)] | None = None
    client_secret: Annotated[str, StringConstraints(max_length=500)] | None = None


class TokenPair(Out):
    """An access token for the next minutes, and what to get the next one with."""

    access_token: str
    token_type: str = Field("bearer", examples=["bearer"])
    expires_in: int = Field(description="Seconds until the access token expires", examples=[1800])
    refresh_token: str = Field(description="Good once; the answer to `/auth/refresh` has the next one")


class Refresh(Body):
    """A refresh token."""

    model_config = like(refresh_token="wJ3vX0kqT5rZ8mB1nC6yL4sD7fG9hP2aQeRtUiOoPlK")

    refresh_token: Token


class PasswordChange(Body):
    """The old password and the new one."""

    model_config = like(current_password="worker123", new_password="correct horse battery staple")

    current_password: Given
    new_password: Password


class Register(Body):
    """A new customer's account."""

    model_config = like(username="ivan", password="a long one", email="ivan@example.com", name="Ivan Petrov")

    username: Username
    password: Password
    email: Email | None = None
    name: Line | None = None
    phone: Phone | None = None


class ProfileUpdate(Body):
    """What users may change of their own account."""

    model_config = like(name="Anna", phone="+7 912 345-67-89", language="en")

    name: Line | None = None
    phone: Phone | None = None
    language: Language = Language.RU


class UserOut(Out):
    """A user."""

    id: int
    username: str
    email: str | None
    name: str | None
    phone: str | None
    role: Role
    department: str | None
    language: Language
    is_active: bool
    created_at: Utc
