"""A server of the application under test on a real port of this process, and guests on its sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.core.processes import LOOPBACK
from tests.processes import free_port

PATIENCE = 10.0
"""Far more than anything here takes: no test waits for it unless it fails."""


@dataclass(frozen=True)
class Listener:
    """A running server."""

    address: str
    """Without the scheme."""
    tasks: set[asyncio.Task[None]]

    async def quiet(self) -> None:
        """Wait until all it had to do is done."""
        async with asyncio.timeout(PATIENCE):
            while self.tasks:
                await asyncio.wait(list(self.tasks), timeout=1)
                await asyncio.sleep(0)


@asynccontextmanager
async def listening(app: FastAPI, **options: Any) -> AsyncIterator[Listener]:
    """Serve ``app`` on loopback in this very loop."""
    port = free_port()
    config = uvicorn.Config(
        app, host=LOOPBACK, port=port, log_config=None, access_log=False, lifespan="off", **options
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield Listener(f"{LOOPBACK}:{port}/api/v1", server.server_state.tasks)
    await server.shutdown()


class Guest:
    """One end of a live socket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.heard: list[dict[str, Any]] = []

    async def hear(self, kind: str, seconds: float = PATIENCE, **fields: Any) -> dict[str, Any]:
        """Return the next message of a kind with these fields; what comes before it is kept in ``heard``."""
        async with asyncio.timeout(seconds):
            while True:
                message: dict[str, Any] = json.loads(await self.connection.recv())
                self.heard.append(message)
                if message["type"] == kind and fields.items() <= message.items():
                    return message

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a message."""
        await self.connection.send(json.dumps({"type": kind} | fields))

    async def comment(self, text: str, **fields: Any) -> dict[str, Any]:
        """Say something and return the acknowledgement."""
        await self.say("comment", text=text, **fields)
        return await self.hear("ack")

    async def closed(self, seconds: float = PATIENCE) -> int | None:
        """Wait until the other side closes; return its code."""
        async with asyncio.timeout(seconds):
            try:
                while True:
                    self.heard.append(json.loads(await self.connection.recv()))
            except ConnectionClosed as error:
                return error.rcvd.code if error.rcvd else None

    def kinds(self, *without: str) -> list[str]:
        """Return the kinds of what was heard so far."""
        return [message["type"] for message in self.heard if message["type"] not in without]


@asynccontextmanager
async def guest(
    address: str, path: str, token: str | None = None, *, greeted: bool = True, **options: Any
) -> AsyncIterator[Guest]:
    """Open a live socket; a token travels as its subprotocol."""
    protocols = {"subprotocols": ["bearer", token]} if token else {}
    url = f"ws://{address}{path}"
    async with connect(url, proxy=None, **(protocols | options)) as connection:
        one = Guest(connection)
        if greeted:
            await one.hear("ready")
        yield one
