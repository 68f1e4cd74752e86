"""``GET /tickets``: who asks, the page and its total in one statement.

The statement is written by hand where the planner would guess wrong: it believes that what is open
is as old as all the rest, and would walk through years of closed tickets to find ten open ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, cast

from sqlalchemy import BigInteger, ColumnElement, Subquery, false, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.auth.queries import CALLER, me, parameters
from api.clients.models import Client
from api.core.cut import Cut, count, with_total
from api.core.paging import AnyRow, AnySelect, Slice, place, sliced
from api.core.ready import Ready, parameter
from api.core.search import Document
from api.core.security import Claims
from api.tickets import looking, searching
from api.tickets.comments.reading import unread
from api.tickets.filters import KEYS, PARAMETERS, QUESTION, TicketQuery
from api.tickets.highlights import marked
from api.tickets.models import Ticket
from api.tickets.queries import pooled, visible_to
from api.tickets.questions import Order, Outcome, Search, is_descending
from api.tickets.states import OPEN
from api.tickets.suggestions import did_you_mean

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


SKIPPED: Final = parameter("skipped", BigInteger)
"""How many tickets a search leaves out before its page."""


@dataclass(frozen=True, slots=True)
class _Question:
    """Questions that are equal here have one statement, with other parameters."""

    role: Role
    form: tuple[Any, ...]
    after: Literal["nothing", "a value", "no value"]
    query: TicketQuery = field(compare=False)


class Listed(NamedTuple):
    """A page of tickets."""

    caller: User
    page: Slice[AnyRow]
    did_you_mean: str | None = None
    """Other words, that find something where these found nothing."""


async def find(session: AsyncSession, query: TicketQuery, *, claims: Claims, role: Role) -> Listed | None:
    """Return one page of the tickets that the caller may see as a ``role``.

    None unless the caller is signed in and has that role: the same statement tells.

    Raises:
        InvalidCursor: (422) it was not made for this list and sort.
    """
    question, values = _asked(query, claims, role)
    if query.words:
        return await _search(
            session, question, values | {"words": query.words, "skipped": searching.skip(query)}
        )
    rows = await _ready(question).ask(session, values)
    return Listed(_caller(rows[0], role), sliced(rows, query, query.sort)) if rows else None


async def _search(session: AsyncSession, question: _Question, values: dict[str, Any]) -> Listed | None:
    """Return the same of tickets with certain words."""
    query, role = question.query, question.role

    async def look(limit: int, *, index: bool) -> Outcome | None:
        return Outcome.of(await _looking(question, limit, index=index).ask(session, values))

    async def finds(words: str) -> bool:
        outcome = Outcome.of(await _offering(question).ask(session, values | {"words": words}))
        return outcome is not None and bool(outcome.rows)

    found = await searching.find(query, query.sort, look)
    if found is None:
        return None
    caller, page = _caller(found[0], role), found[1]
    if page.items or page.total or query.page > 1 or query.cursor is not None:
        return Listed(caller, page)
    offer = await did_you_mean(session, values["words"], finds=finds, doubt_all=page.total_is_exact)
    return Listed(caller, page, offer)


def _asked(query: TicketQuery, claims: Claims, role: Role) -> tuple[_Question, dict[str, Any]]:
    values = parameters(claims) | {name: getattr(query, name) for name in PARAMETERS}
    after: Literal["nothing", "a value", "no value"] = "nothing"
    if query.cursor is not None:
        key = KEYS[query.sort.removeprefix("-")]
        values["after_key"], values["after_id"] = place(query.cursor, query.sort, key)
        after = "no value" if values["after_key"] in (key.if_null or ()) else "a value"
    return _Question(role, query.form, after, query), values


def _caller(row: AnyRow, role: Role) -> User:
    return User(
        id=row.my_id,
        username=row.my_username,
        name=row.my_name,
        phone=row.my_phone,
        email=row.my_email,
        role=role,
    )


def _viewer(role: Role) -> User:
    return User(id=cast("Any", CALLER), role=role)


def _show(viewer: User) -> Callable[[Subquery], AnySelect]:
    def show(page: Subquery) -> AnySelect:
        return (
            select(*LISTED, unread(viewer, Ticket.id).label("unread_comments"))
            .select_from(page)
            .join(Ticket, Ticket.id == page.c.id)
            .join(Client, Client.id == Ticket.client_id)
            .outerjoin(User, User.id == Ticket.worker_id)
        )

    return show


def _after(query: TicketQuery) -> tuple[ColumnElement[Any], ColumnElement[int]] | None:
    if query.cursor is None:
        return None
    key = KEYS[query.sort.removeprefix("-")]
    return parameter("after_key", key.column.type), parameter("after_id", BigInteger)


@lru_cache(maxsize=STATEMENTS)
def _ready(question: _Question) -> Ready:
    query, viewer = question.query, _viewer(question.role)
    cut = Cut(
        KEYS[query.sort.removeprefix("-")],
        query.sort.startswith("-"),
        query.size,
        skip=searching.skip(query),
        after=_after(query),
        unknown=question.after == "no value",
    )
    page, total = _page(query, viewer, cut)
    return Ready.made(with_total(page, total, _show(viewer), cut, me(question.role)))


@lru_cache(maxsize=STATEMENTS)
def _looking(question: _Question, limit: int, *, index: bool) -> Ready:
    query, show, after = question.query, _show(_viewer(question.role)), _after(question.query)
    key = KEYS[query.sort.removeprefix("-")].expression(descending=is_descending(query.sort))
    order = Order(query.sort, key, None if after is None else tuple_(*after))
    statement = looking.Statement(_sought(question), order, limit=limit, index=index).of(
        me(question.role),
        lambda page: marked(show(page), QUESTION),
        skip=SKIPPED,
        size=query.size + 1,
    )
    return Ready.made(statement)


@lru_cache(maxsize=STATEMENTS)
def _offering(question: _Question) -> Ready:
    search = _sought(question)
    if question.role is Role.CLIENT:  # what the shop calls them is not offered to them
        search = replace(
            search, document=func.search_document(Ticket.title, Ticket.description, Ticket.address)
        )
    order = Order("-created_at", KEYS["created_at"].expression(descending=True), None)
    statement = looking.Statement(search, order, limit=looking.NEWEST, index=True)
    return Ready.made(statement.of(me(question.role), lambda page: select(page.c.id), skip=SKIPPED, size=1))


def _sought(question: _Question) -> Search:
    query, viewer = question.query, _viewer(question.role)
    document, scope = cast("Document", Ticket.search), _scope(query, viewer)
    if _is_pool_of(query, viewer):
        # The whole document has the client's name and phone in it, and would tell them by guessing.
        document = func.search_document(Ticket.title, Ticket.description)
    return Search(QUESTION, document, (*scope, *query.narrowing()), query.statuses, tuple(query.where()))


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
    return select(Ticket.id).where(*_scope(query, viewer), *query.where())


def _scope(query: TicketQuery, viewer: User) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that leave what ``viewer`` may see."""
    if not _is_pool_of(query, viewer):
        return (visible_to(viewer),)
    # Whose a ticket in the pool is would be told by guessing.
    return (pooled(),) if query.client_id is None else (pooled(), false())


def _is_pool_of(query: TicketQuery, viewer: User) -> bool:
    return bool(query.pool) and viewer.role is Role.WORKER


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
