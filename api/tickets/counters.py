"""Counters of tickets, kept by the database: triggers note changes, folding adds them up.

A statement that changes tickets writes what it changed as small signed rows of ``ticket_deltas``, so no
two writers want the same row. Folding moves them into ``ticket_counters`` and ``ticket_histograms``;
who reads adds both in one snapshot, so figures are exact before and after.
"""

from typing import Any, Final

import structlog
from sqlalchemy import BigInteger, Column, Date, Integer, SmallInteger, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.core.db import Base, Database
from api.core.jobs import jobs
from api.settings import get_settings

logger = structlog.get_logger()

MANY: Final = 2_000
"""Deltas that whoever reads them folds, in case no worker does."""

DELTAS: Final = Table(
    "ticket_deltas",
    Base.metadata,
    Column("n", Integer, nullable=False),
    Column("created_day", Date, nullable=False),
    Column("worker_id", BigInteger),
    Column("done_day", Date),
    *(Column(name, SmallInteger) for name in ("to_assign", "to_start", "to_done")),
    Column("status", Text, nullable=False),
    Column("priority", Text, nullable=False),
)
"""What triggers note and ``fold_ticket_deltas()`` adds up; no key and no index, so that writing is cheap."""


def _counts(table: str, *value: Column[Any]) -> Table:
    return Table(
        table,
        Base.metadata,
        Column("fact", Text(collation="C"), primary_key=True),
        Column("span", Integer, primary_key=True, autoincrement=False),
        Column("start", Date, primary_key=True),
        Column("worker_id", BigInteger, primary_key=True, autoincrement=False),
        *value,
        Column("n", BigInteger, nullable=False),
    )


COUNTERS: Final = _counts("ticket_counters", Column("value", Text(collation="C"), primary_key=True))
HISTOGRAMS: Final = _counts(
    "ticket_histograms", Column("bucket", SmallInteger, primary_key=True, autoincrement=False)
)


async def fold(session: AsyncSession) -> int:
    """Add up to 20 000 waiting deltas to the counters; return how many, 0 while another does it."""
    folded: int = await session.scalar(text("SELECT fold_ticket_deltas()")) or 0
    return folded


async def rebuild(database: Database) -> int:
    """Count all tickets anew, from one snapshot and beside writers; return how many there are."""
    async with database.sessions.begin() as session:
        await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        await session.execute(text("SET LOCAL statement_timeout = 0"))
        # The snapshot is taken after this, so no delta is both in it and being folded.
        await session.execute(text("LOCK TABLE ticket_counters IN SHARE ROW EXCLUSIVE MODE"))
        counted: int = await session.scalar(text("SELECT rebuild_ticket_counters()")) or 0
    return counted


@jobs.periodic(cron="* * * * *")
@jobs.task(name="fold_counters", queueing_lock="fold_counters")
async def fold_counters(timestamp: int) -> None:  # noqa: ARG001  the library passes when it was due
    """Fold all that waits, once a minute, a transaction for each part of it."""
    database = Database.connect(get_settings())
    try:
        async with database.reads() as session:
            total = 0
            while folded := await fold(session):
                total += folded
    finally:
        await database.engine.dispose()
    if total:
        logger.info("folded", deltas=total)
