"""What PostgreSQL does for a call: the statements the product sends for it, run again with EXPLAIN."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from httpx import ASGITransport, AsyncClient
from sqlalchemy import event

from api.auth.models import Role, UserSession
from api.core.db import Database, now
from api.core.security import Claims, issue_access_token
from api.main import create_app
from api.settings import Settings


@dataclass(frozen=True, slots=True)
class Plan:
    """What one statement took."""

    statement: str
    blocks: int
    """8 kB blocks that were looked at, from memory or disk."""
    scanned: frozenset[str]
    """Tables that were read from end to end, or begun to be."""
    indexes: frozenset[str]


class Prober:
    """Makes calls to the real application on one database and looks at what they cost."""

    def __init__(self, client: AsyncClient, database: Database) -> None:
        self._client, self._database = client, database
        self._sent: list[tuple[str, Any]] = []
        event.listen(database.engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, _conn: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        self._sent.append((statement, parameters))

    async def get(self, path: str) -> tuple[dict[str, Any], list[Plan]]:
        """Return the answer to ``GET path``, and the plan of each statement it took."""
        self._sent.clear()
        response = await self._client.get(path)
        assert response.status_code == 200, response.text
        return response.json(), [await self.explain(*sent) for sent in list(self._sent)]

    async def explain(self, statement: str, parameters: Any) -> Plan:
        """Return what a statement takes."""
        async with self._database.reads() as session:
            connection = await session.connection()
            explained = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement
            [plan] = (await connection.exec_driver_sql(explained, parameters)).scalars()
        top = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
        nodes = [node for node in _nodes(top) if node["Actual Loops"]]
        return Plan(
            statement,
            top["Shared Hit Blocks"] + top["Shared Read Blocks"],
            frozenset(node["Relation Name"] for node in nodes if "Seq Scan" in node["Node Type"]),
            frozenset(node["Index Name"] for node in nodes if "Index Name" in node),
        )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@asynccontextmanager
async def prober(settings: Settings, url: str, user_id: int, role: Role) -> AsyncIterator[Prober]:
    """Sign a user of a filled database in."""
    app = create_app(settings.model_copy(update={"database_url": url, "database_pool_size": 1}))
    database: Database = app.state.database
    async with database.sessions.begin() as session:
        opened = UserSession(user_id=user_id, last_used_at=now(), expires_at=now() + timedelta(days=1))
        session.add(opened)
    key = settings.secret_key.get_secret_value()
    token = issue_access_token(Claims(user_id, opened.id, role), key=key, ttl=timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://api/api/v1", headers=headers) as client:
        yield Prober(client, database)
    await database.engine.dispose()
