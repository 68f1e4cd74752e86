"""Submissions beside pgbench, their WAL, and how often each kind of request asks the database."""

import json
import re
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import make_url

from api.core.cluster import programs
from api.core.processes import LOOPBACK
from benchmarks import capture, load, submit_sql
from benchmarks.asking import Answer, Asker
from benchmarks.bench import Bench, Figures
from benchmarks.capture import Statement
from benchmarks.load import UNIQUE, Call
from benchmarks.places import PREFIX
from benchmarks.submit_sql import Script

CONNECTIONS: Final = 8
SAMPLES: Final = 10
SUBMIT: Final = f"{PREFIX}/public/tickets"


def body(unique: str, *, email: str | None = None) -> dict[str, Any]:
    """Return a submission; of a client of its own unless an e-mail says of whom."""
    return {
        "title": f"Стиральная машина не сливает воду {unique}",
        "description": "Вода остаётся в барабане после стирки. Нужен ремонт как можно скорее.",
        "address": "ул. Ленина, 12",
        "client": {"name": "Анна Петрова", "email": email or f"c{unique}@mail.example"},
    }


def round_trips(bench: Bench) -> Figures:
    """Return how many statements each kind of request needs once its connection knows them."""
    admin, worker, anybody = bench.admin, bench.worker, Asker(bench.product.port)
    worker_id = worker.get(f"{PREFIX}/auth/me").content["id"]
    tickets = iter([_assigned(admin, worker_id) for _ in range(2 * SAMPLES)])
    seen = admin.list(size=1).content["items"][0]["id"]
    asked: dict[str, Callable[[], Answer]] = {
        "list": admin.list,
        "get": lambda: admin.get(f"{PREFIX}/tickets/{seen}"),
        "submit": lambda: anybody.ask("POST", SUBMIT, body(uuid4().hex)),
        "take": lambda: worker.ask("POST", f"{PREFIX}/tickets/{next(tickets)}/take"),
    }
    figures: Figures = {}
    for name, ask in asked.items():
        answers = [ask() for _ in range(SAMPLES)]
        spent = capture.cost(bench.connection, partial(_several, ask, answers))
        figures[name] = {
            "round_trips": spent.calls / SAMPLES,
            "database_ms": spent.milliseconds / SAMPLES,
            "good": all(answer.status < 300 for answer in answers),
        }
    return figures


def _several(ask: Callable[[], Answer], answers: list[Answer]) -> None:
    answers += [ask() for _ in range(SAMPLES)]


def _assigned(admin: Asker, worker_id: int) -> int:
    answer = admin.ask("POST", f"{PREFIX}/tickets", body(uuid4().hex) | {"worker_id": worker_id})
    assert answer.status == 201, answer.content
    return int(answer.content["id"])


@dataclass(frozen=True, slots=True)
class Pgbench:
    """Runs one script on the benchmark's database."""

    database: str
    script: Script

    def rate(self, seconds: float, *, clients: int = CONNECTIONS) -> tuple[float, int]:
        """Return transactions in a second, and how many there were.

        Raises:
            RuntimeError: the statement failed.
        """
        url = make_url(self.database)
        argv = [str(programs() / "pgbench"), "-n", "-M", "prepared", "-f", "-", "-c", str(clients), "-j", "1"]
        argv += [
            "-T",
            str(max(1, round(seconds))),
            "-h",
            LOOPBACK,
            "-p",
            str(url.port),
            "-U",
            str(url.username),
        ]
        for name, value in self.script.variables.items():
            argv += ["-D", f"{name}={value}"]
        done = subprocess.run(  # noqa: S603
            [*argv, str(url.database)],
            input=self.script.text,
            env={"PGPASSWORD": str(url.password), "PGAPPNAME": "repair-bench", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + 60,
        )
        rate = re.search(r"tps = ([\d.]+)", done.stdout)
        count = re.search(r"transactions actually processed: (\d+)", done.stdout)
        if done.returncode != 0 or rate is None or count is None:
            raise RuntimeError(done.stderr[-2000:])
        return float(rate[1]), int(count[1])


def floor_script(bench: Bench) -> Script:
    """Return the statement to compare with: the product's own if it is one and runs in pgbench."""
    anybody = Asker(bench.product.port)
    marks = (uuid4().hex, uuid4().hex)
    captured: list[list[Statement]] = []
    for mark in marks:
        with capture.captured(bench.connection, bench.log) as statements:
            anybody.ask("POST", SUBMIT, body(mark))
        captured.append(statements)
    found = submit_sql.script_of(captured[0], captured[1], marks)
    if found is not None:
        try:
            Pgbench(bench.database, found).rate(1, clients=1)
        except RuntimeError as error:
            bench.tell(f"pgbench cannot run the product's statement: {error}")
        else:
            return found
    return submit_sql.own()


def submit(bench: Bench) -> Figures:
    """Return submissions a second beside pgbench, in turn; each of a new client."""
    script = floor_script(bench)
    pgbench = Pgbench(bench.database, script)
    call = Call(SUBMIT, "POST", body=json.dumps(body(UNIQUE)))
    port = bench.product.port
    load.run(port, [call], seconds=1, connections=CONNECTIONS)
    pgbench.rate(1)
    ours, theirs = [], []
    for _ in range(bench.rounds):
        ours.append(load.run(port, [call], seconds=bench.seconds, connections=CONNECTIONS))
        theirs.append(pgbench.rate(bench.seconds)[0])
    ratios = [result.rate / rate for result, rate in zip(ours, theirs, strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "connections": CONNECTIONS,
        "rate": statistics.median(result.rate for result in ours),
        "p50": statistics.median(result.p50 for result in ours),
        "p99": statistics.median(result.p99 for result in ours),
        "refused": sum(sum(result.statuses.values()) - result.good for result in ours),
        "pgbench_rate": statistics.median(theirs),
        "statement": script.whose,
        "wal": _wal(bench, pgbench),
    }


def _wal(bench: Bench, pgbench: Pgbench) -> Figures:
    """Return the bytes of WAL a ticket of a client who is known, of a new one, and of pgbench's."""
    known = bench.connection.execute(
        "SELECT email FROM clients WHERE id <= %s AND email IS NOT NULL ORDER BY id LIMIT 1",
        [bench.shop.clients],
    ).fetchone()
    assert known is not None

    def made(what: dict[str, Any]) -> int:
        call = Call(SUBMIT, "POST", body=json.dumps(what))
        return load.run(bench.product.port, [call], seconds=bench.seconds, connections=2).good

    return {
        "known client": capture.wal(bench.connection, lambda: made(body(UNIQUE, email=known[0]))),
        "new client": capture.wal(bench.connection, lambda: made(body(UNIQUE))),
        "pgbench": capture.wal(bench.connection, lambda: pgbench.rate(bench.seconds)[1]),
    }
