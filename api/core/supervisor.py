"""Keep a handful of programs running, and end them in the right order."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from api.core.processes import CannotRun, spawn, stop

QUICK_SECONDS: Final = 20.0
"""Longer than a busy machine takes to import a program and see it fail."""
MOST_QUICK_DEATHS: Final = 6
LONGEST_PAUSE: Final = 5.0


class Service(Protocol):
    """Something that runs beside us."""

    @property
    def name(self) -> str:
        """How messages call it."""

    def start(self) -> object:
        """Start it, also again after it died."""

    def alive(self) -> bool:
        """Tell whether it runs."""

    def exit_code(self) -> int | None:
        """How it ended, as ``subprocess`` tells it: a signal is negative."""

    def ask_to_stop(self) -> None:
        """Let it begin to end, if its end need not wait for the others'."""

    def stop(self, seconds: float) -> None:
        """Let it finish what it does for at most ``seconds``, and end it."""


class Program:
    """A command that runs until it is told to stop."""

    def __init__(self, name: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        self.name = name
        self._argv = argv
        self._env = env
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int | None:
        """The process, None before the first start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the command."""
        # Should this process be killed, the database ends too: a graceful end could wait for it for ever.
        self._process = spawn(self._argv, when_orphaned=signal.SIGKILL, env=self._env, cwd=self._cwd)

    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._process is not None and self._process.poll() is None

    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll() if self._process else None

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self._process and self.alive():
            self._process.terminate()

    def stop(self, seconds: float) -> None:
        """Send SIGTERM, wait, kill."""
        if self._process:
            stop(self._process, (signal.SIGTERM, seconds))


@dataclass
class _Watched:
    service: Service
    born: float
    quick_deaths: int = 0
    again_at: float | None = None
    """When to start it anew; None while it runs."""


class Supervisor:
    """Starts services anew when they die, and gives up on one that cannot live."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Prepare to watch; ``say`` gets one line for every event."""
        self._say = say
        self._watched: list[_Watched] = []

    @property
    def watches(self) -> bool:
        """Whether anything was started."""
        return bool(self._watched)

    def add(self, service: Service) -> None:
        """Start a service and watch it. What others need comes first; it is also stopped last."""
        born = time.monotonic()
        service.start()
        self._watched.append(_Watched(service, born))

    def tick(self) -> None:
        """Look after every service; call it several times a second.

        Raises:
            CannotRun: one dies again and again by itself.
        """
        for watched in self._watched:
            if watched.again_at is None and not watched.service.alive():
                self._mourn(watched)
            if watched.again_at is not None and time.monotonic() >= watched.again_at:
                self._start_again(watched)

    def stop(self, seconds: float) -> None:
        """Stop everything, the last added first, giving each ``seconds`` to finish."""
        for watched in reversed(self._watched):
            watched.service.ask_to_stop()
        for watched in reversed(self._watched):
            watched.service.stop(seconds)
        self._watched.clear()

    def _mourn(self, watched: _Watched) -> None:
        code = watched.service.exit_code()
        quick = time.monotonic() - watched.born < QUICK_SECONDS
        # Somebody outside sends SIGKILL; that says nothing about the program, however often it happens.
        watched.quick_deaths = watched.quick_deaths + 1 if quick and code != -signal.SIGKILL else 0
        if watched.quick_deaths > MOST_QUICK_DEATHS:
            raise CannotRun(
                f"{watched.service.name} ends again and again ({_cause(code)}): see its messages above."
            )
        self._say(f"{watched.service.name} ended ({_cause(code)}); starting it again.")
        watched.again_at = time.monotonic() + min(0.1 * 2**watched.quick_deaths, LONGEST_PAUSE)

    def _start_again(self, watched: _Watched) -> None:
        watched.born = time.monotonic()
        watched.again_at = None
        try:
            watched.service.start()
        except CannotRun as error:
            watched.quick_deaths += 1
            if watched.quick_deaths > MOST_QUICK_DEATHS:
                raise
            self._say(str(error))
            watched.again_at = time.monotonic() + LONGEST_PAUSE


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
