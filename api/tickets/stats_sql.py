"""The one statement behind ``GET /tickets/stats``: one snapshot, one round trip, however many tickets.

What is folded into blocks of days (``ticket_counters``, ``ticket_histograms``), what waits to be folded
(``ticket_deltas``) and what lies at the ends of the period (``tickets``, by an index) is added up.
"""

from typing import Final

from api.tickets.periods import ALL_DAYS, ENDS
from api.tickets.states import OPEN

OPEN_SQL: Final = ", ".join(f"'{status}'" for status in OPEN)
EXACT_UP_TO: Final = 10_000
"""So many tickets of a period, of all workers, are measured one by one; more are read from histograms."""

# OFFSET 0 keeps each block a look-up by the primary key, whatever the planner thinks of their number.
_BLOCKS: Final = """
unnest(CAST(:{name}_spans AS integer[]), CAST(:{name}_starts AS date[]), CAST(:{name}_signs AS integer[]))
  AS block (span, start, sign),
LATERAL (SELECT * FROM {table} AS t
         WHERE t.fact = {fact} AND t.span = block.span AND t.start = block.start AND {where}
         OFFSET 0) AS counted
"""


def _blocks(name: str, table: str, fact: str, where: str) -> str:
    return _BLOCKS.format(name=name, table=table, fact=fact, where=where)


def _ends(name: str, moment: str, columns: str, where: str) -> str:
    """Return a SELECT of the tickets at both ends of a period; n is 1, or -1 to take one away."""
    return " UNION ALL ".join(
        f"""
        SELECT CAST(:{name}_sign{n} AS integer) AS n, {columns} FROM tickets
        WHERE {moment} >= :{name}_since{n} AND {moment} < :{name}_until{n} AND {where}
        """  # noqa: S608
        for n in range(ENDS)
    )


def _waiting(name: str, day: str) -> str:
    return f"{day} >= :{name}_first AND {day} < :{name}_last"


def _times(mine: str) -> str:
    """Return how many tickets are how long, by fact, worker and bucket."""
    buckets = """
    LATERAL (VALUES ('assign', to_assign), ('start', to_start), ('done', to_done)) AS f (fact, bucket)
    """
    to_done = "duration_bucket(created_at, done_at) AS to_done"
    live = f"""
    duration_bucket(created_at, assigned_at) AS to_assign,
    duration_bucket(created_at, in_progress_at) AS to_start, {to_done}
    """
    many_made, many_finished = "NOT (SELECT made FROM few)", "NOT (SELECT finished FROM few)"
    someones = f"worker_id IS NOT NULL AND {mine} AND {many_finished}"
    return f"""
    SELECT fact, worker_id, bucket, n * sign AS n
    FROM {_blocks("times", "ticket_histograms", "ANY (ARRAY['assign', 'start', 'done'])", "t.worker_id = :scope")}
    WHERE {many_made}
    UNION ALL SELECT fact, CAST(:scope AS bigint), bucket, n FROM waiting, {buckets}
    WHERE {many_made} AND {mine} AND bucket IS NOT NULL AND {_waiting("times", "created_day")}
    UNION ALL SELECT fact, CAST(:scope AS bigint), bucket, n
    FROM ({_ends("times", "created_at", live, f"{mine} AND {many_made}")}) AS t, {buckets} WHERE bucket IS NOT NULL
    UNION ALL SELECT fact, worker_id, bucket, n * sign
    FROM {_blocks("finished", "ticket_histograms", "'finished'", mine)} WHERE {many_finished}
    UNION ALL SELECT 'finished', worker_id, to_done, n FROM waiting
    WHERE {someones} AND {_waiting("finished", "done_day")}
    UNION ALL SELECT 'finished', worker_id, to_done, n
    FROM ({_ends("finished", "done_at", f"worker_id, {to_done}", someones)}) AS t
    """  # noqa: S608, E501


