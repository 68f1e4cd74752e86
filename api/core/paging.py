"""Lists: one query model, a sort from a published list, a cursor, and a capped total."""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar, cast

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Integer, Row, Select, Subquery, bindparam, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from api.core.errors import AppError
from api.core.fields import MAX_ID, Search

T = TypeVar("T")
AnySelect = Select[*tuple[Any, ...]]
AnyRow = Row[*tuple[Any, ...]]
Expression = ColumnElement[Any] | InstrumentedAttribute[Any]

MAX_TOTAL: Final = 10_000
"""Counting stops here: an exact total of millions costs more than the page itself."""
FAR: Final = datetime(9999, 12, 31, tzinfo=UTC)
LONG_AGO: Final = datetime(1, 1, 2, tzinfo=UTC)
"""Not the first day: asyncpg takes that for minus infinity, which comes back without a zone."""
BAD_CURSOR: Final = "cursor is not valid for this list and sort"


class InvalidCursor(AppError):
    """The `cursor` was not issued by this API for this list and sort."""

    status = 422
    code = "invalid_cursor"


class PageQuery(BaseModel):
    """Query parameters shared by every list."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    page: Annotated[int, Ge(1), Le(1_000_000)] = Field(1, description="Counted from 1")
    size: Annotated[int, Ge(1), Le(100)] = Field(10, description="Rows on a page")
    cursor: Annotated[str, Field(max_length=500)] | None = Field(
        None, description="`next_cursor` of the answer before; takes the place of `page`"
    )


class SearchQuery(PageQuery):
    """A list that can be searched."""

    search: Search | None = Field(None, description="Words, or the beginnings of words")

    @property
    def words(self) -> str | None:
        """What to look for, or None when nothing was asked."""
        return self.search or None


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    model_config = ConfigDict(from_attributes=True)

    items: list[T]
    total: int = Field(description=f"Matching rows; counting stops at {MAX_TOTAL}")
    total_is_exact: bool
    page: int
    size: int
    pages: int | None = Field(description="Null where `total` is not exact")
    next_cursor: str | None = Field(description="Null on the last page")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """What :func:`paginate` found; endpoints return it, ``Page`` writes it."""

    items: Sequence[T]
    total: int
    total_is_exact: bool
    page: int
    size: int
    next_cursor: str | None

    @property
    def pages(self) -> int | None:
        """How many pages there are, when that is known."""
        return math.ceil(self.total / self.size) if self.total_is_exact else None

    def map(self, convert: Callable[[T], Any]) -> "Slice[Any]":
        """Return the slice with each item converted."""
        items = [convert(item) for item in self.items]
        return Slice(items, self.total, self.total_is_exact, self.page, self.size, self.next_cursor)


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


def _whole(number: int) -> ColumnElement[int]:
    # Written into the statement: with a parameter PostgreSQL cannot know how few rows are wanted,
    # and plans for a tenth of the table (measured at 2-3 times the cost).
    return bindparam(None, number, Integer, literal_execute=True)


async def paginate(
    session: AsyncSession,
    matches: AnySelect,
    query: PageQuery,
    *,
    keys: Mapping[str, Key],
    sort: str,
    show: Callable[[Subquery], AnySelect],
) -> Slice[AnyRow]:
    """Return one page of ``matches`` with its total.

    ``matches`` selects ids only. The page is cut from it before ``show`` joins what is to be
    seen, so that rows which are skipped cost nothing but their index entry.

    Raises:
        InvalidCursor: (422) the cursor was not made for this list and sort.
    """
    descending, name = sort.startswith("-"), sort.removeprefix("-")
    key = keys[name].expression(descending=descending)
    (identity,) = matches.selected_columns
    total = select(func.count()).select_from(
        matches.with_only_columns(literal(1), maintain_column_froms=True)
        .order_by(None)
        .limit(_whole(MAX_TOTAL + 1))
        .subquery()
    )
    ids = matches.add_columns(key.label("sort_key"))
    if query.cursor is None:
        ids = ids.offset(_whole((query.page - 1) * query.size))
    else:
        after = tuple_(*_decode(query.cursor, sort, key))
        ids = ids.where(tuple_(key, identity) < after if descending else tuple_(key, identity) > after)
    ids = ids.order_by(*_order(key, identity, descending=descending)).limit(_whole(query.size + 1))
    page = ids.subquery("page")
    order = _order(page.c.sort_key, page.c.id, descending=descending)
    shown = show(page).add_columns(page.c.sort_key, total.scalar_subquery().label("total")).order_by(*order)
    rows = (await session.execute(shown)).all()
    if rows:
        found = rows[0].total
    else:  # past the end, or nothing matches at all
        found = 0 if query.page == 1 and query.cursor is None else await session.scalar(total) or 0
    more, rows = len(rows) > query.size, rows[: query.size]
    return Slice(
        rows,
        min(found, MAX_TOTAL),
        found <= MAX_TOTAL,
        query.page,
        query.size,
        _encode(sort, rows[-1].sort_key, rows[-1].id) if more else None,
    )


def _order(
    key: ColumnElement[Any], identity: ColumnElement[Any], *, descending: bool
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return (key.desc(), identity.desc()) if descending else (key.asc(), identity.asc())


def _encode(sort: str, value: Any, identity: int) -> str:
    written = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([sort, written, identity]).encode()).decode().rstrip("=")


def _decode(cursor: str, sort: str, key: ColumnElement[Any]) -> tuple[ColumnElement[Any], ColumnElement[int]]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        made_for, value, identity = json.loads(base64.b64decode(padded, b"-_", validate=True))
        value = _of_kind(value, key.type.python_type)
        _of_kind(identity, int)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidCursor(BAD_CURSOR) from error
    if made_for != sort:
        raise InvalidCursor(BAD_CURSOR)
    return literal(value, key.type), literal(identity)


def _of_kind(value: Any, kind: type) -> Any:
    # Whatever PostgreSQL could not take is refused here: a cursor comes from outside like any field.
    if kind is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment.astimezone(UTC)
    too_large = isinstance(value, int) and not 0 <= value <= MAX_ID
    if type(value) is not kind or too_large or "\x00" in str(value):
        raise ValueError(value)
    str(value).encode()
    return value
