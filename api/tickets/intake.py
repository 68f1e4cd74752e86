"""Opening tickets: from the public form, by staff, by a registered customer. Callers own the transaction."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import Select, bindparam, exists, or_, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.clients import service as clients
from api.clients.matching import ATTEMPTS, Contact, changed_too_often, contact_of, found_or_made, given
from api.core import security
from api.core.db import now, violated
from api.core.errors import AppError, Forbidden
from api.core.fields import key_of
from api.core.idempotency import ID_TO_COME, NO_KEY, Answered, Attempt, answered, forget_expired, keep
from api.tickets import history, queries
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
class Opened:
    """A ticket that was just opened."""

    id: int
    code: str
    created_at: datetime
    status: Status = Status.NEW


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose ticket it will be: a client who is known by id, or whoever is meant by a contact."""

    key: str
    contact: Contact | None = None
    client_id: int | None = None
    account_id: int | None = None


async def submit(
    session: AsyncSession,
    new: PublicTicketCreate,
    *,
    attempt: Attempt,
    answer: Callable[[Opened], BaseModel],
    requester: Requester,
    region: str,
) -> Opened | Answered:
    """Open a ticket from the public form, in one statement that is whole on a session of reads too.

    Returns what the key of ``attempt`` was answered before, if it was.

    Raises:
        DuplicateTicket: (409). ClientExists: (409) the client changed too often at this moment.
        Invalid: (422) the phone cannot be a number.
    """
    contact = contact_of(new.client, region=region, loc=("body", "client"))
    owner = _Owner(contact.key or "", contact)
    draft = _draft(new.model_dump(exclude={"client"}), owner, actor=None, requester=requester)
    return await _open(session, draft, attempt, answer)


async def create(
    session: AsyncSession, new: TicketCreate, *, actor: User, requester: Requester, region: str
) -> Ticket:
    """Open a ticket as a signed-in user: staff for any client, a customer for themselves.

    Raises:
        DuplicateTicket: (409). ClientRequired, NotAWorker, Invalid: (422).
        Forbidden: (403) a customer set what is for staff.
    """
    said = new.model_dump(exclude={"client", "client_id", "worker_id"})
    if actor.role is Role.CLIENT:
        _customer_may(new)
        owner = await _owner_by_account(session, actor, region=region)
    elif new.client_id is not None:
        client = await clients.locked(session, new.client_id)
        owner = _Owner(client.email_key or client.phone_key or f"client {client.id}", client_id=client.id)
    elif new.client is not None:
        contact = contact_of(new.client, region=region, loc=("body", "client"))
        owner = _Owner(contact.key or "", contact)
    else:
        msg = "say whose ticket it is: client_id or client"
        raise ClientRequired(msg)
    worker = None if new.worker_id is None else await users.active_worker(session, new.worker_id)
    opened = await _open(session, _draft(said, owner, actor=actor, requester=requester))
    assert isinstance(opened, Opened)
    ticket = await queries.lock_any(session, opened.id, viewer=actor)
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


async def _owner_by_account(session: AsyncSession, account: User, *, region: str) -> _Owner:
    client_id = await clients.of_account(session, account, region=region)
    return _Owner(f"account {account.id}", client_id=client_id, account_id=account.id)


SAID: Final = tuple(
    field for field in TicketCreate.model_fields if field not in ("client", "client_id", "worker_id")
)
"""Columns that are filled with what was said."""
MADE: Final = (
    *("code", "status", "viewed", "created_by", "account_id", "created_at", "updated_at"),
    *("requester_ip", "requester_ua", "fingerprint", "version"),
)


def _statement() -> Select[Any]:
    """Return the one statement that opens a ticket: client, ticket, history, and the caller's key."""
    columns = {
        column: bindparam(f"ticket_{column}", type_=Ticket.__table__.c[column].type)
        for column in (*SAID, *MADE)
    }
    same = select(Ticket.id).where(Ticket.fingerprint == columns["fingerprint"])
    known = answered().cte("answered")
    # Whether it is there is asked once, and before anything is made: what is refused leaves nothing.
    state = select(
        or_(exists(select(known)), exists(same)).label("settled"), exists(same).label("twice")
    ).cte("state")
    settled = select(state.c.settled).scalar_subquery()
    owner = found_or_made(unless=settled).cte("owner")
    ticket = (
        insert(Ticket)
        .from_select([*columns, "client_id"], select(*columns.values(), owner.c.id))
        .on_conflict_do_nothing(index_elements=[Ticket.fingerprint])
        .returning(Ticket.id)
        .cte("ticket")
    )
    told = history.first_lines(ticket, owner, actor_id=columns["created_by"])
    return (
        select(state.c.twice, ticket.c.id, known.c.request_hash, known.c.answer)
        .join_from(state, ticket, true(), isouter=True)
        .join(known, true(), isouter=True)
        .add_cte(told.cte("told"), keep(ticket).cte("kept"))
    )


OPEN: Final = _statement()


async def _open(
    session: AsyncSession,
    draft: dict[str, Any],
    attempt: Attempt = NO_KEY,
    answer: Callable[[Opened], BaseModel] = BaseModel.model_validate,
) -> Opened | Answered:
    opened = Opened(ID_TO_COME, draft["ticket_code"], draft["ticket_created_at"])
    parameters = draft | attempt.parameters(lambda: answer(opened))
    for _attempt in range(ATTEMPTS):
        try:
            row = (await session.execute(OPEN, parameters)).one()
        except IntegrityError as error:
            if violated(error) != "pk_idempotency_keys":
                raise
            await session.rollback()
            await forget_expired(session, attempt)
            continue
        if row.id is not None:
            return replace(opened, id=row.id)
        if row.answer is not None:
            return Answered(row.request_hash, row.answer)
        if row.twice:
            msg = "this request is open already; follow it by the code you were given"
            raise DuplicateTicket(msg)
        # Another one was faster with this client, ticket or key: what it did is seen from now on.
    raise changed_too_often()


def _draft(
    said: dict[str, Any], owner: _Owner, *, actor: User | None, requester: Requester
) -> dict[str, Any]:
    """Return the parameters of ``OPEN``, but for the key's."""
    moment = now()
    values = (
        dict.fromkeys(SAID)
        | said
        | {
            "code": security.random_code(),
            "status": Status.NEW,
            "viewed": False,
            "created_by": actor.id if actor else None,
            "account_id": owner.account_id,
            "created_at": moment,
            "updated_at": moment,
            "requester_ip": requester.address,
            "requester_ua": requester.user_agent,
            "fingerprint": fingerprint(said["title"], said["description"], owner.key),
            "version": 1,
        }
    )
    client = given(owner.contact, client_id=owner.client_id)
    return client | {f"ticket_{column}": value for column, value in values.items()}


def fingerprint(title: str, description: str | None, contact: str) -> bytes:
    """Return what two submissions of one request have in common, whatever their spacing and case."""
    same = "\n".join(" ".join(key_of(text).split()) for text in (title, description or "", contact))
    return hashlib.sha256(same.encode()).digest()
