"""What can be done to tickets. Callers own the transaction."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from sqlalchemy import delete as sql_delete
from sqlalchemy import inspect, literal, select
from sqlalchemy import update as sql_update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, contains_eager, with_expression
from sqlalchemy.orm.attributes import set_committed_value

from api.auth import queries as accounts
from api.auth.models import Role, User
from api.core.db import now
from api.core.errors import AppError, Forbidden, invalid_field
from api.core.revisions import IfMatch
from api.core.security import Claims
from api.tickets import history, queries, states
from api.tickets.comments.reading import unread
from api.tickets.models import InvalidTransition, Ticket, TicketEvent
from api.tickets.schemas import TicketUpdate
from api.tickets.states import FINISHED, WITH_WORKER, Party, Priority, Status
from api.users import service as users

CLIENT_MAY_EDIT: Final = frozenset(
    {"title", "description", "address", "scheduled_at", "priority", "status", "reason"}
)
PLAIN_FIELDS: Final = ("title", "description", "address", "priority", "scheduled_at", "due_at")


class AlreadyClaimed(AppError):
    """The ticket is tied to another account."""

    status = 409
    code = "already_claimed"


ON_DELETE: Final[list[Callable[[AsyncSession, Ticket], Awaitable[None]]]] = []
"""What has to be seen to before a ticket goes; sub-rooms add their own."""


class WorkerRequired(AppError):
    """A ticket becomes assigned by naming a worker."""

    status = 422
    code = "worker_required"


async def assign(
    session: AsyncSession,
    ticket: Ticket,
    worker: User | None,
    *,
    actor: User,
    by: frozenset[Party] | None = None,
    if_match: IfMatch | None = None,
) -> Ticket:
    """Give ``ticket`` to ``worker``, or take it from whoever has it.

    ``ticket`` must be locked, and ``worker`` come from :func:`api.users.service.active_worker`.

    Raises:
        InvalidTransition: (409) its status does not allow it, the worker has it already, or
            another move was faster than the one who saw the version of ``if_match``.
    """
    by, was = by or ticket.parties(actor), ticket.worker
    target = Status.NEW if worker is None else Status.ASSIGNED
    has_it = worker is not None and worker.id == ticket.worker_id and ticket.status in WITH_WORKER
    if has_it or (if_match and not if_match.admits(ticket.version)):
        raise InvalidTransition(ticket.status, target, by)
    ticket.move(target, by=by)
    ticket.worker_id, ticket.viewed = (worker.id if worker else None), False
    ticket.published_at = None  # a ticket that comes back is not offered again by itself
    set_committed_value(ticket, "worker", worker)
    names = {"worker": [was and was.username, worker and worker.username]}
    history.record(session, ticket, "assigned" if worker else "unassigned", actor=actor, names=names)
    return ticket


async def move(
    session: AsyncSession,
    ticket: Ticket,
    target: Status,
    *,
    by: frozenset[Party],
    actor: User | None,
    if_match: IfMatch | None = None,
    only_from: Iterable[Status] = Status,
    reason: str | None = None,
    resolution: str | None = None,
) -> Ticket:
    """Move ``ticket``, which must be locked, to ``target``, from one of ``only_from``.

    Raises:
        Forbidden: (403) ``by`` never may. InvalidTransition: (409) not from here, or another
        move was faster than this one. ReasonRequired, WorkerRequired: (422).
    """
    if not states.may_ever(target, by, only_from):
        msg = f"you may not make a ticket {target} this way"
        raise Forbidden(msg)
    overtaken = if_match is not None and not if_match.admits(ticket.version)
    if overtaken or ticket.status not in only_from:
        raise InvalidTransition(ticket.status, target, by)
    if resolution is not None and target is not Status.DONE:
        raise invalid_field(["body", "resolution"], "goes with done only")
    was = ticket.status
    if target is Status.ASSIGNED and target in states.allowed(was, by):
        msg = "name the worker: POST /tickets/{id}/assign"
        raise WorkerRequired(msg)
    if target is Status.NEW and target in states.allowed(was, by) and actor is not None:
        return await assign(session, ticket, None, actor=actor)
    ticket.move(target, by=by, reason=reason)
    if target is Status.DONE:
        ticket.resolution = resolution or ticket.resolution
    history.record(session, ticket, _event(was, target), actor=actor, note=reason)
    return ticket


def _event(was: Status, target: Status) -> str:
    if target is Status.IN_PROGRESS:
        return "reopened" if was in FINISHED else "resumed" if was is Status.ON_HOLD else "started"
    return {Status.ON_HOLD: "held", Status.DONE: "completed"}.get(target, target.value)


async def take(session: AsyncSession, ticket_id: int, claims: Claims, *, if_match: IfMatch) -> Ticket | None:
    """Start the work of the worker whose token it is on a ticket that is assigned to them.

    One statement, so that it is whole on a session of reads too; what it does is what
    :func:`move` does. None when anything is against it: :func:`move` tells what.
    """
    was, target = Status.ASSIGNED, Status.IN_PROGRESS
    worker = accounts.me(Role.WORKER)
    moved = (
        sql_update(Ticket)
        .where(Ticket.id == ticket_id, Ticket.worker_id == worker.c.id, Ticket.status == was)
        .where(if_match.where(Ticket.version))
        .values(**consequences(was, target, Party.ITS_WORKER), version=Ticket.version + 1, updated_at=now())
        .returning(Ticket)
        .cte("moved")
    )
    told = history.line_of(moved, _event(was, target), {"status": [was, target]}, actor_id=moved.c.worker_id)
    taken = aliased(Ticket, moved)
    viewer = User(id=claims.user_id, role=Role.WORKER)
    statement = (
        select(taken)
        .join(taken.client)
        .join(taken.worker)
        .options(contains_eager(taken.client), contains_eager(taken.worker))
        .options(with_expression(taken.unread_comments, unread(viewer, taken.id)))
        .add_cte(told.cte("told"))
    )
    ticket: Ticket | None = await session.scalar(statement, accounts.parameters(claims))
    return ticket


def consequences(was: Status, target: Status, party: Party) -> dict[str, Any]:
    """Return what :meth:`Ticket.move` sets, column by column: for statements that move a ticket unseen."""
    ticket = Ticket(status=was)
    ticket.move(target, by=frozenset({party}))
    return {field.key: field.value for field in inspect(ticket).attrs if field.history.has_changes()}


async def update(
    session: AsyncSession, ticket_id: int, change: TicketUpdate, *, actor: User, if_match: IfMatch
) -> Ticket:
    """Change a ticket; status and worker go by the same rules as the actions.

    Raises:
        NotFound: (404). Forbidden: (403). Stale: (412). InvalidTransition: (409).
        NotAWorker, ReasonRequired, WorkerRequired, Invalid: (422).
    """
    values = change.model_dump(exclude_unset=True)
    # A worker's row is always locked before tickets are: the other order could deadlock with
    # somebody who hands over that worker's tickets.
    wanted = values.get("worker_id")
    worker = None if wanted is None else await users.active_worker(session, wanted)
    ticket = await queries.lock(session, ticket_id, viewer=actor)
    _may_edit(ticket, actor, values)
    if not if_match.admits(ticket.version):
        if_match.require(ticket.version, await queries.changes_of(session, ticket))
    for field in PLAIN_FIELDS:
        if field in values and values[field] != getattr(ticket, field):
            setattr(ticket, field, values[field])
    if session.is_modified(ticket):
        history.record(session, ticket, "edited", actor=actor)
        await session.flush()
    if "worker_id" in values and values["worker_id"] != ticket.worker_id:
        await assign(session, ticket, worker, actor=actor)
        await session.flush()
    target = values.get("status", ticket.status)
    if target is not ticket.status:
        by = ticket.parties(actor)
        await move(
            session, ticket, target, by=by, actor=actor, reason=change.reason, resolution=change.resolution
        )
    elif change.reason is not None or change.resolution is not None:
        raise invalid_field(["body", "status"], "reason and resolution go with a new status")
    return ticket


def _may_edit(ticket: Ticket, actor: User, values: dict[str, Any]) -> None:
    if actor.is_staff:
        return
    if actor.role is not Role.CLIENT or ticket.created_by != actor.id or ticket.status is not Status.NEW:
        msg = "only staff edit tickets, and customers their own while they are new"
        raise Forbidden(msg)
    beyond = set(values) - CLIENT_MAY_EDIT
    if beyond or values.get("priority") is Priority.URGENT:
        msg = f"{', '.join(sorted(beyond)) or 'priority urgent'} is for staff"
        raise Forbidden(msg)


async def delete(session: AsyncSession, ticket: Ticket, *, if_match: IfMatch) -> None:
    """Delete ``ticket``, which must be locked, and its history.

    Raises:
        Stale: (412).
    """
    if not if_match.admits(ticket.version):
        if_match.require(ticket.version, await queries.changes_of(session, ticket))
    for forget in ON_DELETE:
        await forget(session, ticket)
    await session.execute(sql_delete(Ticket).where(Ticket.id == ticket.id))


async def claim(session: AsyncSession, ticket: Ticket, *, account: User) -> Ticket:
    """Tie ``ticket``, which must be locked, to the account of the client who has its code.

    Raises:
        AlreadyClaimed: (409) it is tied to another account.
    """
    if ticket.account_id is None:
        ticket.account_id = account.id
        history.add(session, ticket, "claimed", actor=account)
    elif ticket.account_id != account.id:
        msg = "this ticket belongs to another account"
        raise AlreadyClaimed(msg)
    return ticket


async def mark_viewed(session: AsyncSession, ticket: Ticket, viewer: User) -> None:
    """Note that the assigned worker has opened the ticket, the first time.

    One statement, so that it is whole on a session of reads too: a second connection beside
    that one could starve when many look at once.
    """
    if ticket.viewed or Party.ITS_WORKER not in ticket.parties(viewer):
        return
    marked = (
        sql_update(Ticket)
        .where(Ticket.id == ticket.id, Ticket.worker_id == viewer.id, Ticket.viewed.is_(False))
        .values(viewed=True)
        .returning(Ticket.id, Ticket.version)
        .cte("marked")
    )
    told = history.line_of(marked, "viewed", {"viewed": [False, True]}, actor_id=literal(viewer.id))
    if await session.scalar(told.returning(TicketEvent.id)) is not None:
        set_committed_value(ticket, "viewed", True)


class TicketWork:
    """What the floor of the users needs to know of a worker's tickets."""

    async def count(self, session: AsyncSession, worker_id: int) -> int:
        """Return how many open tickets the worker has."""
        return await queries.count_open(session, worker_id)

    async def hand_over(self, session: AsyncSession, worker_id: int, to: User, *, actor: User) -> None:
        """Give all of them to another worker."""
        for ticket in await queries.lock_open(session, worker_id):
            await assign(session, ticket, to, actor=actor)
        await session.flush()


users.REGISTRY.work = TicketWork()
