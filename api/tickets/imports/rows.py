"""What one line of an imported file says, and whether it can be a ticket."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from api.clients import matching as clients
from api.clients.matching import Contact
from api.clients.schemas import ClientCreate
from api.core.db import now
from api.core.errors import Invalid
from api.core.fields import EARLIEST, LATEST, Address, Comment, Description, Line, Note, Text, Title
from api.tickets.states import Priority, Status

CLIENT_COLUMNS: Final = frozenset({"client_name", "client_phone", "client_email"})
DATE_LENGTH: Final = len("2026-11-21")


def _word(value: Any) -> Any:
    # A spreadsheet may say "In progress" or "DONE".
    return "_".join(value.casefold().replace("-", " ").split()) if isinstance(value, str) else value


def _moment(value: Any) -> datetime:
    text = value.strip() if isinstance(value, str) else ""
    try:
        # Without a letter or a dash it would be read as 20261121, which may as well be a number.
        moment = datetime.fromisoformat(text if "-" in text else "")
    except ValueError as error:
        msg = "must be a date or time like 2026-11-21 or 2026-11-21T14:30+03:00"
        raise ValueError(msg) from error
    # A time without offset is UTC here: files hold plain dates, which have none.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not EARLIEST <= moment <= LATEST:
        msg = "must lie between 1970 and 2999"
        raise ValueError(msg)
    return moment.astimezone(UTC)


def _past(value: Any) -> datetime:
    moment = _moment(value)
    if moment <= now():
        return moment
    # East of Greenwich it may be tomorrow already.
    if len(str(value).strip()) == DATE_LENGTH and (moment - now()).total_seconds() < 14 * 3600:
        return now()
    msg = "lies in the future"
    raise ValueError(msg)


Moment = Annotated[datetime, BeforeValidator(_moment)]
PastMoment = Annotated[datetime, BeforeValidator(_past)]
ExternalId = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class Row(BaseModel):
    """The fields that are read; the limits are the API's."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, frozen=True)

    external_id: ExternalId
    title: Title
    description: Description | None = None
    address: Address | None = None
    status: Annotated[Status, BeforeValidator(_word)] = Status.NEW
    priority: Annotated[Priority, BeforeValidator(_word)] = Priority.NORMAL
    created_at: PastMoment | None = None
    scheduled_at: Moment | None = None
    due_at: Moment | None = None
    worker: Line | None = None
    """Username of whoever is responsible."""
    reason: Note | None = None
    """Why it is on hold or canceled."""
    resolution: Comment | None = None

    client_name: Line | None = None
    client_phone: Line | None = None
    client_email: Line | None = None

    ords_status: Line | None = None
    """How a repair event ended (Open Repair Data Standard); marks a record that is no ticket of a shop."""
    country: Line | None = None
    language_guess: Line | None = None
    group: Line | None = None
    barrier: Line | None = None


COLUMNS: Final = frozenset(Row.model_fields)


@dataclass(frozen=True, slots=True)
class Entry:
    """A good line."""

    number: int
    row: Row
    contact: Contact | None
    """Whose it is; None where the file knows no clients."""

    @property
    def is_sample(self) -> bool:
        """Whether its client, worker and history are to be invented, and its date moved to our days."""
        return self.row.ords_status is not None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be a ticket."""

    number: int
    reason: str


def understood(number: int, given: dict[str, Any], external_id: str, *, region: str) -> Entry | BadLine:
    """Return what a line says, or everything that is wrong with it."""
    values = {name: value for name, value in given.items() if value not in (None, "")}
    try:
        row = Row.model_validate({"external_id": external_id} | values)
    except ValidationError as error:
        return BadLine(number, _told(error))
    if not CLIENT_COLUMNS & given.keys():
        return Entry(number, row, None)
    try:
        return Entry(number, row, _contact(row, region=region))
    except ValidationError as error:
        return BadLine(number, _told(error, prefix="client_"))
    except Invalid as error:
        return BadLine(number, f"client_phone: {error.detail}")


def _contact(row: Row, *, region: str) -> Contact:
    # By the API's own rules: who could not be typed in cannot be imported either.
    name = row.client_name or row.client_email or row.client_phone or "?"
    new = ClientCreate.model_validate({"name": name, "phone": row.client_phone, "email": row.client_email})
    return clients.contact_of(new, region=region)


def _told(error: ValidationError, *, prefix: str = "") -> str:
    reasons = []
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"])
        why = problem["msg"].removeprefix("Value error, ")
        if problem["type"].endswith("too_long"):  # pydantic counts "items" here
            why = f"has more than {problem['ctx']['max_length']} characters"
        reasons.append(f"{prefix}{where}: {why}" if where else why)
    return "; ".join(reasons)
