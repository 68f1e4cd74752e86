"""The API process itself: its start, its memory, and what others notice while people sign in."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

from benchmarks import load
from benchmarks.asking import Asker
from benchmarks.bench import Bench, Figures
from benchmarks.load import Call
from benchmarks.places import ADMIN, PREFIX, product

STARTS: Final = 3
OTHERS_SHARE: Final = 0.25
"""Others ask for this part of what the process can do at most: what is told is waiting, not overload."""
DOORS: Final = 2
"""People who sign in one time after another."""


def starts(bench: Bench) -> Figures:
    """Return the seconds to the first good answer, and the memory then, of a few fresh processes."""
    seconds, memory = [], []
    for _ in range(min(STARTS, bench.rounds)):
        with product(bench.database, bench.folder) as started:
            seconds.append(started.cold_start)
            Asker(started.port, bench.admin.token).list()
            memory.append(started.memory)
    return {
        "seconds": statistics.median(seconds),
        "each": seconds,
        "memory_mb": statistics.median(memory),
        "memory_after_load_mb": bench.product.memory,
    }


def signing_in(bench: Bench) -> Figures:
    """Return p50 and p99 of others' lists, idle and while people sign in, in turn."""
    calls = [Call(f"{PREFIX}/tickets", token=bench.admin.token)]
    port = bench.product.port
    idle, busy, sign_ins = [], [], []

    rate = OTHERS_SHARE * load.run(port, calls, seconds=bench.seconds, connections=4).rate

    def others() -> load.Result:
        return load.run(port, calls, seconds=2 * bench.seconds, connections=4, rate=rate)

    others()
    for _ in range(bench.rounds):
        idle.append(others())
        with _door(port, 2 * bench.seconds + 1) as door:
            busy.append(others())
        sign_ins.append(door[0])
    p50 = [was.p50 for was in idle], [now.p50 for now in busy]
    p99 = [was.p99 for was in idle], [now.p99 for now in busy]
    return {
        "p50_ratio": statistics.median(now / was for was, now in zip(*p50, strict=True)),
        "p99_ratio": statistics.median(now / was for was, now in zip(*p99, strict=True)),
        "idle": {"p50": statistics.median(p50[0]), "p99": statistics.median(p99[0])},
        "busy": {"p50": statistics.median(p50[1]), "p99": statistics.median(p99[1])},
        "others_a_second": rate,
        "sign_ins_a_second": statistics.median(result.rate for result in sign_ins),
        "sign_in_p50": statistics.median(result.p50 for result in sign_ins),
    }


@contextmanager
def _door(port: int, seconds: float) -> Iterator[list[load.Result]]:
    """Let people sign in meanwhile; the list has the result when the block ends."""
    name, password = ADMIN
    call = Call(f"{PREFIX}/auth/login", "POST", body=json.dumps({"username": name, "password": password}))
    job = {"port": port, "calls": [asdict(call)], "seconds": seconds, "connections": DOORS, "rate": 0.0}
    results: list[load.Result] = []
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as door:
        assert door.stdin is not None
        door.stdin.write(json.dumps(job))
        door.stdin.close()
        door.stdin = None
        try:
            yield results
        except BaseException:
            door.kill()
            raise
        results.append(load.Result(**json.loads(door.communicate(timeout=seconds + 60)[0])))
