"""``python -m api.cli``: finding the database, and making an admin."""

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from passlib.hash import bcrypt_sha256

from api import cli
from api.core.embedded import EmbeddedPostgres
from tests.test_sample import rows

PASSWORD = "correct horse battery"


@pytest.fixture
def database(committed: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty database, named as an operator names it."""
    monkeypatch.setenv("DATABASE_URL", committed)
    monkeypatch.setenv("PASSWORD_HASH_ROUNDS", "4")
    return committed


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """URL of a database without tables."""

    async def on_server(statement: str) -> None:
        connection = await asyncpg.connect(postgres.replace("+asyncpg", ""))
        await connection.execute(statement)
        await connection.close()

    asyncio.run(on_server("CREATE DATABASE without_tables"))
    yield postgres.rpartition("/")[0] + "/without_tables"
    asyncio.run(on_server("DROP DATABASE without_tables"))


def type_in(monkeypatch: pytest.MonkeyPatch, *passwords: str) -> None:
    typed = iter(passwords)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(typed))


def test_an_admin_is_made_and_can_sign_in(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, PASSWORD, PASSWORD)
    assert cli.main(["create-admin", "Boss"]) == cli.DONE
    assert capsys.readouterr().out == "Admin Boss was made.\n"
    [user] = rows(database, "SELECT * FROM users")
    assert (user["username"], user["role"], user["is_active"]) == ("Boss", "admin", True)
    assert bcrypt_sha256.verify(PASSWORD, user["password_hash"])


def test_the_password_may_come_from_standard_input(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\nnot this\n"))
    assert cli.main(["create-admin", "boss", "--password-stdin"]) == cli.DONE
    [user] = rows(database, "SELECT password_hash FROM users")
    assert bcrypt_sha256.verify(PASSWORD, user["password_hash"])


@pytest.mark.parametrize(
    ("name", "passwords", "sentence"),
    [
        ("boss", ("one password", "another one"), "The two passwords differ."),
        ("boss", ("short", "short"), "A password has 8 to 128 characters."),
        ("boss", ("x" * 129, "x" * 129), "A password has 8 to 128 characters."),
        ("no", (PASSWORD, PASSWORD), "A username has 3 to 64 letters, digits and . _ -"),
        ("a b c", (PASSWORD, PASSWORD), "A username has 3 to 64 letters, digits and . _ -"),
    ],
)
def test_what_is_refused_is_one_clear_sentence(
    *,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    passwords: tuple[str, ...],
    sentence: str,
) -> None:
    type_in(monkeypatch, *passwords)
    assert cli.main(["create-admin", name]) == cli.FAILED
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(sentence)
    assert rows(database, "SELECT 1 FROM users") == []


def test_a_username_that_is_taken(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, *[PASSWORD] * 4)
    cli.main(["create-admin", "boss"])
    assert cli.main(["create-admin", "BOSS"]) == cli.FAILED
    assert capsys.readouterr().err == "Admin BOSS was not made: this username is taken.\n"
    assert len(rows(database, "SELECT 1 FROM users")) == 1


def test_a_database_without_tables(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    assert cli.main(["demo"]) == cli.FAILED
    assert "has no tables: run `alembic upgrade head` first" in capsys.readouterr().err


def test_a_database_with_older_tables(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert database
    monkeypatch.setattr(cli, "newest_revision", lambda: "a newer one")
    assert cli.main(["demo"]) == cli.FAILED
    assert "has older tables: run `alembic upgrade head` first" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["port", "password", "name"])
def test_a_database_that_cannot_be_used(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    head, _, name = database.rpartition("/")
    urls = {
        "port": "postgresql+asyncpg://u:secret@127.0.0.1:1/x",
        "password": f"{head.partition('://')[0]}://repair:secret@{head.rpartition('@')[2]}/{name}",
        "name": f"{head}/nowhere",
    }
    monkeypatch.setenv("DATABASE_URL", urls[change])
    assert cli.main(["demo"]) == cli.FAILED
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("The database postgresql+asyncpg://")
    assert "secret" not in line


def test_settings_that_are_not_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://x")
    assert cli.main(["demo"]) == cli.FAILED
    [line] = capsys.readouterr().err.splitlines()
    assert "must look like postgresql+asyncpg://" in line


def test_sample_data_stays_out_of_a_real_shop(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENV", "production")
    monkeypatch.setenv("SECRET_KEY", "5f0c0e6c1c1f4f6e9d7b3a2e8f4d6c7b")
    monkeypatch.setenv("ADMIN_PASSWORD", PASSWORD)
    monkeypatch.setenv("PASSWORD_HASH_ROUNDS", "10")
    assert cli.main(["demo"]) == cli.FAILED
    assert "does not belong into ENV=production" in capsys.readouterr().err
    assert rows(database, "SELECT 1 FROM users") == []


def test_without_a_database_a_dry_run_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    data = tmp_path / "data"
    assert cli.main(["import", str(cli.SAMPLE), "--dry-run", "--data-dir", str(data)]) == cli.DONE
    assert not data.exists()


def test_where_there_is_no_embedded_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setitem(sys.modules, "api.core.embedded", None)
    assert cli.main(["demo", "--data-dir", str(tmp_path)]) == cli.FAILED
    assert capsys.readouterr().err == "Set DATABASE_URL to the database.\n"


@pytest.mark.slow
def test_the_database_of_make_run_is_found_running_or_not(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    one = tmp_path / "one.jsonl"

    def run(title: str) -> str:
        one.write_text(f'{{"title": "{title}"}}\n', encoding="utf-8")
        command = [sys.executable, "-m", "api.cli", "import", str(one), "--data-dir", str(tmp_path / "data")]
        done = subprocess.run(
            command, cwd=cli.ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == cli.DONE, done.stderr
        return done.stdout

    assert "1 imported" in run("makes the database")
    assert "1 imported" in run("starts it")
    server = EmbeddedPostgres(tmp_path / "data" / "postgres")
    url = server.start()
    try:
        assert "1 imported" in run("uses the one that runs")
        assert len(rows(url, "SELECT 1 FROM tickets")) == 3
        assert {user["username"] for user in rows(url, "SELECT username FROM users")} >= {"admin", "worker"}
    finally:
        server.stop()
