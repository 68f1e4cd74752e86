"""A database of tickets whose counters are tested: what is asked of it, and who writes to it."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import asyncpg
import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.db import Database, now
from api.settings import Settings
from api.tickets import counters, stats
from api.tickets.stats import StatsQuery
from tests.api.live import with_values
from tests.conftest import alembic_config
from tests.factories import make_client, make_user
from tests.live_figures import counted_live
from tests.processes import empty_database

WRITERS: Final = 8
WORKERS: Final = range(1, 6)
MANAGER: Final = User(id=0, role=Role.MANAGER)
YEAR = timedelta(days=365)


@pytest.fixture(scope="module")
def own(postgres: str) -> Iterator[str]:
    with empty_database(postgres) as url:
        command.upgrade(alembic_config(url), "head")
        yield url


@pytest.fixture
async def books(own: str, settings: Settings) -> AsyncIterator[Database]:
    """A database of this test's own, with five workers and a client; emptied after."""
    database = Database.connect(with_values(settings, database_url=own, database_statement_timeout=60))
    async with database.sessions.begin() as session:
        for n in WORKERS:
            assert (await make_user(session, username=f"worker{n}")).id == n
        await make_client(session)
    yield database
    async with database.sessions.begin() as session:
        await session.execute(text("TRUNCATE users, clients RESTART IDENTITY CASCADE"))
        assert await sizes(session) == (0, 0, 0)  # whatever empties the tickets empties the counters
    await database.engine.dispose()


async def sizes(session: AsyncSession) -> tuple[int, int, int]:
    """Return the number of deltas, counters and histograms' rows."""
    tables = ("ticket_deltas", "ticket_counters", "ticket_histograms")
    deltas, counts, buckets = [
        await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0  # noqa: S608
        for table in tables
    ]
    return deltas, counts, buckets


@asynccontextmanager
async def snapshot(books: Database) -> AsyncIterator[AsyncSession]:
    """Open a transaction that sees one moment only, whatever is written meanwhile."""
    async with books.sessions() as session:
        await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        yield session
        await session.rollback()


async def counted(session: AsyncSession, **query: Any) -> dict[str, Any]:
    asked = StatsQuery(from_=query.get("since"), to=query.get("until"), worker_id=query.get("worker_id"))
    found = await stats.compute(session, asked, viewer=MANAGER)
    return found.model_dump(mode="json")


def in_seconds(value: Any) -> Any:
    """Make what is equal but for the last digits of a float equal to ``pytest``."""
    match value:
        case dict():
            return {key: in_seconds(one) for key, one in value.items()}
        case list():
            return [in_seconds(one) for one in value]
        case float():
            return pytest.approx(value)
        case _:
            return value


async def assert_same(session: AsyncSession, **query: Any) -> dict[str, Any]:
    found, expected = await counted(session, **query), await counted_live(session, **query)
    assert found == in_seconds(expected), query
    return found


def some_period(chance: random.Random) -> dict[str, Any]:
    """Return a period with edges at any microsecond, or open ones, of all or one worker."""
    end = now() - chance.random() ** 2 * 2 * YEAR
    start = end - chance.choice([timedelta(hours=5), timedelta(days=9), YEAR / 2, 2 * YEAR]) * chance.random()
    return {
        "since": chance.choice([None, start, start.replace(hour=21, minute=0, second=0, microsecond=0)]),
        "until": chance.choice([None, end, end, end.replace(hour=0, minute=0, second=0, microsecond=0)]),
        "worker_id": chance.choice([None, None, *WORKERS]),
    }


