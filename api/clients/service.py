"""Rules about clients. Callers own the transaction."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, false, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import User
from api.clients.models import CLIENT_FIELDS, Client
from api.clients.schemas import ClientCreate, ClientUpdate
from api.core.db import now, violated
from api.core.errors import AppError, NotFound, invalid_field
from api.core.fields import e164, key_of
from api.core.revisions import IfMatch, changes_of, revise


class ClientExists(AppError):
    """A client with this phone or e-mail is known; `id` tells which."""

    status = 409
    code = "client_exists"


class HasTickets(AppError):
    """The client has tickets, and history is not deleted."""

    status = 409
    code = "has_tickets"


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
        given = {
            "name": (self.name, self.name != client.name),
            "phone": (self.phone, self.phone_key not in (None, client.phone_key)),
            "email": (self.email, self.email_key not in (None, client.email_key)),
            "comment": (self.comment, bool(self.comment) and self.comment != client.comment),
        }
        lines = [f"{field}: {value}" for field, (value, differs) in given.items() if differs]
        return "\n".join(lines) or None


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


async def create(session: AsyncSession, contact: Contact) -> int:
    """Save a client and return its id.

    Raises:
        ClientExists: (409) with the ``id`` of the one who has this phone or e-mail.
    """
    created = await _insert(session, contact)
    if created is not None:
        return created
    known = await _known(session, contact)
    msg = "a client with this phone or e-mail exists"
    raise ClientExists(msg, id=known.id if known else None)


async def find_or_create(
    session: AsyncSession, contact: Contact, *, user_id: int | None = None
) -> tuple[Client, bool]:
    """Return the client of ``contact`` and whether it is new; by e-mail, else by phone.

    Never overwrites what is known: the public form proves nothing about who fills it in. Two
    first contacts at once end with one client, because the insert gives way to the other.
    """
    for _attempt in range(3):
        known = await _known(session, contact, user_id=user_id)
        if known is not None:
            return known, False
        created = await _insert(session, contact, user_id=user_id)
        if created is not None:
            return await session.get_one(Client, created), True
    msg = "the client changed too often at this moment"
    raise ClientExists(msg)


async def of_account(session: AsyncSession, user: User, *, region: str) -> Client:
    """Return the client that stands for a registered customer's account, making it if need be."""
    contact = Contact(
        name=user.name or user.username,
        phone=user.phone,
        phone_key=e164(user.phone, region) if user.phone else None,
        email=user.email,
        email_key=user.email_key,
        comment=None,
    )
    client, _new = await find_or_create(session, contact, user_id=user.id)
    return client


async def _insert(session: AsyncSession, contact: Contact, *, user_id: int | None = None) -> int | None:
    statement = (
        insert(Client)
        .values(
            name=contact.name,
            phone=contact.phone,
            phone_key=contact.phone_key,
            email=contact.email,
            email_key=contact.email_key,
            comment=contact.comment,
            user_id=user_id,
            version=1,
            updated_at=now(),
        )
        .on_conflict_do_nothing()
        .returning(Client.id)
    )
    created: int | None = await session.scalar(statement)
    return created


async def _known(session: AsyncSession, contact: Contact, *, user_id: int | None = None) -> Client | None:
    same = _same(contact.email_key, contact.phone_key, user_id)
    best_first = [condition.desc().nulls_last() for condition in same]
    # Kept from being deleted until the ticket that is opened for it is there.
    statement = select(Client).where(or_(false(), *same)).order_by(*best_first).limit(1)
    known: Client | None = await session.scalar(statement.with_for_update(read=True, key_share=True))
    return known


def _same(
    email_key: str | None, phone_key: str | None, user_id: int | None = None
) -> list[ColumnElement[bool]]:
    given = [(Client.user_id, user_id), (Client.email_key, email_key), (Client.phone_key, phone_key)]
    return [column == key for column, key in given if key is not None]


async def locked(session: AsyncSession, client_id: int) -> Client:
    """Return a client, its row locked until the transaction ends.

    Raises:
        NotFound: (404).
    """
    client = await session.get(Client, client_id, with_for_update=True)
    if client is None:
        raise NotFound("client")
    return client


async def update(
    session: AsyncSession,
    client_id: int,
    change: ClientUpdate,
    *,
    actor: User,
    if_match: IfMatch,
    region: str,
) -> Client:
    """Change a client.

    Raises:
        NotFound: (404). Stale: (412). ClientExists: (409) with the other's ``id``.
        Invalid: (422) neither phone nor e-mail would be left.
    """
    values = change.model_dump(exclude_unset=True)
    client = await locked(session, client_id)
    await _require_version(session, client, if_match)
    if "phone" in values:
        values["phone_key"] = phone_key(values["phone"], region=region)
    if "email" in values:
        values["email_key"] = key_of(values["email"]) if values["email"] else None
    if "comment" in values:
        values["comment"] = values["comment"] or None
    for field, value in values.items():
        setattr(client, field, value)
    if client.phone is None and client.email is None and client.user_id is None:
        raise invalid_field(["body"], "phone or email is needed")
    revise(session, client, CLIENT_FIELDS, actor_id=actor.id)
    same = _same(client.email_key, client.phone_key)
    with session.no_autoflush:
        other = await session.scalar(
            select(Client.id).where(Client.id != client.id, or_(false(), *same)).limit(1)
        )
    if other is not None:
        msg = "another client has this phone or e-mail"
        raise ClientExists(msg, id=other)
    try:
        await session.flush()
    except IntegrityError as error:  # another one got it between the question and the flush
        if violated(error) in ("uq_clients_email_key", "uq_clients_phone_key"):
            msg = "another client has this phone or e-mail"
            raise ClientExists(msg) from error
        raise
    return client


async def delete(session: AsyncSession, client_id: int, *, if_match: IfMatch) -> None:
    """Delete a client who never had a ticket.

    Raises:
        NotFound: (404). Stale: (412). HasTickets: (409).
    """
    client = await locked(session, client_id)
    await _require_version(session, client, if_match)
    await session.delete(client)
    try:
        await session.flush()
    except IntegrityError as error:
        if violated(error) == "fk_tickets_client_id_clients":
            msg = "this client has tickets"
            raise HasTickets(msg) from error
        raise


async def _require_version(session: AsyncSession, client: Client, if_match: IfMatch) -> None:
    if not if_match.admits(client.version):
        if_match.require(client.version, await changes_of(session, client, select(User.id, User.username)))
