"""Opening tickets: from the public form, by staff, by a registered customer. Callers own the transaction."""

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.clients import service as clients
from api.clients.models import Client
from api.clients.service import Contact
from api.core import security
from api.core.db import now, violated
from api.core.errors import AppError, Forbidden
from api.core.fields import key_of
from api.tickets import history
from api.tickets.models import Ticket
from api.tickets.schemas import PublicTicketCreate, TicketCreate
from api.tickets.service import assign
from api.tickets.states import Priority, Status
from api.users import service as users


class DuplicateTicket(AppError):
    """The same request from the same person is open already."""

    status = 409
    code = "duplicate_ticket"


class ClientRequired(AppError):
    """Staff say whose ticket it is: `client_id` or `client`."""

    status = 422
    code = "client_required"


@dataclass(frozen=True, slots=True)
class Requester:
    """Where a request came from; shown to staff only."""

    address: str
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose ticket it will be."""

    client: Client
    key: str
    note: str | None = None
    account_id: int | None = None


async def submit(
    session: AsyncSession, new: PublicTicketCreate, *, requester: Requester, region: str
) -> Ticket:
    """Open a ticket from the public form.

    Raises:
        DuplicateTicket: (409). Invalid: (422) the phone cannot be a number.
    """
    contact = clients.contact_of(new.client, region=region, loc=("body", "client"))
    owner = await _owner_of(session, contact)
    return await _open(session, new.model_dump(exclude={"client"}), owner, actor=None, requester=requester)


async def create(
    session: AsyncSession, new: TicketCreate, *, actor: User, requester: Requester, region: str
) -> Ticket:
    """Open a ticket as a signed-in user: staff for any client, a customer for themselves.

    Raises:
        DuplicateTicket: (409). ClientRequired, NotAWorker, Invalid: (422).
        Forbidden: (403) a customer set what is for staff.
    """
    values = new.model_dump(exclude={"client", "client_id", "worker_id"})
    if actor.role is Role.CLIENT:
        _customer_may(new)
        owner = await _owner_by_account(session, actor, region=region)
    elif new.client_id is not None:
        client = await clients.locked(session, new.client_id)
        owner = _Owner(client, client.email_key or client.phone_key or f"client {client.id}")
    elif new.client is not None:
        owner = await _owner_of(
            session, clients.contact_of(new.client, region=region, loc=("body", "client"))
        )
    else:
        msg = "say whose ticket it is: client_id or client"
        raise ClientRequired(msg)
    worker = None if new.worker_id is None else await users.active_worker(session, new.worker_id)
    ticket = await _open(session, values, owner, actor=actor, requester=requester)
    if worker is not None:
        await assign(session, ticket, worker, actor=actor)
    return ticket


def _customer_may(new: TicketCreate) -> None:
    for field in ("client", "client_id", "worker_id", "due_at"):
        if getattr(new, field) is not None:
            msg = f"{field} is for staff"
            raise Forbidden(msg)
    if new.priority is Priority.URGENT:
        msg = "priority urgent is for staff"
        raise Forbidden(msg)


async def _owner_of(session: AsyncSession, contact: Contact) -> _Owner:
    client, is_new = await clients.find_or_create(session, contact)
    return _Owner(client, contact.key or "", None if is_new else contact.differences(client))


async def _owner_by_account(session: AsyncSession, account: User, *, region: str) -> _Owner:
    client = await clients.of_account(session, account, region=region)
    return _Owner(client, f"account {account.id}", account_id=account.id)


async def _open(
    session: AsyncSession,
    values: dict[str, Any],
    owner: _Owner,
    *,
    actor: User | None,
    requester: Requester,
) -> Ticket:
    moment = now()
    ticket = Ticket(
        **values,
        code=security.random_code(),
        status=Status.NEW,
        viewed=False,
        client=owner.client,
        worker=None,
        created_by=actor.id if actor else None,
        account_id=owner.account_id,
        created_at=moment,
        updated_at=moment,
        requester_ip=requester.address,
        requester_ua=requester.user_agent,
        fingerprint=fingerprint(values["title"], values["description"], owner.key),
        version=1,
    )
    session.add(ticket)
    try:
        await session.flush()
    except IntegrityError as error:
        if violated(error) == "uq_tickets_fingerprint":
            msg = "this request is open already; follow it by the code you were given"
            raise DuplicateTicket(msg) from error
        raise
    history.record_created(session, ticket, actor=actor, note=owner.note)
    return ticket


def fingerprint(title: str, description: str | None, contact: str) -> bytes:
    """Return what two submissions of one request have in common, whatever their spacing and case."""
    same = "\n".join(" ".join(key_of(text).split()) for text in (title, description or "", contact))
    return hashlib.sha256(same.encode()).digest()