# Each takes a ticket $1, a worker $2, a moment $3 and a priority $4, in any state the ticket is.
CHANGES: Final = {
    "open": """
      INSERT INTO tickets (code, title, status, priority, client_id, created_at, due_at, updated_at)
      SELECT 'T' || nextval('codes'), 'Kettle', 'new', $4::text, 1,
        $3::timestamptz, $3 + interval '9 days', now()
      FROM generate_series(1, 1 + ($1::bigint + coalesce($2::bigint, 0)) % 3)""",
    "assign": "UPDATE tickets SET status = 'assigned', worker_id = $2, assigned_at = now() WHERE id = $1",
    "unassign": """
      UPDATE tickets SET status = 'new', worker_id = NULL, assigned_at = NULL, in_progress_at = NULL
      WHERE id = $1""",
    "start": """
      UPDATE tickets SET status = 'in_progress', worker_id = coalesce(worker_id, $2),
        in_progress_at = created_at + (now() - created_at) * random(), done_at = NULL WHERE id = $1""",
    "hold": "UPDATE tickets SET status = 'on_hold', worker_id = coalesce(worker_id, $2) WHERE id = $1",
    "finish": """
      UPDATE tickets SET status = 'done', worker_id = coalesce(worker_id, $2), assigned_at = created_at,
        done_at = created_at + (now() - created_at) * random() WHERE id = $1""",
    "close": "UPDATE tickets SET status = 'closed', closed_at = now() WHERE id = $1 AND done_at IS NOT NULL",
    "cancel": "UPDATE tickets SET status = 'canceled' WHERE id = $1",
    "hurry": "UPDATE tickets SET priority = $4 WHERE id = $1",
    "rename": "UPDATE tickets SET title = 'Teapot' WHERE id BETWEEN $1 AND $1 + 1",
    "hurry many": "UPDATE tickets SET priority = $4 WHERE id % 97 = $1 % 97 AND id < $1",
    "postpone": "UPDATE tickets SET due_at = now() + (random() - 0.5) * interval '20 days' WHERE id = $1",
    "delete": "DELETE FROM tickets WHERE id = $1",
}
ODDS: Final = {"open": 9, "assign": 5, "start": 3, "finish": 4, "close": 2, "hurry many": 0.3, "delete": 0.7}


async def write(url: str, moves: int, chance: random.Random) -> int:
    """Change tickets at random, some within one transaction, some to be undone; return the deadlocks."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    refused = 0
    for _ in range(moves // 2):
        transaction = connection.transaction()
        await transaction.start()
        try:
            for name in chance.choices([*CHANGES], [ODDS.get(name, 1) for name in CHANGES], k=2):
                sql = CHANGES[name]
                values = (
                    1 + chance.randrange(4000),
                    chance.choice(WORKERS),
                    now() - chance.random() ** 3 * 2 * YEAR,
                    chance.choice(["low", "normal", "high", "urgent"]),
                )
                known = [n for n in range(1, 5) if f"${n}" in sql]
                for new, old in enumerate(known, 1):
                    sql = sql.replace(f"${old}", f"${new}")
                await connection.execute(sql, *(values[n - 1] for n in known))
        except asyncpg.DeadlockDetectedError:  # two changed many at once, in another order
            refused += 1
            await transaction.rollback()
            continue
        await (transaction.rollback() if chance.random() < 0.1 else transaction.commit())
    await connection.close()
    return refused


async def some_tickets(books: Database, number: int = 600) -> None:
    """Write tickets of two years in every state, by ``INSERT … SELECT`` as a bulk load would."""
    async with books.sessions.begin() as session:
        await session.execute(
            text(
                """
                INSERT INTO tickets (code, title, status, priority, client_id, worker_id, created_at, assigned_at,
                                     in_progress_at, done_at, due_at, updated_at)
                SELECT 'T' || i, 'Kettle', s, (ARRAY['low', 'normal', 'high', 'urgent'])[1 + i % 4], 1,
                  CASE WHEN s <> 'new' THEN 1 + i % 5 END, made, made + wait, made + 2 * wait,
                  CASE WHEN s IN ('done', 'closed') THEN made + 3 * wait END, made + interval '9 days', made
                FROM (SELECT i, now() - i * interval '730 days' / :n AS made, (1 + i * 7919 % 997) ^ 2 * interval '1 s' AS wait,
                        (ARRAY['new', 'assigned', 'in_progress', 'on_hold', 'done', 'closed', 'canceled'])[1 + i % 7] AS s
                      FROM generate_series(1, :n) AS i) AS t
                """  # noqa: E501
            ),
            {"n": number},
        )


async def folded(books: Database) -> int:
    total = 0
    async with books.reads() as session:
        while some := await counters.fold(session):
            total += some
    return total


async def differences(books: Database, number: int = 12) -> list[dict[str, Any]]:
    """Return which of some periods are told wrong."""
    chance = random.Random(7)  # noqa: S311
    wrong = []
    async with snapshot(books) as session:
        for _ in range(number):
            query = some_period(chance)
            if await counted(session, **query) != in_seconds(await counted_live(session, **query)):
                wrong.append(query)
    return wrong
