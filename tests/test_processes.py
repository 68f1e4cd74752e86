"""Starting programs: as whom, until when, and alone in their folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from api.core.processes import Account, FolderLock, command, spawn, stop, wait_until


def test_root_becomes_nobody_and_keeps_access_only_below_closed_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    assert Account.unprivileged(Path("/usr/bin")).changes
    assert not Account.unprivileged(Path("/usr/bin")).keep_access
    assert Account.unprivileged(Path("/usr/bin"), closed).keep_access


def test_root_becomes_the_owner_of_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert Account.unprivileged(Path("/usr"), owner=1).uid == 1


def test_an_ordinary_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    account = Account.unprivileged(tmp_path)

    assert account == Account()
    account.own(tmp_path)  # nothing to hand over


def test_owning_hands_over(tmp_path: Path) -> None:
    Account(os.getuid(), os.getgid()).own(tmp_path)

    assert tmp_path.stat().st_uid == os.getuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_program_of_nobody_reaches_a_closed_folder_but_is_not_root(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("read")
    (tmp_path / "secret").chmod(0o600)
    tmp_path.chmod(0o700)
    script = ["/bin/sh", "-c", f"id -u; cat {tmp_path}/secret"]

    kept = subprocess.run(
        command(script, account=Account(65534, 65534, keep_access=True)),
        capture_output=True,
        text=True,
        check=False,
    )
    plain = subprocess.run(
        command(script, account=Account(65534, 65534)), capture_output=True, text=True, check=False
    )

    assert kept.stdout == "65534\nread"
    assert plain.stdout == "65534\n"
    assert "Permission denied" in plain.stderr


def test_a_program_gets_its_signal_when_its_starter_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, signal; from api.core.processes import spawn;"
        f"script = 'trap \"touch {tmp_path}/told; exit\" TERM; echo up; while :; do sleep 0.05; done';"
        "child = spawn(['sh', '-c', script], when_orphaned=signal.SIGTERM); sys.stdin.read()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout
    assert starter.stdout.readline() == "up\n"

    starter.kill()
    starter.wait()

    assert wait_until((tmp_path / "told").exists, seconds=10)
    starter.communicate()


def test_a_program_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    program = spawn(
        ["sh", "-c", f"trap '' TERM; touch {ready}; while :; do sleep 0.05; done"],
        when_orphaned=signal.SIGKILL,
    )
    assert wait_until(ready.exists, seconds=10)

    stop(program, (signal.SIGTERM, 0.2))

    assert program.returncode == -signal.SIGKILL
    stop(program, (signal.SIGTERM, 0.2))  # again does no harm


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")

    assert first.take()
    assert first.take()
    assert not second.take()
    assert second.holder() == str(os.getpid())
    first.release()
    first.release()
    assert second.take()
    second.release()


def test_waiting_has_an_end() -> None:
    assert not wait_until(lambda: False, seconds=0.05)
