"""Lists: one query model, a sort from a published list, a cursor, and a capped total."""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Subquery, literal
from sqlalchemy.ext.asyncio import AsyncSession

from api.core.cut import MAX_TOTAL, AnyRow, AnySelect, Cut, Key, count, moment_key, with_total
from api.core.errors import AppError
from api.core.fields import MAX_ID, Search

__all__ = [
    "AnyRow",
    "AnySelect",
    "InvalidCursor",
    "Key",
    "Page",
    "PageQuery",
    "SearchQuery",
    "Slice",
    "encode",
    "moment_key",
    "paginate",
    "place",
    "sliced",
]

T = TypeVar("T")

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
    key, descending = keys[sort.removeprefix("-")], sort.startswith("-")
    if query.cursor is None:
        cut = Cut(key, descending, query.size, skip=(query.page - 1) * query.size)
    else:
        value, identity = place(query.cursor, sort, key)
        cut = Cut(key, descending, query.size, after=(literal(value, key.column.type), literal(identity)))
    statement = with_total(cut.of_table(matches), count(matches), show, cut)
    return sliced((await session.execute(statement)).all(), query, sort)


def sliced(rows: Sequence[AnyRow], query: PageQuery, sort: str) -> Slice[AnyRow]:
    """Return what the rows of :func:`with_total` tell."""
    found = rows[0].total
    there = [] if rows[0].id is None else rows
    more, there = len(there) > query.size, there[: query.size]
    return Slice(
        there,
        min(found, MAX_TOTAL),
        found <= MAX_TOTAL,
        query.page,
        query.size,
        encode(sort, there[-1].sort_key, there[-1].id) if more else None,
    )


def encode(sort: str, value: Any, identity: int) -> str:
    """Return the cursor of what comes after a row."""
    shown = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([sort, shown, identity]).encode()).decode().rstrip("=")


def place(cursor: str, sort: str, key: Key) -> tuple[Any, int]:
    """Return the key and the id of the row a cursor was made after.

    Raises:
        InvalidCursor: (422) it was not made for this list and sort.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        made_for, value, identity = json.loads(base64.b64decode(padded, b"-_", validate=True))
        value = _of_kind(value, key.column.type.python_type)
        _of_kind(identity, int)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidCursor(BAD_CURSOR) from error
    if made_for != sort:
        raise InvalidCursor(BAD_CURSOR)
    return value, identity


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
