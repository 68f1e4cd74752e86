"""A period and the blocks and slices that cover it: each moment in it once, none beside it."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from api.core.fields import EARLIEST
from api.tickets.periods import ALL_DAYS, SPANS, Cover, cover

NOW = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def times(covering: Cover, moment: datetime) -> int:
    """Return how often ``moment`` is counted."""
    day = moment.date()
    blocks = sum(
        block.sign
        for block in covering.blocks
        if block.span == ALL_DAYS or block.start <= day < block.start + block.span * DAY
    )
    return blocks + sum(end.sign for end in covering.slices if end.since <= moment < end.until)


@pytest.mark.parametrize("finest", [1, 8, 32])
def test_each_moment_of_a_period_is_counted_once_and_no_other(finest: int) -> None:
    chance = random.Random(1)  # noqa: S311
    moments = [datetime(1999, 1, 1, tzinfo=UTC) + chance.random() * 30 * 365 * DAY for _ in range(300)]
    for _ in range(300):
        since = chance.choice([EARLIEST, *moments, NOW - DAY, NOW + DAY])
        length = chance.choice([-1, 0.1, 1, 5, 30, 100, 365, 2000, 9000]) * chance.random() * DAY
        until = chance.choice([NOW, since + length, since + length])
        near = [since, since - timedelta(microseconds=1), until, until - timedelta(microseconds=1)]

        found = cover(since, until, now=NOW, finest=finest)

        assert {m for m in (*moments, *near) if times(found, m) != (since <= m < until)} == set()
        assert len(found.slices) <= 2
        assert all(finest <= block.span for block in found.blocks)


def test_blocks_begin_at_multiples_of_their_length() -> None:
    found = cover(NOW - 3000 * DAY, NOW - 3 * DAY, now=NOW)

    assert {block.span for block in found.blocks} == set(SPANS)
    assert all((block.start - date(1000, 1, 1)).days % block.span == 0 for block in found.blocks)


@pytest.mark.parametrize("days", [1, 30, 365, 3650, 10_000])
def test_any_period_is_some_dozen_blocks(days: int) -> None:
    assert len(cover(NOW - days * DAY, NOW, now=NOW).blocks) <= 40


def test_all_time_is_one_block() -> None:
    found = cover(EARLIEST, NOW, now=NOW)

    assert [block.span for block in found.blocks] == [ALL_DAYS]


def test_a_period_that_ends_before_it_begins_is_nothing() -> None:
    found = cover(NOW, NOW - DAY, now=NOW)

    assert (found.blocks, found.slices) == ((), ())
