"""What idle live sockets cost one API process: ``python -m benchmarks.live_idle``.

Starts a PostgreSQL, one server and a second process that holds the sockets, all on loopback, and
prints a table. Takes about a minute.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
from alembic import command
from websockets.asyncio.client import connect as open_socket

from api.auth.models import Role
from api.core.embedded import EmbeddedPostgres
from tests.conftest import alembic_config
from tests.factories import make_ticket, make_user
from tests.processes import Server, books, connect, servers

SETTLE_SECONDS = 3.0
TICKETS = 200
CROWD = 40
HOLD = "hold"


async def hold(url: str, count: int) -> None:
    """Open sockets one after another, say so, and keep them until the input ends.

    Each when the one before it is served: all at once would widen the pool, as any crowd does.
    """
    opened = []
    for _ in range(count):
        opened.append(await open_socket(url, proxy=None))
        await opened[-1].recv()
    print("open", flush=True)  # noqa: T201
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def connections(database: str) -> int:
    """Return how many connections the API has."""
    with connect(database) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'repair-%'"
        row = connection.execute(query).fetchone()
        assert row
        return int(row[0])


async def p50(server: Server, headers: dict[str, str], requests: int) -> float:
    """Return the median time of a list, in milliseconds."""
    times = []
    async with httpx.AsyncClient(headers=headers) as client:
        for _ in range(requests):
            started = time.perf_counter()
            answer = await client.get(f"{server.url}/tickets")
            times.append((time.perf_counter() - started) * 1000)
            assert answer.is_success, answer.text
    return statistics.median(times)


async def measure(database: str, server: Server, count: int, requests: int) -> list[tuple[str, float, float]]:
    """Return each figure without and with ``count`` sockets."""
    async with books(database) as shop:
        async with shop.sessions.begin() as session:
            manager = await make_user(session, Role.MANAGER)
            tickets = [await make_ticket(session) for _ in range(TICKETS)]
        headers = await shop.headers(manager)
    process = psutil.Process(server.process.pid)
    socket_url = f"{server.url.replace('http', 'ws')}/public/tickets/{tickets[0].code}/live"
    async with open_socket(socket_url, proxy=None):  # what the first one costs is there already,
        await asyncio.gather(*[p50(server, headers, 5) for _ in range(CROWD)])  # and the pool is full
        await p50(server, headers, requests)

    def figures(median: float) -> list[tuple[str, float]]:
        memory = process.memory_info().rss / 1e6
        return [
            ("memory, MB", memory),
            ("database connections", connections(database)),
            ("p50 GET /tickets, ms", median),
        ]

    before = figures(await p50(server, headers, requests))
    argv = [sys.executable, "-m", "benchmarks.live_idle", HOLD, socket_url, "--sockets", str(count)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:  # noqa: ASYNC220, S603
        assert holder.stdout
        assert holder.stdin
        assert await asyncio.to_thread(holder.stdout.readline) == "open\n"
        await asyncio.sleep(SETTLE_SECONDS)
        after = figures(await p50(server, headers, requests))
        holder.stdin.close()
    return [(name, was, now) for (name, was), (_, now) in zip(before, after, strict=True)]


def main() -> None:
    """Measure and print, or hold sockets for the one who measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", nargs="?", default="measure")
    parser.add_argument("url", nargs="?", default="")
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--requests", type=int, default=300)
    given = parser.parse_args()
    if given.role == HOLD:
        asyncio.run(hold(given.url, given.sockets))
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        database = postgres.start()
        try:
            command.upgrade(alembic_config(database), "head")
            with servers(database, Path(folder), count=1) as [server]:
                rows = asyncio.run(measure(database, server, given.sockets, given.requests))
        finally:
            postgres.stop()
    print(f"| | 0 sockets | {given.sockets} idle sockets | ratio |\n|---|---:|---:|---:|")  # noqa: T201
    for name, was, now in rows:
        print(f"| {name} | {was:.1f} | {now:.1f} | {now / was:.2f} |")  # noqa: T201


if __name__ == "__main__":
    main()
