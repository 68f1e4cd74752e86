"""Where it all runs: a PostgreSQL of the benchmark's own, and server processes on loopback."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
from psycopg import sql
from sqlalchemy import make_url

from api.core.embedded import EmbeddedPostgres
from api.core.processes import LOOPBACK, CannotRun, spawn, stop, wait_until
from api.core.security import PasswordHasher
from benchmarks.fill import ROOT, connect

STARTUP_SECONDS: Final = 60.0
BYTES_PER_TICKET: Final = 3_000
"""Table and indexes, with room to build them; and as much WAL, until it is turned over."""
MAX_WAL_GB: Final = 8
SPARE_BYTES: Final = 1_000_000_000
ADMIN: Final = ("bench-admin", "bench password 1")
WORKER: Final = ("worker01", "bench password 2")
ROUNDS: Final = 12
"""bcrypt's cost, as shipped."""
PREFIX: Final = "/api/v1"


def settings() -> dict[str, str]:
    """Return PostgreSQL's settings: those of a small server, durable, with statistics and a log to read.

    Autovacuum would work in the middle of a round; the fill vacuums instead.
    """
    memory = psutil.virtual_memory().total // 2**20
    return {
        "shared_buffers": f"{min(2048, max(128, memory // 8))}MB",
        "effective_cache_size": f"{memory // 2}MB",
        "maintenance_work_mem": "256MB",
        "max_wal_size": f"{MAX_WAL_GB}GB",
        "checkpoint_timeout": "30min",
        "autovacuum": "off",
        "shared_preload_libraries": "pg_stat_statements",
        "pg_stat_statements.track_planning": "on",
        "logging_collector": "on",
        "log_destination": "jsonlog",
        "log_filename": "statements.log",
        "log_rotation_age": "0",
        "log_rotation_size": "0",
    }


def check_disk(folder: Path, tickets: int) -> None:
    """Refuse to begin what cannot end.

    Raises:
        CannotRun: too little is free.
    """
    data = tickets * BYTES_PER_TICKET
    needed, free = data + min(data, MAX_WAL_GB * 10**9) + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise CannotRun(
            f"{tickets:,} tickets need {needed / 1e9:.0f} GB in {folder}; {free / 1e9:.0f} are free."
        )


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Start a server in ``folder``; yield the URL of its first database."""
    server = EmbeddedPostgres(folder / "postgres", settings=settings())
    url = server.start()
    try:
        yield url
    finally:
        server.stop()


def log_of(folder: Path) -> Path:
    """Return the log that :func:`postgres` writes in JSON lines."""
    return folder / "postgres" / "cluster" / "log" / "statements.json"


def new_database(server: str, name: str) -> str:
    """Make a database with statistics of its own and return its URL."""
    with connect(server) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    with connect(url) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("CREATE EXTENSION pg_walinspect")
    return url


def open_accounts(database: str) -> None:
    """Give the two accounts that the measurements sign in with a real password: an admin, and a worker."""

    async def hashed() -> list[str]:
        return [await PasswordHasher(ROUNDS).hash(password) for _, password in (ADMIN, WORKER)]

    admins, workers = asyncio.run(hashed())
    with connect(database) as connection:
        connection.execute(
            "INSERT INTO users (username, username_key, role, language, password_hash, updated_at)"
            " VALUES (%s, %s, 'admin', 'ru', %s, now())",
            [ADMIN[0], ADMIN[0], admins],
        )
        connection.execute("UPDATE users SET password_hash = %s WHERE username = %s", [workers, WORKER[0]])


def environment(database: str, files: Path) -> dict[str, str]:
    """Return the environment of the application: as shipped, but without limits on how often."""
    return os.environ | {
        "ENV": "local",
        "DATABASE_URL": database,
        "STORAGE_URL": str(files),
        "PUBLIC_RATE_LIMIT": "",
        "LOGIN_RATE_LIMIT": "",
        "PASSWORD_HASH_ROUNDS": str(ROUNDS),
        "ACCESS_TOKEN_EXPIRE_MINUTES": "600",
    }


class App:
    """One uvicorn process with one application."""

    def __init__(self, target: str, env: Mapping[str, str], log: Path, *, ready: str = "/") -> None:
        """Start it and wait until ``ready`` answers 200."""
        self.target, self.port, self._log = target, _free_port(), log
        flags = ("--no-access-log", "--no-server-header", "--no-proxy-headers")
        argv = [sys.executable, "-m", "uvicorn", target, "--host", LOOPBACK, "--port", str(self.port), *flags]
        began = time.monotonic()
        with log.open("ab") as output:
            self._process = spawn(argv, when_orphaned=signal.SIGKILL, env=env, cwd=ROOT, output=output)
        address = f"http://{LOOPBACK}:{self.port}{ready}"
        if not wait_until(lambda: self._ended() or _answers(address), seconds=STARTUP_SECONDS, every=0.01):
            self.stop()
        self.cold_start = time.monotonic() - began
        """Seconds from the start of the process to its first good answer."""
        if self._ended():
            raise CannotRun(f"{target} did not start: {log.read_text()[-2000:]}")

    def _ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def memory(self) -> float:
        """Resident memory, in megabytes."""
        return float(psutil.Process(self._process.pid).memory_info().rss) / 1e6

    def stop(self) -> None:
        """End it by its process id."""
        stop(self._process, (signal.SIGTERM, 10.0))


@contextmanager
def app(target: str, env: Mapping[str, str], log: Path, *, ready: str = "/") -> Iterator[App]:
    """Run one application."""
    started = App(target, env, log, ready=ready)
    try:
        yield started
    finally:
        started.stop()


@contextmanager
def product(database: str, folder: Path) -> Iterator[App]:
    """Run the product itself."""
    env = environment(database, folder / "files")
    with app("api.main:app", env, folder / "product.log", ready=f"{PREFIX}/health/ready") as started:
        yield started


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310  loopback
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
