"""Jobs: procrastinate on the same PostgreSQL, so a job exists if its transaction committed."""

import json
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.settings import Settings

jobs = App(connector=PsycopgConnector())
"""Tasks register here; ``api.worker`` opens it with a connection of its own."""


def conninfo(settings: Settings) -> str:
    """Return ``DATABASE_URL`` as libpq reads it."""
    url = make_url(settings.database_url)
    options: dict[str, Any] = {key: value for key, value in url.query.items() if key == "sslmode"}
    return psycopg.conninfo.make_conninfo(
        "",
        host=url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        dbname=url.database,
        application_name="repair-worker",
        **options,
    )


async def purge_expired(session: AsyncSession) -> dict[str, int]:
    """Delete what is of no more use; return how many rows of each kind went."""
    statements = {
        "idempotency_keys": "created_at < now() - interval '24 hours'",
        "rate_hits": "expires_at < now()",
        "sessions": "expires_at < now() - interval '7 days'",
    }
    gone = {}
    for table, expired in statements.items():
        found = await session.execute(text(f"DELETE FROM {table} WHERE {expired} RETURNING 1"))  # noqa: S608  constants
        gone[table] = len(found.all())
    return gone


async def enqueue(session: AsyncSession, task: str, **arguments: Any) -> None:
    """Schedule a task for when the session's transaction commits; if it does not, nothing happens."""
    await session.execute(
        text(
            """
            SELECT procrastinate_defer_jobs_v1(ARRAY[CAST(
              ROW('default', :task, 0, NULL, NULL, CAST(:arguments AS jsonb), NULL)
              AS procrastinate_job_to_defer_v1
            )])
            """
        ),
        {"task": task, "arguments": json.dumps(arguments)},
    )
