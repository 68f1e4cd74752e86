"""The SQL of pages: where in a sorted list a page is cut out, and how much there is in all."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    Row,
    Select,
    Subquery,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute

from api.core.ready import written

AnySelect = Select[*tuple[Any, ...]]
AnyRow = Row[*tuple[Any, ...]]
Expression = ColumnElement[Any] | InstrumentedAttribute[Any]

MAX_TOTAL: Final = 10_000
"""Counting stops here: an exact total of millions costs more than the page itself."""
FAR: Final = datetime(9999, 12, 31, tzinfo=UTC)
LONG_AGO: Final = datetime(1, 1, 2, tzinfo=UTC)
"""Not the first day: asyncpg takes that for minus infinity, which comes back without a zone."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a list can be sorted by; rows without a value come last in either direction."""

    column: Expression
    if_null: tuple[Any, Any] | None = None
    """Stands in for NULL when ascending, when descending; None where the column has no NULL."""

    def expression(self, *, descending: bool) -> ColumnElement[Any]:
        """Return what to order by."""
        if self.if_null is None:
            return cast("ColumnElement[Any]", self.column)
        return func.coalesce(self.column, literal(self.if_null[descending], self.column.type))


def moment_key(column: Expression) -> Key:
    """Return the key of a moment that may be unknown."""
    return Key(column, (FAR, LONG_AGO))


@dataclass(frozen=True, slots=True)
class Cut:
    """Where in a sorted list a page is: so many rows from its beginning, or after a certain row."""

    key: Key
    descending: bool
    size: int
    skip: int = 0
    after: "tuple[ColumnElement[Any], ColumnElement[int]] | None" = None
    """The key and the id of the last row seen."""
    unknown: bool = False
    """Whether that row had no value to be sorted by."""

    @property
    def expression(self) -> ColumnElement[Any]:
        """What to order by."""
        return self.key.expression(descending=self.descending)

    def order(self, key: ColumnElement[Any], identity: ColumnElement[Any]) -> tuple[ColumnElement[Any], ...]:
        """Return the order of the list."""
        return in_order(key, identity, descending=self.descending)

    def of(self, rows: FromClause) -> AnySelect:
        """Return the page of ``rows``, which have an ``id`` and a ``sort_key``, and one row more."""
        return self._cut(select(rows.c.id, rows.c.sort_key), rows.c.sort_key, rows.c.id)

    def of_table(self, matches: AnySelect) -> AnySelect:
        """Return the page of a statement that selects ids, and one row more."""
        (identity,) = matches.selected_columns
        if self.key.if_null is not None:
            return self._nulls_last(matches, identity)
        key = self.expression
        return self._cut(matches.add_columns(key.label("sort_key")), key, identity)

    def of_branches(self, branches: Iterable[AnySelect]) -> AnySelect:
        """Return the page of all ``branches``, each of which an index has in the order of the list."""
        beginning = replace(self, size=self.size + self.skip, skip=0)
        tops = [beginning.of_table(branch).subquery() for branch in branches]
        rows = union_all(*(select(top.c.id, top.c.sort_key) for top in tops)).subquery()
        return replace(self, after=None).of(rows)

    def _cut(self, rows: AnySelect, key: ColumnElement[Any], identity: ColumnElement[Any]) -> AnySelect:
        if self.after is not None:
            here = tuple_(key, identity)
            rows = rows.where(here < tuple_(*self.after) if self.descending else here > tuple_(*self.after))
        rows = rows.order_by(*self.order(key, identity)).limit(_whole(self.size + 1))
        return rows.offset(_whole(self.skip)) if self.skip else rows

    def _nulls_last(self, matches: AnySelect, identity: ColumnElement[Any]) -> AnySelect:
        """Return the page of rows with a value, filled up with rows without one.

        In two, since no index has NULL last in both directions; ids of the second are looked for
        only where the first are too few.
        """
        column, needed = self.key.column, self.skip + self.size + 1
        stand_in = literal((self.key.if_null or ())[self.descending], column.type)
        by_id = identity.desc() if self.descending else identity.asc()
        nulls = matches.where(column.is_(None)).add_columns(stand_in.label("sort_key"))
        if self.unknown and self.after is not None:
            seen = identity < self.after[1] if self.descending else identity > self.after[1]
            return nulls.where(seen).order_by(by_id).limit(_whole(self.size + 1))
        plain = replace(self, key=Key(column), size=self.skip + self.size, skip=0)
        known = plain.of_table(matches.where(column.is_not(None))).cte("known")
        too_few = select(func.count()).select_from(known).scalar_subquery() < _whole(needed)
        nulls = nulls.where(too_few).order_by(by_id).limit(_whole(needed))
        rows = union_all(select(known.c.id, known.c.sort_key), select(*nulls.subquery().c)).subquery()
        return replace(self, after=None).of(rows)


def in_order(
    key: ColumnElement[Any], identity: ColumnElement[Any], *, descending: bool
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return what to order by: the sort key, then the id."""
    return (key.desc(), identity.desc()) if descending else (key.asc(), identity.asc())


def count(rows: AnySelect) -> ColumnElement[int]:
    """Return how many ``rows`` there are, as far as anybody counts."""
    some: AnySelect = rows.with_only_columns(literal_column("1"), maintain_column_froms=True)
    return select(func.count()).select_from(some.limit(_whole(MAX_TOTAL + 1)).subquery()).scalar_subquery()


def _whole(number: int) -> ColumnElement[int]:
    return written(number, Integer)


def with_total(
    page: AnySelect, total: ColumnElement[int], show: Callable[[Subquery], AnySelect], cut: Cut, *first: CTE
) -> AnySelect:
    """Return the statement of a page that tells the total, even where the page has no rows.

    The total stands on the left of an outer join; with a ``first`` table, for each of its rows.
    """
    cut_out = page.subquery("page")
    shown = show(cut_out).add_columns(cut_out.c.sort_key).subquery("shown")
    left = first[0] if first else select(literal_column("1")).subquery("one")
    columns = [column.label(f"my_{column.key}") for table in first for column in table.c]
    return (
        select(*shown.c, total.label("total"), *columns)
        .select_from(left.outerjoin(shown, true()))
        .order_by(*cut.order(shown.c.sort_key, shown.c.id))
    )
