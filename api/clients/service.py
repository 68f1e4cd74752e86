"""Rules about clients. Callers own the transaction."""

from sqlalchemy import false, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import User
from api.clients.matching import ClientExists, Contact, find_or_create, phone_key
from api.clients.models import CLIENT_FIELDS, Client
from api.clients.schemas import ClientUpdate
from api.core.db import violated
from api.core.errors import AppError, NotFound, invalid_field
from api.core.fields import e164, key_of
from api.core.revisions import IfMatch, changes_of, revise


class HasTickets(AppError):
    """The client has tickets, and history is not deleted."""

    status = 409
    code = "has_tickets"


async def create(session: AsyncSession, contact: Contact) -> int:
    """Save a client and return its id.

    Raises:
        ClientExists: (409) with the ``id`` of the one who has this phone or e-mail.
    """
    client = await find_or_create(session, contact)
    if client.is_new:
        return client.id
    msg = "a client with this phone or e-mail exists"
    raise ClientExists(msg, id=client.id)


async def of_account(session: AsyncSession, user: User, *, region: str) -> int:
    """Return the id of the client that stands for a registered customer's account, made if need be."""
    contact = Contact(
        name=user.name or user.username,
        phone=user.phone,
        phone_key=e164(user.phone, region) if user.phone else None,
        email=user.email,
        email_key=user.email_key,
        comment=None,
    )
    return (await find_or_create(session, contact, user_id=user.id)).id


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
    keys = {Client.email_key: client.email_key, Client.phone_key: client.phone_key}
    same = [column == key for column, key in keys.items() if key is not None]
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
