"""Lists: how many a second beside the floor and the ordinary way, and what each kind costs the server."""

import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Final

from benchmarks import capture, floor, load
from benchmarks.asking import Answer, Asker, Times, repeated
from benchmarks.bench import Bench, Figures
from benchmarks.capture import Statement
from benchmarks.load import Call
from benchmarks.places import PREFIX, app, environment
from benchmarks.words import COMMON, RARE

Query = dict[str, Any]
WARM_SECONDS: Final = 1.0
CONNECTIONS: Final = 8
SLOW_MS: Final = 1000.0
WORKER_ID: Final = 7


def throughput(bench: Bench) -> Figures:
    """Return the lists a second of the product, the floor and the ordinary way, asked in turn."""
    statements = captured_list(bench)
    token = bench.admin.token
    ours = bench.product.port
    with ExitStack() as stack:
        bare = stack.enter_context(
            app(
                "benchmarks.floor:application",
                floor.environment(bench.database, statements),
                bench.folder / "floor.log",
            )
        )
        trivial = stack.enter_context(
            app(
                "benchmarks.floor:trivial",
                environment(bench.database, bench.folder),
                bench.folder / "trivial.log",
            )
        )
        tutorial = stack.enter_context(run_ordinary(bench))
        targets = {
            "product": (ours, Call(f"{PREFIX}/tickets", token=token)),
            "floor": (bare.port, Call("/")),
            "ordinary": (tutorial.port, Call("/tickets", token=token)),
            "trivial": (trivial.port, Call("/")),
        }
        for port, call in targets.values():
            load.run(port, [call], seconds=min(WARM_SECONDS, bench.seconds), connections=CONNECTIONS)
        rounds: dict[str, list[load.Result]] = {name: [] for name in targets}
        for number in range(bench.rounds):
            for name, (port, call) in targets.items():
                if name in {"product", "floor"} or number < 2:
                    rounds[name].append(
                        load.run(port, [call], seconds=bench.seconds, connections=CONNECTIONS)
                    )
    ratios = [a.rate / b.rate for a, b in zip(rounds["product"], rounds["floor"], strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "connections": CONNECTIONS,
        "statements": [statement.sql for statement in statements],
        **{name: _summary(results) for name, results in rounds.items()},
    }


def captured_list(bench: Bench) -> list[Statement]:
    """Return the statement with which the product lists tickets, as the server saw it."""
    with capture.captured(bench.connection, bench.log) as statements:
        bench.admin.list()
    return [statement for statement in statements if statement.is_work and "tickets" in statement.sql]


def _summary(results: list[load.Result]) -> Figures:
    return {
        "rate": statistics.median(result.rate for result in results),
        "rates": [result.rate for result in results],
        "p50": statistics.median(result.p50 for result in results),
        "p99": statistics.median(result.p99 for result in results),
        "refused": sum(sum(result.statuses.values()) - result.good for result in results),
    }


def run_ordinary(bench: Bench) -> Any:
    """Start the ordinary implementation on the same database."""
    env = environment(bench.database, bench.folder)
    return app("benchmarks.ordinary:application", env, bench.folder / "ordinary.log")


def beside_ordinary(bench: Bench) -> Figures:
    """Return how many times longer the ordinary way takes for the same lists, one person asking."""
    deep = max(2, bench.shop.count // 1000)
    cases: dict[str, tuple[Query, Query]] = {
        "first page": ({}, {}),
        "closed ones": ({"status": "closed"}, {"status": "closed"}),
        "search, common word": ({"search": COMMON[0]}, {"search": COMMON[0]}),
        "search, rare word": ({"search": RARE}, {"search": RARE}),
        f"page {deep}": ({"page": deep}, {"page": deep}),
    }
    figures: Figures = {}
    with run_ordinary(bench) as started:
        tutorial = Asker(started.port, bench.admin.token)
        for name, (ours, theirs) in cases.items():
            bench.tell(f"beside the ordinary way: {name}")
            quick = _in_database(bench, bench.admin, f"{PREFIX}/tickets", ours)
            slow = _in_database(bench, tutorial, "/tickets", theirs)
            figures[name] = {
                "product_ms": quick[0].p50,
                "ordinary_ms": slow[0].p50,
                "ratio": slow[0].p50 / quick[0].p50,
                "product_database_ms": quick[1],
                "ordinary_database_ms": slow[1],
                "ratio_in_database": slow[1] / quick[1],
                "good": quick[0].good and slow[0].good,
            }
    return figures


def _in_database(bench: Bench, asker: Asker, path: str, query: Query) -> tuple[Times, float]:
    """Return the times of a request over HTTP, and the time of it in the database."""

    def ask() -> Answer:
        return asker.get(path, **query)

    times = repeated(ask)
    return times, float(bench.costs(ask, times=1)["database_ms"])


def list_cases(bench: Bench) -> Mapping[str, Query]:
    """Return a query for every filter, sort and kind of page."""
    shop = bench.shop
    middle = shop.created_at(shop.count // 2)
    newest = bench.admin.list(size=10).content["next_cursor"]
    deep = bench.admin.list(size=10, created_to=middle.isoformat()).content["next_cursor"]
    some_client = bench.admin.list(size=1, page=9).content["items"][0]["client"]["id"]
    cases: dict[str, Query] = {
        "newest first": {},
        "page 3": {"page": 3},
        "page 100": {"page": 100},
        "100 rows": {"size": 100},
        "cursor": {"cursor": newest},
        "cursor in the middle": {"cursor": deep},
        "status=new": {"status": "new"},
        "status=closed": {"status": "closed"},
        "status, four of them": {"status": ["new", "assigned", "in_progress", "on_hold"]},
        "priority=urgent": {"priority": "urgent"},
        "priority, two of them": {"priority": ["low", "high"]},
        "worker_id": {"worker_id": WORKER_ID},
        "worker_id=none": {"worker_id": "none"},
        "worker_id and status": {"worker_id": WORKER_ID, "status": "in_progress"},
        "client_id": {"client_id": some_client},
        "viewed=false": {"viewed": "false"},
        "overdue=true": {"overdue": "true"},
        "pool=true": {"pool": "true"},
        "created, one day": {
            "created_from": middle.isoformat(),
            "created_to": (middle + timedelta(days=1)).isoformat(),
        },
        "scheduled, coming week": {
            "scheduled_from": shop.until.isoformat(),
            "scheduled_to": (shop.until + timedelta(days=7)).isoformat(),
        },
    }
    sorts = ("created_at", "updated_at", "priority", "status", "scheduled_at", "due_at", "id")
    return cases | {f"sort={sign}{name}": {"sort": f"{sign}{name}"} for name in sorts for sign in ("", "-")}


def blocks(bench: Bench) -> Figures:
    """Return the blocks that each kind of list touches, and its time in the database."""
    figures: Figures = {}
    for asker, prefix in ((bench.admin, ""), (bench.worker, "a worker's: ")):
        for name, query in list_cases(bench).items():
            if prefix and name not in {"newest first", "cursor", "pool=true", "status=closed"}:
                continue
            figures[prefix + name] = _cost_of_list(bench, asker, query)
    return figures


def _cost_of_list(bench: Bench, asker: Asker, query: Query) -> Figures:
    warm = asker.list(**query)
    costs = bench.costs(lambda: asker.list(**query), times=1 if warm.milliseconds > SLOW_MS else 3)
    good = warm.status == 200 and costs["answered"]
    return {
        "status": warm.status if warm.status != 200 or good else 503,
        **costs,
        "http_ms": warm.milliseconds,
        "total": warm.content.get("total"),
    }
