"""``GET /tickets``: its filters, and who asks, the page and its total in one statement.

The statement is written by hand where the planner would guess wrong: it believes that what is open
is as old as all the rest, and would walk through years of closed tickets to find ten open ones.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, cast

from sqlalchemy import BigInteger, ColumnElement, Subquery, false, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.auth.queries import CALLER, me, parameters
from api.clients.models import Client
from api.core.cut import Cut, count, with_total
from api.core.paging import AnyRow, AnySelect, Slice, place, sliced
from api.core.ready import Ready, parameter
from api.core.security import Claims
from api.tickets.comments.reading import unread
from api.tickets.filters import KEYS, PARAMETERS, TicketQuery
from api.tickets.models import Ticket
from api.tickets.queries import visible_to
from api.tickets.states import OPEN

STATEMENTS: Final = 500
"""How many of them a process keeps; each is some kilobytes of text."""

LISTED: Final = (
    Ticket.id,
    Ticket.code,
    Ticket.title,
    Ticket.address,
    Ticket.status,
    Ticket.priority,
    Ticket.viewed,
    Ticket.created_by,
    Ticket.published_at,
    Ticket.scheduled_at,
    Ticket.due_at,
    Ticket.resolution,
    Ticket.hold_reason,
    Ticket.cancel_reason,
    Ticket.created_at,
    Ticket.updated_at,
    Ticket.assigned_at,
    Ticket.in_progress_at,
    Ticket.done_at,
    Ticket.closed_at,
    Ticket.canceled_at,
    Ticket.worker_id,
    Ticket.account_id,
    Ticket.requester_ip,
    Ticket.requester_ua,
    Client.id.label("client_id"),
    Client.name.label("client_name"),
    Client.phone.label("client_phone"),
    Client.email.label("client_email"),
    User.username.label("worker_username"),
    User.name.label("worker_name"),
)


@dataclass(frozen=True, slots=True)
class _Question:
    """Questions that are equal here have one statement, with other parameters."""

    role: Role
    form: tuple[Any, ...]
    after: Literal["nothing", "a value", "no value"]
    query: TicketQuery = field(compare=False)


async def find(
    session: AsyncSession, query: TicketQuery, *, claims: Claims, role: Role
) -> tuple[User, Slice[AnyRow]] | None:
    """Return the caller, and one page of the tickets they may see as a ``role``.

    None unless the caller is signed in and has that role: the same statement tells.

    Raises:
        InvalidCursor: (422) it was not made for this list and sort.
    """
    if query.words:
        return await _search(session, query, claims=claims, role=role)
    return await _list(session, query, claims=claims, role=role)


async def _search(
    session: AsyncSession, query: TicketQuery, *, claims: Claims, role: Role
) -> tuple[User, Slice[AnyRow]] | None:
    """Return the same of tickets with certain words."""
    return await _list(session, query, claims=claims, role=role)


async def _list(
    session: AsyncSession, query: TicketQuery, *, claims: Claims, role: Role
) -> tuple[User, Slice[AnyRow]] | None:
    values = parameters(claims) | {name: getattr(query, name) for name in (*PARAMETERS, "words")}
    after: Literal["nothing", "a value", "no value"] = "nothing"
    if query.cursor is not None:
        key = KEYS[query.sort.removeprefix("-")]
        values["after_key"], values["after_id"] = place(query.cursor, query.sort, key)
        after = "no value" if values["after_key"] in (key.if_null or ()) else "a value"
    rows = await _ready(_Question(role, query.form, after, query)).ask(session, values)
    if not rows:
        return None
    me = rows[0]
    caller = User(
        id=me.my_id, username=me.my_username, name=me.my_name, phone=me.my_phone, email=me.my_email, role=role
    )
    return caller, sliced(rows, query, query.sort)


@lru_cache(maxsize=STATEMENTS)
def _ready(question: _Question) -> Ready:
    query, sort = question.query, question.query.sort
    viewer = User(id=cast("Any", CALLER), role=question.role)
    key = KEYS[sort.removeprefix("-")]
    cut = Cut(
        key,
        sort.startswith("-"),
        query.size,
        skip=0 if query.cursor else (query.page - 1) * query.size,
        after=(parameter("after_key", key.column.type), parameter("after_id", BigInteger))
        if query.cursor
        else None,
        unknown=question.after == "no value",
    )
    page, total = _page(query, viewer, cut)

    def show(page: Subquery) -> AnySelect:
        return (
            select(*LISTED, unread(viewer, Ticket.id).label("unread_comments"))
            .select_from(page)
            .join(Ticket, Ticket.id == page.c.id)
            .join(Client, Client.id == Ticket.client_id)
            .outerjoin(User, User.id == Ticket.worker_id)
        )

    return Ready.made(with_total(page, total, show, cut, me(question.role)))


def _page(query: TicketQuery, viewer: User, cut: Cut) -> tuple[AnySelect, ColumnElement[int]]:
    """Return the ids of the page, and the total."""
    found = _found(query, viewer)
    if _few(query, viewer):
        # Found first and sorted then. Left to itself, the planner walks along the order instead, in
        # the belief that the few are spread evenly over it.
        few = found.add_columns(cut.expression.label("sort_key")).cte("found").prefix_with("MATERIALIZED")
        return cut.of(few), count(select(few.c.id))
    if query.sort.removeprefix("-") == "created_at":
        each = [query.model_copy(update={"status": [status]}) for status in query.statuses]
        if not each:
            each = [query.model_copy(update={"priority": [priority]}) for priority in query.priorities]
        if len(each) > 1:
            return cut.of_branches(_found(one, viewer) for one in each), count(found)
    return cut.of_table(found), count(found)


def _found(query: TicketQuery, viewer: User) -> AnySelect:
    found = select(Ticket.id)
    if not query.pool or viewer.role is not Role.WORKER:
        return found.where(visible_to(viewer), *query.where(Ticket.search))
    # The whole document has the client's name and phone in it, and would tell them by guessing.
    found = found.where(*query.where(func.search_document(Ticket.title, Ticket.description)))
    # So would this.
    return found if query.client_id is None else found.where(false())


def _few(query: TicketQuery, viewer: User) -> bool:
    """Tell whether what is asked for is little however old the shop is, but not in the order asked for."""
    somebodys = query.client_id is not None or viewer.role is Role.CLIENT
    match query.sort.removeprefix("-"):
        case "created_at":
            scheduled = query.scheduled_from or query.scheduled_to
            sifted = somebodys and (query.statuses or query.priorities)
            return bool(query.overdue or sifted or (scheduled and not query.statuses))
        case "due_at":
            still_open = False  # an index has what is open in this order
        case _:
            still_open = bool(query.overdue) or (len(query.statuses) > 0 and set(query.statuses) <= set(OPEN))
    return still_open or bool(query.pool) or somebodys