def statement(*, one_worker: bool, exact_up_to: int = EXACT_UP_TO) -> str:
    """Return the statement, for the tickets of one worker or for all."""
    mine = "worker_id = :worker_id" if one_worker else "true"
    one_day = f"""
    span = 1 AND start = d.day AND worker_id = :scope AND {_waiting("days", "d.day")}"""
    exact = "percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY extract(epoch FROM {} - created_at))"
    return f"""
WITH waiting AS MATERIALIZED (
  SELECT * FROM ticket_deltas
), made AS MATERIALIZED (
  SELECT n, created_day AS day, worker_id, status, priority FROM waiting
  WHERE {_waiting("days", "created_day")}
  UNION ALL
  {_ends("days", "created_at", "(created_at AT TIME ZONE 'UTC')::date, worker_id, status, priority", "true")}
), finished AS MATERIALIZED (
  SELECT n, done_day AS day, worker_id FROM waiting WHERE {_waiting("days", "done_day")}
  UNION ALL
  {_ends("days", "done_at", "(done_at AT TIME ZONE 'UTC')::date, worker_id", "true")}
), made_counts AS MATERIALIZED (
  SELECT fact, worker_id, value, n * sign AS n
  FROM {_blocks("days", "ticket_counters", "ANY (ARRAY['status', 'priority'])", "t.worker_id IN (0, :scope)")}
  UNION ALL SELECT fact, w.scope, value, sum(n) FROM made,
    LATERAL (VALUES ('status', status), ('priority', priority)) AS f (fact, value),
    LATERAL (VALUES (CAST(0 AS bigint)), (worker_id)) AS w (scope)
  WHERE w.scope IN (0, :scope) GROUP BY 1, 2, 3
), done_counts AS MATERIALIZED (
  SELECT worker_id, sum(n) AS n FROM (
    SELECT worker_id, n * sign AS n FROM {_blocks("days", "ticket_counters", "'done'", "true")}
    UNION ALL SELECT w.scope, n FROM finished,
      LATERAL (VALUES (CAST(0 AS bigint)), (worker_id)) AS w (scope) WHERE w.scope IS NOT NULL) AS d
  GROUP BY worker_id
), few AS MATERIALIZED (
  SELECT (SELECT coalesce(sum(n), 0) FROM made_counts WHERE fact = 'status' AND worker_id = 0)
           <= {exact_up_to} AS made,
         (SELECT coalesce(sum(n), 0) FROM done_counts WHERE worker_id = 0) <= {exact_up_to} AS finished
), load AS MATERIALIZED (
  SELECT worker_id, sum(n) AS tickets, coalesce(sum(n) FILTER (WHERE status IN ({OPEN_SQL})), 0) AS open,
         coalesce(sum(n) FILTER (WHERE status = 'in_progress'), 0) AS in_progress
  FROM (SELECT worker_id, value AS status, n FROM ticket_counters
        WHERE fact = 'status' AND span = {ALL_DAYS} AND start = DATE '1000-01-01'
        UNION ALL SELECT w.scope, status, n FROM waiting,
          LATERAL (VALUES (CAST(0 AS bigint)), (worker_id)) AS w (scope) WHERE w.scope IS NOT NULL) AS one
  GROUP BY worker_id
), late AS MATERIALIZED (
  SELECT worker_id, count(*) AS n FROM tickets
  WHERE due_at < now() AND due_at IS NOT NULL AND status IN ({OPEN_SQL}) AND {mine} GROUP BY worker_id
), buckets AS (
  SELECT fact, worker_id, bucket, CAST(sum(n) AS double precision) AS n FROM ({_times(mine)}) AS one
  GROUP BY fact, worker_id, bucket HAVING sum(n) > 0
), ranked AS (
  SELECT fact, worker_id, bucket, n, sum(n) OVER (PARTITION BY worker_id, fact) - 1 AS last,
         sum(n) OVER (PARTITION BY worker_id, fact ORDER BY bucket) - n AS before
  FROM buckets
), asked AS (
  SELECT r.*, p, floor(p * last) AS below, p * last - floor(p * last) AS rest
  FROM ranked AS r, (VALUES (CAST(0.5 AS double precision)), (0.9)) AS p (p)
  WHERE before <= floor(p * last) + 1 AND before + n > floor(p * last) AND (p = 0.5 OR fact <> 'finished')
), percentiles AS MATERIALIZED (  -- of the tickets on both sides of a rank, spread evenly over their buckets
  SELECT fact, worker_id, p, sum(weight * (low + width * (number - before + 0.5) / n)) AS seconds
  FROM asked, duration_bounds() AS edges,
       LATERAL (VALUES (coalesce(edges[bucket], 0),
                        coalesce(edges[bucket + 1] - edges[bucket], 0))) AS b (low, width),
       LATERAL (VALUES (below, 1 - rest), (below + 1, rest)) AS rank (number, weight)
  WHERE number >= before AND number < before + n
  GROUP BY fact, worker_id, p
), measured AS MATERIALIZED (
  SELECT {exact.format("assigned_at")} AS assign, {exact.format("in_progress_at")} AS start,
         {exact.format("done_at")} AS done
  FROM (SELECT created_at, assigned_at, in_progress_at, done_at FROM tickets
        WHERE (SELECT made FROM few) AND created_at >= :since AND created_at < :until AND {mine}
        LIMIT {exact_up_to}) AS t
), medians AS MATERIALIZED (
  SELECT worker_id,
         percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM done_at - created_at)) AS median
  FROM (SELECT worker_id, created_at, done_at FROM tickets
        WHERE (SELECT finished FROM few) AND done_at >= :since AND done_at < :until AND {mine}
        LIMIT {exact_up_to}) AS t GROUP BY worker_id
  UNION ALL SELECT worker_id, seconds FROM percentiles WHERE fact = 'finished' AND p = 0.5
)
SELECT
  (SELECT count(*) FROM waiting) AS waiting,
  (SELECT json_object_agg(value, n) FROM (SELECT value, sum(n) AS n FROM made_counts
     WHERE fact = 'status' AND worker_id = :scope GROUP BY value) AS s) AS by_status,
  (SELECT json_object_agg(value, n) FROM (SELECT value, sum(n) AS n FROM made_counts
     WHERE fact = 'priority' AND worker_id = :scope GROUP BY value) AS p) AS by_priority,
  coalesce((SELECT open FROM load WHERE worker_id = :scope), 0)::bigint AS open,
  coalesce((SELECT n FROM done_counts WHERE worker_id = :scope), 0)::bigint AS done,
  coalesce((SELECT sum(n) FROM late), 0)::bigint AS overdue,
  (SELECT json_build_object(
     'assign', coalesce(to_json(m.assign), h.seconds->'assign'),
     'start', coalesce(to_json(m.start), h.seconds->'start'),
     'done', coalesce(to_json(m.done), h.seconds->'done'))
   FROM measured AS m, (SELECT json_object_agg(fact, seconds) AS seconds FROM (
     SELECT fact, json_agg(seconds ORDER BY p) AS seconds FROM percentiles
     WHERE fact <> 'finished' GROUP BY fact) AS f
   ) AS h) AS times,
  (SELECT json_agg(json_build_object(
     'day', d.day,
     'created', coalesce(c.n, 0) +
       coalesce((SELECT sum(n) FROM ticket_counters WHERE fact = 'status' AND {one_day}), 0),
     'done', coalesce(f.n, 0) +
       coalesce((SELECT sum(n) FROM ticket_counters WHERE fact = 'done' AND {one_day}), 0))
     ORDER BY d.day)
   FROM (SELECT day::date FROM generate_series(
           CAST(:first_day AS date), CAST(:last_day AS date), interval '1 day') AS day) AS d
   LEFT JOIN (SELECT day, sum(n) AS n FROM made WHERE {mine} GROUP BY day) AS c USING (day)
   LEFT JOIN (SELECT day, sum(n) AS n FROM finished WHERE {mine} GROUP BY day) AS f USING (day)) AS per_day,
  (SELECT json_agg(json_build_object(
     'worker', json_build_object('id', u.id, 'username', u.username, 'name', u.name),
     'open', coalesce(l.open, 0), 'in_progress', coalesce(l.in_progress, 0),
     'done', coalesce(d.n, 0), 'overdue', coalesce(o.n, 0),
     'median_seconds_to_done', m.median) ORDER BY coalesce(l.open, 0) DESC, u.id)
   FROM (SELECT id, username, name FROM users WHERE id IN (
           SELECT id FROM users WHERE role = 'worker' AND is_active
           UNION SELECT worker_id FROM load WHERE worker_id <> 0 AND tickets > 0)) AS u
   LEFT JOIN load AS l ON l.worker_id = u.id
   LEFT JOIN done_counts AS d ON d.worker_id = u.id
   LEFT JOIN late AS o ON o.worker_id = u.id
   LEFT JOIN medians AS m ON m.worker_id = u.id
   WHERE {"u.id = :worker_id" if one_worker else "true"}) AS per_worker
"""  # noqa: S608  built from this module's constants
