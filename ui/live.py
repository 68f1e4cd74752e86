"""The live socket of a conversation, passed on from the API: the token stays here, the rest goes on."""

import asyncio
import json
import secrets
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import requests
from anyio import to_thread
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

from ui import session
from ui.asking import place_of, reader_of, renewed, token_of
from ui.client import PREFIX
from ui.routes import from_own_page

BOOT: Final = secrets.token_hex(8)
"""Names this run of the UI: a tab that was drawn by another one has to be loaded anew."""
LARGEST_MESSAGE: Final = 1024 * 1024
UNAUTHENTICATED, FORBIDDEN, TRY_AGAIN = 4401, 4403, 1013


async def live(websocket: WebSocket) -> None:
    """Pass on what the API tells of a ticket, and that somebody types; nothing else goes up."""
    if not from_own_page(websocket):
        await websocket.close(FORBIDDEN)
        return
    await websocket.accept()
    code = TRY_AGAIN
    try:
        await websocket.send_json({"type": "hello", "boot": BOOT})
        token = await to_thread.run_sync(token_of, websocket)
        if token is None and "code" not in websocket.path_params:
            code = UNAUTHENTICATED
            return
        async with _upstream(websocket, token) as upstream:
            await _both_ways(websocket, upstream)
        code = upstream.close_code or TRY_AGAIN
        if code == UNAUTHENTICATED and token and await to_thread.run_sync(renewed, websocket, token):
            code = TRY_AGAIN
    except (OSError, InvalidHandshake, InvalidURI, TimeoutError, requests.RequestException):
        code = TRY_AGAIN  # the API is away: the page comes again
    except (WebSocketDisconnect, RuntimeError):
        return
    finally:
        if code:
            await _close(websocket, code)


def _upstream(websocket: WebSocket, token: str | None) -> connect:
    parts = urlsplit(session.api_url())
    scheme = "wss" if parts.scheme == "https" else "ws"
    path = f"{parts.path.rstrip('/')}{PREFIX}{place_of(websocket)}/live"
    after = websocket.query_params.get("after", "")
    query = f"after={after}" if after.isdecimal() else ""
    return connect(
        urlunsplit((scheme, parts.netloc, path, query, "")),
        subprotocols=[Subprotocol("bearer"), Subprotocol(token)] if token else None,
        additional_headers=reader_of(websocket),
        open_timeout=5,
        close_timeout=1,
        max_size=LARGEST_MESSAGE,
        compression=None,
        proxy=None,
    )


async def _both_ways(websocket: WebSocket, upstream: ClientConnection) -> None:
    tasks = [asyncio.create_task(_down(websocket, upstream)), asyncio.create_task(_up(websocket, upstream))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _down(websocket: WebSocket, upstream: ClientConnection) -> None:
    try:
        async for message in upstream:
            await websocket.send_text(message if isinstance(message, str) else message.decode())
    except ConnectionClosed:
        return


async def _up(websocket: WebSocket, upstream: ClientConnection) -> None:
    while True:
        said = await websocket.receive_text()
        if said == "typing":
            try:
                await upstream.send(json.dumps({"type": "typing"}))
            except ConnectionClosed:
                return


async def _close(websocket: WebSocket, code: int) -> None:
    try:
        await websocket.close(code)
    except (RuntimeError, WebSocketDisconnect):
        return  # the browser was faster


routes: Final[list[BaseRoute]] = [
    WebSocketRoute("/talk/tickets/{ticket_id:int}/live", live),
    WebSocketRoute("/talk/public/{code}/live", live),
]
