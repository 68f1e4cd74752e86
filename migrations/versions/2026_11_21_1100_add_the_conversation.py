"""Add the conversation: comments, files, offers, and who has read what.

Safe while the old code runs: it neither reads nor writes the new tables and columns.

Revision ID: 20261121_1100
Revises: 20261121_0904
Created: 2026-11-21 10:57:03.950003+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "20261121_1100"
down_revision = "20261121_0904"
branch_labels = None
depends_on = None

# One notification for each ticket and statement, however many lines it writes.
NOTIFY = """
CREATE FUNCTION ticket_events_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('ticket_events', ticket_id::text) FROM (SELECT DISTINCT ticket_id FROM added) AS tickets;
  RETURN NULL;
END
$$
"""

TRIGGER = """
CREATE TRIGGER notify AFTER INSERT ON ticket_events
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION ticket_events_notify()
"""


def upgrade() -> None:
    op.create_table(
        "comments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "visibility",
            sa.Enum(
                "public", "internal", name="visibility", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "text IS NOT NULL OR withdrawn_at IS NOT NULL", name=op.f("ck_comments_text_given")
        ),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name=op.f("fk_comments_author_id_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["comments.id"], name=op.f("fk_comments_parent_id_comments"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_comments_ticket_id_tickets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comments")),
        sa.UniqueConstraint("ticket_id", "key", name=op.f("uq_comments_ticket_id_key")),
    )
    op.create_index(op.f("ix_comments_ticket_id_id"), "comments", ["ticket_id", "id"], unique=False)
    op.create_table(
        "responses",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("worker_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "open",
                "accepted",
                "declined",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_responses_ticket_id_tickets"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["users.id"], name=op.f("fk_responses_worker_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_responses")),
        sa.UniqueConstraint("ticket_id", "worker_id", name=op.f("uq_responses_ticket_id_worker_id")),
    )
    op.create_index(op.f("ix_responses_worker_id_id"), "responses", ["worker_id", "id"], unique=False)
    op.create_table(
        "ticket_reads",
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("last_comment_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_ticket_reads_ticket_id_tickets"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_ticket_reads_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("ticket_id", "user_id", name=op.f("pk_ticket_reads")),
    )
    op.create_table(
        "attachments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("comment_id", sa.BigInteger(), nullable=True),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("thumbnail_key", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name=op.f("fk_attachments_author_id_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["comment_id"],
            ["comments.id"],
            name=op.f("fk_attachments_comment_id_comments"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_attachments_ticket_id_tickets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
        sa.UniqueConstraint("key", name=op.f("uq_attachments_key")),
        sa.UniqueConstraint("thumbnail_key", name=op.f("uq_attachments_thumbnail_key")),
    )
    op.create_index(op.f("ix_attachments_comment_id"), "attachments", ["comment_id"], unique=False)
    op.create_index(op.f("ix_attachments_ticket_id_id"), "attachments", ["ticket_id", "id"], unique=False)
    op.create_table(
        "response_messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("response_id", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["author_id"],
            ["users.id"],
            name=op.f("fk_response_messages_author_id_users"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["response_id"],
            ["responses.id"],
            name=op.f("fk_response_messages_response_id_responses"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_response_messages")),
    )
    op.create_index(
        op.f("ix_response_messages_response_id_id"), "response_messages", ["response_id", "id"], unique=False
    )
    op.add_column("ticket_events", sa.Column("subject_id", sa.BigInteger(), nullable=True))
    op.add_column("ticket_events", sa.Column("worker_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_ticket_events_worker_id_users"),
        "ticket_events",
        "users",
        ["worker_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.add_column("tickets", sa.Column("published_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("tickets", sa.Column("published_by", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_tickets_published_by_users"),
        "tickets",
        "users",
        ["published_by"],
        ["id"],
        ondelete="SET NULL",
    )
    op.execute(NOTIFY)
    op.execute(TRIGGER)
    with op.get_context().autocommit_block():  # without holding up whoever writes tickets
        op.create_index(
            "ix_tickets_pool",
            "tickets",
            [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
            unique=False,
            postgresql_where=sa.text("published_at IS NOT NULL AND status = 'new'"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.execute("DROP TRIGGER notify ON ticket_events")
    op.execute("DROP FUNCTION ticket_events_notify()")
    op.drop_constraint(op.f("fk_tickets_published_by_users"), "tickets", type_="foreignkey")
    op.drop_index(
        "ix_tickets_pool",
        table_name="tickets",
        postgresql_where=sa.text("published_at IS NOT NULL AND status = 'new'"),
    )
    op.drop_column("tickets", "published_by")
    op.drop_column("tickets", "published_at")
    op.drop_constraint(op.f("fk_ticket_events_worker_id_users"), "ticket_events", type_="foreignkey")
    op.drop_column("ticket_events", "worker_id")
    op.drop_column("ticket_events", "subject_id")
    op.drop_index(op.f("ix_response_messages_response_id_id"), table_name="response_messages")
    op.drop_table("response_messages")
    op.drop_index(op.f("ix_attachments_ticket_id_id"), table_name="attachments")
    op.drop_index(op.f("ix_attachments_comment_id"), table_name="attachments")
    op.drop_table("attachments")
    op.drop_table("ticket_reads")
    op.drop_index(op.f("ix_responses_worker_id_id"), table_name="responses")
    op.drop_table("responses")
    op.drop_index(op.f("ix_comments_ticket_id_id"), table_name="comments")
    op.drop_table("comments")
