"""Alembic environment: same settings and metadata as the application."""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from api.models import Base
from api.settings import get_settings


def include(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:  # noqa: FBT001
    """Leave the tables of the job library alone: it brings its own migrations."""
    return not (kind == "table" and (name or "").startswith("procrastinate_"))


def run(connection: Connection) -> None:
    """Run each migration in its own transaction, giving up rather than blocking the site."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
        include_object=include,
    )
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    """Connect with the application's own settings, unless a test passed its URL."""
    url = context.config.get_main_option("sqlalchemy.url") or get_settings().database_url
    engine = create_async_engine(
        url, connect_args={"server_settings": {"lock_timeout": "5s", "timezone": "UTC"}}
    )
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


asyncio.run(main())
