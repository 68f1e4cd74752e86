"""``python -m api.local``: everything on this machine, with nothing installed but Python.

Starts PostgreSQL from the wheel (or uses ``DATABASE_URL``), brings the tables up to date, runs the API, the
job worker and the UI, and looks after them until Ctrl-C.
"""

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import Final

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

from api.core.embedded import EmbeddedPostgres
from api.core.processes import LOOPBACK, CannotRun, FolderLock, port_is_free, wait_until
from api.core.supervisor import Program, Supervisor
from api.settings import LOCAL_ADMIN_PASSWORD, LOCAL_WORKER_PASSWORD, Environment, Settings

ROOT: Final = Path(__file__).resolve().parent.parent
GRACE_SECONDS: Final = 25.0
"""A little more than the job worker gives its jobs."""
PATIENCE_SECONDS: Final = 60.0
PORT_PATIENCE_SECONDS: Final = 5.0
"""What a killed run leaves behind closes its ports within this time."""
LAST_PORT: Final = 65535


class Given(BaseSettings):
    """What decides how this machine is set up; read from where ``Settings`` reads."""

    model_config = Settings.model_config

    database_url: str = ""
    secret_key: SecretStr = SecretStr("")
    storage_url: str = ""
    env: str = Environment.LOCAL.value


