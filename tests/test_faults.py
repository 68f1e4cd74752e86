"""Kills and restarts under load: what was acknowledged is there exactly once, and service comes back."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import pytest
from alembic import command
from sqlalchemy import func, select

from api.core.embedded import EmbeddedPostgres
from api.core.processes import wait_until
from api.tickets.models import Ticket, TicketEvent
from api.tickets.states import Status
from tests.conftest import alembic_config
from tests.factories import make_ticket, make_user
from tests.processes import Server, books, connect, servers

pytestmark = pytest.mark.slow

BACK_SECONDS = 20
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'repair-api'
"""
ANN = {"name": "Ann", "email": "ann@mail.example"}


@pytest.fixture(scope="module")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("faults"))  # durable, as in real life
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


@dataclass
class Load:
    """Callers who submit and take without a pause, and remember what they were answered."""

    both: list[Server]
    tickets: list[int]
    headers: dict[str, str]
    submitted: dict[str, int] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    hung_up: Counter[str] = field(default_factory=Counter)
    progress: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(
        self, client: httpx.AsyncClient, server: Server, path: str, **options: Any
    ) -> httpx.Response | None:
        """Return the answer, or None when the server hung up."""
        try:
            answer = await client.post(server.url + path, **options)
        except httpx.TransportError:
            self.hung_up[server.url] += 1
            return None
        self.answers[answer.status_code] += 1
        return answer

    async def submit(self, server: Server, numbers: Iterator[int]) -> None:
        """Submit one request after another; each one again with its key until it is acknowledged."""
        async with httpx.AsyncClient(timeout=30) as client:
            while True:
                title = f"Request {next(numbers)}"
                body, key = {"title": title, "client": ANN}, {"Idempotency-Key": title}
                while title not in self.submitted:
                    answer = await self.send(client, server, "/public/tickets", json=body, headers=key)
                    if answer is not None and answer.status_code == 201:
                        self.submitted[title] = answer.json()["id"]
                        self.progress.set()
                    await asyncio.sleep(0.01)

    async def take(self, server: Server) -> None:
        """Take one ticket after another."""
        async with httpx.AsyncClient(timeout=30, headers=self.headers) as client:
            while self.tickets:
                ticket_id = self.tickets.pop()
                answer = await self.send(client, server, f"/tickets/{ticket_id}/take")
                if answer is not None and answer.status_code == 200:
                    self.taken.add(ticket_id)
                await asyncio.sleep(0.03)


@asynccontextmanager
async def load(url: str, both: list[Server]) -> AsyncIterator[Load]:
    """Run callers on both servers while the block does its worst, then hold every answer to the database."""
    async with books(url) as shop:
        async with shop.sessions.begin() as session:
            worker = await make_user(session)
            tickets = [
                (await make_ticket(session, status=Status.ASSIGNED, worker=worker)).id for _ in range(400)
            ]
        running = Load(both, tickets, await shop.headers(worker))
        numbers = count()
        calls = [call for server in both for call in (running.submit(server, numbers), running.take(server))]
        tasks = [asyncio.create_task(call) for call in calls]
        await asyncio.sleep(0.5)
        yield running
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [error for error in ended if isinstance(error, Exception)] == []
        async with shop.sessions() as session:
            # One snapshot: what was begun for the last callers may still be ending.
            _snapshot = await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            made = await session.execute(
                select(Ticket.title, Ticket.id).where(Ticket.title.startswith("Request "))
            )
            kept = made.all()
            started = list(
                await session.scalars(
                    select(TicketEvent.ticket_id)
                    .join(Ticket, Ticket.id == TicketEvent.ticket_id)
                    .where(TicketEvent.event == "started", Ticket.status == Status.IN_PROGRESS)
                )
            )
            created = await session.scalar(
                select(func.count()).select_from(TicketEvent).where(TicketEvent.event == "created")
            )
        assert len(kept) == len({row.title for row in kept}) == created  # never twice, never half
        assert running.submitted.items() <= {row.title: row.id for row in kept}.items()
        assert len(started) == len(set(started))
        assert running.taken <= set(started)
        assert set(running.answers) <= {200, 201, 409, 503}
        assert len(running.submitted) > 10
        assert len(running.taken) > 10
    with connect(url) as connection:
        connection.execute("TRUNCATE users, clients, tickets, idempotency_keys CASCADE")


async def comes_back(running: Load) -> None:
    """Wait until every server acknowledges again, which must not take long."""
    for server in running.both:
        async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(BACK_SECONDS):
            while True:
                try:
                    if (await client.get(f"{server.url}/health/ready")).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
    async with asyncio.timeout(BACK_SECONDS):
        for _ in range(5):
            running.progress.clear()
            await running.progress.wait()


async def test_a_killed_server_loses_nothing(postgres_server: EmbeddedPostgres, both: list[Server]) -> None:
    async with load(postgres_server.url, both) as running:
        await asyncio.to_thread(both[0].kill)
        await asyncio.sleep(0.3)
        both[0].start()
        await comes_back(running)

    assert set(running.hung_up) == {both[0].url}  # the other one never noticed
    assert 503 not in running.answers


async def test_connections_that_are_cut_are_opened_again(
    postgres_server: EmbeddedPostgres, both: list[Server]
) -> None:
    async with load(postgres_server.url, both) as running:
        for _ in range(5):
            with connect(postgres_server.url) as connection:
                connection.execute(CUT)
            await asyncio.sleep(0.3)
        await comes_back(running)

    assert not running.hung_up


def killed(server: EmbeddedPostgres) -> None:
    assert server.process_id
    os.kill(server.process_id, signal.SIGKILL)


@pytest.mark.parametrize("end", [EmbeddedPostgres.stop, killed], ids=["stopped", "killed"])
async def test_postgresql_may_go_and_come_back(
    end: Callable[[EmbeddedPostgres], None], postgres_server: EmbeddedPostgres, both: list[Server]
) -> None:
    url = postgres_server.url
    async with load(url, both) as running:
        await asyncio.to_thread(end, postgres_server)
        await asyncio.sleep(1)
        postgres_server.start()  # in this thread: it ends with the thread that started it
        await comes_back(running)

    assert not running.hung_up
    assert running.answers[503] > 0


async def test_told_to_end_a_server_finishes_what_it_has_begun(
    postgres_server: EmbeddedPostgres, both: list[Server]
) -> None:
    ending, url = both[0], postgres_server.url
    async with books(url) as shop:
        async with shop.sessions.begin() as session:
            worker = await make_user(session)
            ticket = await make_ticket(session, status=Status.ASSIGNED, worker=worker)
        headers = await shop.headers(worker)
        async with httpx.AsyncClient(timeout=30) as client, shop.sessions() as locker:
            await locker.get_one(Ticket, ticket.id, with_for_update=True)
            taking = asyncio.create_task(
                client.post(f"{ending.url}/tickets/{ticket.id}/take", headers=headers)
            )
            assert await asyncio.to_thread(wait_until, lambda: waits(url), seconds=10)

            ending.process.terminate()
            await asyncio.sleep(0.5)
            still_there = ending.process.poll() is None
            await locker.rollback()
            answer = await taking

    assert still_there
    assert (answer.status_code, answer.json()["status"]) == (200, "in_progress")
    assert await asyncio.to_thread(ending.process.wait, 20) in (0, -signal.SIGTERM)
    ending.start()
    await asyncio.to_thread(ending.wait)


def waits(url: str) -> bool:
    """Tell whether a request waits for a lock."""
    with connect(url) as connection:
        found = connection.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return found.fetchone() is not None
