"""Migrations: up, down and up again; the tables are what the models say; nothing stays behind."""

import ast
import re
from asyncio import to_thread
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import procrastinate
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Enum

from api.auth.models import Language, Role
from api.core.db import now
from api.models import Base
from api.tickets.comments.models import Visibility
from api.tickets.responses.models import OfferStatus
from api.tickets.states import Priority, Status
from tests.conftest import alembic_config
from tests.factories import make_client, make_session, make_ticket, make_user
from tests.processes import ROOT, books, connect, empty_database

VERSIONS = ROOT / "migrations" / "versions"
FILES = sorted(VERSIONS.glob("*.py"))


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    with empty_database(postgres) as url:
        yield url


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


OBJECTS = """
SELECT 'relation', relname, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'function', oid::regprocedure::text, md5(prosrc) FROM pg_proc
  WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'type', typname, typtype::text FROM pg_type
  WHERE typnamespace = 'public'::regnamespace AND typelem = 0 AND typtype <> 'c'
UNION ALL SELECT 'constraint', conname || ' of ' || conrelid::regclass, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'trigger', tgname || ' on ' || tgrelid::regclass, pg_get_triggerdef(oid) FROM pg_trigger
  WHERE NOT tgisinternal
UNION ALL
  SELECT 'column', attrelid::regclass || '.' || attname, format_type(atttypid, atttypmod) || attnotnull
  FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
    AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'extension', extname, extversion FROM pg_extension WHERE extname <> 'plpgsql'
"""


def objects(url: str) -> set[tuple[Any, ...]]:
    """Return everything that is in the schema, but for Alembic's own table."""
    return {row for row in rows(url, OBJECTS) if "alembic_version" not in f"{row[1]} {row[2]}"}


def test_down_leaves_nothing_behind_and_up_again_makes_the_same(database: str) -> None:
    config = alembic_config(database)
    command.upgrade(config, "head")
    made = objects(database)

    command.downgrade(config, "base")
    left = objects(database)
    command.upgrade(config, "head")

    assert {kind for kind, *_ in made} >= {"relation", "function", "type", "constraint", "trigger", "index"}
    assert left == set()
    assert objects(database) == made


def test_each_revision_goes_down_to_what_was_before_it(database: str) -> None:
    config = alembic_config(database)
    revisions = [revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()]
    before = set[tuple[Any, ...]]()

    for revision in reversed(revisions):
        command.upgrade(config, revision)
        after = objects(database)
        command.downgrade(config, "-1")
        assert objects(database) == before, revision
        command.upgrade(config, revision)
        before = after


async def fill(url: str) -> None:
    async with books(url) as shop, shop.sessions.begin() as session:
        user = await make_user(session, Role.ADMIN, email="ann@mail.example", phone="+79123456789")
        await make_session(session, user)
        client = await make_client(session, phone="+79123456789", comment="Ring twice")
        for status in Status:
            await make_ticket(session, status=status, client=client, due_at=now() + timedelta(days=1))


async def test_a_filled_database_goes_down_and_up_one_revision_at_a_time(database: str) -> None:
    config = alembic_config(database)
    await to_thread(command.upgrade, config, "head")
    await fill(database)
    made = objects(database)

    steps = len(FILES)
    for _ in range(steps):
        await to_thread(command.downgrade, config, "-1")
    assert objects(database) == set()
    for _ in range(steps):
        await to_thread(command.upgrade, config, "+1")

    assert objects(database) == made
    await fill(database)


async def test_rebuilding_the_search_keeps_what_was_written(database: str) -> None:
    """The tables survive the revisions above the one that made them."""
    config = alembic_config(database)
    await to_thread(command.upgrade, config, "head")
    await fill(database)

    await to_thread(command.downgrade, config, "20261121_0902")
    await to_thread(command.upgrade, config, "head")

    assert rows(database, "SELECT count(*) FROM tickets") == [(len(Status),)]


def test_the_models_say_what_the_migrations_make(database_url: str) -> None:
    command.check(alembic_config(database_url))


@pytest.mark.parametrize(
    ("table", "column", "members"),
    [
        ("tickets", "status", Status),
        ("tickets", "priority", Priority),
        ("users", "role", Role),
        ("users", "language", Language),
        ("comments", "visibility", Visibility),
        ("responses", "status", OfferStatus),
    ],
)
def test_the_database_takes_every_member_of_an_enum_and_no_other(
    table: str, column: str, members: type[StrEnum], database_url: str
) -> None:
    [(definition,)] = rows(
        database_url,
        f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_{table}_{column}'",  # noqa: S608
    )

    assert set(re.findall(r"'(\w+)'", definition)) == {member.value for member in members}


def test_no_enum_is_left_out_of_the_test_above() -> None:
    enums = {
        (table.name, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Enum)
    }

    assert enums == {
        *(("tickets", "status"), ("tickets", "priority"), ("users", "role"), ("users", "language")),
        *(("comments", "visibility"), ("responses", "status")),
    }


def test_the_models_checks_are_in_the_database_and_no_others(database_url: str) -> None:
    in_models = {
        str(constraint.name)
        for table in Base.metadata.sorted_tables
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }

    found = rows(
        database_url,
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conname LIKE 'ck\\_%'",
    )

    assert {name for (name,) in found} == in_models


def test_a_ticket_in_work_without_a_worker_cannot_be(database_url: str) -> None:
    [(definition,)] = rows(
        database_url,
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_tickets_has_worker'",
    )

    assert "worker_id IS NOT NULL" in definition
    assert set(re.findall(r"'(\w+)'", definition)) == {"assigned", "in_progress", "on_hold"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_revision_is_named_for_its_date_and_stands_alone(file: Path) -> None:
    assert re.fullmatch(r"20\d\d_\d\d_\d\d_\d{4}_[a-z0-9_]+\.py", file.name)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert "api" not in imported  # a revision means the same for ever, the models do not
    assert ast.get_docstring(tree)
    values = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    assert values["revision"] == re.sub(r"^(\d{4})_(\d\d)_(\d\d)_(\d{4})_.*", r"\1\2\3_\4", file.stem)


def test_there_is_one_line_of_revisions() -> None:
    script = ScriptDirectory.from_config(alembic_config("postgresql+asyncpg://none/none"))

    assert len(script.get_heads()) == 1
    assert len(list(script.walk_revisions())) == len(FILES)


def test_the_job_queue_in_the_database_is_the_installed_librarys() -> None:
    shipped = Path(procrastinate.__file__).parent / "sql" / "schema.sql"
    release = "_".join(version("procrastinate").split(".")[:2])

    kept = ROOT / "migrations" / f"procrastinate_{release}.sql"

    assert kept.read_text(encoding="utf-8") == shipped.read_text(encoding="utf-8")
