"""Fixtures: a migrated database once per run, a transaction rolled back after each test."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import NullPool, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from typing_extensions import override

from api.auth.models import User, UserSession
from api.core.db import Database
from api.core.embedded import EmbeddedPostgres
from api.core.limits import Limiter
from api.core.security import Claims, issue_access_token
from api.main import create_app
from api.models import Base
from api.settings import Settings
from tests.bucket import Bucket, bucket_server
from tests.factories import make_session
from tests.million import fill
from tests.processes import empty_database

ROOT = Path(__file__).parent.parent
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""A test's data need not survive a power cut."""


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty database: ``TEST_DATABASE_URL``, or one on a server of this run's own."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), settings=FAST)
    yield server.start()
    server.stop()


def alembic_config(url: str) -> Config:
    """Return Alembic's configuration for another database than the settings name."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


@pytest.fixture(scope="session")
def database_url(postgres: str) -> str:
    """A database at the newest revision, built by the migrations and not by create_all."""
    command.upgrade(alembic_config(postgres), "head")
    return postgres


@pytest.fixture(scope="session")
def shops(postgres: str) -> Iterator[tuple[str, str]]:
    """A small shop and a large one, of ten thousand and a million tickets: to be read, not changed."""
    with empty_database(postgres) as small, empty_database(postgres) as large:
        for url, tickets in ((small, 10_000), (large, 1_000_000)):
            command.upgrade(alembic_config(url), "head")
            fill(url, tickets)
        yield small, large


@pytest.fixture(scope="session")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the application under test: no limits, and hashes that cost nothing."""
    return Settings(
        _env_file=None,
        database_url=database_url,
        secret_key="a-secret-for-tests-of-more-than-32-bytes",
        public_rate_limit="",
        login_rate_limit="",
        password_hash_rounds=4,
        storage_url=str(tmp_path_factory.mktemp("files")),
    )


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder and the address of an S3 server, which spins once uploads broke off: it ends soon."""
    root = tmp_path_factory.mktemp("buckets")
    with bucket_server(root) as endpoint:
        yield root, endpoint


@pytest.fixture
def bucket(buckets: tuple[Path, str]) -> Bucket:
    """An empty bucket on a real S3 server."""
    return Bucket.new(*buckets)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection whose work is undone when the test ends."""
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.connect() as connection:
        transaction = await connection.begin()
        yield connection
        await transaction.rollback()
    await engine.dispose()


class ReadSession(AsyncSession):
    """Keeps what was written through it: on a real connection each statement commits by itself."""

    @override
    async def close(self) -> None:
        try:
            await self.commit()
        except DBAPIError:  # a statement failed before
            await self.rollback()
        await super().close()


@pytest.fixture
def database(connection: AsyncConnection) -> Database:
    """A database whose sessions believe they commit; each commit only releases a savepoint."""

    def on_savepoints(kind: type[AsyncSession]) -> async_sessionmaker[AsyncSession]:
        return async_sessionmaker(
            connection, class_=kind, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )

    return Database(connection.engine, on_savepoints(AsyncSession), on_savepoints(ReadSession))


@pytest.fixture
async def session(database: Database) -> AsyncIterator[AsyncSession]:
    """The test's own session, apart from the ones requests use; commit what requests shall see."""
    async with database.sessions() as session:
        yield session


@pytest.fixture(scope="session")
def application(settings: Settings) -> FastAPI:
    """The real application: building it, and its document, takes longer than most tests."""
    return create_app(settings)


@pytest.fixture
def app(application: FastAPI, settings: Settings, database: Database) -> FastAPI:
    """The real application on the test's transaction."""
    application.state.settings = settings
    application.state.database = database
    application.state.limiter = Limiter(database)
    return application


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """An anonymous HTTP client; its ``base_url`` has the API's prefix."""
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://api/api/v1") as client:
        yield client


SignIn = Callable[[User], Awaitable[str]]


@pytest.fixture
def sign_in(client: AsyncClient, session: AsyncSession, settings: Settings) -> SignIn:
    """Give ``client`` a real token of a real session of a user; awaited with the user."""

    async def sign_in(user: User) -> str:
        opened: UserSession = await make_session(session, user)
        await session.commit()
        token = issue_access_token(
            Claims(user.id, opened.id, user.role),
            key=settings.secret_key.get_secret_value(),
            ttl=settings.access_token_ttl,
        )
        client.headers["Authorization"] = f"Bearer {token}"
        return token

    return sign_in


@pytest.fixture
def statements(connection: AsyncConnection) -> Iterator[list[str]]:
    """The SQL sent so far; clear it, act, and count. Savepoints are not counted."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if "SAVEPOINT" not in statement:
            seen.append(statement)

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    yield seen
    event.remove(connection.sync_connection, "before_cursor_execute", note)


@pytest.fixture
def committed(database_url: str) -> Iterator[str]:
    """For the few tests that must really commit (races, real servers): empties the tables after."""
    yield database_url

    async def empty() -> None:
        engine = create_async_engine(database_url, poolclass=NullPool)
        async with engine.begin() as connection:
            names = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
            await connection.execute(text("SET LOCAL lock_timeout = '10s'"))  # rather than wait for ever
            await connection.execute(text(f"TRUNCATE {names}, procrastinate_jobs RESTART IDENTITY CASCADE"))
        await engine.dispose()

    asyncio.run(empty())
