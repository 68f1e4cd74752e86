"""One live socket: who is on it, what it is told, what it may say. Holds no database connection."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Annotated, Any, Final

import structlog
from fastapi import WebSocket, WebSocketDisconnect
from pydantic import StringConstraints, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.db import Database
from api.core.errors import AppError
from api.core.fields import Text
from api.core.pubsub import PubSub, Subscription, send_signal
from api.tickets.comments import service as comments
from api.tickets.comments.schemas import CommentCreate
from api.tickets.live import feed
from api.tickets.models import Ticket

log = structlog.get_logger()

MAX_FRAME: Final = 64 * 1024
HEARTBEAT_SECONDS: Final = 25.0
SLOW_SECONDS: Final = 10.0
"""A reader who takes no message for so long is dropped; it comes back with `after`."""
TYPING_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 1.0
UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, TOO_BIG, TRY_AGAIN = 4401, 4403, 4404, 1009, 1013
UNAUTHORIZED, MISSING = 401, 404


Find = Callable[[AsyncSession, bool], Awaitable[tuple[User | None, Ticket]]]
MayWrite = Callable[[], Awaitable[None]]


class LiveComment(CommentCreate):
    """A comment as a socket takes it."""

    key: Annotated[Text, StringConstraints(min_length=1, max_length=100)] | None = None


@dataclass(frozen=True, slots=True)
class Guest:
    """Who is on a socket, and how their rights are looked up anew each time."""

    user: User | None
    """None is the client who has the code."""
    find: Find
    """Return the user and the ticket, locked or not; raises what the API would answer."""
    may_write: MayWrite
    """Count one more message; raises over the limit."""
    session_id: int | None = None
    """By which they signed in."""


async def receive(websocket: WebSocket) -> bytes:
    """Return the next frame, whether it was sent as text or as bytes.

    Raises:
        WebSocketDisconnect: the other side has left.
    """
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    text: str | None = message.get("text")
    frame: bytes = message["bytes"] if text is None else text.encode()
    return frame


def _written(message: dict[str, Any]) -> str:
    # A key is told again as it came, and may have held half a character that no frame can hold.
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace").decode()


def _what_is_wrong(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"[:300]


class LiveSocket:
    """Serves one accepted WebSocket until either side leaves."""

    def __init__(self, websocket: WebSocket, guest: Guest, *, database: Database, pubsub: PubSub) -> None:
        self._websocket, self._guest = websocket, guest
        self._database, self._pubsub = database, pubsub
        # Not the object's address: another process may have a socket at the same one.
        self._name = secrets.token_hex(8)
        self._typed_at = 0.0
        self._last = 0

    async def serve(self, ticket_id: int, after: int | None) -> None:
        """Tell what happens to the ticket and take what is said, from event ``after`` on."""
        async with self._pubsub.subscribe(ticket_id, session_id=self._guest.session_id) as subscription:
            tasks = []
            try:
                await self._greet(subscription, ticket_id, after)
                tasks = [
                    asyncio.create_task(self._tell(subscription)),
                    asyncio.create_task(self._hear(ticket_id)),
                ]
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            except AppError as error:
                await self._close(UNAUTHENTICATED if error.status == UNAUTHORIZED else NOT_FOUND)
            except TimeoutError:
                log.info("slow reader dropped")
                await self._close(TRY_AGAIN)
            except (WebSocketDisconnect, RuntimeError):
                pass  # the other side has left, or was told to
            except (SQLAlchemyError, OSError) as error:
                log.warning("live socket closed: the database is away", error=type(error).__name__)
                await self._close(TRY_AGAIN)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._leave(ticket_id)

    async def _greet(self, subscription: Subscription, ticket_id: int, after: int | None) -> None:
        async with self._database.reads() as session:
            newest = await feed.newest(session, ticket_id)
        # Not beyond the newest: whoever says so would hear nothing until the lines have caught up.
        self._last = newest if after is None else min(after, newest)
        subscription.change()
        await self._send({"type": "ready", "last_event_id": self._last})
        await self._announce(ticket_id, "here", ask=True)

    async def _tell(self, subscription: Subscription) -> None:
        """Send what is new; look the guest's rights up anew each time, and at every heartbeat."""
        while True:
            woken = await subscription.wait(HEARTBEAT_SECONDS)
            signals = subscription.take_signals()
            # First: if the guest's session ended before somebody typed, that is not for them any more.
            if (subscription.take_change() or not woken) and not await self._catch_up():
                subscription.change()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for signal in signals:
                await self._relay(signal)
            if not woken:
                await self._send({"type": "ping"})

    async def _catch_up(self) -> bool:
        """Send every line after the last one that was sent; False when the database is away."""
        while True:
            try:
                async with self._database.reads() as session:
                    viewer, ticket = await self._guest.find(session, False)
                    messages, last = await feed.since(session, ticket, self._last, viewer=viewer)
            except (SQLAlchemyError, OSError) as error:
                log.warning("live feed waits for the database", error=type(error).__name__)
                return False
            for message in messages:
                await self._send(message)
            if last == self._last:
                return True
            self._last = last

    async def _relay(self, signal: dict[str, Any]) -> None:
        """Tell of somebody who types or looks; the client hears only that somebody types."""
        if signal["socket"] == self._name:
            return
        outside = self._guest.user is None or self._guest.user.role is Role.CLIENT
        if signal["kind"] == "typing":
            who = (
                {"role": signal["role"]} if outside else {key: signal[key] for key in ("id", "name", "role")}
            )
            await self._send({"type": "typing", "who": who})
        elif not outside:
            who = {key: signal[key] for key in ("id", "name", "role")}
            await self._send({"type": "presence", "state": signal["state"], "who": who})
        if signal.get("ask"):
            await self._announce(signal["topic"], "here")

    async def _hear(self, ticket_id: int) -> None:
        """Take what the guest says until they leave."""
        while True:
            frame = await receive(self._websocket)
            if len(frame) > MAX_FRAME:
                await self._close(TOO_BIG)
                return
            try:
                said = json.loads(frame)
                kind = said.pop("type")
            except (ValueError, KeyError, AttributeError, RecursionError, TypeError):
                await self._send({"type": "error", "code": "validation_error", "detail": "JSON with type"})
                continue
            if kind == "comment":
                await self._comment(said)
            elif kind == "typing":
                await self._typing(ticket_id)
            elif kind != "pong":
                await self._send({"type": "error", "code": "validation_error", "detail": "unknown type"})

    async def _comment(self, said: dict[str, Any]) -> None:
        """Write a comment and acknowledge it; with a ``key`` it can be sent again without harm."""
        key = said.get("key")
        try:
            new = LiveComment.model_validate(said)
            await self._guest.may_write()
            async with self._database.sessions.begin() as session:
                author, ticket = await self._guest.find(session, True)
                comment = await comments.add(session, ticket, new, author=author, key=new.key)
        except ValidationError as error:
            refusal = {"code": "validation_error", "detail": _what_is_wrong(error)}
        except AppError as error:
            if error.status in (UNAUTHORIZED, MISSING):
                raise
            refusal = {"code": error.code, "detail": error.detail}
        except (SQLAlchemyError, OSError):
            refusal = {"code": "unavailable", "detail": "send it again with the same key"}
        else:
            await self._send({"type": "ack", "key": key, "comment_id": comment.id})
            return
        await self._send({"type": "error", "key": key} | refusal)

    async def _typing(self, ticket_id: int) -> None:
        """Tell the others, if the guest may still speak: they might type faster than they are shown out."""
        if monotonic() - self._typed_at <= TYPING_SECONDS:
            return
        self._typed_at = monotonic()
        try:
            async with self._database.reads() as session:
                await self._guest.find(session, False)
        except (SQLAlchemyError, OSError):
            return  # nobody could be told
        await self._signal(ticket_id, kind="typing")

    async def _announce(self, ticket_id: int, state: str, *, ask: bool = False) -> None:
        """Tell the others that the guest looks at the ticket, or no longer does."""
        if self._guest.user is not None and self._guest.user.role is not Role.CLIENT:
            await self._signal(ticket_id, kind="presence", state=state, ask=ask)

    async def _signal(self, ticket_id: int, **payload: Any) -> None:
        user = self._guest.user
        who: dict[str, Any] = {"id": None, "name": None, "role": Role.CLIENT.value}
        if user is not None:
            who = {"id": user.id, "name": user.name or user.username, "role": user.role.value}
        try:
            await send_signal(self._database, ticket_id, socket=self._name, **who, **payload)
        except (SQLAlchemyError, OSError):
            log.info("signal lost: the database is away")

    async def _leave(self, ticket_id: int) -> None:
        await asyncio.shield(self._announce(ticket_id, "gone"))

    async def _send(self, message: dict[str, Any]) -> None:
        async with asyncio.timeout(SLOW_SECONDS):
            await self._websocket.send_text(_written(message))

    async def _close(self, code: int) -> None:
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                await self._websocket.close(code)
        except (RuntimeError, WebSocketDisconnect, TimeoutError):
            log.debug("socket was closed already")
