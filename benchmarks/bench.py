"""What every measurement is given."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.asking import Asker
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
