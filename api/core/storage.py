"""Files: on a disk or in an S3-compatible bucket, through one interface (obstore)."""

import asyncio
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
PART: Final = 10 * 1024 * 1024
"""What is in memory at once. A file up to this size is one request, which S3 takes whole or not at all."""
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
            self._store = from_url(url, **_options(settings), retry_config=RETRIES)

    @staticmethod
    def new_key() -> str:
        """Return a key that nobody can guess, spread over 256 folders."""
        name = secrets.token_hex(20)
        return f"{name[:2]}/{name[2:]}"

    async def put(self, key: str, file: IO[bytes] | bytes) -> None:
        """Store ``file`` whole or not at all, one part after another.

        Raises:
            Unavailable: (503) the store does not answer, or is full.
        """
        sending = asyncio.ensure_future(
            obstore.put_async(self._store, key, file, chunk_size=PART, max_concurrency=1)
        )
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            # Dropped half-way, its parts would stay in the bucket, where no list shows them.
            await asyncio.wait([sending])
            raise
        except (obstore.exceptions.BaseError, OSError) as error:
            msg = "files cannot be stored at the moment, try again"
            raise Unavailable(msg) from error

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yield a file in chunks; nothing but the chunk at hand is in memory.

        Raises:
            FileNotFoundError: nothing is stored under ``key``.
            Unavailable: (503) the store does not answer, or is not there.
        """
        msg = "files cannot be read at the moment, try again"
        try:
            found = await obstore.get_async(self._store, key)
        except FileNotFoundError as error:
            if _is_bucket_missing(error):
                raise Unavailable(msg) from error
            raise
        except (obstore.exceptions.BaseError, OSError) as error:
            raise Unavailable(msg) from error
        return _chunks(found)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete files; one that is gone already is no fault.

        Raises:
            Unavailable: (503) the store does not answer, or is not there.
        """
        for key in keys:
            try:
                await obstore.delete_async(self._store, key)
            except (obstore.exceptions.BaseError, OSError) as error:
                if isinstance(error, FileNotFoundError) and not _is_bucket_missing(error):
                    continue
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


def _options(settings: Settings) -> dict[str, Any]:
    """Return how to reach a bucket; what is left empty the library looks for in the environment."""
    options: dict[str, Any] = {"client_options": PATIENCE}
    if urlsplit(settings.storage_url).scheme not in ("s3", "s3a"):
        return options
    if settings.storage_endpoint.startswith("http://"):
        options["client_options"] = PATIENCE | {"allow_http": True}
    given = {
        "endpoint": settings.storage_endpoint,
        "region": settings.storage_region,
        "access_key_id": settings.storage_access_key_id,
        "secret_access_key": settings.storage_secret_access_key.get_secret_value(),
        "virtual_hosted_style_request": not settings.storage_path_style,
    }
    return options | {name: value for name, value in given.items() if value}


def _is_bucket_missing(error: FileNotFoundError) -> bool:
    """Tell a bucket that is not there from a file that is not in it: both are 404, and the code differs."""
    return "<Code>NoSuchBucket</Code>" in str(error)


async def _chunks(found: Any) -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=CHUNK):
        yield bytes(chunk)
