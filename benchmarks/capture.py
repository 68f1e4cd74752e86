"""What the server did for a request: statements, blocks, time, WAL; and its SQL, to run it elsewhere."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from psycopg import sql

from benchmarks.fill import APPLICATION, Connection

_COST: Final = """
SELECT coalesce(sum(calls), 0),
       coalesce(sum(shared_blks_hit + shared_blks_read + temp_blks_read + temp_blks_written), 0),
       coalesce(sum(total_exec_time + total_plan_time), 0),
       coalesce(sum(wal_bytes), 0)
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND query NOT LIKE '%pg_stat_statements%'
"""
_PARAMETER: Final = re.compile(r"\$(\d+) = (?:NULL|'((?:[^']|'')*)')")
_EXECUTED: Final = re.compile(r"(?:statement|execute [^:]*): ")
SETTLE_SECONDS: Final = 0.3
"""A server's processes read a changed setting, and its log is written, within this."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request, or several, cost the server."""

    calls: int
    """Statements, BEGIN and COMMIT among them: round trips of a connection that knows them already."""
    blocks: int
    milliseconds: float
    """Planning and execution, without the network and the driver."""
    wal_bytes: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that was executed, with its parameters as text."""

    sql: str
    parameters: tuple[str | None, ...]

    @property
    def is_work(self) -> bool:
        """Whether it is more than the frame of a transaction."""
        return self.sql.split(maxsplit=1)[0].rstrip(";").upper() not in {"BEGIN", "COMMIT", "ROLLBACK", "SET"}


def cost(connection: Connection, work: Callable[[], Any]) -> Cost:
    """Return what ``work`` cost the server of ``connection``; nobody else may ask it anything meanwhile."""
    connection.execute("SELECT pg_stat_statements_reset()")
    work()
    row = connection.execute(_COST).fetchone()
    assert row is not None
    return Cost(int(row[0]), int(row[1]), float(row[2]), int(row[3]))


def wal(connection: Connection, work: Callable[[], int]) -> dict[str, float]:
    """Return the bytes of WAL for each of what ``work`` made, by what wrote them.

    Images of whole pages stand apart: how many there are hangs on when the last checkpoint was.
    """
    position = "SELECT pg_current_wal_insert_lsn()"
    [(before,)] = connection.execute(position).fetchall()
    count = max(1, work())
    [(after,)] = connection.execute(position).fetchall()
    connection.execute("SELECT pg_switch_wal()")  # what was inserted is on disk, where it is read from
    rows = connection.execute(
        'SELECT "resource_manager/record_type", record_size, fpi_size FROM pg_get_wal_stats(%s, %s)',
        [before, after],
    ).fetchall()
    written = {str(name): int(size) / count for name, size, _ in rows if size}
    return {
        "total": sum(written.values()),
        "page_images": sum(int(row[2]) for row in rows) / count,
        **written,
    }


def configure(connection: Connection, **values: str | None) -> None:
    """Change settings of the running server; None takes a change back."""
    for name, value in values.items():
        if value is None:
            change = sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name))
        else:
            change = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
        connection.execute(change)
    connection.execute("SELECT pg_reload_conf()")
    time.sleep(SETTLE_SECONDS)


@contextmanager
def captured(connection: Connection, log: Path) -> Iterator[list[Statement]]:
    """Collect what others execute meanwhile; the list is full when the block ends."""
    statements: list[Statement] = []
    configure(connection, log_statement="all", log_parameter_max_length="-1")
    start = log.stat().st_size
    try:
        yield statements
    finally:
        configure(connection, log_statement=None, log_parameter_max_length=None)
        with log.open(encoding="utf-8", errors="replace") as lines:
            lines.seek(start)
            statements += filter(None, map(_statement, lines))


def _statement(line: str) -> Statement | None:
    try:
        entry = json.loads(line)
    except ValueError:  # cut at the place where reading began
        return None
    executed = _EXECUTED.match(entry.get("message", ""))
    if executed is None or entry.get("application_name") == APPLICATION:
        return None
    found = sorted(
        (int(number), None if text is None else text.replace("''", "'"))
        for number, text in (
            (match[1], match[2]) for match in _PARAMETER.finditer(entry.get("detail", "").partition(": ")[2])
        )
    )
    return Statement(entry["message"][executed.end() :], tuple(text for _, text in found))
