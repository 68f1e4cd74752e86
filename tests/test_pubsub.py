"""One ear for a process: waking those who wait, and hearing again after the line was lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import make_url, text

from api.core import pubsub as room
from api.core.db import Database
from api.core.pubsub import SIGNALS_KEPT, PubSub, Subscription, send_signal
from api.settings import Settings
from tests.api.live import with_values
from tests.processes import connect

PATIENCE = 10.0


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    opened = Database.connect(settings)
    yield opened
    await opened.engine.dispose()


@pytest.fixture
async def pubsub(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PubSub]:
    monkeypatch.setattr(room, "RETRY_SECONDS", 0.05)
    ear = PubSub(settings)
    yield ear
    await ear.close()


async def tell(database: Database, topic: int) -> None:
    async with database.reads() as session:
        await session.execute(text("SELECT pg_notify('ticket_events', :topic)"), {"topic": str(topic)})


async def test_only_those_who_wait_for_the_topic_are_woken(pubsub: PubSub, database: Database) -> None:
    async with pubsub.subscribe(1) as one, pubsub.subscribe(1) as same, pubsub.subscribe(2) as other:
        for each in (one, same, other):
            each.take_change()
        await tell(database, 3)
        await tell(database, 1)

        assert await one.wait(PATIENCE)
        assert await same.wait(PATIENCE)
        assert (one.take_change(), one.take_change()) == (True, False)
        assert not other.take_change()


async def test_signals_reach_their_topic_with_what_they_say(pubsub: PubSub, database: Database) -> None:
    async with pubsub.subscribe(1) as one, pubsub.subscribe(2) as other:
        await send_signal(database, 3, kind="typing")
        await send_signal(database, 1, kind="typing", name="Анна")
        while not (signals := one.take_signals()):
            assert await one.wait(PATIENCE)

        assert signals == [{"topic": 1, "kind": "typing", "name": "Анна"}]
        assert one.take_signals() == other.take_signals() == []


async def test_a_session_s_end_wakes_what_was_opened_by_it(pubsub: PubSub, database: Database) -> None:
    async with (
        pubsub.subscribe(1, session_id=7) as one,
        pubsub.subscribe(2, session_id=7) as same,
        pubsub.subscribe(1, session_id=8) as other,
        pubsub.subscribe(1) as by_code,
    ):
        for each in (one, same, other, by_code):
            each.take_change()
        async with database.reads() as session:
            await session.execute(text("SELECT pg_notify('sessions_ended', '7')"))

        for each in (one, same):
            async with asyncio.timeout(PATIENCE):
                while not each.take_change():
                    await each.wait(1)
        assert not other.take_change()
        assert not by_code.take_change()


async def test_waiting_comes_to_an_end(pubsub: PubSub) -> None:
    async with pubsub.subscribe(1) as one:
        one.take_change()
        await one.wait(0)
        assert not await one.wait(0.01)


async def test_whoever_is_too_slow_for_signals_loses_the_oldest() -> None:
    slow = Subscription()
    for n in range(SIGNALS_KEPT + 5):
        slow.signal({"n": n})

    assert [signal["n"] for signal in slow.take_signals()] == list(range(5, SIGNALS_KEPT + 5))


async def test_one_connection_listens_for_all_and_topics_are_forgotten(
    pubsub: PubSub, database_url: str
) -> None:
    async with pubsub.subscribe(1), pubsub.subscribe(1), pubsub.subscribe(2):
        assert len(listeners(database_url)) == 1
    assert pubsub._topics == {}


def listeners(url: str, end: str = "") -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        query = f"SELECT {end or 'pid'} FROM pg_stat_activity WHERE application_name = 'repair-listener'"  # noqa: S608
        return connection.execute(query.encode()).fetchall()


async def test_after_the_connection_was_cut_everybody_looks_for_what_they_missed(
    pubsub: PubSub, database: Database, database_url: str
) -> None:
    async with pubsub.subscribe(1) as one, pubsub.subscribe(2) as other:
        for each in (one, other):
            await each.wait(0)
            each.take_change()
        assert len(listeners(database_url, "pg_terminate_backend(pid)")) == 1

        for each in (one, other):  # although nobody has told them anything
            async with asyncio.timeout(PATIENCE):
                while not each.take_change():
                    await each.wait(1)
        await tell(database, 2)
        async with asyncio.timeout(PATIENCE):
            while not other.take_change():  # what it woke for before may still be noted
                await other.wait(1)


async def test_a_silent_line_is_asked_now_and_then(
    pubsub: PubSub, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "KEEPALIVE_SECONDS", 0.05)
    async with pubsub.subscribe(1), asyncio.timeout(PATIENCE):
        while ("SELECT 1",) not in listeners(database_url, "query"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_subscriber_waits_for_a_database_that_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(room, "RETRY_SECONDS", 0.05)
    ear = PubSub(with_values(settings, database_url="postgresql+asyncpg://none:none@127.0.0.1:1/none"))

    async def subscribe() -> bool:
        async with ear.subscribe(1):
            return True

    waiting = asyncio.create_task(subscribe())
    done, _ = await asyncio.wait([waiting], timeout=0.3)
    assert not done
    ear._dsn = database_url.replace("+asyncpg", "")
    async with asyncio.timeout(PATIENCE):
        assert await waiting
    await ear.close()


async def test_an_ear_that_never_listened_closes(settings: Settings) -> None:
    await PubSub(settings).close()


async def test_what_is_told_to_a_transaction_that_fails_wakes_nobody(
    pubsub: PubSub, database: Database
) -> None:
    async with pubsub.subscribe(1) as one, pubsub.subscribe(2) as other:
        for each in (one, other):
            await each.wait(0)
            each.take_change()
        async with database.sessions() as session:
            await session.execute(text("SELECT pg_notify('ticket_events', '1')"))
            await session.rollback()
        await tell(database, 2)
        assert await other.wait(PATIENCE)

        assert not one.take_change()


class Line:
    """A line to PostgreSQL that can go silent, as when a host vanishes without a word."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._silent: set[int] = set()
        self._count = 0

    def go_silent(self) -> None:
        """Swallow all that is sent on the connections there are; new ones are good."""
        self._silent.update(range(self._count))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what one connection says, both ways."""
        number, self._count = self._count, self._count + 1
        there = await asyncio.open_connection(self._host, self._port)
        await asyncio.gather(self._pass(number, reader, there[1]), self._pass(number, there[0], writer))

    async def _pass(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65536):
            if number not in self._silent:
                writer.write(said)
        writer.close()


async def test_a_host_that_vanishes_without_a_word_is_noticed(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KEEPALIVE_SECONDS", "ANSWER_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(room, name, 0.1)
    url = make_url(settings.database_url)
    line = Line(url.host or "", url.port or 5432)
    server = await asyncio.start_server(line.serve, "127.0.0.1")
    through = url.set(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    ear = PubSub(with_values(settings, database_url=through.render_as_string(hide_password=False)))
    async with ear.subscribe(1) as one:
        await one.wait(0)
        one.take_change()
        line.go_silent()
        await tell(database, 1)

        async with asyncio.timeout(PATIENCE):
            while not one.take_change():
                await one.wait(1)
    await ear.close()
    server.close()
