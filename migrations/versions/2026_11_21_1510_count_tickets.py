"""Count tickets as they change, so that figures of five million cost as little as figures of a few.

Triggers write what a statement changed as small signed rows of `ticket_deltas`, without an index and
without a row that all writers want; `fold_ticket_deltas()` adds them to the counters now and then. Whoever
reads adds both, in one snapshot.

Safe while the old code runs: the triggers do the work. From the moment they exist every change is
counted; what was there before is counted from one snapshot, beside writers. Interrupted, it may be run again.

Revision ID: 20261121_1510
Revises: 20261121_1500
"""

from alembic import op

revision = "20261121_1510"
down_revision = "20261121_1500"
branch_labels = None
depends_on = None

FIRST_DAY = "DATE '1000-01-01'"
SPANS = (1, 8, 32, 128, 512, 8**8)
"""Days of a block; the last one is longer than the calendar."""
FOLDED_AT_ONCE = 20_000


def bounds() -> str:
    """Return where buckets begin, in seconds: 5 % wide, at least one second, up to twenty years."""
    found = [0]
    while found[-1] < 20 * 366 * 86_400:
        found.append(max(found[-1] + 1, found[-1] * 105 // 100))
    return "'{" + ",".join(map(str, found)) + "}'::bigint[]"


TABLES = (
    """
    CREATE TABLE IF NOT EXISTS ticket_deltas (
      n integer NOT NULL,
      created_day date NOT NULL,
      worker_id bigint,
      done_day date,
      to_assign smallint,
      to_start smallint,
      to_done smallint,
      status text NOT NULL,
      priority text NOT NULL
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)
    """,
    # Room on each page keeps an update of `n` from touching the index.
    """
    CREATE TABLE IF NOT EXISTS ticket_counters (
      fact text COLLATE "C" NOT NULL,
      span integer NOT NULL,
      start date NOT NULL,
      worker_id bigint NOT NULL,
      value text COLLATE "C" NOT NULL,
      n bigint NOT NULL,
      CONSTRAINT pk_ticket_counters PRIMARY KEY (fact, span, start, worker_id, value)
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE TABLE IF NOT EXISTS ticket_histograms (
      fact text COLLATE "C" NOT NULL,
      span integer NOT NULL,
      start date NOT NULL,
      worker_id bigint NOT NULL,
      bucket smallint NOT NULL,
      n bigint NOT NULL,
      CONSTRAINT pk_ticket_histograms PRIMARY KEY (fact, span, start, worker_id, bucket)
    ) WITH (fillfactor = 80)
    """,
)

BUCKETS = (
    f"""
    CREATE OR REPLACE FUNCTION duration_bounds() RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT {bounds()} $$
    """,
    f"""
    CREATE OR REPLACE FUNCTION duration_bucket(since timestamptz, until timestamptz) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
      SELECT width_bucket(floor(date_part('epoch', until - since))::bigint, {bounds()})::smallint
    $$
    """,
)

COLUMNS = "created_day, worker_id, done_day, to_assign, to_start, to_done, status, priority"
FACTS = """
  (created_at AT TIME ZONE 'UTC')::date AS created_day, (done_at AT TIME ZONE 'UTC')::date AS done_day,
  duration_bucket(created_at, assigned_at) AS to_assign,
  duration_bucket(created_at, in_progress_at) AS to_start,
  duration_bucket(created_at, done_at) AS to_done, worker_id, status, priority
"""

# A fact of a ticket is of a day, and counts for all workers (0) and for its own.
COUNTED = """
  SELECT fact, 1 AS finest, day AS start, worker_id, value, sum(n) AS n
  FROM (SELECT n, fact, day, scope AS worker_id, value FROM {source} AS t,
          LATERAL (VALUES ('status', created_day, status), ('priority', created_day, priority),
                          ('done', done_day, '')) AS f (fact, day, value),
          LATERAL (VALUES (0::bigint), (t.worker_id)) AS w (scope)
        WHERE day IS NOT NULL AND scope IS NOT NULL) AS one
  GROUP BY fact, day, worker_id, value
"""
# Rows of one worker, day and bucket would be as many as tickets: theirs begin with longer blocks.
DRAWN = f"""
  SELECT fact, finest, start, worker_id, bucket AS value, sum(n) AS n
  FROM (SELECT n, fact, finest, day - (day - {FIRST_DAY}) % finest AS start, scope AS worker_id, bucket
        FROM {{source}} AS t,
          LATERAL (VALUES ('assign', created_day, to_assign, 0::bigint, 1),
                          ('assign', created_day, to_assign, t.worker_id, 32),
                          ('start', created_day, to_start, 0, 1),
                          ('start', created_day, to_start, t.worker_id, 32),
                          ('done', created_day, to_done, 0, 1),
                          ('done', created_day, to_done, t.worker_id, 32),
                          ('finished', done_day, to_done, t.worker_id, 8)
                  ) AS f (fact, day, bucket, scope, finest)
        WHERE bucket IS NOT NULL AND scope IS NOT NULL) AS one
  GROUP BY fact, finest, start, worker_id, bucket
"""  # noqa: S608


def add(table: str, column: str, facts: str, source: str, *, existing: bool) -> str:
    """Return the statement that adds the facts of ``source`` to ``table``, in blocks of every span."""
    spans = ", ".join(f"({span})" for span in SPANS)
    # In the order of the key, so that what is read together lies together.
    update = f"ON CONFLICT (fact, span, start, worker_id, {column}) DO UPDATE SET n = c.n + excluded.n"
    return f"""
    INSERT INTO {table} AS c (fact, span, start, worker_id, {column}, n)
    SELECT fact, span, start - (start - {FIRST_DAY}) % span, worker_id, value, sum(n)
    FROM ({facts.format(source=source)}) AS f JOIN (VALUES {spans}) AS s (span) ON span >= finest
    GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0 ORDER BY 1, 2, 3, 4, 5
    {update if existing else ""}
    """  # noqa: S608


def add_both(source: str, *, existing: bool) -> tuple[str, str]:
    return (
        add("ticket_counters", "value", COUNTED, source, existing=existing),
        add("ticket_histograms", "bucket", DRAWN, source, existing=existing),
    )


def changed(rows: str) -> str:
    """Return the statement that notes ``rows``; what was taken and given back alike is not noted."""
    return f"""
    INSERT INTO ticket_deltas (n, {COLUMNS})
    SELECT sum(n), {COLUMNS} FROM ({rows}) AS facts GROUP BY {COLUMNS} HAVING sum(n) <> 0
    """  # noqa: S608


def trigger(name: str, event: str, tables: str, body: str) -> tuple[str, str]:
    return (
        f"""
        CREATE OR REPLACE FUNCTION tickets_count_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          {body};
          RETURN NULL;
        END
        $$
        """,
        f"""
        CREATE OR REPLACE TRIGGER count_{name} AFTER {event} ON tickets {tables}
        FOR EACH STATEMENT EXECUTE FUNCTION tickets_count_{name}()
        """,
    )


TAKEN, GIVEN = f"SELECT -1 AS n, {FACTS} FROM gone", f"SELECT 1 AS n, {FACTS} FROM added"  # noqa: S608
OLD, NEW = "OLD TABLE AS gone", "NEW TABLE AS added"

TRIGGERS = (
    *trigger("added", "INSERT", f"REFERENCING {NEW}", changed(GIVEN)),
    *trigger("changed", "UPDATE", f"REFERENCING {OLD} {NEW}", changed(f"{TAKEN} UNION ALL {GIVEN}")),
    *trigger("gone", "DELETE", f"REFERENCING {OLD}", changed(TAKEN)),
    *trigger(
        "emptied",
        "TRUNCATE",
        "",
        """
        LOCK TABLE ticket_counters IN SHARE ROW EXCLUSIVE MODE;
        DELETE FROM ticket_deltas;
        DELETE FROM ticket_counters;
        DELETE FROM ticket_histograms
        """,
    ),
)

_COUNTED, _DRAWN = add_both("gone", existing=True)
# One folds at a time, and not while all is counted anew; whoever comes second leaves it to the first.
FOLD = f"""
CREATE OR REPLACE FUNCTION fold_ticket_deltas() RETURNS bigint
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
DECLARE
  folded bigint;
BEGIN
  LOCK TABLE ticket_counters IN SHARE ROW EXCLUSIVE MODE;
  WITH gone AS MATERIALIZED (
    DELETE FROM ticket_deltas
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM ticket_deltas LIMIT {FOLDED_AT_ONCE})) RETURNING *
  ), counted AS ({_COUNTED}), drawn AS ({_DRAWN})
  SELECT count(*) INTO folded FROM gone;
  RETURN folded;
EXCEPTION WHEN lock_not_available THEN
  RETURN 0;
END
$$
"""  # noqa: S608

_COUNTED, _DRAWN = add_both(f"(SELECT 1 AS n, {FACTS} FROM tickets OFFSET 0)", existing=False)  # noqa: S608
# What the snapshot does not see, tickets and their deltas alike, stays for the next fold.
# Estimates know nothing of how few groups there are, and would sort millions of rows instead of hashing.
REBUILD = f"""
CREATE OR REPLACE FUNCTION rebuild_ticket_counters() RETURNS bigint
LANGUAGE plpgsql SET work_mem = '256MB' SET enable_sort = off SET jit = off AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'repeatable read' THEN
    RAISE 'the counters are rebuilt from one snapshot: use REPEATABLE READ';
  END IF;
  DELETE FROM ticket_deltas;
  DELETE FROM ticket_counters;
  DELETE FROM ticket_histograms;
  {_COUNTED};
  {_DRAWN};
  RETURN (SELECT coalesce(sum(n), 0) FROM ticket_counters
          WHERE (fact, span, worker_id) = ('status', {SPANS[-1]}, 0));
END
$$
"""  # noqa: S608

INDEXES = (
    # One that was begun and not finished is there, and of no use.
    "DROP INDEX CONCURRENTLY IF EXISTS ix_tickets_overdue",
    "DROP INDEX CONCURRENTLY IF EXISTS ix_tickets_done_at",
    """
    CREATE INDEX CONCURRENTLY ix_tickets_overdue ON tickets (due_at) INCLUDE (worker_id)
    WHERE due_at IS NOT NULL AND status IN ('new', 'assigned', 'in_progress', 'on_hold')
    """,
    """
    CREATE INDEX CONCURRENTLY ix_tickets_done_at ON tickets (done_at) INCLUDE (worker_id, created_at)
    WHERE done_at IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in (*TABLES, *BUCKETS, *TRIGGERS, FOLD, REBUILD):
        op.execute(statement)
    with op.get_context().autocommit_block():  # from here on changes are counted; writers go on meanwhile
        for statement in INDEXES:
            op.execute(statement)
        op.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        op.execute("LOCK TABLE ticket_counters IN SHARE ROW EXCLUSIVE MODE")
        op.execute("SELECT rebuild_ticket_counters()")
        op.execute("COMMIT")
        op.execute("ANALYZE ticket_counters, ticket_histograms")


def downgrade() -> None:
    for index in ("ix_tickets_done_at", "ix_tickets_overdue"):
        op.execute(f"DROP INDEX {index}")
    for name in ("added", "changed", "gone", "emptied"):
        op.execute(f"DROP TRIGGER count_{name} ON tickets")
        op.execute(f"DROP FUNCTION tickets_count_{name}()")
    for function in ("fold_ticket_deltas()", "rebuild_ticket_counters()", "duration_bounds()"):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP FUNCTION duration_bucket(timestamptz, timestamptz)")
    op.execute("DROP TABLE ticket_deltas, ticket_counters, ticket_histograms")
