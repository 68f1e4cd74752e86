"""Tell of sessions that end, so that live sockets opened by them end at once.

Safe while the old code runs: it does not listen on this channel.

Revision ID: 20261121_1500
Revises: 20261121_1100
Created: 2026-11-21 15:18:20.114500+00:00
"""

from alembic import op

revision = "20261121_1500"
down_revision = "20261121_1100"
branch_labels = None
depends_on = None

NOTIFY = """
CREATE FUNCTION sessions_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('sessions_ended', NEW.id::text);
  RETURN NULL;
END
$$
"""

TRIGGER = """
CREATE TRIGGER notify AFTER UPDATE OF revoked_at ON sessions
  FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)
  EXECUTE FUNCTION sessions_notify()
"""


def upgrade() -> None:
    op.execute(NOTIFY)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER notify ON sessions")
    op.execute("DROP FUNCTION sessions_notify()")
