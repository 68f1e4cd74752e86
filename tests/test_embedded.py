"""The embedded PostgreSQL: nothing committed is lost, whatever is killed; an obstacle is one sentence."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
import pytest

from api.core import cluster, embedded
from api.core.embedded import EmbeddedPostgres, borrowed
from api.core.processes import CannotRun, wait_until

FAST = {"fsync": "off"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("postgres")
    server = EmbeddedPostgres(path, settings=FAST)
    execute(server.start(), "CREATE TABLE notes (text text)")
    server.stop()
    return path


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder, settings=FAST)
    server.start()
    yield server
    server.stop()


def execute(url: str, statement: LiteralString, *values: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url.replace("+asyncpg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def write(url: str, text: str) -> None:
    execute(url, "INSERT INTO notes VALUES (%s)", text)


def texts(url: str) -> list[str]:
    return [text for (text,) in execute(url, "SELECT text FROM notes")]


def fake_programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Put shell scripts in the place of PostgreSQL's programs."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    for module in (cluster, embedded):
        monkeypatch.setattr(module, "programs", lambda: folder)


def test_the_database_compares_text_by_unicode(server: EmbeddedPostgres) -> None:
    [(lowered, provider)] = execute(
        server.url, "SELECT lower('ПРИВЕТ'), datlocprovider FROM pg_database WHERE datname = 'repair'"
    )

    assert (lowered, provider) == ("привет", "b")


def test_only_who_has_the_password_gets_in(server: EmbeddedPostgres) -> None:
    user, _, rest = server.url.partition("@")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        execute(f"{user}x@{rest}", "SELECT 1")


def test_what_was_committed_survives_a_killed_server(server: EmbeddedPostgres) -> None:
    url = server.url
    write(url, "before the kill")
    assert server.process_id
    os.kill(server.process_id, signal.SIGKILL)
    assert wait_until(lambda: not server.alive(), seconds=10)
    assert server.exit_code() == -signal.SIGKILL

    assert server.start() == url  # its clients know no other
    assert "before the kill" in texts(url)


def test_a_server_left_running_is_replaced(folder: Path) -> None:
    lost = EmbeddedPostgres(folder, settings=FAST)
    write(lost.start(), "left running")
    lost._lock.release()

    found = EmbeddedPostgres(folder, settings=FAST)
    url = found.start()

    assert not lost.alive()
    assert "left running" in texts(url)
    found.stop()


def test_processes_that_a_killed_server_left_are_ended(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ORPHAN_SECONDS", 0.2)
    assert server.process_id
    stuck = psutil.Process(server.process_id).children()[0]
    stuck.suspend()
    os.kill(server.process_id, signal.SIGKILL)

    write(server.start(), "after the orphan")

    assert not stuck.is_running() or stuck.status() == psutil.STATUS_ZOMBIE


def test_a_process_id_that_now_belongs_to_another_program_does_not_keep_the_server_out(folder: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        (folder / "cluster" / "postmaster.pid").write_text(f"{other.pid}\n{folder}\n")
        server = EmbeddedPostgres(folder, settings=FAST)

        server.start()

        assert server.alive()
        assert other.poll() is None
        server.stop()
        other.kill()


def test_the_server_ends_when_its_starter_is_killed(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from api.core.embedded import EmbeddedPostgres;"
        f"server = EmbeddedPostgres(Path({str(folder)!r})); server.start();"
        "print(server.process_id, flush=True); sys.stdin.read()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout
    server = psutil.Process(int(starter.stdout.readline()))

    starter.kill()
    starter.communicate()

    assert wait_until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, seconds=20)


def test_a_folder_in_use_is_refused_and_borrowed_from(server: EmbeddedPostgres, folder: Path) -> None:
    with pytest.raises(CannotRun, match=f"Process {os.getpid()} already uses"):
        EmbeddedPostgres(folder).start()

    with borrowed(folder) as url:
        assert url == server.url
        write(url, "borrowed")

    assert "borrowed" in texts(server.url)


def test_a_resting_server_is_started_for_the_borrower(folder: Path) -> None:
    with borrowed(folder) as url:
        assert execute(url, "SELECT 1") == [(1,)]

    with pytest.raises(psycopg.OperationalError):
        execute(url, "SELECT 1")


def test_a_holder_that_does_not_answer_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "SHUTDOWN_SECONDS", 0.1)
    with pytest.raises(CannotRun, match="does not answer"):
        EmbeddedPostgres(folder).url_of_holder()


def test_a_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "draft" / "cluster").mkdir(parents=True)
    (tmp_path / "draft" / "cluster" / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(tmp_path)

    assert execute(server.start(), "SELECT 1") == [(1,)]

    server.ask_to_stop()
    assert server.alive()  # whoever uses it ends first
    server.stop()
    assert not server.alive()
    assert server.exit_code() is None
    assert not (tmp_path / "draft").exists()


def test_the_last_port_is_kept_unless_it_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedPostgres(folder)
    last = int((folder / "port").read_text())

    assert server._choose_port() == last
    monkeypatch.setattr(embedded, "port_is_free", lambda port: port != last)
    assert server._choose_port() != last
    monkeypatch.setattr(embedded, "port_is_free", lambda _: False)
    with pytest.raises(CannotRun, match="No port between"):
        server._choose_port()


def test_a_log_does_not_grow_without_end(folder: Path) -> None:
    (folder / "server.log").write_bytes(b"x" * (embedded.LOG_SIZE + 1))
    server = EmbeddedPostgres(folder, settings=FAST)
    server.start()
    server.stop()

    assert (folder / "server.log").stat().st_size < embedded.LOG_SIZE


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=3_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    with pytest.raises(CannotRun, match=r"^The disk of .* is full: 3 MB are left\.$"):
        EmbeddedPostgres(tmp_path).start()


def test_a_disk_that_fills_while_the_database_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_programs(
        tmp_path / "bin", monkeypatch, initdb="echo 'could not write: No space left on device'; exit 1"
    )

    with pytest.raises(CannotRun, match="could not be made: the disk is full"):
        EmbeddedPostgres(tmp_path / "data").start()


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        ("FATAL:  could not write: No space left on device", "the disk of .* is full"),
        ("FATAL:  data directory is of version 17.", "version 17 .more in"),
        ("FATAL:  could not create any TCP/IP sockets", "could not create any TCP/IP sockets"),
        ("", "it said nothing"),
    ],
)
def test_a_server_that_does_not_start_says_why(
    says: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_programs(tmp_path / "bin", monkeypatch, postgres=f"echo '{says}'; exit 1")
    (tmp_path / "data" / "cluster").mkdir(parents=True)

    with pytest.raises(CannotRun, match=f"PostgreSQL did not start: .*{sentence}"):
        EmbeddedPostgres(tmp_path / "data").start()


def test_a_restart_waits_for_its_own_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PORT_SECONDS", 0.01)
    says = "FATAL:  could not create any TCP/IP sockets"
    fake_programs(
        tmp_path / "bin", monkeypatch, postgres=f"echo $* >>{tmp_path}/tries; echo '{says}'; exit 1"
    )
    (tmp_path / "data" / "cluster").mkdir(parents=True)
    (tmp_path / "tries").touch(mode=0o666)
    (tmp_path / "tries").chmod(0o666)
    server = EmbeddedPostgres(tmp_path / "data")
    server._port = 15999

    with pytest.raises(CannotRun, match="TCP/IP"):
        server.start()

    assert all("-p 15999" in line for line in (tmp_path / "tries").read_text().splitlines())


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(CannotRun, match="cannot be used"):
        EmbeddedPostgres(tmp_path / "file" / "below").start()


def test_a_cluster_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cluster").mkdir()
    status = (tmp_path / "cluster").stat()
    monkeypatch.setattr(os, "geteuid", lambda: status.st_uid + 4000)
    if status.st_uid == 0:
        os.chown(tmp_path / "cluster", 65534, 65534)

    with pytest.raises(CannotRun, match="belongs to another user"):
        EmbeddedPostgres(tmp_path).start()


def test_a_missing_wheel_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(CannotRun, match="make setup"):
        cluster.programs()
