"""Real server processes and databases of their own, for tests of what happens between processes."""

import os
import signal
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import NullPool, make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from api.auth.models import User
from api.core.processes import LOOPBACK, spawn, stop, wait_until
from api.core.security import Claims, issue_access_token
from api.settings import LOCAL_SECRET_KEY, Settings
from tests.factories import make_session

ROOT = Path(__file__).parent.parent
STARTUP_SECONDS = 60


def connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a connection beside the application's, each statement of which commits by itself."""
    return psycopg.connect(url.replace("+asyncpg", ""), autocommit=True)


@contextmanager
def empty_database(server: str) -> Iterator[str]:
    """Make a database of its own on the server of a URL; drop it after."""
    name = f"test_{uuid4().hex}"
    with connect(server) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Server:
    """One ``uvicorn api.main:app``, started and ended by its process id."""

    def __init__(self, database: str, log: Path, **environment: str) -> None:
        self.port, self.log = free_port(), log
        self.url = f"http://{LOOPBACK}:{self.port}/api/v1"
        limits = {"PUBLIC_RATE_LIMIT": "", "LOGIN_RATE_LIMIT": "", "PASSWORD_HASH_ROUNDS": "4"}
        where = {"DATABASE_URL": database, "STORAGE_URL": str(log.parent / "files")}
        self._environment = os.environ | {"ENV": "local"} | where | limits | environment
        self.start()

    def start(self) -> None:
        """Start it, or start it again; does not wait."""
        argv = [sys.executable, "-m", "uvicorn", "api.main:app", "--host", LOOPBACK, "--port", str(self.port)]
        with self.log.open("ab") as output:
            self.process = spawn(
                argv, when_orphaned=signal.SIGKILL, env=self._environment, cwd=ROOT, output=output
            )

    def wait(self) -> None:
        """Wait until it does its work."""
        assert wait_until(self.is_ready, seconds=STARTUP_SECONDS), self.log.read_text()

    def is_ready(self) -> bool:
        """Tell whether it answers and reaches its database."""
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5):  # noqa: S310  loopback
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask it to end, as whoever runs it would."""
        stop(self.process, (signal.SIGTERM, 20.0))


@contextmanager
def servers(database: str, folder: Path, count: int = 2, **environment: str) -> Iterator[list[Server]]:
    """Start servers on one database, all at once; end them after."""
    started = [Server(database, folder / f"server{n}.log", **environment) for n in range(count)]
    try:
        for server in started:
            server.wait()
        yield started
    finally:
        for server in started:
            server.stop()


@dataclass(frozen=True)
class Books:
    """The database behind running servers: what a test puts there, and signing its users in."""

    sessions: async_sessionmaker[AsyncSession]

    async def headers(self, user: User) -> dict[str, str]:
        """Return the header of a live session of ``user``."""
        return {"Authorization": f"Bearer {await self.token(user)}"}

    async def token(self, user: User, *, key: str = LOCAL_SECRET_KEY) -> str:
        """Return the access token of a live session of ``user``."""
        async with self.sessions.begin() as session:
            opened = await make_session(session, user)
        ttl = Settings(_env_file=None, database_url="postgresql+asyncpg://none@none/none").access_token_ttl
        return issue_access_token(Claims(user.id, opened.id, user.role), key=key, ttl=ttl)


@asynccontextmanager
async def books(database: str) -> AsyncIterator[Books]:
    """Open the database of running servers."""
    engine = create_async_engine(database, poolclass=NullPool)
    yield Books(async_sessionmaker(engine, expire_on_commit=False))
    await engine.dispose()
