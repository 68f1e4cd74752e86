"""The log of a test, read back."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from api.core import log
from api.settings import Settings


@contextmanager
def logged(settings: Settings, **values: Any) -> Iterator[None]:
    """Log as a program of ``settings`` does; as before after the block."""
    with log_as_before():
        log.configure(settings.model_copy(update=values))
        yield


@contextmanager
def log_as_before() -> Iterator[None]:
    """Undo, after the block, whatever was done to logging in it."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(before):
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log in JSON, less those of the test's own HTTP client."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [line for line in lines if line["logger"] != "httpx"]
