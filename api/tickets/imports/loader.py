"""Writes imported tickets, batch by batch: a run that is killed goes on where it stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.clients import matching as clients
from api.clients.matching import Contact
from api.clients.models import Client
from api.core import security
from api.core.db import Database, now
from api.core.fields import key_of
from api.core.security import PasswordHasher
from api.tickets.imports import lives
from api.tickets.imports.lives import Shop
from api.tickets.imports.people import WORKERS, address_for, contact_for
from api.tickets.imports.replay import replayed
from api.tickets.imports.rows import BadLine, Entry
from api.tickets.intake import fingerprint
from api.tickets.models import Ticket, TicketEvent
from api.tickets.states import OPEN, WITH_WORKER, Status

BATCH: Final = 250
"""Tickets in one transaction: what a killed run loses at most."""
IMPORT_LOCK: Final = 7_270_002
"""Key of the advisory lock that makes two imports at once take turns, batch by batch."""
NOBODY_NAMED: Final = ("imported", "Imported, worker not named", None)
"""Holds tickets that somebody works on, where the file does not say who."""


@dataclass
class Known:
    """What the database makes of a file, before anything is written."""

    entries: Sequence[Entry] = ()
    fresh: list[Entry] = field(default_factory=list)
    known: int = 0
    bad: list[BadLine] = field(default_factory=list)
    workers: dict[str, User] = field(default_factory=dict)


async def look_up(session: AsyncSession, entries: Sequence[Entry]) -> Known:
    """Tell new tickets from known ones, and find the workers that are named."""
    ids = [entry.row.external_id for entry in entries]
    there = set(await session.scalars(select(Ticket.external_id).where(Ticket.external_id.in_(ids))))
    names = {key_of(entry.row.worker) for entry in entries if entry.row.worker}
    active = select(User).where(User.role == Role.WORKER, User.is_active)
    found = await session.scalars(active.where(User.username_key.in_(names)))
    result = Known(entries, workers={user.username_key: user for user in found})
    for entry in entries:
        if entry.row.external_id in there:
            result.known += 1
        elif entry.row.worker and key_of(entry.row.worker) not in result.workers:
            result.bad.append(BadLine(entry.number, f"worker: no active worker is called {entry.row.worker}"))
        else:
            result.fresh.append(entry)
    return result


async def load(
    database: Database,
    known: Known,
    *,
    hasher: PasswordHasher,
    colleague: str,
    progress: Callable[[int], object],
) -> int:
    """Write what is new and return how many tickets that was.

    ``colleague`` is the username of a worker who gets a fair share of the sample, if there is one.
    """
    loader = _Loader(database, known.workers, moment=now())
    await loader.meet(known.fresh, hasher=hasher, colleague=colleague)
    written = 0
    plans = iter(_in_order(known, loader.moment))
    while batch := list(islice(plans, BATCH)):
        written += await loader.write(batch)
        progress(len(batch))
    return written


@dataclass(frozen=True, slots=True)
class _Plan:
    entry: Entry
    created: datetime
    contact: Contact


def _in_order(known: Known, moment: datetime) -> list[_Plan]:
    """Return the new tickets in the order of their making, samples moved to our days."""
    long_ago = datetime.min.replace(tzinfo=moment.tzinfo)
    # Among all of the file's samples: what a killed run leaves keeps its place.
    samples = sorted(
        (entry for entry in known.entries if entry.is_sample),
        key=lambda entry: (entry.row.created_at or long_ago, entry.row.external_id),
    )
    moved = {e.number: lives.moved(rank, len(samples), now=moment) for rank, e in enumerate(samples, start=1)}
    plans = [
        _Plan(
            entry,
            moved.get(entry.number) or entry.row.created_at or moment,
            entry.contact or contact_for(entry.row),
        )
        for entry in known.fresh
    ]
    return sorted(plans, key=lambda plan: (plan.created, plan.entry.number))


class _Loader:
    """One run: who is who, and when now is."""

    def __init__(self, database: Database, workers: dict[str, User], *, moment: datetime) -> None:
        self._database, self._workers, self.moment = database, workers, moment
        self._shop = Shop([], None)
        self._nobody: User | None = None

    async def meet(self, entries: Sequence[Entry], *, hasher: PasswordHasher, colleague: str) -> None:
        """Find the people of the shop, and make those that the tickets need."""
        # Random and told to nobody: these accounts are no way in.
        secret = await hasher.hash(security.random_token())
        async with self._database.sessions.begin() as session:
            if any(entry.is_sample for entry in entries):
                crew = [await _worker(session, *person, secret=secret) for person in WORKERS]
                shared = await session.scalars(
                    select(User).where(
                        User.username_key == key_of(colleague), User.role == Role.WORKER, User.is_active
                    )
                )
                desk = await session.scalar(
                    select(User).where(User.role == Role.ADMIN, User.is_active).order_by(User.id).limit(1)
                )
                # Whoever was deactivated here is given no work.
                able = [person for person in crew if person.is_active and person.role is Role.WORKER]
                self._shop = Shop([*able, *shared] or crew, desk)
            if any(_orphaned(entry) for entry in entries):
                self._nobody = await _worker(session, *NOBODY_NAMED, secret=secret)

    async def write(self, plans: Sequence[_Plan]) -> int:
        """Write one batch, wholly or not at all; return how many tickets it made."""
        async with self._database.sessions.begin() as session:
            await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": IMPORT_LOCK})
            ids = [plan.entry.row.external_id for plan in plans]
            there = set(await session.scalars(select(Ticket.external_id).where(Ticket.external_id.in_(ids))))
            plans = [plan for plan in plans if plan.entry.row.external_id not in there]
            owners = await _owners(session, plans)
            tickets, events = [], []
            for plan in plans:
                ticket, told = self._live(plan, owners[plan.entry.number])
                tickets.append(ticket)
                events.append(told)
            await _keep_fingerprints_apart(session, tickets)
            session.add_all(tickets)
            await session.flush()
            rows = [
                {**event, "ticket_id": ticket.id}
                for ticket, told in zip(tickets, events, strict=True)
                for event in told
            ]
            if rows:
                await session.execute(insert(TicketEvent), rows)
        return len(tickets)

    def _live(self, plan: _Plan, client: Client) -> tuple[Ticket, list[dict[str, Any]]]:
        """Return a ticket that went through its history, and that history."""
        row, created = plan.entry.row, plan.created
        scheduled, due, priority, address = row.scheduled_at, row.due_at, row.priority, row.address
        if plan.entry.is_sample:
            steps = lives.lived(row, created, self._shop, now=self.moment)
            scheduled, due = lives.plans(row, created, steps, now=self.moment)
            priority, address = lives.priority_of(row), address_for(row)
        else:
            worker = self._workers.get(key_of(row.worker)) if row.worker else self._nobody_for(plan.entry)
            steps = list(lives.told(row, created, worker))
        ticket = Ticket(
            code=security.random_code(),
            external_id=row.external_id,
            title=row.title,
            description=row.description,
            address=address,
            status=Status.NEW,
            priority=priority,
            viewed=False,
            client_id=client.id,
            scheduled_at=scheduled,
            due_at=due,
            created_at=created,
            updated_at=created,
            fingerprint=fingerprint(row.title, row.description, plan.contact.key or f"client {client.id}"),
            version=1,
        )
        contact = plan.contact if row.client_name else replace(plan.contact, name=client.name)
        differs = contact.differences(client)
        return ticket, list(replayed(ticket, steps, differs))

    def _nobody_for(self, entry: Entry) -> User | None:
        return self._nobody if _orphaned(entry) else None


def _orphaned(entry: Entry) -> bool:
    return not entry.is_sample and entry.row.worker is None and entry.row.status in WITH_WORKER


async def _owners(session: AsyncSession, plans: Sequence[_Plan]) -> dict[int, Client]:
    """Return the client of each line, made if need be by the rules of the API; nothing is overwritten."""
    emails = {plan.contact.email_key for plan in plans} - {None}
    phones = {plan.contact.phone_key for plan in plans} - {None}
    found = await session.scalars(
        select(Client).where(or_(Client.email_key.in_(emails), Client.phone_key.in_(phones)))
    )
    by_email: dict[str | None, Client] = {}
    by_phone: dict[str | None, Client] = {}

    def keep(client: Client) -> None:
        by_email[client.email_key], by_phone[client.phone_key] = client, client

    for client in found:
        keep(client)
    owners = {}
    for plan in plans:
        contact = plan.contact
        owner = (contact.email_key and by_email.get(contact.email_key)) or (
            contact.phone_key and by_phone.get(contact.phone_key)
        )
        if not owner:
            made = await clients.find_or_create(session, contact)
            client = await session.get_one(Client, made.id)
            if made.is_new:
                client.created_at = client.updated_at = plan.created
            keep(client)
            owner = client
        owners[plan.entry.number] = owner
    return owners


async def _keep_fingerprints_apart(session: AsyncSession, tickets: Sequence[Ticket]) -> None:
    """Of open requests that say the same, the first one guards against a double submit."""
    mine = [ticket.fingerprint for ticket in tickets if ticket.status in OPEN]
    taken = set(await session.scalars(select(Ticket.fingerprint).where(Ticket.fingerprint.in_(mine))))
    for ticket in tickets:
        if ticket.fingerprint in taken:
            ticket.fingerprint = None
        elif ticket.fingerprint is not None:
            taken.add(ticket.fingerprint)


async def _worker(
    session: AsyncSession, username: str, name: str, department: str | None, *, secret: str
) -> User:
    """Return a worker who cannot sign in, made where there is none of this name."""
    key = key_of(username)
    named = select(User).where(User.username_key == key)
    known = await session.scalar(named)
    if known is not None:
        return known
    values = {"username": username, "username_key": key, "name": name, "department": department}
    new = insert(User).values(**values, role=Role.WORKER, password_hash=secret, version=1, updated_at=now())
    await session.execute(new.on_conflict_do_nothing())
    return (await session.scalars(named)).one()
