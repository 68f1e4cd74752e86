"""``WS …/live``: what happens to a ticket, as it happens."""

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Query, WebSocket, WebSocketDisconnect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.deps import user_of, within_limit
from api.auth.models import User
from api.core.db import database_of
from api.core.errors import AppError, NotFound
from api.core.fields import MAX_ID
from api.core.pubsub import PubSub
from api.core.security import BadToken, Claims, read_access_token, read_code
from api.settings import Settings
from api.tickets import queries
from api.tickets.live.socket import (
    FORBIDDEN,
    MAX_FRAME,
    NOT_FOUND,
    TRY_AGAIN,
    UNAUTHENTICATED,
    Find,
    Guest,
    LiveSocket,
    MayWrite,
    receive,
)
from api.tickets.models import Ticket

router = APIRouter(tags=["live"])

PROTOCOL: Final = "bearer"
FIRST_MESSAGE_SECONDS: Final = 10.0
After = Annotated[int | None, Query(ge=0, le=MAX_ID)]


@router.websocket("/tickets/{ticket_id}/live")
async def follow_ticket_live(
    websocket: WebSocket, ticket_id: Annotated[int, Path(ge=1, le=MAX_ID)], after: After = None
) -> None:
    """Serve somebody who is signed in; the token comes as subprotocol or first message."""
    offered = websocket.scope.get("subprotocols", [])
    token = offered[1] if len(offered) > 1 and offered[0] == PROTOCOL else None
    claims = _claims(websocket, token) if token else None
    with suppress(WebSocketDisconnect):  # whoever leaves meanwhile wants no answer
        await websocket.accept(subprotocol=PROTOCOL if token else None)
        if not _welcome(websocket):
            await websocket.close(FORBIDDEN)
            return
        if not token:
            claims = _claims(websocket, await _first_token(websocket))
        if claims is None:
            await websocket.close(UNAUTHENTICATED)
            return
        await _serve(websocket, _by_claims(claims, ticket_id), _unlimited, after, claims.session_id)


@router.websocket("/public/tickets/{code}/live")
async def follow_own_ticket_live(
    websocket: WebSocket, code: Annotated[str, Path(max_length=64)], after: After = None
) -> None:
    """Serve the client who has the ticket's code."""
    known = read_code(code)
    with suppress(WebSocketDisconnect):
        await websocket.accept()
        if not _welcome(websocket):
            await websocket.close(FORBIDDEN)
            return
        if known is None:
            await websocket.close(NOT_FOUND)
            return
        await _serve(websocket, _by_code(known), partial(_within_public_limit, websocket), after)


def _by_claims(claims: Claims, ticket_id: int) -> Find:
    async def find(session: AsyncSession, lock: bool) -> tuple[User, Ticket]:  # noqa: FBT001
        user = await user_of(session, claims)
        seen = queries.lock if lock else queries.get
        return user, await seen(session, ticket_id, viewer=user)

    return find


def _by_code(code: str) -> Find:
    async def find(session: AsyncSession, lock: bool) -> tuple[None, Ticket]:  # noqa: FBT001
        return None, await queries.by_code(session, code, lock=lock)

    return find


async def _unlimited() -> None:
    """Let those who are signed in write."""


async def _within_public_limit(websocket: WebSocket) -> None:
    settings: Settings = websocket.app.state.settings
    host = websocket.client.host if websocket.client else "unknown"
    await within_limit(websocket.app.state.limiter, settings.public_limit, "public", host)


async def _serve(
    websocket: WebSocket, find: Find, may_write: MayWrite, after: int | None, session_id: int | None = None
) -> None:
    database, pubsub = database_of(websocket), websocket.app.state.pubsub
    assert isinstance(pubsub, PubSub)
    try:
        async with database.reads() as session:
            user, ticket = await find(session, False)
    except NotFound:
        await websocket.close(NOT_FOUND)
        return
    except AppError:
        await websocket.close(UNAUTHENTICATED)
        return
    except (SQLAlchemyError, OSError):
        await websocket.close(TRY_AGAIN)
        return
    socket = LiveSocket(websocket, Guest(user, find, may_write, session_id), database=database, pubsub=pubsub)
    await socket.serve(ticket.id, after)


def _claims(websocket: WebSocket, token: str | None) -> Claims | None:
    settings: Settings = websocket.app.state.settings
    try:
        return read_access_token(token or "", key=settings.secret_key.get_secret_value())
    except BadToken:
        return None


async def _first_token(websocket: WebSocket) -> str | None:
    try:
        async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
            frame = await receive(websocket)
        said = json.loads(frame[:MAX_FRAME])
        return str(said["token"]) if said["type"] == "auth" else None
    except (TimeoutError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _welcome(websocket: WebSocket) -> bool:
    """Refuse scripts of other sites: browsers send cookies and addresses along, but tell the origin."""
    origin = websocket.headers.get("origin")
    if origin is None:
        return True
    settings: Settings = websocket.app.state.settings
    return urlsplit(origin).netloc == websocket.headers.get("host") or origin in settings.cors_origins
