"""One statement that looks for tickets: through the newest of them, and in the index of words if need be."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    Subquery,
    Table,
    and_,
    case,
    cast,
    column,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    table,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, TSQUERY, aggregate_order_by
from sqlalchemy.sql.visitors import replacement_traverse

from api.core.cut import AnySelect, in_order
from api.core.ready import written
from api.core.search import is_match
from api.tickets.models import Ticket
from api.tickets.queries import listed
from api.tickets.questions import RELEVANCE, Order, Search

NEWEST: Final = 2_000
"""Rows looked through first: 3 ms, and enough for every word that one ticket in a hundred has."""
CANDIDATES: Final = 10_000
"""Rows the index may name, and rows looked through for a page that is not sorted by date."""
FARTHEST: Final = 30_000
COMMON: Final = 100
"""Of a word that more than one ticket in so many has, the index is not asked."""

_tickets: Final = Ticket.metadata.tables["tickets"]
_looked_at: Final = [
    _tickets.c[name]
    for name in (
        *("id", "created_at", "updated_at", "scheduled_at", "due_at", "published_at", "status", "priority"),
        *("viewed", "worker_id", "client_id", "account_id", "title", "description", "address", "search"),
    )
]
"""What conditions, sorts and documents are made of: each column more is time in every search."""
_pg_class: Final = table("pg_class", column("oid"), column("reltuples"))


class Statement:
    """One statement: the newest tickets, and the index if need be."""

    def __init__(self, search: Search, order: Order, *, limit: int, index: bool) -> None:
        self._search, self._order, self._index = search, order, index
        apart = order.by_date and order.after is not None
        self._limit, self._first = limit, NEWEST if apart else limit
        self._top = self._walked = self._seen(self._newest(self._first, true()), "top")
        self._top_count = self._walked_count = _count(self._top, "top_count")
        if apart:
            begins = order.begins(_tickets.c.created_at, _tickets.c.id)
            self._walked = self._seen(self._newest(limit, begins), "walked")
            self._walked_count = _count(self._walked, "walked_count")
        self._gate: ColumnElement[bool] = false()
        named: ColumnElement[bool] = false()
        if index:
            rarest = self._rare_words()
            self._gate = self._few(rarest)
            named = _tickets.c.search.op("@@")(select(rarest.c.question).scalar_subquery())
        # One more than is taken: then there are too many.
        found = select(*_looked_at).where(named, self._gate).limit(_whole(CANDIDATES + 1))
        self._named = self._seen(found.subquery("found"), "named")
        self._named_count = _count(self._named, "named_count")
        self._verdict = self._judged()

    def of(
        self, me: CTE, show: Callable[[Subquery], AnySelect], *, skip: ColumnElement[int], size: int
    ) -> AnySelect:
        """Return the statement of ``size`` rows after so many to ``skip``, as ``show`` shows them.

        All of it is for each row of ``me``, so nothing where that has none.
        """
        page = self._page().offset(skip).limit(_whole(size)).subquery("page")
        shown = show(page).add_columns(page.c.sort_key).subquery("shown")
        verdict = self._verdict
        return (
            select(*shown.c, *verdict.c, *(column.label(f"my_{column.key}") for column in me.c))
            .select_from(me.join(verdict, true()).outerjoin(shown, true()))
            .order_by(*in_order(shown.c.sort_key, shown.c.id, descending=self._order.descending))
        )

    def _newest(self, limit: int, begins: ColumnElement[bool]) -> Subquery:
        """Return that many tickets of the scope, the newest or where asked so the oldest."""
        descending = self._order.descending or not self._order.by_date

        def ordered(found: AnySelect, rows: FromClause) -> AnySelect:
            found = found.order_by(*in_order(rows.c.created_at, rows.c.id, descending=descending))
            return found.limit(_whole(limit))

        scope = (*self._search.scope, begins)
        if not self._search.statuses:
            return ordered(select(*_looked_at).where(*scope), _tickets).subquery("newest")
        # An index has the tickets of one status in order, not of several.
        each = [
            ordered(
                select(*_looked_at).where(*scope, listed(_tickets.c.status, (status,))), _tickets
            ).subquery()
            for status in self._search.statuses
        ]
        together = union_all(*[select(one) for one in each]).subquery()
        return ordered(select(together), together).subquery("newest")

    def _rare_words(self) -> CTE:
        """Return what the index is asked: of the words the one or two that the newest tickets have least.

        For each beginning of a word the index collects all tickets that have it: long for a common one.
        """
        top, terms = self._top, self._search.question.terms
        has = case((is_match(top.c.search, terms.c.term), 1))
        each = select(terms.c.term, func.count(has).label("tickets"))
        each_term = (
            each.select_from(terms.outerjoin(top, true())).group_by(terms.c.term).subquery("each_term")
        )
        rarest = func.array_agg(
            aggregate_order_by(each_term.c.term, each_term.c.tickets), type_=ARRAY(TSQUERY)
        )
        least, nothing = func.min(each_term.c.tickets), cast("", TSQUERY)
        few = self._expected(least, select(self._top_count.c.looked).scalar_subquery()) <= CANDIDATES
        also = case((few, nothing), else_=func.coalesce(rarest[2], nothing))
        question = rarest[1].op("&&", return_type=TSQUERY())(also)
        return select(question.label("question"), least.label("least")).cte("rarest")

    def _seen(self, rows: Subquery, name: str) -> CTE:
        """Return id and sort key of each row, and whether it fits."""
        search = self._search
        question = search.question.full
        fits = is_match(rows.c.search, question)
        if search.document is not Ticket.search:  # made for each row, so for none in vain
            fits = case((fits, _on(rows, is_match(search.document, question))), else_=false())
        conditions = [_on(rows, condition) for condition in (*search.scope, *search.filters)]
        if search.statuses:
            conditions.append(listed(rows.c.status, search.statuses))
        fits = func.coalesce(and_(*conditions, fits), false())
        key = _on(rows, self._order.key)
        if self._order.sort == RELEVANCE:
            key = case((fits, key), else_=literal(0, DOUBLE_PRECISION))
        columns = (rows.c.id, key.label("sort_key"), fits.label("fits"))
        seen = select(*columns, *([rows.c.search] if self._index else [])).cte(name)
        return seen.prefix_with("MATERIALIZED", dialect="postgresql")

    def _expected(self, tickets: ColumnElement[int], among: ColumnElement[int]) -> ColumnElement[Any]:
        """Return how many tickets there are at all, if the newest are like all others."""
        known = select(func.greatest(_pg_class.c.reltuples, 0)).where(
            _pg_class.c.oid == literal_column(f"'{_tickets.name}'::regclass")
        )
        return tickets * known.scalar_subquery() / func.greatest(among, 1)

    def _few(self, rarest: CTE) -> ColumnElement[bool]:
        """Return whether the index is asked."""
        count, top = self._top_count, self._top
        question = select(rarest.c.question).scalar_subquery()
        named = select(func.count()).select_from(top).where(is_match(top.c.search, question))
        few = and_(
            count.c.looked >= self._first,
            rarest.c.least * COMMON <= count.c.looked,
            self._expected(named.scalar_subquery(), count.c.looked) <= CANDIDATES,
        )
        judged = select(func.coalesce(few, false()).label("few")).select_from(count.join(rarest, true()))
        return select(judged.cte("few").c.few).scalar_subquery()

    def _judged(self) -> CTE:
        top, walked, named = self._top_count, self._walked_count, self._named_count
        # Some of the old ones are better than nothing.
        whole_answer = named.c.looked <= CANDIDATES
        by_index = and_(self._gate, or_(whole_answer, top.c.matched == 0))
        is_all = case((by_index, whole_answer), else_=top.c.looked < self._first)
        return (
            select(
                by_index.label("by_index"),
                case((by_index, named.c.matched), else_=top.c.matched).label("matched"),
                is_all.label("is_all"),
                or_(and_(by_index, whole_answer), and_(not_(by_index), walked.c.looked < self._limit)).label(
                    "ended"
                ),
                walked.c.looked.label("walked"),
                walked.c.matched.label("fitting"),
            )
            .select_from(
                top.join(named, true()) if walked is top else top.join(named, true()).join(walked, true())
            )
            .cte("verdict")
        )

    def _page(self) -> AnySelect:
        by_index = select(self._verdict.c.by_index).scalar_subquery()
        found = union_all(
            select(self._walked.c.id, self._walked.c.sort_key).where(self._walked.c.fits, not_(by_index)),
            select(self._named.c.id, self._named.c.sort_key).where(self._named.c.fits, by_index),
        ).subquery()
        return (
            select(found.c.id, found.c.sort_key)
            .where(self._order.begins(found.c.sort_key, found.c.id))
            .order_by(*in_order(found.c.sort_key, found.c.id, descending=self._order.descending))
        )


def _whole(number: int) -> ColumnElement[int]:
    return written(number, Integer)


def _count(seen: CTE, name: str) -> CTE:
    return (
        select(
            func.count().label("looked"),
            func.count().filter(seen.c.fits).label("matched"),
        )
        .select_from(seen)
        .cte(name)
    )


def _on(rows: Subquery, clause: ColumnElement[Any]) -> Any:
    """Return what is said of tickets, said of ``rows`` of them."""

    def instead(element: Any, **_: Any) -> Any:
        owner = getattr(element, "table", None)
        return rows.c[element.key] if isinstance(owner, Table) and owner.name == _tickets.name else None

    return replacement_traverse(clause, {}, instead)
