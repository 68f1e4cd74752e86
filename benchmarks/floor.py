"""The floor: what the same SQL costs with next to nothing around it.

``application`` is a bare ASGI application over asyncpg: no framework, no validation, no sign-in,
no log. It runs the statements of the environment variable ``FLOOR``, as captured from the product.
``trivial`` has no database either: the ceiling of the load generator and of uvicorn.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from pydantic_core import to_json

from benchmarks.capture import Statement

Message = dict[str, Any]
if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]  # generic in its stubs alone
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

CONNECTIONS: Final = 20
"""As many as the product's pool has by default."""
VARIABLE: Final = "FLOOR"


def environment(database: str, statements: Sequence[Statement]) -> dict[str, str]:
    """Return the environment of a floor that answers with ``statements``."""
    given = {
        "database": database.replace("+asyncpg", ""),
        "statements": [[one.sql, one.parameters] for one in statements],
    }
    return os.environ | {VARIABLE: json.dumps(given)}


async def _typed(connection: "Connection", text: str | None, kind: str) -> Any:
    """Return a parameter as asyncpg wants it: the log tells it as text."""
    if kind in {"json", "jsonb"}:
        return text
    return await connection.fetchval(f"SELECT $1::text::{kind}", text)


class Floor:
    """Answers every request with the rows of its statements."""

    def __init__(self) -> None:
        # A queue and not asyncpg's pool, which asks the server to reset each connection it takes back.
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        self._work: list[tuple[str, list[Any]]] = []

    async def start(self) -> None:
        """Connect, and find out what the parameters are."""
        given = json.loads(os.environ[VARIABLE])
        for _ in range(CONNECTIONS):
            connection = await asyncpg.connect(given["database"], server_settings={"timezone": "UTC"})
            self._idle.put_nowait(connection)
        connection = await self._idle.get()
        for statement, texts in given["statements"]:
            kinds = [kind.name for kind in (await connection.prepare(statement)).get_parameters()]
            typed = [await _typed(connection, *pair) for pair in zip(texts, kinds, strict=True)]
            self._work.append((statement, typed))
        self._idle.put_nowait(connection)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or start and end with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        connection = await self._idle.get()
        try:
            answers = [await connection.fetch(statement, *values) for statement, values in self._work]
        finally:
            self._idle.put_nowait(connection)
        await _respond(send, b",".join(_json(rows) for rows in answers))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                while not self._idle.empty():
                    await self._idle.get_nowait().close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _json(rows: Sequence[asyncpg.Record]) -> bytes:
    if len(rows) == 1 and len(rows[0]) == 1 and isinstance(rows[0][0], str):
        return rows[0][0].encode()  # PostgreSQL has written the JSON already
    return to_json([dict(row) for row in rows])


async def _respond(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def trivial(scope: Message, receive: Receive, send: Send) -> None:
    """Say yes to everything."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
        return
    await _respond(send, b'{"status":"ok"}')


application = Floor()
