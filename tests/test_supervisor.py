"""Supervision: what is killed comes back, what cannot live ends the run."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from api.core import supervisor
from api.core.processes import CannotRun, wait_until
from api.core.supervisor import Program, Supervisor


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.01)


def program(*argv: str) -> Program:
    return Program("Clock", argv, env=dict(os.environ), cwd=Path("/"))


def look_after(watch: Supervisor, *, until: Callable[[], bool]) -> None:
    def enough() -> bool:
        watch.tick()
        return until()

    assert wait_until(enough, seconds=20)


def kill(service: Program) -> None:
    assert service.process_id
    os.kill(service.process_id, signal.SIGKILL)
    assert wait_until(lambda: not service.alive(), seconds=10)


def test_a_killed_program_comes_back_however_often() -> None:
    said: list[str] = []
    watch = Supervisor(said.append)
    service = program("sleep", "60")
    watch.add(service)

    for _ in range(supervisor.MOST_QUICK_DEATHS + 2):
        kill(service)
        look_after(watch, until=service.alive)

    assert said[0] == "Clock ended (SIGKILL); starting it again."
    assert watch.watches
    watch.stop(5)
    assert not service.alive()
    assert not watch.watches


def test_a_program_that_cannot_live_ends_the_run() -> None:
    watch = Supervisor(lambda _: None)
    watch.add(program("sh", "-c", "exit 3"))

    with pytest.raises(CannotRun, match=r"^Clock ends again and again \(exit code 3\)"):
        look_after(watch, until=lambda: False)
    watch.stop(0)


class Stubborn:
    """A service that never comes up again."""

    name = "Database"

    def __init__(self) -> None:
        self.starts = 0

    def start(self) -> None:
        """Come up the first time only."""
        self.starts += 1
        if self.starts > 1:
            raise CannotRun("The disk is full.")

    def alive(self) -> bool:
        """It is not."""
        return False

    def exit_code(self) -> int | None:
        """It failed."""
        return 1

    def ask_to_stop(self) -> None:
        """Nothing runs."""

    def stop(self, _seconds: float) -> None:
        """Nothing runs."""


def test_a_service_that_cannot_come_back_is_tried_and_then_ends_the_run_with_its_reason() -> None:
    said: list[str] = []
    watch = Supervisor(said.append)
    watch.add(Stubborn())

    with pytest.raises(CannotRun, match="The disk is full"):
        look_after(watch, until=lambda: False)

    assert "The disk is full." in said
    watch.stop(0)


def test_what_was_never_started_stops_without_ado() -> None:
    service = program("sleep", "60")

    assert service.process_id is None
    assert service.exit_code() is None
    assert not service.alive()
    service.ask_to_stop()
    service.stop(1)
