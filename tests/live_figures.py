"""The figures of tickets as counted ticket by ticket: what the API's counters have to agree with."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.core.db import now
from api.core.fields import EARLIEST
from api.tickets.states import OPEN, Priority, Status
from api.tickets.stats import DEFAULT_DAYS, MAX_DAYS

OPEN_SQL: Final = ", ".join(f"'{status}'" for status in OPEN)

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


async def counted_live(
    session: AsyncSession,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    worker_id: int | None = None,
) -> dict[str, Any]:
    """Return what ``GET /tickets/stats`` has to answer; reads every ticket."""
    end, start = until or now(), since or EARLIEST
    last_day = (end - timedelta(microseconds=1)).date()
    days = MAX_DAYS if since else DEFAULT_DAYS
    found = await session.execute(
        text(_SQL),
        {
            "worker_id": worker_id,
            "since": start,
            "until": end,
            "first_day": max(start.date(), last_day - timedelta(days=days - 1)),
            "last_day": last_day,
        },
    )
    row = found.one()
    return {
        "by_status": dict.fromkeys(map(str, Status), 0) | (row.by_status or {}),
        "by_priority": dict.fromkeys(map(str, Priority), 0) | (row.by_priority or {}),
        "open": row.now["open"],
        "overdue": row.now["overdue"],
        "created": row.times["created"],
        "done": row.now["done"],
        **{
            f"seconds_to_{what}": dict(zip(("median", "p90"), row.times[what] or (None, None), strict=True))
            for what in ("assign", "start", "done")
        },
        "per_day": row.per_day or [],
        "per_worker": row.per_worker or [],
    }