def say(line: str) -> None:
    """Print a line at once; a reader who has left must not stop us."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


class Local:
    """One copy of the whole application on this machine."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._port: int = options.port
        self._ui_port: int | None = None if options.no_ui else options.ui_port
        self._data: Path = options.data_dir.absolute()
        self._supervisor = Supervisor(say)
        self._stops = 0
        # Below make, which cannot pass on its own kill -9: its end is ours.
        self._parent = os.getppid() if "MAKELEVEL" in os.environ else None

    def run(self) -> None:
        """Start everything and look after it until told to stop.

        Raises:
            CannotRun: in one sentence, why not.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        lock = self._own_data()
        try:
            self._check_ports()
            settings = self._prepare()
            if not self._stopping():
                self._start_programs()
                self._watch(settings)
        finally:
            if self._supervisor.watches:
                say("Stopping …")
                self._supervisor.stop(0 if self._stops > 1 else GRACE_SECONDS)
                say("Stopped.")
            lock.release()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stops += 1

    def _stopping(self) -> bool:
        return self._stops > 0 or (self._parent is not None and os.getppid() != self._parent)

    def _own_data(self) -> FolderLock:
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(self._data / "lock")
            if not lock.take():
                raise CannotRun(
                    f"It already runs from {self._data} (process {lock.holder()}): stop that first, "
                    "or start a second copy with other --port, --ui-port and --data-dir."
                )
        except OSError as error:
            raise CannotRun(f"{self._data} cannot be written: {error.strerror}.") from error
        return lock

    def _check_ports(self) -> None:
        if self._port == self._ui_port:
            raise CannotRun(f"--port and --ui-port are both {self._port}: they must differ.")
        for option, port in (("--port", self._port), ("--ui-port", self._ui_port)):
            if port is not None and not _becomes_free(port):
                raise CannotRun(f"Port {port} is taken: stop what uses it, or choose another with {option}.")

    def _prepare(self) -> Settings:
        """Set the environment of the programs: the database with its tables, and the key."""
        given = Given()
        if not given.secret_key.get_secret_value() and given.env == Environment.LOCAL:
            os.environ["SECRET_KEY"] = self._secret_key()
        if not given.storage_url:  # each data folder has its own files
            os.environ["STORAGE_URL"] = str(self._data / "files")
        # Known to be good before anything is started.
        settings = _settings(given.database_url or f"postgresql+asyncpg://{LOOPBACK}")
        if not given.database_url:
            server = EmbeddedPostgres(self._data / "postgres")
            new = not (self._data / "postgres" / "cluster").exists()
            say("Making the database (first start only) …" if new else "Starting PostgreSQL …")
            self._supervisor.add(server)
            os.environ["DATABASE_URL"] = server.url
        say("Bringing the tables up to date …")
        done = subprocess.run(
            [sys.executable, "-m", "alembic", "upgrade", "head"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode != 0:
            reason = (done.stdout.strip().splitlines() or ["no reason given"])[-1]
            raise CannotRun(f"The tables could not be brought up to date: {reason}")
        return settings

    def _secret_key(self) -> str:
        """Return the key of this folder: sign-ins survive a restart, and copies do not believe each other."""
        path = self._data / "secret_key"
        with contextlib.suppress(FileNotFoundError):
            if key := path.read_text().strip():
                return key
        path.touch(mode=0o600)
        path.write_text(f"{secrets.token_urlsafe(48)}\n")
        return path.read_text().strip()

    def _start_programs(self) -> None:
        environment = os.environ | {
            "PYTHONUNBUFFERED": "1",
            "API_URL": f"http://{LOOPBACK}:{self._port}",
            "UI_DATA_DIR": str(self._data / "ui"),
        }
        say(
            "Starting the API, the job worker and the UI …"
            if self._ui_port
            else "Starting the API and the worker …"
        )
        self._add("API", environment, "uvicorn", "api.main:app", *self._uvicorn_options())
        self._add("Job worker", environment, "api.worker")
        if self._ui_port:
            where = ("--server.port", str(self._ui_port), "--server.address", LOOPBACK)
            self._add("UI", environment, "streamlit", "run", "ui/app.py", *where, "--server.headless", "true")

    def _uvicorn_options(self) -> tuple[str, ...]:
        return (
            *("--host", LOOPBACK, "--port", str(self._port)),
            *("--no-access-log", "--no-server-header", "--ws-max-size", str(64 * 1024)),
            "--no-proxy-headers",  # the application believes the proxies in TRUSTED_PROXIES, and no others
            *("--timeout-graceful-shutdown", str(int(GRACE_SECONDS) - 10)),
        )

    def _add(self, name: str, environment: Mapping[str, str], *module: str) -> None:
        self._supervisor.add(Program(name, [sys.executable, "-m", *module], env=environment, cwd=ROOT))

    def _watch(self, settings: Settings) -> None:
        started = time.monotonic()
        api = f"http://{LOOPBACK}:{self._port}"
        ui = f"http://{LOOPBACK}:{self._ui_port}"
        waiting = [(f"{api}/api/v1/health/ready", [f"ready {api}", f"  API documents  {api}/docs"])]
        if self._ui_port:
            waiting.append((f"{ui}/_stcore/health", [f"  Open           {ui}"]))
        waiting[-1][1].extend(_sign_ins(settings))
        hinted = False
        while not self._stopping():
            self._supervisor.tick()
            if waiting and _answers(waiting[0][0]):
                for line in waiting.pop(0)[1]:
                    say(line)
            if waiting and not hinted and time.monotonic() - started > PATIENCE_SECONDS:
                hinted = True
                say(f"Still waiting for {waiting[0][0]} …")
            time.sleep(0.2)


def _becomes_free(port: int) -> bool:
    return wait_until(lambda: port_is_free(port), seconds=PORT_PATIENCE_SECONDS, every=0.2)


def _settings(database_url: str) -> Settings:
    try:
        return Settings(database_url=database_url)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in problem['loc']).upper()} {problem['msg']}".strip()
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise CannotRun(f"The settings are not right: {'; '.join(problems)}.") from error


def _sign_ins(settings: Settings) -> list[str]:
    demo = (LOCAL_ADMIN_PASSWORD, LOCAL_WORKER_PASSWORD)
    if settings.env is not Environment.LOCAL:
        return []
    return [f"  Sign in as     {name} / {word}" for name, word, _ in settings.first_accounts if word in demo]


def _answers(address: str) -> bool:
    # Without the proxies of the environment: this is loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=2):
            return True
    except (OSError, HTTPException):
        return False


def port_number(text: str) -> int:
    """Read a port from the command line."""
    port = int(text)
    if not 1 <= port <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be 1 to {LAST_PORT}")
    return port


def main(arguments: list[str] | None = None) -> int:
    """Run until Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m api.local", description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=port_number, default=8000, help="of the API (default 8000)")
    parser.add_argument("--ui-port", type=port_number, default=8501, help="of the UI (default 8501)")
    parser.add_argument(
        "--data-dir", type=Path, default=ROOT / ".data", help="for the database (default .data)"
    )
    parser.add_argument("--no-ui", action="store_true", help="start the API alone")
    local = Local(parser.parse_args(arguments))
    os.chdir(ROOT)  # where Settings look for .env
    try:
        local.run()
    except CannotRun as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
