"""The database session: one request, or one job, is one transaction."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from fastapi import Depends
from sqlalchemy import BigInteger, DateTime, Enum, Identity, LargeBinary, MetaData, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.requests import HTTPConnection

from api.core.errors import AppError
from api.settings import Settings

Sessions = async_sessionmaker[AsyncSession]


def text_enum(enum: type[StrEnum], name: str) -> Enum:
    """Map ``enum`` to a text column whose CHECK constraint ``name`` lists the values."""
    return Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
        name=name,
    )


class Base(DeclarativeBase):
    """Declarative base: text strings, aware timestamps, wide ids, predictable constraint names."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        int: BigInteger(),
        bytes: LargeBinary(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
    }


class Record:
    """Columns of every table with an identity."""

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True, sort_order=-2)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=-1)


@dataclass(frozen=True, slots=True)
class Database:
    """How this process reaches PostgreSQL.

    ``sessions`` are transactions. ``reads`` commit each statement by itself: a SELECT through
    them is one round trip, where a transaction adds one for BEGIN and one for COMMIT.
    """

    engine: AsyncEngine
    sessions: Sessions
    reads: Sessions

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Return a pool for ``settings``; it opens connections when they are first needed."""
        engine = create_async_engine(
            settings.database_url,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            hide_parameters=True,  # an error that is logged tells the statement, not whom it was about
            pool_timeout=settings.database_pool_timeout,
            connect_args={
                "timeout": 5,
                "server_settings": {
                    "application_name": "repair-api",
                    "timezone": "UTC",
                    # Compiling a plan takes longer than any of ours should run.
                    "jit": "off",
                    "statement_timeout": str(int(settings.database_statement_timeout * 1000)),
                    "idle_in_transaction_session_timeout": "60000",
                },
            },
        )
        reads = engine.execution_options(isolation_level="AUTOCOMMIT")
        return cls(
            engine,
            async_sessionmaker(engine, expire_on_commit=False),
            async_sessionmaker(reads, expire_on_commit=False),
        )


def database_of(connection: HTTPConnection) -> Database:
    """Return the database of the application that serves ``connection``."""
    database: Database = connection.app.state.database
    return database


async def _database_of(connection: HTTPConnection) -> Database:
    return database_of(connection)


CurrentDatabase = Annotated[Database, Depends(_database_of)]


async def get_session(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """Yield the request's session; commit when the endpoint returns, roll back if it raises."""
    async with database_of(connection).sessions() as session:
        try:
            yield session
        except AppError as error:
            if error.keeps_changes:
                await session.commit()
            raise
        await session.commit()


async def get_reads(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """Yield a session for an endpoint that only reads."""
    async with database_of(connection).reads() as session:
        yield session


# scope="function" makes the commit happen *before* the response is sent. With FastAPI's
# default the caller would be told 201 first, and a failing commit would go unseen.
Session = Annotated[AsyncSession, Depends(get_session, scope="function")]
Reads = Annotated[AsyncSession, Depends(get_reads, scope="function")]


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def violated(error: IntegrityError) -> str:
    """Return the name of the constraint that refused a statement, or an empty string."""
    return str(getattr(getattr(error.orig, "__cause__", None), "constraint_name", None) or "")
