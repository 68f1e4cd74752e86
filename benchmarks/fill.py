"""Fill a migrated database with a shop of any size, by COPY.

The triggers that write search documents fire, so that whatever the migrations make of a ticket is
made of these too. Indexes and foreign keys are put back at the end, from their own definitions:
built at once they cost a fifth of what they cost row by row.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql

from benchmarks.shop import CLIENT_COLUMNS, TICKET_COLUMNS, USER_COLUMNS, Shop
from benchmarks.words import Words

ROOT: Final = Path(__file__).parent.parent
APPLICATION: Final = "repair-bench"
LOADERS: Final = 2
SEARCH_TRIGGER: Final = "refresh_search"
REBUILD: Final = "rebuild-stats"
"""The command that counts all tickets anew, where statistics are kept by triggers."""

Connection = psycopg.Connection[tuple[Any, ...]]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """How long it took, in seconds."""

    rows: float
    indexes: float
    rest: float

    @property
    def total(self) -> float:
        """From the first row to the last vacuum."""
        return self.rows + self.indexes + self.rest


def connect(url: str) -> Connection:
    """Return a connection, each statement of which commits by itself."""
    return psycopg.connect(url.replace("+asyncpg", ""), autocommit=True, application_name=APPLICATION)


def migrate(url: str) -> None:
    """Bring an empty database to the newest revision."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")


def fill(url: str, shop: Shop, *, tell: Tell, history: bool = False) -> Filled:
    """Put ``shop`` into a migrated, empty database; ``history`` gives each ticket its first line."""
    started = time.monotonic()
    counters = _has_rebuild()
    with connect(url) as connection:
        _copy(connection, "users", USER_COLUMNS, shop.users())
        _copy(connection, "clients", CLIENT_COLUMNS, shop.client_lines())
        with _triggers_off(connection, "tickets", keep=(SEARCH_TRIGGER,) if counters else None):
            bare = _Bare(connection, "tickets")
            _copy_tickets(url, shop, tell)
            rows = time.monotonic()
            tell("building indexes")
            bare.restore(url)
        indexes = time.monotonic()
        if history:
            _write_history(connection)
        for table in ("users", "clients", "tickets"):
            _continue_ids(connection, table)
        if counters:
            tell(f"running {REBUILD}")
            _rebuild(url)
        tell("vacuuming")
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
    return Filled(rows - started, indexes - rows, time.monotonic() - indexes)


def _copy(connection: Connection, table: str, columns: tuple[str, ...], lines: Iterable[str]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for line in lines:
            copy.write(line)


def _copy_tickets(url: str, shop: Shop, tell: Tell) -> None:
    words, blocks = Words(), iter(range(shop.blocks))

    def load(connection: Connection) -> None:
        connection.execute("SET synchronous_commit = off")
        # Blocks in turn, so that all loaders together keep the rows in the order of time.
        for block in blocks:
            _copy(connection, "tickets", TICKET_COLUMNS, [shop.ticket_block(block, words)])
            if (block + 1) % max(1, shop.blocks // 5) == 0:
                tell(f"{100 * (block + 1) // shop.blocks} % of {shop.count:,} tickets")

    _at_once(url, [load] * LOADERS)


def _at_once(url: str, jobs: Sequence[Callable[[Connection], None]]) -> None:
    """Do each job on a connection of its own; when we are interrupted, or one fails, all end soon."""
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(url)) for _ in jobs]
        pool = stack.enter_context(ThreadPoolExecutor(len(jobs)))
        doing = [pool.submit(job, connection) for job, connection in zip(jobs, connections, strict=True)]
        try:
            for future in as_completed(doing):
                future.result()
        except BaseException:
            for connection in connections:
                connection.cancel()
                connection.close()
            raise


class _Bare:
    """A table without its indexes and foreign keys, which it gets back by :meth:`restore`."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._constraints = connection.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype IN ('u', 'f') ORDER BY contype DESC",
            [table],
        ).fetchall()
        self._table, self._connection = sql.Identifier(table), connection
        for name, _ in self._constraints:
            self._alter(sql.SQL("DROP CONSTRAINT {}").format(sql.Identifier(name)))
        indexes = connection.execute(
            "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
            " WHERE i.indrelid = %s::regclass AND NOT i.indisprimary",
            [table],
        ).fetchall()
        self._definitions = [definition for _, definition in indexes]
        for name, _ in indexes:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.SQL(name)))

    def restore(self, url: str) -> None:
        """Build everything anew: the large index in one session, all others in a second."""

        def build(connection: Connection, definitions: list[str]) -> None:
            connection.execute("SET maintenance_work_mem = '512MB'")
            for definition in definitions:
                connection.execute(sql.SQL(definition))

        gin = [definition for definition in self._definitions if "USING gin" in definition]
        others = [definition for definition in self._definitions if definition not in gin]
        _at_once(url, [partial(build, definitions=gin), partial(build, definitions=others)])
        for name, definition in self._constraints:
            self._alter(sql.SQL("ADD CONSTRAINT {} {}").format(sql.Identifier(name), sql.SQL(definition)))

    def _alter(self, what: sql.Composed) -> None:
        self._connection.execute(sql.SQL("ALTER TABLE {} {}").format(self._table, what))


@contextmanager
def _triggers_off(connection: Connection, table: str, *, keep: tuple[str, ...] | None) -> Iterator[None]:
    """Switch a table's own triggers off, but for those to ``keep``; None keeps all."""
    found = connection.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [table]
    ).fetchall()
    off = [sql.Identifier(name) for (name,) in found if keep is not None and name not in keep]
    for name in off:
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(sql.Identifier(table), name))
    yield
    for name in off:
        connection.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER {}").format(sql.Identifier(table), name))


def _write_history(connection: Connection) -> None:
    with _triggers_off(connection, "ticket_events", keep=()):
        connection.execute(
            "INSERT INTO ticket_events (ticket_id, created_at, event, changes, version)"
            """ SELECT id, created_at, 'created', '{"status": [null, "new"]}', 1 FROM tickets ORDER BY id"""
        )


def _continue_ids(connection: Connection, table: str) -> None:
    connection.execute(
        sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), (SELECT max(id) FROM {}))").format(
            sql.Literal(table), sql.Identifier(table)
        )
    )


@lru_cache
def _has_rebuild() -> bool:
    return any(f'"{REBUILD}"' in path.read_text(encoding="utf-8") for path in (ROOT / "api").glob("*.py"))


def _rebuild(url: str) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "api.cli", REBUILD],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url, "ENV": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{REBUILD}: {done.stdout}{done.stderr}")
