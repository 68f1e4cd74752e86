"""Live sockets on two real server processes: what happens between them, and when one of them dies."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import httpx
import pytest
from alembic import command
from sqlalchemy import select
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from api.auth.models import Role, User
from api.core.embedded import EmbeddedPostgres
from api.tickets.comments.models import Comment
from api.tickets.models import Ticket
from api.tickets.states import Status
from tests.conftest import FAST, alembic_config
from tests.factories import make_ticket, make_user
from tests.live import Guest, guest
from tests.processes import Books, Server, books, connect, servers

pytestmark = pytest.mark.slow

LISTENERS = "application_name = 'repair-listener'"
WRITERS, EACH = 20, 25


@dataclass
class Shop:
    """Two servers on one database, and a ticket that a worker and its client talk about."""

    postgres: EmbeddedPostgres
    both: list[Server]
    books: Books
    worker: User
    manager: User
    ticket: Ticket

    def address(self, number: int) -> str:
        """Return where one of the two servers listens."""
        return self.both[number].url.removeprefix("http://")

    @property
    def path(self) -> str:
        """Where the worker follows the ticket."""
        return f"/tickets/{self.ticket.id}/live"

    @property
    def public(self) -> str:
        """Where the client follows it."""
        return f"/public/tickets/{self.ticket.code}/live"

    def count(self, condition: str) -> int:
        """Return how many connections PostgreSQL has of a kind."""
        with connect(self.postgres.url) as connection:
            query = f"SELECT count(*) FROM pg_stat_activity WHERE {condition}"  # noqa: S608  constants
            row = connection.execute(query.encode()).fetchone()
            assert row
            return int(row[0])


@pytest.fixture(scope="module")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("live"), settings=FAST)
    server.start()
    command.upgrade(alembic_config(server.url), "head")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def both(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    with servers(postgres_server.url, tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture
async def shop(postgres_server: EmbeddedPostgres, both: list[Server]) -> AsyncIterator[Shop]:
    async with books(postgres_server.url) as opened:
        async with opened.sessions.begin() as session:
            worker, manager = await make_user(session), await make_user(session, Role.MANAGER)
            ticket = await make_ticket(session, status=Status.ASSIGNED, worker=worker)
        yield Shop(postgres_server, both, opened, worker, manager, ticket)


async def test_what_is_said_on_one_process_is_heard_on_the_other_within_a_second(shop: Shop) -> None:
    token = await shop.books.token(shop.worker)
    async with (
        guest(shop.address(0), shop.path, token) as worker,
        guest(shop.address(1), shop.public) as client,
    ):
        seconds = []
        for n in range(5):
            for speaker, listener in ((worker, client), (client, worker)):
                started = time.monotonic()
                await speaker.say("comment", text=f"{n} of {speaker is worker}")
                while texts(listener)[-1] != f"{n} of {speaker is worker}":
                    await listener.hear("comment")
                seconds.append(time.monotonic() - started)
        await worker.say("typing")
        assert (await client.hear("typing"))["who"] == {"role": "worker"}
        manager = await shop.books.token(shop.manager)
        async with guest(shop.address(1), shop.path, manager) as desk:
            assert (await worker.hear("presence", state="here"))["who"]["role"] == "manager"
            assert (await desk.hear("presence", state="here"))["who"]["role"] == "worker"
            hidden = await worker.comment("Pays late", visibility="internal")
            assert (await desk.hear("comment"))["comment"]["id"] == hidden["comment_id"]
        await worker.comment("end")
        while texts(client)[-1] != "end":
            await client.hear("comment")

    assert sorted(seconds)[len(seconds) // 2] < 1
    assert "late" not in json.dumps(client.heard)
    assert "presence" not in client.kinds()


async def test_100_idle_sockets_hold_no_connection(shop: Shop) -> None:
    async with httpx.AsyncClient() as client:
        await client.get(f"{shop.both[0].url}/public/tickets/{shop.ticket.code}")
    pooled = shop.count("application_name = 'repair-api'")

    async with AsyncExitStack() as stack:
        for _ in range(100):
            await stack.enter_async_context(guest(shop.address(0), shop.public))

        assert shop.count("application_name = 'repair-api'") == pooled
        assert shop.count(LISTENERS) <= len(shop.both)
        assert shop.count("application_name = 'repair-api' AND state <> 'idle'") == 0


@pytest.mark.parametrize("how", ["cut", "restart"])
async def test_sockets_outlive_the_listening_connection_and_lose_nothing(how: str, shop: Shop) -> None:
    token = await shop.books.token(shop.worker)
    async with (
        guest(shop.address(0), shop.path, token) as worker,
        guest(shop.address(1), shop.public) as client,
    ):
        await worker.comment("before")
        await client.hear("comment")
        if how == "cut":
            with connect(shop.postgres.url) as connection:
                cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {LISTENERS}"  # noqa: S608
                assert len(connection.execute(cut.encode()).fetchall()) == 2
        else:
            await asyncio.to_thread(shop.postgres.stop)
            await worker.say("comment", text="during", key="k1")
            assert (await worker.hear("error"))["code"] == "unavailable"
            await asyncio.to_thread(shop.postgres.start)
        for speaker, key in ((worker, "k1"), (client, "k2")):
            while True:
                await speaker.say("comment", text=f"after {key}", key=key)
                answer = await either(speaker)
                if answer["type"] == "ack":
                    break
                await asyncio.sleep(0.2)
        for one in (worker, client):
            while texts(one)[-1] != "after k2":
                await one.hear("comment", seconds=20)
            assert texts(one) == ["before", "after k1", "after k2"]


def texts(one: Guest) -> list[str]:
    return [message["comment"]["text"] for message in one.heard if message["type"] == "comment"] or [""]


async def either(one: Guest) -> dict[str, object]:
    """Return the next acknowledgement or error."""
    async with asyncio.timeout(20):
        while True:
            message: dict[str, object] = json.loads(await one.connection.recv())
            one.heard.append(message)
            if message["type"] in ("ack", "error"):
                return message


async def test_the_log_opens_no_ticket(shop: Shop) -> None:
    async with guest(shop.address(0), shop.public) as client:
        await client.comment("Hello")

    log = shop.both[0].log.read_text()
    assert "request" in log
    assert shop.ticket.code not in log


@dataclass
class Writer:
    """Says what it has to say, whatever becomes of its socket, and writes down what it hears."""

    addresses: list[str]
    path: str
    token: str | None
    left: list[str]
    expected: int
    last: int = 0
    acknowledged: dict[str, int] = field(default_factory=dict)
    heard: list[int] = field(default_factory=list)
    lines_broken: int = 0

    async def run(self) -> None:
        """Come back with ``after`` until everything is said and heard."""
        turn = 0
        while self.left or len(self.heard) < self.expected:
            try:
                await self._talk(self.addresses[turn % 2])
            except (OSError, ConnectionClosed, InvalidHandshake, EOFError):
                self.lines_broken += 1
                turn += 1
                await asyncio.sleep(0.1)

    async def _talk(self, address: str) -> None:
        protocols = {"subprotocols": ["bearer", self.token]} if self.token else {}
        url = f"ws://{address}{self.path}?after={self.last}"
        async with open_socket(url, proxy=None, compression=None, **protocols) as socket:  # type: ignore[arg-type]
            for key in self.left[:3]:  # a few on their way at once; what was not acknowledged, again
                await self._say(socket, key)
            async for frame in socket:
                message = json.loads(frame)
                if message["type"] == "ack":
                    self.acknowledged[message["key"]] = message["comment_id"]
                    self.left.remove(message["key"])
                    if len(self.left) >= 3:
                        await self._say(socket, self.left[2])
                elif message["type"] == "comment":
                    self.heard.append(message["comment"]["id"])
                self.last = max(self.last, message.get("event_id", 0))
                if not self.left and len(self.heard) >= self.expected:
                    return

    @staticmethod
    async def _say(socket: ClientConnection, key: str) -> None:
        await socket.send(json.dumps({"type": "comment", "text": key, "key": key}))


async def test_a_process_that_is_killed_loses_and_doubles_nothing(shop: Shop) -> None:
    token = await shop.books.token(shop.worker)
    addresses = [shop.address(0), shop.address(1)]
    writers = [
        Writer(
            addresses if n % 4 < 2 else addresses[::-1],
            shop.path if n % 2 else shop.public,
            token if n % 2 else None,
            [f"{n}-{m}" for m in range(EACH)],
            WRITERS * EACH,
        )
        for n in range(WRITERS)
    ]
    talking = asyncio.gather(*[writer.run() for writer in writers])
    async with asyncio.timeout(90):
        while sum(len(writer.acknowledged) for writer in writers) < WRITERS * EACH // 3:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        shop.both[0].kill()
        await talking
    shop.both[0].start()

    async with shop.books.sessions() as session:
        said = (
            await session.execute(
                select(Comment.id, Comment.text)
                .where(Comment.ticket_id == shop.ticket.id)
                .order_by(Comment.id)
            )
        ).all()
    assert sorted(row.text for row in said) == sorted(f"{n}-{m}" for n in range(WRITERS) for m in range(EACH))
    assert sum(writer.lines_broken for writer in writers) >= WRITERS // 2
    assert {key: number for writer in writers for key, number in writer.acknowledged.items()} == {
        row.text: row.id for row in said
    }
    for writer in writers:
        assert writer.heard == [row.id for row in said]
    shop.both[0].wait()
