"""Statistics of a million tickets: no table is read through, and few blocks are touched."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from api.auth.models import Role, User
from api.core.db import Database, now
from api.tickets import counters, stats
from api.tickets.stats import StatsQuery
from tests.live_figures import counted_live
from tests.million import WORKERS

pytestmark = pytest.mark.slow

MANAGER: Final = User(id=0, role=Role.MANAGER)
DAY: Final = timedelta(days=1)


@pytest.fixture(scope="module")
def url(shops: tuple[str, str]) -> str:
    """The large shop; its tickets are counted after, as after any bulk load."""
    asyncio.run(count(shops[1]))
    return shops[1]


async def count(url: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    reads = async_sessionmaker(engine.execution_options(isolation_level="AUTOCOMMIT"))
    assert await counters.rebuild(Database(engine, async_sessionmaker(engine), reads)) == 1_000_000
    async with reads() as session:
        await session.execute(text("VACUUM ANALYZE ticket_counters, ticket_histograms"))
    await engine.dispose()


@pytest.fixture
async def session(url: str) -> AsyncIterator[AsyncSession]:
    engine = create_async_engine(url, poolclass=NullPool)
    async with async_sessionmaker(engine)() as session:
        yield session
    await engine.dispose()


def queries(moment: datetime) -> dict[str, tuple[StatsQuery, int]]:
    """Return queries, each with the blocks it may touch."""
    year, old = moment - 365 * DAY, moment - 700 * DAY
    return {
        "year": (StatsQuery(from_=year), 9_000),
        "old year": (StatsQuery(from_=old, to=old + 365 * DAY), 9_000),
        "month": (StatsQuery(from_=moment - 30 * DAY), 4_000),
        "all": (StatsQuery(), 4_000),
        "today": (StatsQuery(from_=moment - DAY), 2_500),
        "year of one": (StatsQuery(from_=year, worker_id=7), 9_000),
    }


def executed(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if plan.get("Actual Loops", 1):
        yield plan
        for part in plan.get("Plans", []):
            yield from executed(part)


@pytest.mark.parametrize("name", queries(now()))
async def test_figures_touch_few_blocks_and_read_no_table_through(name: str, session: AsyncSession) -> None:
    query, limit = queries(now())[name]
    statement = stats._OF_ONE if query.worker_id else stats._ALL
    known = {"worker_id": query.worker_id, "scope": query.worker_id or 0}
    values = known | stats._period(query, of_one=bool(query.worker_id))

    found = await session.scalar(text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}"), values)

    [explained] = found if isinstance(found, list) else json.loads(found)
    plan = explained["Plan"]
    read_through = {
        node["Relation Name"]
        for node in executed(plan)
        if node["Node Type"] == "Seq Scan" and node["Actual Rows"]
    }
    assert read_through <= {"users", "ticket_deltas"}
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= limit
    assert "JIT" not in explained  # it takes longer than the statement


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
async def test_so_it_is_whatever_plan_the_driver_gets(mode: str, session: AsyncSession) -> None:
    await session.execute(text(f"SET LOCAL plan_cache_mode = {mode}"))
    for query, _ in queries(now()).values():
        await stats.compute(session, query, viewer=MANAGER)

    scans = await session.execute(text("SELECT relname, seq_scan FROM pg_stat_xact_user_tables"))

    read_through = {row.relname for row in scans if row.seq_scan}
    assert read_through <= {"users", "ticket_deltas"}


async def test_a_years_figures_are_those_of_counting_every_ticket(session: AsyncSession) -> None:
    """Counts are the same; times, of more than 10 000 tickets, within five percent."""
    until = now()
    since = until - 365 * DAY
    await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))

    told = await stats.compute(session, StatsQuery(from_=since, to=until), viewer=MANAGER)

    found, true = told.model_dump(mode="json"), await counted_live(session, since=since, until=until)
    exact = ("by_status", "by_priority", "open", "overdue", "created", "done", "per_day")
    assert {key: found[key] for key in exact} == {key: true[key] for key in exact}
    for what in ("assign", "start", "done"):
        assert found[f"seconds_to_{what}"] == pytest.approx(true[f"seconds_to_{what}"], rel=0.05)
    assert len(found["per_worker"]) == WORKERS
    for row, expected in zip(found["per_worker"], true["per_worker"], strict=True):
        median, expected_median = row.pop("median_seconds_to_done"), expected.pop("median_seconds_to_done")
        assert median == pytest.approx(expected_median, rel=0.05)
        assert row == expected
