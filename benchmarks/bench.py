"""What every measurement is given."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import capture
from benchmarks.asking import Answer, Asker
from benchmarks.fill import Connection
from benchmarks.places import App
from benchmarks.shop import Shop

Figures = dict[str, Any]
"""Plain numbers, words and dictionaries of them: what goes into the JSON."""


@dataclass(frozen=True)
class Bench:
    """A filled shop, the product that runs on it, and how long to measure."""

    folder: Path
    log: Path
    """The server's log of statements, in JSON lines."""
    database: str
    connection: Connection
    """Beside the product's own, to ask the server what it did."""
    shop: Shop
    product: App
    admin: Asker
    worker: Asker
    seconds: float
    """Of one round."""
    rounds: int
    tell: Callable[[str], None]

    def costs(self, ask: Callable[[], Answer], *, times: int) -> Figures:
        """Return what a request costs the server: the least blocks, the median time.

        The server does not count what it gave up. Then ``answered`` is false, and the time is the caller's.
        """
        answers: list[Answer] = []
        spent = [capture.cost(self.connection, lambda: answers.append(ask())) for _ in range(times)]
        if any(answer.status >= 400 for answer in answers):
            waited = max(answer.milliseconds for answer in answers)
            return {"answered": False, "database_ms": waited, "blocks": 0}
        return {
            "answered": True,
            "database_ms": statistics.median(cost.milliseconds for cost in spent),
            "blocks": min(cost.blocks for cost in spent),
        }
