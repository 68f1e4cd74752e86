"""Install the job queue's tables: procrastinate 3.10.

The file beside this one is that release's own schema (MIT licence), kept because a revision
must mean the same for ever. A newer release of the library brings its migrations; a test
compares the two, so that none is forgotten.

Revision ID: 20261121_0904
Revises: 20261121_0903
"""

from pathlib import Path

from alembic import op

revision = "20261121_0904"
down_revision = "20261121_0903"
branch_labels = None
depends_on = None

SCHEMA = Path(__file__).parent.parent / "procrastinate_3_10.sql"

DROP = """
DO $$
DECLARE
  thing record;
BEGIN
  FOR thing IN SELECT oid::regclass AS name FROM pg_class
    WHERE relname LIKE 'procrastinate\\_%' AND relkind = 'r'
      AND relnamespace = current_schema()::regnamespace LOOP
    EXECUTE format('DROP TABLE %s CASCADE', thing.name);
  END LOOP;
  FOR thing IN SELECT oid::regprocedure AS name FROM pg_proc
    WHERE proname LIKE 'procrastinate\\_%' AND pronamespace = current_schema()::regnamespace LOOP
    EXECUTE format('DROP FUNCTION %s CASCADE', thing.name);
  END LOOP;
  FOR thing IN SELECT oid::regtype AS name FROM pg_type
    WHERE typname LIKE 'procrastinate\\_%' AND typtype IN ('e', 'c')
      AND typnamespace = current_schema()::regnamespace LOOP
    EXECUTE format('DROP TYPE %s CASCADE', thing.name);
  END LOOP;
END
$$
"""


def upgrade() -> None:
    # asyncpg prepares what it is given, and a prepared statement is one statement; its own
    # simple protocol takes the whole script.
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None, "the migration runs on an open connection"
    connection.run_async(lambda raw: raw.execute(SCHEMA.read_text(encoding="utf-8")))


def downgrade() -> None:
    op.execute(DROP)
