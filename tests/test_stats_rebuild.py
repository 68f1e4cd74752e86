"""Counting all tickets anew and folding what waits: beside writers, by command, job and migration."""

import asyncio
import random
from datetime import timedelta
from itertools import count

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text

from api import cli
from api.core.db import Database, now
from api.settings import Settings
from api.tickets import counters
from api.tickets.states import FINISHED, WITH_WORKER, Status
from tests.api.live import with_values
from tests.conftest import alembic_config
from tests.factories import make_ticket
from tests.processes import empty_database
from tests.stats_books import (
    WRITERS,
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


async def test_rebuilding_repairs_whatever_happened_and_takes_no_writer_into_account_twice(
    books: Database, own: str
) -> None:
    """It waits in the middle, its snapshot taken, while others write, fold in vain, and read."""
    await some_tickets(books)
    await folded(books)
    async with books.sessions.begin() as session:
        await session.execute(text("UPDATE ticket_counters SET n = n + 1"))
        await session.execute(text("DELETE FROM ticket_histograms WHERE bucket % 2 = 0"))
        await session.execute(text("DELETE FROM tickets WHERE id = 10"))
        await session.execute(text("UPDATE tickets SET priority = 'low' WHERE id < 20"))
    assert await differences(books) != []
    rebuilding = await asyncpg.connect(own.replace("+asyncpg", ""))
    async with rebuilding.transaction(isolation="repeatable_read"):
        await rebuilding.execute("LOCK TABLE ticket_counters IN SHARE ROW EXCLUSIVE MODE")
        await rebuilding.fetchval("SELECT count(*) FROM tickets")
        async with books.sessions.begin() as session:
            await session.execute(text("UPDATE tickets SET priority = 'high' WHERE id < 30"))
            await session.execute(text("DELETE FROM tickets WHERE id = 40"))
        async with books.reads() as session:
            assert await counters.fold(session) == 0  # another is at the counters
        assert await rebuilding.fetchval("SELECT rebuild_ticket_counters()") == 599
    await rebuilding.close()

    assert await differences(books) == []
    assert await folded(books) > 0
    assert await differences(books) == []


async def test_rebuilding_beside_eight_writers_and_a_folder(books: Database, own: str) -> None:
    chance, serial = random.Random(5), count(1)  # noqa: S311
    await some_tickets(books)
    async with books.sessions.begin() as session:
        await session.execute(text("CREATE SEQUENCE codes START 100000"))
    writing = asyncio.gather(*(write(own, 200, random.Random(n)) for n in range(WRITERS)))  # noqa: S311
    while not writing.done() or next(serial) < 3:
        await counters.rebuild(books)
        async with snapshot(books) as session:
            await assert_same(session, **some_period(chance))
        async with books.reads() as session:
            await counters.fold(session)
    await writing

    async with books.reads() as session:
        await session.execute(text("DROP SEQUENCE codes"))
    assert await differences(books) == []


async def test_rebuilding_is_refused_where_it_could_not_be_right(books: Database) -> None:
    async with books.sessions() as session:
        with pytest.raises(Exception, match="use REPEATABLE READ"):
            await session.execute(text("SELECT rebuild_ticket_counters()"))


async def test_the_command_rebuilds(
    books: Database, own: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await some_tickets(books, 50)
    async with books.sessions.begin() as session:
        await session.execute(text("DELETE FROM ticket_deltas"))
    assert await differences(books) != []
    monkeypatch.setenv("DATABASE_URL", own)

    assert await asyncio.to_thread(cli.main, ["rebuild-stats"]) == cli.DONE

    assert capsys.readouterr().out == "50 tickets were counted.\n"
    assert await differences(books) == []


async def test_the_job_folds_all_that_waits(
    books: Database, settings: Settings, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = with_values(settings, database_url=own)
    monkeypatch.setattr(counters, "get_settings", lambda: here)
    await some_tickets(books, 50)

    await counters.fold_counters(timestamp=0)
    await counters.fold_counters(timestamp=60)  # nothing waits

    async with snapshot(books) as session:
        waiting, counts, histograms = await sizes(session)
        assert waiting == 0
        assert counts > 0
        assert histograms > 0
    assert await differences(books) == []


async def test_who_reads_folds_when_no_worker_does(books: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MANY", 100)
    await some_tickets(books, 100)
    async with books.reads() as session:
        before = await counted(session)
        assert (await sizes(session))[0] == 100
    await some_tickets_more(books)
    async with books.reads() as session:
        during = await counted(session)
        after = await counted(session)
        assert (await sizes(session))[0] == 0

    assert before["created"] == 100
    assert during == after
    assert after["created"] == 101


async def some_tickets_more(books: Database) -> None:
    async with books.sessions.begin() as session:
        await make_ticket(session, status=Status.NEW)


async def test_what_was_there_before_the_counters_is_counted_by_the_migration(
    postgres: str, settings: Settings
) -> None:
    with empty_database(postgres) as url:
        config = alembic_config(url)
        script = ScriptDirectory.from_config(config)
        [counting] = [one for one in script.walk_revisions() if "count_tickets" in one.path]
        await asyncio.to_thread(command.upgrade, config, "head")
        database = Database.connect(with_values(settings, database_url=url))
        async with database.sessions.begin() as session:
            for n, status in enumerate(Status):
                made = now() - timedelta(days=n * 40)
                done_at = made + timedelta(hours=n) if status in FINISHED else None
                assigned_at = made if status in WITH_WORKER else None
                await make_ticket(
                    session, status=status, created_at=made, done_at=done_at, assigned_at=assigned_at
                )
        await database.engine.dispose()

        await asyncio.to_thread(command.downgrade, config, str(counting.down_revision))
        await asyncio.to_thread(command.upgrade, config, "head")

        async with database.reads() as session:
            waiting, counts, _ = await sizes(session)
            assert waiting == 0
            assert counts > 0
        assert await differences(database) == []
        await database.engine.dispose()
