"""What others notice while people sign in: ``python -m benchmarks.sign_in``.

Starts a PostgreSQL and one server with hashes of the real cost, and times a list while nobody and
while several people sign in, in turn, so that what else the machine does falls on both alike.
Prints a table. Takes about a minute.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from alembic import command

from api.auth.models import Role, User
from api.core.embedded import EmbeddedPostgres
from api.core.security import PasswordHasher
from tests.conftest import alembic_config
from tests.factories import make_ticket, make_user
from tests.processes import Server, books, servers

PASSWORD = "correct horse battery"  # noqa: S105  of accounts that live for a minute
TICKETS = 200
COST = "12"


async def times_of(server: Server, headers: dict[str, str], requests: int) -> list[float]:
    """Return how long each of some lists took, one after another, in milliseconds."""
    times = []
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        for _ in range(requests):
            started = time.perf_counter()
            answer = await client.get(f"{server.url}/tickets")
            times.append((time.perf_counter() - started) * 1000)
            assert answer.is_success, answer.text
    return times


async def sign_in(client: httpx.AsyncClient, server: Server, user: User) -> float:
    """Return how long one sign-in took, in milliseconds."""
    started = time.perf_counter()
    body = {"username": user.username, "password": PASSWORD}
    answer = await client.post(f"{server.url}/auth/login", json=body)
    assert answer.is_success, answer.text
    return (time.perf_counter() - started) * 1000


@asynccontextmanager
async def signing_in(server: Server, user: User, people: int) -> AsyncIterator[list[float]]:
    """Let so many people sign in again and again; what is given fills with the milliseconds each took."""
    took: list[float] = []
    over = asyncio.Event()

    async def again_and_again() -> None:
        while not over.is_set():
            took.append(await sign_in(client, server, user))

    # One client for all: making one reads certificates, which would hold up the one who measures.
    async with httpx.AsyncClient(timeout=60) as client, asyncio.TaskGroup() as group:
        for _ in range(people):
            group.create_task(again_and_again())
        try:
            yield took
        finally:
            over.set()


async def measure(
    database: str, server: Server, *, people: int, rounds: int, requests: int
) -> dict[str, list[float]]:
    """Return the times of lists while nobody and while ``people`` sign in, and those of the sign-ins."""
    async with books(database) as shop:
        stored = await PasswordHasher(int(COST)).hash(PASSWORD)
        async with shop.sessions.begin() as session:
            manager = await make_user(session, Role.MANAGER, password_hash=stored)
            for _ in range(TICKETS):
                await make_ticket(session)
        headers = await shop.headers(manager)
    await times_of(server, headers, requests)
    async with signing_in(server, manager, people):
        pass  # both are warm now: each has signed in once
    times: dict[str, list[float]] = {"idle": [], "busy": [], "sign-in": []}
    for _ in range(rounds):
        times["idle"] += await times_of(server, headers, requests)
        async with signing_in(server, manager, people) as took:
            times["busy"] += await times_of(server, headers, requests)
        times["sign-in"] += took
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        database = postgres.start()
        try:
            command.upgrade(alembic_config(database), "head")
            with servers(database, Path(folder), count=1, PASSWORD_HASH_ROUNDS=COST) as [server]:
                asked = {"people": given.people, "rounds": given.rounds, "requests": given.requests}
                times = asyncio.run(measure(database, server, **asked))
        finally:
            postgres.stop()
    print(f"{os.cpu_count()} cores, {given.people} people sign in, {len(times['sign-in'])} times\n")  # noqa: T201
    print("| GET /tickets | nobody signs in, ms | people sign in, ms | ratio |\n|---|---:|---:|---:|")  # noqa: T201
    for name, cut in (("p50", 50), ("p99", 99)):
        idle, busy = (statistics.quantiles(times[kind], n=100)[cut - 1] for kind in ("idle", "busy"))
        print(f"| {name} | {idle:.1f} | {busy:.1f} | {busy / idle:.2f} |")  # noqa: T201
    print(f"\np50 of a sign-in: {statistics.median(times['sign-in']):.0f} ms")  # noqa: T201


if __name__ == "__main__":
    main()
