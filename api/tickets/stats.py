"""Figures about tickets."""

from datetime import date, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.db import now
from api.core.errors import Forbidden
from api.core.fields import EARLIEST, Id, Moment, Out
from api.tickets import counters, stats_sql
from api.tickets.periods import cover
from api.tickets.schemas import WorkerBrief
from api.tickets.states import Priority, Status

MAX_DAYS: Final = 366
DEFAULT_DAYS: Final = 30


class StatsQuery(BaseModel):
    """Query string of ``GET /tickets/stats``."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    worker_id: Id | None = Field(None, description="Only this worker's tickets")
    from_: Moment | None = Field(
        None, alias="from", description="Period from this moment; open when left out"
    )
    to: Moment | None = Field(None, description="Period until before this moment; now when left out")


class Seconds(Out):
    """How long something takes; null where it never happened."""

    median: float | None = Field(examples=[3600.0])
    p90: float | None = Field(description="Nine of ten are faster", examples=[90000.0])


class Day(Out):
    """One day, UTC."""

    day: date
    created: int
    done: int


class WorkerStats(Out):
    """One worker's figures."""

    worker: WorkerBrief
    open: int = Field(description="Open tickets now")
    in_progress: int
    overdue: int
    done: int = Field(description="Finished in the period")
    median_seconds_to_done: float | None


class TicketStats(Out):
    """Figures about the tickets in sight.

    `by_status`, `by_priority`, `created` and the times are of tickets created in the period,
    `done` and `per_day.done` of tickets finished in it; `open` and `overdue` are as of now.
    Times are measured from creation.
    """

    by_status: dict[Status, int]
    by_priority: dict[Priority, int]
    open: int
    overdue: int
    created: int
    done: int
    seconds_to_assign: Seconds
    seconds_to_start: Seconds
    seconds_to_done: Seconds
    per_day: list[Day] = Field(
        description=f"The last {DEFAULT_DAYS} days when `from` is left out; {MAX_DAYS} days at most"
    )
    per_worker: list[WorkerStats]


_ALL: Final = text(stats_sql.statement(one_worker=False))
_OF_ONE: Final = text(stats_sql.statement(one_worker=True))


async def compute(session: AsyncSession, query: StatsQuery, *, viewer: User) -> TicketStats:
    """Return the figures ``viewer`` may see.

    Percentiles interpolate between neighbours (SQL's ``percentile_cont``). In a period of more than
    10 000 tickets they are read from histograms, and off by less than 5 % or one second.

    Raises:
        Forbidden: (403) a worker asked for somebody else's figures.
    """
    worker_id = query.worker_id
    if viewer.role is Role.WORKER:
        if worker_id not in (None, viewer.id):
            msg = "a worker sees their own figures"
            raise Forbidden(msg)
        worker_id = viewer.id
    parameters = {"worker_id": worker_id, "scope": worker_id or 0} | _period(query, of_one=bool(worker_id))
    row = (await session.execute(_OF_ONE if worker_id else _ALL, parameters)).one()
    if row.waiting > counters.MANY:
        await counters.fold(session)
    return _told(row)


def _period(query: StatsQuery, *, of_one: bool) -> dict[str, Any]:
    present = now()
    until = query.to or present
    since = query.from_ or EARLIEST
    last_day = (until - timedelta(microseconds=1)).date()
    days = MAX_DAYS if query.from_ else DEFAULT_DAYS
    first_day = max(since.date(), last_day - timedelta(days=days - 1))
    named = {"since": since, "until": until, "first_day": first_day, "last_day": last_day}
    for name, finest in (("days", 1), ("times", 32 if of_one else 1), ("finished", 8)):
        named |= cover(since, until, now=present, finest=finest).parameters(name)
    return named


def _told(row: Any) -> TicketStats:
    by_status, by_priority = row.by_status or {}, row.by_priority or {}
    return TicketStats(
        by_status=dict.fromkeys(Status, 0) | by_status,
        by_priority=dict.fromkeys(Priority, 0) | by_priority,
        open=row.open,
        overdue=row.overdue,
        created=sum(by_status.values()),
        done=row.done,
        seconds_to_assign=_seconds(row.times["assign"]),
        seconds_to_start=_seconds(row.times["start"]),
        seconds_to_done=_seconds(row.times["done"]),
        per_day=[Day(**day) for day in row.per_day or []],
        per_worker=[WorkerStats(**worker) for worker in row.per_worker or []],
    )


def _seconds(percentiles: list[float] | None) -> Seconds:
    median, p90 = percentiles or (None, None)
    return Seconds(median=median, p90=p90)
