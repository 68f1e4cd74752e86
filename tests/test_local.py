"""``python -m api.local``: one command, whatever is killed or in the way."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from api import local
from api.core.processes import LOOPBACK, FolderLock, port_is_free, wait_until

ROOT = Path(__file__).parent.parent
STARTUP_SECONDS = 120
OURS = {"DATABASE_URL", "SECRET_KEY", "ENV", "ADMIN_PASSWORD", "MAKELEVEL"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Copy:
    """A copy of the application that the test started."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port, self.ui_port = free_port(), free_port()
        self.log = folder.parent / f"{folder.name}.{time.monotonic_ns()}.log"
        ports = ("--port", str(self.port), "--ui-port", str(self.ui_port))
        with self.log.open("wb") as output:
            self.process = psutil.Popen(
                [sys.executable, "-m", "api.local", *ports, "--data-dir", str(folder), *options],
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name not in OURS},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def says(self, text: str) -> bool:
        """Tell whether a line was printed."""
        return text in self.log.read_text()

    def wait_for(self, text: str) -> None:
        """Wait for a line."""
        assert wait_until(lambda: self.says(text) or self.process.poll() is not None, seconds=STARTUP_SECONDS)
        assert self.says(text), self.log.read_text()

    def answers(self) -> bool:
        """Tell whether the API is ready."""
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/api/v1/health/ready", timeout=5):
                return True
        except OSError:
            return False

    def part(self, word: str) -> psutil.Process:
        """Find the child whose command has ``word``."""
        [found] = [
            child for child in self.process.children() if any(word in part for part in child.cmdline())
        ]
        return found


@contextmanager
def copy(folder: Path, *options: str) -> Iterator[Copy]:
    """Start a copy, and end it with the test."""
    started = Copy(folder, *options)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.terminate()
            started.process.wait(60)


@pytest.mark.slow
def test_the_whole_application_lives_through_kills_and_stops_cleanly(tmp_path: Path) -> None:
    with copy(tmp_path / "data") as running:
        running.wait_for(f"ready http://{LOOPBACK}:{running.port}\n")
        running.wait_for(f"Open           http://{LOOPBACK}:{running.ui_port}")
        running.wait_for("admin / admin123")

        for word, name in (("uvicorn", "API"), ("bin/postgres", "PostgreSQL"), ("api.worker", "Job worker")):
            running.part(word).kill()
            running.wait_for(f"{name} ended (SIGKILL); starting it again.")
            assert wait_until(running.answers, seconds=STARTUP_SECONDS, every=0.3)

        second = Copy(tmp_path / "data")
        assert second.process.wait(60) == 1
        assert second.says("It already runs from")

        children = running.process.children(recursive=True)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 0
        assert psutil.wait_procs(children, timeout=5)[1] == []
        assert running.log.read_text().count("\nready ") == 1
        assert running.log.read_text().endswith("Stopped.\n")
        assert "Traceback" not in running.log.read_text().partition("Stopping …")[2]


@pytest.mark.slow
def test_after_a_kill_of_the_runner_nothing_is_left_and_the_next_start_works(tmp_path: Path) -> None:
    with copy(tmp_path / "data", "--no-ui") as first:
        first.wait_for("ready ")
        children = first.process.children()
        key = (tmp_path / "data" / "secret_key").read_text()

        first.process.kill()
        first.process.wait(10)

        assert psutil.wait_procs(children, timeout=30)[1] == []
        assert port_is_free(first.port)
    with copy(tmp_path / "data", "--no-ui") as next_one:
        next_one.wait_for("ready ")
        assert not next_one.says("Making the database")
    assert (tmp_path / "data" / "secret_key").read_text() == key


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let ``main`` run in this process, which has its own signals, folder and environment."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    folder = Path.cwd()
    monkeypatch.setattr(local, "PORT_PATIENCE_SECONDS", 0.1)
    for name in OURS:
        monkeypatch.setenv(name, "")  # so that it is put back, whatever main sets
        monkeypatch.delenv(name)
    yield
    os.chdir(folder)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert local.main(["--port", str(free_port()), "--no-ui", *arguments]) == 1
    return capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_a_taken_port_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = str(other.getsockname()[1])

        said = complaint(capsys, "--data-dir", str(tmp_path), "--port", port)

    assert said == f"Port {port} is taken: stop what uses it, or choose another with --port.\n"


@pytest.mark.usefixtures("here")
def test_api_and_ui_need_different_ports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert local.main(["--port", "8000", "--ui-port", "8000", "--data-dir", str(tmp_path)]) == 1

    assert "both 8000" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_is_a_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        local.main(["--port", port])

    assert "--port" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    said = complaint(capsys, "--data-dir", str(tmp_path / "file" / "below"))

    assert "cannot be written: Not a directory." in said


@pytest.mark.usefixtures("here")
def test_a_second_copy_in_a_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = FolderLock(tmp_path / "lock")
    lock.take()

    said = complaint(capsys, "--data-dir", str(tmp_path))

    assert said.startswith(f"It already runs from {tmp_path} (process {os.getpid()})")
    lock.release()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("DATABASE_URL=mysql://x", "DATABASE_URL"),
        ("PHONE_REGION=Russia", "PHONE_REGION"),
        ("ENV=production", "SECRET_KEY"),
    ],
)
def test_wrong_settings_are_one_sentence_before_anything_starts(
    variable: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(*variable.split("=", 1))

    said = complaint(capsys, "--data-dir", str(tmp_path))

    assert said.startswith("The settings are not right: ")
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "postgres").exists()


@pytest.mark.usefixtures("here")
def test_a_server_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql+asyncpg://nobody@{LOOPBACK}:{free_port()}/none")

    said = complaint(capsys, "--data-dir", str(tmp_path))

    assert said.startswith("The tables could not be brought up to date: ")
    assert said.count("\n") == 1
