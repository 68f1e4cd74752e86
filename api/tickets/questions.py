"""What is asked of a search for tickets, and what a statement answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import ColumnElement, true, tuple_

from api.core.cut import AnyRow
from api.core.search import Document, Question
from api.tickets.states import Status

RELEVANCE: Final = "relevance"


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked of which tickets.

    An index ordered by ``created_at`` serves ``scope``, and one of ``statuses`` at a time.
    """

    question: Question
    document: Document
    scope: tuple[ColumnElement[bool], ...] = ()
    statuses: tuple[Status, ...] = ()
    filters: tuple[ColumnElement[bool], ...] = ()


def is_descending(sort: str) -> bool:
    """Tell whether ``sort`` puts the largest first."""
    return sort.startswith("-") or sort == RELEVANCE


def is_by_date(sort: str) -> bool:
    """Tell whether ``sort`` is by the time of creation."""
    return sort.removeprefix("-") == "created_at"


@dataclass(frozen=True, slots=True)
class Order:
    """How the page is sorted, and after which sort key and id it begins."""

    sort: str
    key: ColumnElement[Any]
    after: ColumnElement[Any] | None

    @property
    def descending(self) -> bool:
        """Whether the largest is first."""
        return is_descending(self.sort)

    @property
    def by_date(self) -> bool:
        """Whether tickets that are looked through come in the order of the page."""
        return is_by_date(self.sort)

    def begins(self, key: ColumnElement[Any], identity: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the condition that a row comes after the page before."""
        if self.after is None:
            return true()
        row = tuple_(key, identity)
        return row < self.after if self.descending else row > self.after


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement found, and the row that says for whom."""

    caller: AnyRow
    rows: list[AnyRow]
    ended: bool
    """Nothing comes after ``rows``."""
    matched: int
    is_all: bool
    """More than ``matched`` there are not."""
    looked: int
    fitting: int
    """How many of the newest that were ``looked`` through fit."""

    @classmethod
    def of(cls, rows: Sequence[AnyRow]) -> Self | None:
        """Return what the rows of one tell, or None if there is nobody to be told."""
        if not rows:
            return None
        said = rows[0]
        return cls(
            caller=said,
            rows=[row for row in rows if row.id is not None],
            ended=said.ended,
            matched=said.matched,
            is_all=said.is_all,
            looked=said.walked,
            fitting=said.fitting,
        )
