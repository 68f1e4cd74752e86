"""Figures about tickets, in one statement: one snapshot, one round trip."""

from datetime import date, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.db import now
from api.core.errors import Forbidden
from api.core.fields import EARLIEST, Id, Moment, Out
from api.tickets.schemas import WorkerBrief
from api.tickets.states import OPEN, Priority, Status

OPEN_SQL: Final = ", ".join(f"'{status}'" for status in OPEN)
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


_SQL: Final = f"""
WITH scope AS MATERIALIZED (
  SELECT status, priority, worker_id, created_at, done_at,
         extract(epoch FROM assigned_at - created_at) AS to_assign,
         extract(epoch FROM in_progress_at - created_at) AS to_start,
         extract(epoch FROM done_at - created_at) AS to_done,
         status IN ({OPEN_SQL}) AS is_open,
         status IN ({OPEN_SQL}) AND coalesce(due_at < now(), false) AS is_overdue,
         coalesce(done_at >= :since AND done_at < :until, false) AS is_done
  FROM tickets
  WHERE CAST(:worker_id AS bigint) IS NULL OR worker_id = :worker_id
), made AS (
  SELECT * FROM scope WHERE created_at >= :since AND created_at < :until
), days AS (
  SELECT day::date
  FROM generate_series(CAST(:first_day AS date), CAST(:last_day AS date), interval '1 day') AS day
), by_worker AS (
  SELECT worker_id,
         count(*) FILTER (WHERE is_open) AS open,
         count(*) FILTER (WHERE status = 'in_progress') AS in_progress,
         count(*) FILTER (WHERE is_done) AS done,
         count(*) FILTER (WHERE is_overdue) AS overdue,
         percentile_cont(0.5) WITHIN GROUP (ORDER BY to_done) FILTER (WHERE is_done) AS median
  FROM scope GROUP BY worker_id
)
SELECT
  (SELECT json_object_agg(status, n)
     FROM (SELECT status, count(*) AS n FROM made GROUP BY status) s) AS by_status,
  (SELECT json_object_agg(priority, n)
     FROM (SELECT priority, count(*) AS n FROM made GROUP BY priority) p) AS by_priority,
  (SELECT json_build_object('open', count(*) FILTER (WHERE is_open),
                            'done', count(*) FILTER (WHERE is_done),
                            'overdue', count(*) FILTER (WHERE is_overdue)) FROM scope) AS now,
  (SELECT json_build_object(
     'created', count(*),
     'assign', percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY to_assign),
     'start', percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY to_start),
     'done', percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY to_done)) FROM made) AS times,
  (SELECT json_agg(json_build_object('day', d.day, 'created', coalesce(c.n, 0), 'done', coalesce(f.n, 0))
                   ORDER BY d.day)
     FROM days d
     LEFT JOIN (SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS n
                  FROM made GROUP BY 1) c USING (day)
     LEFT JOIN (SELECT (done_at AT TIME ZONE 'UTC')::date AS day, count(*) AS n
                  FROM scope WHERE is_done GROUP BY 1) f USING (day)) AS per_day,
  (SELECT json_agg(json_build_object(
     'worker', json_build_object('id', u.id, 'username', u.username, 'name', u.name),
     'open', coalesce(w.open, 0), 'in_progress', coalesce(w.in_progress, 0),
     'done', coalesce(w.done, 0), 'overdue', coalesce(w.overdue, 0),
     'median_seconds_to_done', w.median) ORDER BY coalesce(w.open, 0) DESC, u.id)
     FROM users u
     LEFT JOIN by_worker w ON w.worker_id = u.id
    WHERE (u.role = 'worker' AND u.is_active OR w.worker_id IS NOT NULL)
      AND (CAST(:worker_id AS bigint) IS NULL OR u.id = :worker_id)) AS per_worker
"""  # noqa: S608  built from this module's constants


async def compute(session: AsyncSession, query: StatsQuery, *, viewer: User) -> TicketStats:
    """Return the figures ``viewer`` may see.

    Percentiles interpolate between neighbours (SQL's ``percentile_cont``).

    Raises:
        Forbidden: (403) a worker asked for somebody else's figures.
    """
    worker_id = query.worker_id
    if viewer.role is Role.WORKER:
        if worker_id not in (None, viewer.id):
            msg = "a worker sees their own figures"
            raise Forbidden(msg)
        worker_id = viewer.id
    since, until, first_day, last_day = _period(query)
    row = (
        await session.execute(
            text(_SQL),
            {
                "worker_id": worker_id,
                "since": since,
                "until": until,
                "first_day": first_day,
                "last_day": last_day,
            },
        )
    ).one()
    return _told(row)


def _period(query: StatsQuery) -> tuple[datetime, datetime, date, date]:
    until = query.to or now()
    since = query.from_ or EARLIEST
    last_day = (until - timedelta(microseconds=1)).date()
    days = MAX_DAYS if query.from_ else DEFAULT_DAYS
    return since, until, max(since.date(), last_day - timedelta(days=days - 1)), last_day


def _told(row: Any) -> TicketStats:
    times, current = row.times, row.now
    return TicketStats(
        by_status=dict.fromkeys(Status, 0) | (row.by_status or {}),
        by_priority=dict.fromkeys(Priority, 0) | (row.by_priority or {}),
        open=current["open"],
        overdue=current["overdue"],
        created=times["created"],
        done=current["done"],
        seconds_to_assign=_seconds(times["assign"]),
        seconds_to_start=_seconds(times["start"]),
        seconds_to_done=_seconds(times["done"]),
        per_day=[Day(**day) for day in row.per_day or []],
        per_worker=[WorkerStats(**worker) for worker in row.per_worker or []],
    )


def _seconds(percentiles: list[float] | None) -> Seconds:
    median, p90 = percentiles or (None, None)
    return Seconds(median=median, p90=p90)
