"""A period as blocks of whole days, which are counted already, and what is left at its two ends.

Blocks are 1, 8, 32, 128 or 512 days long, and one is all days; each begins at a multiple of its length.
Each end goes to the nearest beginning of a longer block, outwards or inwards: what lies between is
added or taken away. So thirty years are some forty blocks, and an end is at most half a block off.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from api.core.fields import EARLIEST

SPANS: Final = (1, 8, 32, 128, 512)
ALL_DAYS: Final = 8**8
ENDS: Final = 2
_DAY: Final = timedelta(days=1)
_BEGINNING: Final = datetime(1000, 1, 1, tzinfo=UTC)
"""Where blocks begin: long before any ticket, and not ``date.min``, which the driver takes for infinity."""
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Block:
    """``span`` days from ``start``; ``sign`` tells whether they are added or taken away."""

    span: int
    start: date
    sign: int


@dataclass(frozen=True, slots=True)
class Slice:
    """What is from ``since`` until before ``until``, to be counted one by one."""

    since: datetime
    until: datetime
    sign: int

    @classmethod
    def between(cls, since: datetime, until: datetime) -> "Slice":
        """Return the way from one moment to another, taken away if it goes back."""
        return cls(since, until, 1) if since <= until else cls(until, since, -1)


_NOTHING: Final = Slice(EARLIEST, EARLIEST, 1)


@dataclass(frozen=True, slots=True)
class Cover:
    """Blocks and at most two slices that together are a period.

    The blocks together are the days from ``first`` until before ``last``, each once.
    """

    first: date
    last: date
    blocks: tuple[Block, ...]
    slices: tuple[Slice, ...]

    def parameters(self, name: str) -> dict[str, Any]:
        """Return what a statement wants to know, each name beginning with ``name``."""
        values: dict[str, Any] = {
            "first": self.first,
            "last": self.last,
            "spans": [block.span for block in self.blocks],
            "starts": [block.start for block in self.blocks],
            "signs": [block.sign for block in self.blocks],
        }
        for n, end in enumerate((*self.slices, _NOTHING, _NOTHING)[:ENDS]):
            values |= {f"since{n}": end.since, f"until{n}": end.until, f"sign{n}": end.sign}
        return {f"{name}_{key}": value for key, value in values.items()}


def cover(since: datetime, until: datetime, *, now: datetime, finest: int = 1) -> Cover:
    """Cover a period with blocks of ``finest`` days and longer.

    Nearly nothing is older than ``EARLIEST`` or newer than ``now``, so counting it one by one is cheap.
    """
    if since <= EARLIEST and until >= now:
        everything = (Block(ALL_DAYS, _BEGINNING.date(), 1),)
        return Cover(date.min, date.max, everything, (Slice(_BEGINNING, since, -1), Slice(until, _END, -1)))
    horizon = _after(now, finest)
    if until - since <= finest * _DAY or since >= _moment(horizon):
        alone = (Slice(since, until, 1),) if since < until else ()
        return Cover(since.date(), since.date(), (), alone)
    left = _nearest(since, finest)
    right = horizon if until >= now else _nearest(until, finest)
    return Cover(
        _date(left),
        _date(right),
        tuple(_blocks(left, right, today=_after(now, 1), spans=[span for span in SPANS if span >= finest])),
        (Slice.between(since, _moment(left)), Slice.between(_moment(right), until)),
    )


def _blocks(left: int, right: int, *, today: int, spans: Iterable[int]) -> Iterator[Block]:
    """Yield the blocks between two days, few short ones at both ends and long ones in between."""
    span = 0
    for span, wider in pairwise((*spans, ALL_DAYS)):
        if right - left <= wider:
            break
        inner = round(left / wider) * wider
        # What is to come is empty: a block that reaches into it need not be cut.
        outer = -(-right // wider) * wider if right >= today else round(right / wider) * wider
        yield from _row(left, inner, span)
        yield from _row(outer, right, span)
        left, right = inner, outer
    yield from _row(left, right, span)


def _row(left: int, right: int, span: int) -> Iterator[Block]:
    sign = 1 if left <= right else -1
    for day in range(min(left, right), max(left, right), span):
        yield Block(span, _date(day), sign)


def _nearest(moment: datetime, span: int) -> int:
    return round((moment - _BEGINNING) / (span * _DAY)) * span


def _after(moment: datetime, span: int) -> int:
    return ((moment - _BEGINNING) // (span * _DAY) + 1) * span


def _moment(day: int) -> datetime:
    return _BEGINNING + day * _DAY


def _date(day: int) -> date:
    return _moment(day).date()
