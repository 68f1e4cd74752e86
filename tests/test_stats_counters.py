"""Counters of tickets against counting every ticket: under writes and folding, at any edge."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from sqlalchemy import text

from api.core.db import Database, now
from api.tickets import counters, stats, stats_sql
from tests.factories import make_ticket
from tests.live_figures import counted_live
from tests.stats_books import (
    WRITERS,
    YEAR,
    assert_same,
    books,
    counted,
    differences,
    folded,
    own,
    sizes,
    snapshot,
    some_period,
    some_tickets,
    write,
)

__all__ = ["books", "own"]


MOVES: Final = 10_000


async def test_10_000_moves_of_8_writers_are_counted_at_any_moment(books: Database, own: str) -> None:
    """Two look all the while, in snapshots; two fold, so that they meet."""
    chance = random.Random(20261121)  # noqa: S311
    async with books.sessions.begin() as session:
        await session.execute(text("CREATE SEQUENCE codes"))
    written = asyncio.Event()
    looks = folded = 0

    async def look() -> None:
        nonlocal looks
        while not written.is_set():
            async with snapshot(books) as session:
                for _ in range(3):
                    await assert_same(session, **some_period(chance))
            looks += 3

    async def fold() -> None:
        nonlocal folded
        while not written.is_set():
            async with books.reads() as session:
                folded += await counters.fold(session)
            await asyncio.sleep(chance.random() / 5)

    async def write_all() -> int:
        try:
            return sum(
                await asyncio.gather(
                    *(write(own, MOVES // WRITERS, random.Random(n)) for n in range(WRITERS))  # noqa: S311
                )
            )
        finally:
            written.set()

    refused, *_ = await asyncio.gather(write_all(), look(), look(), fold(), fold())

    async with snapshot(books) as session:
        tickets = await session.scalar(text("SELECT count(*) FROM tickets"))
        for _ in range(10):
            await assert_same(session, **some_period(chance))
        waiting = (await sizes(session))[0]
    async with books.reads() as session:
        while await counters.fold(session):
            pass
        assert (await sizes(session))[0] == 0
        await session.execute(text("DROP SEQUENCE codes"))
    async with snapshot(books) as session:
        for _ in range(30):
            await assert_same(session, **some_period(chance))
    assert tickets > 2000
    assert looks >= 6
    assert folded + waiting > 5000
    assert refused < MOVES / 20


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kamchatka", "America/St_Johns"])
async def test_days_are_those_of_utc_wherever_the_writer_is(books: Database, zone: str) -> None:
    async with books.sessions.begin() as session:
        await session.execute(text(f"SET LOCAL TIME ZONE '{zone}'"))
        await make_ticket(session, created_at=datetime(2026, 3, 10, 23, 30, tzinfo=UTC))
        await make_ticket(session, created_at=datetime(2026, 3, 11, 0, 0, tzinfo=UTC))
    await folded(books)

    async with snapshot(books) as session:
        found = await assert_same(
            session, since=datetime(2026, 3, 10, tzinfo=UTC), until=datetime(2026, 3, 12, tzinfo=UTC)
        )

    assert [day["created"] for day in found["per_day"]] == [1, 1]


async def test_tickets_at_the_edge_of_a_day_a_block_and_of_time_are_counted_once(books: Database) -> None:
    first, step = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
    moments = [first, datetime(2024, 2, 29, tzinfo=UTC), now() + timedelta(days=1), now() + 2 * YEAR]
    async with books.sessions.begin() as session:
        for moment in moments:
            for created_at in (moment, moment + step):
                await make_ticket(session, created_at=created_at, done_at=created_at + step)

    for _ in range(2):
        async with snapshot(books) as session:
            for since, until in zip([None, *moments], [*moments, None], strict=True):
                for late in (timedelta(0), step, timedelta(hours=3)):
                    await assert_same(session, since=since and since + late, until=until and until + late)
                    await assert_same(session, since=since and since + late, until=until)
        await folded(books)


async def test_histograms_are_off_by_less_than_one_bucket(
    books: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a large shop: nothing is measured one by one."""
    await some_tickets(books)
    await folded(books)
    monkeypatch.setattr(stats, "_ALL", text(stats_sql.statement(one_worker=False, exact_up_to=0)))
    monkeypatch.setattr(stats, "_OF_ONE", text(stats_sql.statement(one_worker=True, exact_up_to=0)))
    chance = random.Random(3)  # noqa: S311

    async with snapshot(books) as session:
        for _ in range(30):
            query = some_period(chance)
            found, expected = await counted(session, **query), await counted_live(session, **query)
            for told, true in zip(durations(found), durations(expected), strict=True):
                assert told == pytest.approx(true, rel=0.05, abs=1) if true is not None else told is None, (
                    query
                )
            assert found["per_day"] == expected["per_day"]
            assert (found["created"], found["done"]) == (expected["created"], expected["done"])


def durations(figures: dict[str, Any]) -> list[float | None]:
    times = [
        figures[f"seconds_to_{what}"][p] for what in ("assign", "start", "done") for p in ("median", "p90")
    ]
    return times + [row["median_seconds_to_done"] for row in figures["per_worker"]]


async def test_what_nobody_counts_is_not_written(books: Database) -> None:
    await some_tickets(books, 50)
    await folded(books)
    async with books.sessions.begin() as session:
        await session.execute(text("UPDATE tickets SET title = 'Teapot', viewed = true, due_at = now()"))
        await session.execute(text("UPDATE tickets SET priority = 'low' WHERE id = 0"))
        await session.execute(text("DELETE FROM tickets WHERE id = 0"))

        assert (await sizes(session))[0] == 0

        await session.execute(text("UPDATE tickets SET priority = 'urgent' WHERE id = 4"))
        assert (await sizes(session))[0] == 2  # taken from one priority, given to another


async def test_deleting_all_tickets_leaves_nothing_to_tell(books: Database) -> None:
    await some_tickets(books, 50)
    await folded(books)
    async with books.sessions.begin() as session:
        await session.execute(text("DELETE FROM tickets"))

    assert await differences(books) == []
    assert await folded(books) > 0
    assert await differences(books) == []
    async with snapshot(books) as session:
        assert (await counted(session))["created"] == 0
