"""Rate limits, counted in PostgreSQL so that they hold across processes and restarts."""

import math
import time
from datetime import UTC, datetime

from limits import RateLimitItem
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from sqlalchemy import Index, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from api.core.db import Base, Database
from api.core.errors import AppError


class RateLimited(AppError):
    """Too many requests; `Retry-After` tells when the next one is welcome."""

    status = 429
    code = "rate_limited"

    def __init__(self, detail: str, *, seconds: int) -> None:
        super().__init__(detail, retry_after=seconds)
        self.headers = {"Retry-After": str(seconds)}  # type: ignore[misc]  # this one's own


class RateHit(Base):
    """How often something happened in the window that ends at ``expires_at``."""

    __tablename__ = "rate_hits"
    __table_args__ = (Index(None, "expires_at"), {"prefixes": ["UNLOGGED"]})

    key: Mapped[str] = mapped_column(primary_key=True)
    hits: Mapped[int]
    expires_at: Mapped[datetime]


class PostgresStorage(Storage):
    """Storage of the library ``limits`` in the table ``rate_hits``, one statement for each call."""

    STORAGE_SCHEME = ["repair+postgresql"]  # noqa: RUF012  declared so by the library

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._reads = database.reads

    @property
    @override
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    @override
    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        statement = text(
            """
            INSERT INTO rate_hits AS r (key, hits, expires_at)
            VALUES (:key, greatest(:amount, 0), clock_timestamp() + make_interval(secs => :expiry))
            ON CONFLICT (key) DO UPDATE SET
              hits = CASE WHEN r.expires_at > clock_timestamp() THEN greatest(r.hits + :amount, 0)
                          ELSE excluded.hits END,
              expires_at = CASE WHEN r.expires_at > clock_timestamp() THEN r.expires_at
                                ELSE excluded.expires_at END
            RETURNING hits
            """
        )
        async with self._reads() as session:
            found = await session.scalar(statement, {"key": key, "amount": amount, "expiry": expiry})
        return int(found)

    @override
    async def get(self, key: str) -> int:
        statement = text("SELECT hits FROM rate_hits WHERE key = :key AND expires_at > clock_timestamp()")
        async with self._reads() as session:
            return int(await session.scalar(statement, {"key": key}) or 0)

    @override
    async def get_expiry(self, key: str) -> float:
        async with self._reads() as session:
            found = await session.scalar(
                text("SELECT expires_at FROM rate_hits WHERE key = :key"), {"key": key}
            )
        return found.timestamp() if found else datetime.now(UTC).timestamp()

    @override
    async def check(self) -> bool:
        async with self._reads() as session:
            return await session.scalar(text("SELECT true")) is True

    @override
    async def reset(self) -> int | None:
        async with self._reads() as session:
            return len((await session.execute(text("DELETE FROM rate_hits RETURNING key"))).all())

    @override
    async def clear(self, key: str) -> None:
        async with self._reads() as session:
            await session.execute(text("DELETE FROM rate_hits WHERE key = :key"), {"key": key})


class Limiter:
    """Counts what may happen only so often."""

    def __init__(self, database: Database) -> None:
        self._storage = PostgresStorage(database)
        self._windows = FixedWindowRateLimiter(self._storage)

    async def hit(self, limit: RateLimitItem | None, *what: str) -> int:
        """Count one; return 0, or the seconds to wait when that was one too many."""
        if limit is None or await self._windows.hit(limit, *what):
            return 0
        reset = (await self._windows.get_window_stats(limit, *what)).reset_time
        return max(1, math.ceil(reset - time.time()))

    async def forgive(self, limit: RateLimitItem | None, *what: str) -> None:
        """Take one back, because it turned out to be welcome."""
        if limit is not None:
            await self._storage.incr(limit.key_for(*what), limit.get_expiry(), -1)
