"""A second process of the API on the same database, and the sudden end of the first."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tests.e2e.conftest import Api, Process, free_port

SERVER = "api.main:app"


def server_of(api: Api) -> psutil.Process:
    """Return the process that answers the API's port; the supervisor starts another when it dies."""
    for child in psutil.Process(api.process).children(recursive=True):
        with suppress(psutil.Error):
            if SERVER in child.cmdline():
                return child
    raise AssertionError("no process of the API")


def beside(api: Api, folder: Path) -> tuple[Process, str]:
    """Start another process of the API with the same settings; return it and its address."""
    port = free_port()
    known = server_of(api).environ()
    environment = {name: known[name] for name in ("DATABASE_URL", "SECRET_KEY", "STORAGE_URL", "ENV")}
    limits = {"PUBLIC_RATE_LIMIT": "", "LOGIN_RATE_LIMIT": ""}
    where = ("--host", "127.0.0.1", "--port", str(port), "--no-proxy-headers")
    process = Process(folder / "second.log", "uvicorn", SERVER, *where, **environment, **limits)
    process.wait_for(f"http://127.0.0.1:{port}/api/v1/health/ready")
    return process, f"http://127.0.0.1:{port}"


def kill(api: Api) -> None:
    """End the first process of the API without a word."""
    assert sys.platform != "win32"
    os.kill(server_of(api).pid, signal.SIGKILL)
