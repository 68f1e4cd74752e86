"""A real S3 server on loopback: rclone, which checks signatures and takes uploads in parts."""

import json
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from api.core.processes import LOOPBACK, port_is_free, spawn, stop, wait_until
from tests.processes import free_port

KEY_ID: Final = "repairs-key-id"
SECRET: Final = "repairs-secret-key"
STARTUP_SECONDS = 30.0


@dataclass(frozen=True)
class Bucket:
    """A bucket that lies in a folder."""

    folder: Path
    endpoint: str

    @classmethod
    def new(cls, root: Path, endpoint: str) -> "Bucket":
        """Make an empty bucket on the server of ``endpoint``."""
        folder = root / f"repairs-{uuid4().hex[:12]}"
        folder.mkdir()
        return cls(folder, endpoint)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of an application that keeps its files here."""
        return {
            "storage_url": f"s3://{self.folder.name}",
            "storage_endpoint": self.endpoint,
            "storage_region": "eu-north-1",
            "storage_access_key_id": KEY_ID,
            "storage_secret_access_key": SECRET,
        }

    def objects(self) -> list[Path]:
        """Return what lies in it, with anything half sent, but not what the health check wrote."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file() and path.name != "health")

    def unfinished(self) -> list[str]:
        """Return the keys of uploads in parts that were neither completed nor aborted."""
        asked = subprocess.run(
            [
                *(_rclone(), "--config", "", "backend", "list-multipart-uploads"),
                f":s3:{self.folder.name}",
                *("--s3-provider", "Rclone", "--s3-endpoint", self.endpoint),
                *("--s3-access-key-id", KEY_ID, "--s3-secret-access-key", SECRET),
            ],
            capture_output=True,
            check=False,
        )
        if b"NoSuchUpload" in asked.stderr:  # as this server says where no upload was ever begun
            return []
        assert asked.returncode == 0, asked.stderr.decode()
        return [upload["Key"] for uploads in json.loads(asked.stdout).values() for upload in uploads or []]

    def drop(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.folder)


@contextmanager
def bucket_server(root: Path) -> Iterator[str]:
    """Serve the folders in ``root`` as buckets; return the endpoint's address."""
    port = free_port()
    argv = [
        *(_rclone(), "--config", "", "serve", "s3", str(root)),
        *("--addr", f"{LOOPBACK}:{port}", "--auth-key", f"{KEY_ID},{SECRET}"),
        *("--dir-cache-time", "0s"),  # tests age what lies in the folders
    ]
    with (root / "server.log").open("wb") as log:
        process = spawn(argv, when_orphaned=signal.SIGKILL, output=log)
        try:
            assert wait_until(lambda: not port_is_free(port), seconds=STARTUP_SECONDS)
            yield f"http://{LOOPBACK}:{port}"
        finally:
            stop(process, (signal.SIGTERM, 5.0))


def _rclone() -> str:
    return str(Path(sysconfig.get_path("scripts")) / "rclone")
