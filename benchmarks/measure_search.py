"""Searches of every kind, the first page with its counters, and the statistics of a year."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from benchmarks.asking import Answer, repeated
from benchmarks.bench import Bench, Figures
from benchmarks.measure_lists import WORKER_ID
from benchmarks.places import PREFIX
from benchmarks.shop import phone
from benchmarks.words import ABSENT, COMMON, OLD, PHRASE, RARE

QUOTED = "phrase in quotes"
REPEATS = 11


def searches(bench: Bench) -> dict[str, dict[str, Any]]:
    """Return the query of every kind of search."""
    found = bench.connection.execute(
        "SELECT t.code, c.id, c.name, c.email FROM tickets t JOIN clients c ON c.id = t.client_id"
        " WHERE t.id <= %s AND c.id <= %s AND c.phone IS NOT NULL AND c.email IS NOT NULL"
        " ORDER BY t.id DESC LIMIT 1",
        [bench.shop.count, bench.shop.clients],
    ).fetchone()
    assert found is not None
    code, client_id, name, email = found
    digits = phone(client_id)
    area, rest = digits[:3], digits[3:]
    asked = {
        "rare word": RARE,
        "common word": COMMON[0],
        "common word, Latin": COMMON[1],
        "absent word": ABSENT,
        "common long ago": OLD,
        "two common words": "ремонт сломалось",
        "two that hardly meet": " ".join(COMMON),
        "common and absent": f"{COMMON[0]} {ABSENT}",
        "one letter": "с",
        "one letter, Latin": "x",
        "two letters": "st",
        "a form of a word": "холодильника",
        "forms of two words": "дверцей водой",
        "beginning of a word": "стирал",
        "misspelt word": "холадильник",
        "five words": "стиральная машина не сливает воду",
        QUOTED: f'"{PHRASE}"',
        f"{QUOTED}, absent": '"дверцы вода ремонт"',
        "code": code,
        "beginning of a code": code[:9],
        "phone, international": f"+7 ({area}) {rest[:3]}-{rest[3:5]}-{rest[5:]}",
        "phone, dialled inland": f"8 {area} {rest[:3]} {rest[3:5]} {rest[5:]}",
        "phone, digits": digits,
        "phone, beginning": digits[:6],
        "client's name": name,
        "client's e-mail": email,
        "signs only": "%_'",
    }
    return {name: {"search": text} for name, text in asked.items()} | {
        "common word, status": {"search": COMMON[0], "status": "new"},
        "common word, worker": {"search": COMMON[0], "worker_id": WORKER_ID},
        "common word, page 100": {"search": COMMON[0], "page": 100},
        "common word, oldest first": {"search": COMMON[0], "sort": "created_at"},
    }


def search(bench: Bench) -> Figures:
    """Return the time of every kind of search, over HTTP and in the database."""
    figures: Figures = {}
    for name, query in searches(bench).items():
        last: list[Answer] = []

        def ask(query: dict[str, Any] = query, last: list[Answer] = last) -> Answer:
            last[:] = [bench.admin.list(**query)]
            return last[0]

        times = repeated(ask, times=REPEATS)
        costs = bench.costs(ask, times=3 if times.p50 < 1000 else 1)
        figures[name] = {
            "asked": query,
            "p50": times.p50,
            "worst": times.worst,
            **costs,
            "answered": times.good and costs["answered"],
            "total": last[0].content.get("total"),
            "found": len(last[0].content.get("items", [])),
        }
    return figures


def first_page(bench: Bench) -> Figures:
    """Return what the first page with its total, and the counters above it, cost in the database."""
    asked: dict[str, Callable[[], Answer]] = {
        "first page and total": bench.admin.list,
        "counters": lambda: bench.admin.get(f"{PREFIX}/tickets/stats"),
    }
    figures: Figures = {}
    for name, ask in asked.items():
        figures[name] = _in_database(bench, ask)
    return figures


def statistics_of_a_year(bench: Bench) -> Figures:
    """Return the times of a year's statistics: of all workers, and of one."""
    until = bench.shop.until
    period = {"from": (until - timedelta(days=365)).isoformat(), "to": until.isoformat()}
    path = f"{PREFIX}/tickets/stats"
    return {
        "all workers": _in_database(bench, lambda: bench.admin.get(path, **period)),
        "one worker": _in_database(bench, lambda: bench.admin.get(path, **period, worker_id=WORKER_ID)),
    }


def _in_database(bench: Bench, ask: Callable[[], Answer]) -> Figures:
    times = repeated(ask, times=REPEATS)
    costs = bench.costs(ask, times=REPEATS if times.p50 < 300 else 1)
    return {
        "p50": times.p50,
        "worst": max(times.worst, costs["database_ms"]),
        **costs,
        "answered": times.good and costs["answered"],
    }
