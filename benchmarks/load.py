"""A load generator: ``python -m benchmarks.load < job.json``, a process of its own.

One request at a time on each of a few kept connections. It parses no more of an answer than its
status and its length, so that it costs a fraction of what it measures; ``table`` tells its ceiling.
"""

import asyncio
import itertools
import json
import math
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

import uvloop
from typing_extensions import override

from api.core.processes import LOOPBACK

UNIQUE: Final = "@@@@@@@@@@@@"
"""In a body or path: replaced by something else, of the same length, in each request."""
PATIENCE_SECONDS: Final = 60.0
_LENGTH: Final = b"content-length:"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as it goes over the wire."""

    path: str
    method: str = "GET"
    token: str = ""
    body: str = ""

    def encoded(self) -> bytes:
        """Return its bytes."""
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nAccept: application/json\r\n"
        if self.token:
            head += f"Authorization: Bearer {self.token}\r\n"
        body = self.body.encode()
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return f"{head}\r\n".encode() + body


@dataclass(frozen=True, slots=True)
class Result:
    """What a round gave."""

    seconds: float
    rate: float
    """Good answers in a second."""
    p50: float
    """Milliseconds, as all times here."""
    p99: float
    worst: float
    good: int
    statuses: Mapping[str, int] = field(default_factory=dict)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of ``values``; not a number when there are none."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else math.nan


def run(
    port: int, calls: Sequence[Call], *, seconds: float, connections: int = 8, rate: float = 0.0
) -> Result:
    """Ask in a process of its own; with ``rate``, so many in a second over all connections."""
    job = {
        "port": port,
        "calls": [asdict(call) for call in calls],
        "seconds": seconds,
        "connections": connections,
        "rate": rate,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 2 * PATIENCE_SECONDS,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return Result(**json.loads(done.stdout))


class Client(asyncio.Protocol):
    """One kept connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._missing = -1
        self._status = b""
        self._answer: asyncio.Future[str] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result("lost")

    @override
    def data_received(self, data: bytes) -> None:
        if self._missing >= 0:
            self._missing -= len(data)
        else:
            self._received += data
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end]).lower()
            at = head.find(_LENGTH)
            length = int(head[at + len(_LENGTH) :].split(b"\r", 1)[0]) if at >= 0 else 0
            self._status = head[9:12]
            self._missing = length - (len(self._received) - end - 4)
        if self._missing <= 0 and self._answer is not None and not self._answer.done():
            self._answer.set_result(self._status.decode())

    async def ask(self, request: bytes) -> str:
        """Return the status of the answer, when all of it is here."""
        assert self._transport is not None
        self._received.clear()
        self._missing = -1
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._answer


async def generate(job: Mapping[str, Any]) -> Result:
    """Do what a job says."""
    loop = asyncio.get_running_loop()
    requests = [Call(**call).encoded() for call in job["calls"]]
    queue = itertools.cycle(requests)
    statuses: Counter[str] = Counter()
    times: list[float] = []
    unique = _unique()
    started = time.perf_counter()
    until = started + job["seconds"]
    step = job["connections"] / job["rate"] if job["rate"] else 0.0

    async def keep_asking(number: int) -> None:
        _, client = await loop.create_connection(Client, LOOPBACK, job["port"])
        due = started + step * number / job["connections"]
        while (now := time.perf_counter()) < until:
            if step:
                await asyncio.sleep(max(0.0, due - now))
            # When it was due, not when there was time to ask: else a slow answer hides the next ones.
            began = due if step else time.perf_counter()
            due += step
            request = next(queue).replace(UNIQUE.encode(), next(unique))
            status = await client.ask(request)
            statuses[status] += 1
            if status[:1] == "2":
                times.append((time.perf_counter() - began) * 1000)
            elif status == "lost":
                _, client = await loop.create_connection(Client, LOOPBACK, job["port"])

    await asyncio.gather(*[keep_asking(number) for number in range(job["connections"])])
    elapsed = time.perf_counter() - started
    return Result(
        seconds=elapsed,
        rate=len(times) / elapsed,
        p50=percentile(times, 0.5),
        p99=percentile(times, 0.99),
        worst=max(times, default=math.nan),
        good=len(times),
        statuses=dict(statuses),
    )


def _unique() -> Iterator[bytes]:
    prefix = f"{random.randrange(36**4):x}"[:5]  # noqa: S311
    width = len(UNIQUE) - len(prefix)
    for number in itertools.count():
        yield f"{prefix}{number:0{width}d}".encode()


def main() -> None:
    """Read a job, do it, print the result."""
    print(json.dumps(asdict(uvloop.run(generate(json.load(sys.stdin))))))  # noqa: T201


if __name__ == "__main__":
    main()
