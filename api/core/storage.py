"""Files: on a disk or in an S3-compatible bucket, through one interface (obstore)."""

import secrets
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import obstore
from obstore.store import LocalStore, from_url

from api.core.errors import Unavailable
from api.settings import Settings

CHUNK: Final = 256 * 1024
PATIENCE: Final[Any] = {"connect_timeout": "3s", "timeout": "30s"}
RETRIES: Final[Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
"""By itself the library tries for three minutes, and whoever sends a file waits for it."""


class Storage:
    """Keeps files under random keys; knows nothing of what they are."""

    def __init__(self, settings: Settings) -> None:
        url = settings.storage_url
        if urlsplit(url).scheme in ("", "file"):
            folder = Path(url.removeprefix("file://"))
            # A put writes beside the file and renames: nobody ever sees half of one.
            self._store: Any = LocalStore(folder.absolute(), mkdir=True)
        else:
            self._store = from_url(url, client_options=PATIENCE, retry_config=RETRIES)

    @staticmethod
    def new_key() -> str:
        """Return a key that nobody can guess, spread over 256 folders."""
        name = secrets.token_hex(20)
        return f"{name[:2]}/{name[2:]}"

    async def put(self, key: str, file: IO[bytes] | bytes) -> None:
        """Store ``file`` whole or not at all, in parts of a few megabytes.

        Raises:
            Unavailable: (503) the store does not answer, or is full.
        """
        try:
            await obstore.put_async(self._store, key, file)
        except (obstore.exceptions.BaseError, OSError) as error:
            msg = "files cannot be stored at the moment, try again"
            raise Unavailable(msg) from error

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yield a file in chunks; nothing but the chunk at hand is in memory.

        Raises:
            FileNotFoundError: nothing is stored under ``key``.
            Unavailable: (503) the store does not answer.
        """
        try:
            found = await obstore.get_async(self._store, key)
        except FileNotFoundError:
            raise
        except (obstore.exceptions.BaseError, OSError) as error:
            msg = "files cannot be read at the moment, try again"
            raise Unavailable(msg) from error
        return _chunks(found)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete files; one that is gone already is no fault.

        Raises:
            Unavailable: (503) the store does not answer.
        """
        for key in keys:
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                continue
            except (obstore.exceptions.BaseError, OSError) as error:
                msg = "files cannot be deleted at the moment"
                raise Unavailable(msg) from error

    async def older_than(self, moment: datetime) -> AsyncIterator[list[str]]:
        """Yield the keys of files stored before ``moment``, a batch at a time."""
        async for batch in obstore.list(self._store):
            yield [meta["path"] for meta in batch if meta["last_modified"] < moment]

    async def check(self) -> bool:
        """Tell whether the store takes and gives."""
        try:
            await obstore.put_async(self._store, "health", b"ok")
        except (obstore.exceptions.BaseError, OSError):
            return False
        return True


async def _chunks(found: Any) -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=CHUNK):
        yield bytes(chunk)
