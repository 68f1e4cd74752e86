"""Which client is meant by a contact: the one rule of matching, made for one round trip."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import (
    CompoundSelect,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from api.clients.models import Client
from api.clients.schemas import ClientCreate
from api.core.db import now
from api.core.errors import AppError, invalid_field
from api.core.fields import e164, key_of


class ClientExists(AppError):
    """A client with this phone or e-mail is known; `id` tells which."""

    status = 409
    code = "client_exists"


COMPARED: Final = {"name": "name", "phone": "phone_key", "email": "email_key", "comment": "comment"}
"""What is told where it differs from what is known, and by which column two of it are compared."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How somebody can be reached, with what is compared."""

    name: str
    phone: str | None
    phone_key: str | None
    email: str | None
    email_key: str | None
    comment: str | None

    @property
    def key(self) -> str | None:
        """What tells this contact from others: the e-mail, else the phone."""
        return self.email_key or self.phone_key

    def differences(self, client: Client) -> str | None:
        """Return, in words, what was given now and is not what is known of ``client``."""
        lines = [
            f"{field}: {getattr(self, field)}"
            for field, column in COMPARED.items()
            if getattr(self, column) not in (None, getattr(client, column))
        ]
        return "\n".join(lines) or None


@dataclass(frozen=True, slots=True)
class Found:
    """A client that is there now, for this contact."""

    id: int
    is_new: bool


def contact_of(new: ClientCreate, *, region: str, loc: tuple[str, ...] = ("body",)) -> Contact:
    """Return ``new`` with its phone read as dialled in ``region``.

    Raises:
        Invalid: (422) the phone cannot be a number.
    """
    return Contact(
        name=new.name,
        phone=new.phone,
        phone_key=phone_key(new.phone, region=region, loc=loc),
        email=new.email,
        email_key=key_of(new.email) if new.email else None,
        comment=new.comment or None,
    )


def phone_key(phone: str | None, *, region: str, loc: tuple[str, ...] = ("body",)) -> str | None:
    """Return ``phone`` in E.164.

    Raises:
        Invalid: (422) it cannot be a number.
    """
    if phone is None:
        return None
    key = e164(phone, region)
    if key is None:
        raise invalid_field([*loc, "phone"], "is not a phone number")
    return key


_GIVEN: Final = {
    column: bindparam(f"client_{column}", type_=Client.__table__.c[column].type)
    for column in (
        "id",
        "user_id",
        "name",
        "phone",
        "phone_key",
        "email",
        "email_key",
        "comment",
        "updated_at",
    )
}
_SAME: Final = [
    Client.__table__.c[column] == _GIVEN[column] for column in ("id", "user_id", "email_key", "phone_key")
]
"""What makes a known client the one who is meant, the best reason first."""


def given(
    contact: Contact | None, *, client_id: int | None = None, user_id: int | None = None
) -> dict[str, Any]:
    """Return the parameters of a statement that finds or makes the client of a contact, or has its id."""
    values = asdict(contact) if contact else dict.fromkeys(Contact.__slots__)
    values |= {"id": client_id, "user_id": user_id, "updated_at": now()}
    return {f"client_{column}": value for column, value in values.items()}


def found_or_made(*, unless: ColumnElement[bool] = false()) -> CompoundSelect[int, bool, str | None]:  # noqa: B008
    """Return the SELECT that finds or makes a client: id, is_new, and what differs from what is known.

    By account, else by e-mail, else by phone. Never overwrites what is known: the public form
    proves nothing about who fills it in. Of two first contacts at once the insert of one gives
    way, and its SELECT is empty: then whoever runs it runs it again, and sees the other's.
    """
    known = (
        select(Client.id, _differences().label("differs"))
        .where(or_(*_SAME), ~unless)
        .order_by(*[same.desc().nulls_last() for same in _SAME])
        .limit(literal_column("1"))
        # Kept from being deleted until the ticket that is opened for it is there.
        .with_for_update(read=True, key_share=True)
        .cte("known")
    )
    columns = [column for column in _GIVEN if column != "id"]
    new = select(*[_GIVEN[column] for column in columns], literal_column("1"))
    made = (
        insert(Client)
        .from_select([*columns, "version"], new.where(~exists(select(known.c.id)), ~unless))
        .on_conflict_do_nothing()
        .returning(Client.id)
        .cte("made")
    )
    return union_all(
        select(known.c.id, false().label("is_new"), known.c.differs),
        select(made.c.id, true(), null()),
    )


def _differences() -> ColumnElement[str | None]:
    """Return :meth:`Contact.differences` for a client who is not at hand yet."""
    lines = [
        case(
            (
                and_(_GIVEN[key].is_not(None), known.is_distinct_from(_GIVEN[key])),
                f"{field}: " + _GIVEN[field],
            )
        )
        for field, key in COMPARED.items()
        for known in [Client.__table__.c[key]]
    ]
    return func.nullif(func.concat_ws("\n", *lines), "")


FIND_OR_MAKE: Final = found_or_made()
ATTEMPTS: Final = 3


async def find_or_create(session: AsyncSession, contact: Contact, *, user_id: int | None = None) -> Found:
    """Return the client of ``contact``, made if need be; see :func:`found_or_made`.

    Raises:
        ClientExists: (409) each time it was looked for, another one came and went.
    """
    for _attempt in range(ATTEMPTS):
        row = (await session.execute(FIND_OR_MAKE, given(contact, user_id=user_id))).one_or_none()
        if row is not None:
            return Found(row.id, row.is_new)
    raise changed_too_often()


def changed_too_often() -> ClientExists:
    """Return the refusal for when others were faster each time."""
    return ClientExists("the client changed too often at this moment")
