"""How soon a text is heard on the other side: ``python -m benchmarks.live_delivery``.

Starts a PostgreSQL and two API processes on loopback. A client who has the code is on one of them,
the ticket's worker on the other; they write in turns, one text after another. Prints a table and,
for programs, the same in JSON. Takes about half a minute.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from alembic import command
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket

from api.core.embedded import EmbeddedPostgres
from api.tickets.states import Status
from tests.conftest import alembic_config
from tests.factories import make_ticket, make_user
from tests.processes import Server, books, servers

GOAL_MS = 1000.0
PATIENCE = 30.0
WARM_UP = 10


async def told(listener: ClientConnection, text: str) -> None:
    """Return once ``listener`` hears ``text``."""
    while True:
        message = json.loads(await listener.recv())
        if message["type"] == "comment" and message["comment"]["text"] == text:
            return


async def ready(socket: ClientConnection) -> None:
    """Return once the server follows for ``socket``: what was said before is not told to it."""
    while json.loads(await socket.recv())["type"] != "ready":
        pass


async def delivery(speaker: ClientConnection, listener: ClientConnection, text: str) -> float:
    """Say something on one side; return after how many milliseconds the other one hears it."""
    started = time.perf_counter()
    await speaker.send(json.dumps({"type": "comment", "text": text}))
    try:
        async with asyncio.timeout(PATIENCE):
            await told(listener, text)
    except TimeoutError:
        msg = f"{text!r} was not heard; its speaker was told {await answer(speaker)}"
        raise RuntimeError(msg) from None
    return (time.perf_counter() - started) * 1000


async def answer(speaker: ClientConnection) -> object:
    """Return what the server said of the last text: an acknowledgement, a refusal, or nothing."""
    said: object = None
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            while True:
                message = json.loads(await speaker.recv())
                said = message if message["type"] in ("ack", "error") else said
    return said


async def measure(database: str, both: list[Server], texts: int) -> dict[str, list[float]]:
    """Return the times of each way, in milliseconds."""
    async with books(database) as shop:
        async with shop.sessions.begin() as session:
            worker = await make_user(session)
            ticket = await make_ticket(session, status=Status.ASSIGNED, worker=worker)
        token = await shop.token(worker)
    addresses = [server.url.replace("http", "ws") for server in both]
    public = f"{addresses[0]}/public/tickets/{ticket.code}/live"
    own = f"{addresses[1]}/tickets/{ticket.id}/live"
    async with (
        open_socket(public, proxy=None) as client,
        open_socket(own, proxy=None, subprotocols=["bearer", token]) as master,  # type: ignore[list-item]
    ):
        await asyncio.gather(ready(client), ready(master))
        ways = {"client → worker": (client, master), "worker → client": (master, client)}
        times: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(WARM_UP + texts):
            for way, (speaker, listener) in ways.items():
                took = await delivery(speaker, listener, f"{way} {number}")
                if number >= WARM_UP:
                    times[way].append(took)
    return times


def figures(times: list[float]) -> dict[str, float]:
    """Return median, 99th percentile and maximum, in milliseconds."""
    return {
        "p50": round(statistics.median(times), 1),
        "p99": round(statistics.quantiles(times, n=100, method="inclusive")[98], 1),
        "max": round(max(times), 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=200, help="each way")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        database = postgres.start()
        try:
            command.upgrade(alembic_config(database), "head")
            with servers(database, Path(folder)) as both:
                times = asyncio.run(measure(database, both, given.texts))
        finally:
            postgres.stop()
    table = {way: figures(took) for way, took in times.items()}
    print("| live delivery between two processes, ms | texts | p50 | p99 | max | goal |")  # noqa: T201
    print("|---|---:|---:|---:|---:|---:|")  # noqa: T201
    for way, row in table.items():
        cells = " | ".join(str(value) for value in row.values())
        print(f"| {way} | {given.texts} | {cells} | < {GOAL_MS:.0f} |")  # noqa: T201
    met = all(row["max"] < GOAL_MS for row in table.values())
    print(json.dumps({"benchmark": "live_delivery", "texts": given.texts, "ms": table, "goal_met": met}))  # noqa: T201


if __name__ == "__main__":
    main()
