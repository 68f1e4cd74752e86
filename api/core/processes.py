"""Start programs that do not outlive us, and hold folders that only one of us may use."""

import fcntl
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

LAUNCHER: Final = Path(__file__).with_name("launch.py")
LOOPBACK: Final = "127.0.0.1"


class CannotRun(RuntimeError):
    """Something on this machine is in the way; the message is one sentence for the person in front of it."""


@dataclass(frozen=True)
class Account:
    """The user a program runs as."""

    uid: int = -1
    """-1 leaves the user as it is."""
    gid: int = -1
    keep_access: bool = False
    """Whether it may still pass folders that are closed to this user."""

    @property
    def changes(self) -> bool:
        """Whether this is another user than ours."""
        return self.uid >= 0

    @classmethod
    def unprivileged(cls, *paths: Path, owner: int = 0) -> "Account":
        """Choose the user for a program that refuses to run as root and has to reach ``paths``.

        An ordinary user stays; for root it is ``owner``, or ``nobody`` where root owns that too.
        """
        if os.geteuid() != 0:
            return cls()
        user = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
        closed = not all(_open_to(user.pw_uid, user.pw_gid, path) for path in paths)
        return cls(user.pw_uid, user.pw_gid, keep_access=closed)

    def own(self, *paths: Path) -> None:
        """Hand ``paths`` to this user."""
        if self.changes:
            for path in paths:
                os.chown(path, self.uid, self.gid)


def _open_to(uid: int, gid: int, path: Path) -> bool:
    """Tell whether a user may walk down to ``path``."""
    for folder in (path, *path.parents):
        status = folder.stat()
        shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
        if not status.st_mode >> shift & 1:
            return False
    return True


class FolderLock:
    """Makes sure that one process at a time uses a folder; it opens by itself when that process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Take the lock, or return False when another process holds it."""
        if self._file is not None:
            return True
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file
        return True

    def holder(self) -> str:
        """Return the process id that the holder left in the file, for messages."""
        return self._path.read_text().strip() or "unknown"

    def release(self) -> None:
        """Let the next one in."""
        if self._file is not None:
            self._file.close()
            self._file = None


def command(
    argv: Sequence[str], *, account: Account | None = None, when_orphaned: signal.Signals | None = None
) -> list[str]:
    """Return the command that starts ``argv`` as ``account``, and gets ``when_orphaned`` if we die.

    That signal is known to Linux alone, which sends it when the *thread* that started the program ends: start
    long-lived programs from the main thread.
    """
    account = account or Account()
    numbers = (account.uid, account.gid, when_orphaned or 0, int(account.keep_access), os.getpid())
    return [sys.executable, "-I", "-S", str(LAUNCHER), *(str(int(number)) for number in numbers), "--", *argv]


def spawn(
    argv: Sequence[str],
    *,
    when_orphaned: signal.Signals,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own: Ctrl-C reaches us alone, and we decide who stops when."""
    return subprocess.Popen(  # noqa: S603  our own programs
        command(argv, account=account, when_orphaned=when_orphaned),
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> None:
    """Send each signal and give it its seconds; kill what is still there."""
    for number, seconds in (*steps, (signal.SIGKILL, 10.0)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers do: closed connections don't count
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def wait_until(condition: Callable[[], bool], *, seconds: float, every: float = 0.05) -> bool:
    """Return True as soon as ``condition`` holds, False when ``seconds`` pass first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
