"""Tell all processes that something happened: PostgreSQL's LISTEN and NOTIFY.

One connection for each process listens, whatever the number of sockets. A notification holds
ids only; whoever is woken reads the rows under their own rights.
"""

import asyncio
import contextlib
import json
from collections import defaultdict, deque
from typing import Any, Final

import asyncpg
import structlog
from sqlalchemy import make_url, text

from api.core.db import Database
from api.settings import Settings

log = structlog.get_logger()

CHANGES: Final = "ticket_events"
"""Payload: the topic's number. There is something new to read."""
SIGNALS: Final = "ticket_signals"
"""Payload: JSON with ``topic``. Something that is not kept: who types, who looks."""
ENDED: Final = "sessions_ended"
"""Payload: a session's number. Whoever came in by it must be looked at anew."""
RETRY_SECONDS: Final = 0.5
SIGNALS_KEPT: Final = 50
KEEPALIVE_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 5.0


class Subscription:
    """What one listener waits for: that something changed, however often, and signals."""

    def __init__(self, session_id: int | None = None) -> None:
        self.session_id = session_id
        self._woken = asyncio.Event()
        self._changed = False
        self._signals: deque[dict[str, Any]] = deque(maxlen=SIGNALS_KEPT)

    def change(self) -> None:
        """Note that there is something new to read."""
        self._changed = True
        self._woken.set()

    def signal(self, payload: dict[str, Any]) -> None:
        """Hand over a signal; a listener too slow for them loses the oldest."""
        self._signals.append(payload)
        self._woken.set()

    async def wait(self, seconds: float) -> bool:
        """Wait until something is there; False when ``seconds`` pass first."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    def take_change(self) -> bool:
        """Tell whether something changed since the last time this was asked."""
        changed, self._changed = self._changed, False
        return changed

    def take_signals(self) -> list[dict[str, Any]]:
        """Return the signals since the last time this was asked."""
        signals = list(self._signals)
        self._signals.clear()
        return signals


class PubSub:
    """The process's ear. It begins to listen with the first subscription."""

    def __init__(self, settings: Settings) -> None:
        url = make_url(settings.database_url)
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._topics: defaultdict[int, set[Subscription]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    @contextlib.asynccontextmanager
    async def subscribe(self, topic: int, *, session_id: int | None = None) -> Any:
        """Yield a :class:`Subscription`; what commits from now on wakes it, as does that its session ends.

        Waits until the process listens, so that nothing falls between reading the present
        state and the first notification.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen())
        subscription = Subscription(session_id)
        self._topics[topic].add(subscription)
        try:
            await self._listening.wait()
            yield subscription
        finally:
            self._topics[topic].discard(subscription)
            if not self._topics[topic]:
                del self._topics[topic]

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn, timeout=5, server_settings={"application_name": "repair-listener"}
                )
            except (OSError, asyncpg.PostgresError, TimeoutError) as error:
                log.warning("waiting for the database to listen", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
            try:
                await connection.add_listener(CHANGES, self._on_change)
                await connection.add_listener(SIGNALS, self._on_signal)
                await connection.add_listener(ENDED, self._on_end)
                self._listening.set()
                self._wake_all()  # what was missed while nobody listened is in the tables
                await self._stay(connection, lost)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                log.warning("listening was interrupted", error=type(error).__name__)
            finally:
                self._listening.clear()
                connection.terminate()
            await asyncio.sleep(RETRY_SECONDS)

    @staticmethod
    async def _stay(connection: Any, lost: asyncio.Event) -> None:
        """Return when the connection was lost; ask now and then, for a host that is gone says nothing."""
        while not lost.is_set():
            try:
                async with asyncio.timeout(KEEPALIVE_SECONDS):
                    await lost.wait()
            except TimeoutError:
                await connection.fetchval("SELECT 1", timeout=ANSWER_SECONDS)

    def _wake_all(self) -> None:
        for subscriptions in self._topics.values():
            for subscription in subscriptions:
                subscription.change()

    def _on_change(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for subscription in self._topics.get(int(str(payload)), ()):
            subscription.change()

    def _on_signal(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        signal = json.loads(str(payload))
        for subscription in self._topics.get(signal["topic"], ()):
            subscription.signal(signal)

    def _on_end(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for subscriptions in self._topics.values():
            for subscription in subscriptions:
                if subscription.session_id == int(str(payload)):
                    subscription.change()


async def send_signal(database: Database, topic: int, **payload: Any) -> None:
    """Tell every listener of ``topic``, in whatever process, something that is not kept."""
    async with database.reads() as session:
        await session.execute(
            text("SELECT pg_notify(:channel, :payload)"),
            {"channel": SIGNALS, "payload": json.dumps({"topic": topic} | payload)},
        )
