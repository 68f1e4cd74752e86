"""The job worker."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from procrastinate import PsycopgConnector
from procrastinate.exceptions import ConnectorException
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import override

from api import worker
from api.auth.models import RefreshToken, UserSession
from api.core.db import now
from api.core.idempotency import IdempotencyKey
from api.core.jobs import conninfo, jobs, purge_expired
from api.core.limits import RateHit
from api.core.processes import spawn, stop, wait_until
from api.settings import Settings
from tests.api.live import database_of, running, with_values
from tests.factories import make_user
from tests.logs import log_as_before

ROOT = Path(__file__).parent.parent
TABLES = (IdempotencyKey, RateHit, UserSession)


async def _fill(session: AsyncSession) -> None:
    """Put into each table one row that has expired and one that has not."""
    user = await make_user(session)
    for name, age in (("old", timedelta(hours=25)), ("new", timedelta(hours=23))):
        created = now() - age
        session.add(IdempotencyKey(scope="s", key=name, request_hash=b"", answer="{}", created_at=created))
    for name, left in (("old", timedelta(seconds=-1)), ("new", timedelta(seconds=60))):
        session.add(RateHit(key=name, hits=1, expires_at=now() + left))
    for days in (-8, -6):
        opened = UserSession(user_id=user.id, last_used_at=now(), expires_at=now() + timedelta(days=days))
        session.add(opened)
        await session.flush()
        session.add(RefreshToken(digest=str(days).encode(), session_id=opened.id))
    await session.commit()


async def _counts(session: AsyncSession) -> list[int]:
    return [await session.scalar(select(func.count()).select_from(table)) or 0 for table in TABLES]


async def test_what_has_expired_is_deleted_and_nothing_else(session: AsyncSession) -> None:
    await _fill(session)

    gone = await purge_expired(session)

    assert gone == {"idempotency_keys": 1, "rate_hits": 1, "sessions": 1}
    assert (await session.scalars(select(IdempotencyKey.key))).all() == ["new"]
    assert (await session.scalars(select(RateHit.key))).all() == ["new"]
    # A session that has just ended still tells a stolen refresh token from an unknown one.
    assert (await session.scalars(select(RefreshToken.digest))).all() == [b"-6"]
    assert sum((await purge_expired(session)).values()) == 0


def test_each_periodic_job_has_its_time() -> None:
    periodic = {task.task.name: task.cron for task in jobs.periodic_registry.periodic_tasks.values()}

    assert periodic == {
        "purge_expired": "17 * * * *",
        "sweep_files": "41 3 * * *",
        "read_words": "*/5 * * * *",
        "fold_counters": "* * * * *",
    }
    assert (
        jobs.tasks["purge_expired"].queueing_lock == "purge_expired"
    )  # one waits, however many are asked for


async def test_the_purge_is_one_transaction_of_its_own(
    settings: Settings, committed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = with_values(settings, database_url=committed)
    monkeypatch.setattr(worker, "get_settings", lambda: here)
    async with running(here) as app, database_of(app).sessions() as session:
        await _fill(session)

        await worker.purge(timestamp=0)

        assert await _counts(session) == [1, 1, 1]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "postgresql+asyncpg://anna:p%40ss%20word@db.example:5433/repair",
            "user=anna password='p@ss word' dbname=repair host=db.example port=5433",
        ),
        ("postgresql+asyncpg://anna@db.example/repair", "user=anna dbname=repair host=db.example"),
        (
            "postgresql+asyncpg://anna@db.example/repair?sslmode=require&prepared_statement_cache_size=0",
            "user=anna dbname=repair host=db.example sslmode=require",
        ),
    ],
)
def test_the_worker_reaches_the_database_of_the_api(url: str, told: str, settings: Settings) -> None:
    made = conninfo(with_values(settings, database_url=url))

    assert set(told.split()) <= set(made.split())
    assert "application_name=repair-worker" in made
    assert "cache_size" not in made
    assert ("password" in made) == ("password" in told)


@asynccontextmanager
async def _queue(settings: Settings) -> AsyncIterator[None]:
    with jobs.replace_connector(PsycopgConnector(conninfo=conninfo(settings))) as app:
        async with app.open_async():
            yield


async def _until(expected: list[int], session: AsyncSession, *, seconds: float) -> list[int]:
    found: list[int] = []
    for _ in range(int(seconds * 10)):
        found = await _counts(session)
        if found == expected:
            break
        await session.rollback()
        await asyncio.sleep(0.1)
    return found


@pytest.fixture
async def own_signals() -> AsyncIterator[None]:
    """Give the signals back that a worker in this process takes."""
    yield
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


class Flaky(PsycopgConnector):
    """Does not reach the database at first, like one that is about to come up."""

    failures = 2

    @override
    async def open_async(self, pool: Any = None) -> None:
        if Flaky.failures:
            Flaky.failures -= 1
            raise ConnectorException
        await super().open_async(pool)


@pytest.mark.usefixtures("own_signals")
async def test_the_worker_waits_for_the_database_and_works_until_it_is_told_to_stop(
    settings: Settings, committed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = with_values(settings, database_url=committed)
    monkeypatch.setattr(worker, "get_settings", lambda: here)
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(worker, "PsycopgConnector", Flaky)
    async with running(here) as app, database_of(app).sessions() as session:
        await _fill(session)
        async with _queue(here):
            await jobs.configure_task("purge_expired").defer_async(timestamp=0)

        working = asyncio.create_task(worker.run(here))
        counts = await _until([1, 1, 1], session, seconds=20)
        os.kill(os.getpid(), signal.SIGTERM)
        ended = await asyncio.wait_for(working, 20)

    assert Flaky.failures == 0
    assert counts == [1, 1, 1]
    assert ended is True


@pytest.mark.usefixtures("own_signals")
async def test_a_worker_that_cannot_end_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def stubborn(_settings: Settings) -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await released.wait()

    released = asyncio.Event()
    monkeypatch.setattr(worker, "STOP_SECONDS", 0.05)
    monkeypatch.setattr(worker, "_work", stubborn)

    working = asyncio.create_task(worker.run(settings))
    await begun.wait()
    os.kill(os.getpid(), signal.SIGINT)
    ended = await asyncio.wait_for(working, 20)

    released.set()
    assert ended is False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_runs_a_job_and_stops_when_told_to(
    number: signal.Signals, settings: Settings, committed: str, tmp_path: Path
) -> None:
    here = with_values(settings, database_url=committed)
    log = tmp_path / "worker.log"
    environment = os.environ | {"ENV": "local", "DATABASE_URL": committed}
    async with running(here) as app, database_of(app).sessions() as session:
        await _fill(session)
        async with _queue(here):
            await jobs.configure_task("purge_expired").defer_async(timestamp=0)
        with log.open("wb") as output:
            process = spawn(
                [sys.executable, "-m", "api.worker"],
                when_orphaned=signal.SIGKILL,
                env=environment,
                cwd=ROOT,
                output=output,
            )
        try:
            counts = await _until([1, 1, 1], session, seconds=40)
            process.send_signal(number)
            ended = await asyncio.to_thread(wait_until, lambda: process.poll() is not None, seconds=20)
        finally:
            stop(process, (signal.SIGKILL, 10.0))

    assert counts == [1, 1, 1], log.read_text()
    assert ended, log.read_text()
    assert process.returncode == 0, log.read_text()
    assert "job worker stops" in log.read_text()


def test_the_program_logs_as_the_settings_say(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "worker.log"
    monkeypatch.setattr(worker, "get_settings", lambda: settings.model_copy(update={"log_file": path}))

    async def leave_a_job(_settings: Settings) -> bool:
        return False

    left: list[int] = []
    monkeypatch.setattr(worker, "run", leave_a_job)
    monkeypatch.setattr("os._exit", left.append)

    with log_as_before():
        worker.main()

    assert left == [0]
    assert "job worker leaves a job behind" in path.read_text()
