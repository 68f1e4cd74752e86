"""Types of request fields: limits and clean-up, written once."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

# Names like .local and .test are real inside a company; this list is the library's own switch.
SPECIAL_USE_DOMAIN_NAMES.clear()

MAX_ID: Final = 2**63 - 1
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2999, 12, 31, tzinfo=UTC)
ISO_SHAPE: Final = re.compile(r"^\d{4}-\d\d-\d\d[Tt ]")
PHONE_SHAPE: Final = re.compile(r"^\+?[\d\s().\-/]{3,40}$")


class Body(BaseModel):
    """Base of request bodies: unknown fields are refused, so nothing can be mass-assigned."""

    model_config = ConfigDict(extra="forbid")


def like(**example: Any) -> ConfigDict:
    """Return the configuration of a :class:`Body` that shows ``example`` in the document."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class Out(BaseModel):
    """Base of answers, readable from rows and objects."""

    model_config = ConfigDict(from_attributes=True)


def _no_nul(value: str) -> str:
    if "\x00" in value:
        msg = "must not contain NUL"
        raise ValueError(msg)
    return value


def _email(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError as error:
        msg = "is not an e-mail address"
        raise ValueError(msg) from error


def _phone(value: str) -> str:
    if not PHONE_SHAPE.match(value):
        msg = "is not a phone number"
        raise ValueError(msg)
    return value


def _written(value: Any) -> Any:
    # pydantic reads numbers as seconds since 1970; only ISO 8601 is meant here.
    if isinstance(value, datetime) or (isinstance(value, str) and ISO_SHAPE.match(value)):
        return value
    msg = "must be an ISO 8601 time with offset"
    raise ValueError(msg)


def _in_range(value: datetime) -> datetime:
    # asyncpg cannot send a moment that leaves the years 1…9999 when it is turned to UTC.
    if not EARLIEST <= value <= LATEST:
        msg = "must lie between 1970 and 2999"
        raise ValueError(msg)
    return value.astimezone(UTC)


Text = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_no_nul)]
Line = Annotated[Text, StringConstraints(min_length=1, max_length=200)]
Title = Annotated[Text, StringConstraints(min_length=1, max_length=200)]
Description = Annotated[Text, StringConstraints(max_length=20_000)]
Address = Annotated[Text, StringConstraints(max_length=500)]
Note = Annotated[Text, StringConstraints(min_length=1, max_length=2_000)]
Comment = Annotated[Text, StringConstraints(max_length=2_000)]
Search = Annotated[Text, StringConstraints(max_length=10_000)]
Username = Annotated[
    Text, StringConstraints(min_length=3, max_length=64, pattern=r"^[\p{L}\p{N}][\p{L}\p{N}._\-]*$")
]
Password = Annotated[str, StringConstraints(min_length=8, max_length=128), AfterValidator(_no_nul)]
Email = Annotated[
    Text, AfterValidator(_email), WithJsonSchema({"type": "string", "format": "email", "maxLength": 254})
]
Phone = Annotated[
    Text,
    AfterValidator(_phone),
    WithJsonSchema({"type": "string", "maxLength": 41, "examples": ["+7 912 345-67-89"]}),
]
Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_range)]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
PathId = Annotated[int, Path(ge=1, le=MAX_ID)]
Utc = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.astimezone(UTC).isoformat().replace("+00:00", "Z"), str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def key_of(text: str) -> str:
    """Return what two spellings of one name or e-mail have in common."""
    return text.strip().casefold()


def e164(phone: str, region: str) -> str | None:
    """Return ``phone`` in E.164, read as dialled in ``region``; None when it cannot be a number."""
    try:
        number = phonenumbers.parse(phone, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
