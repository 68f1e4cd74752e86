"""Files in a bucket of a real S3 server, and what is left there when sending one breaks off."""

import asyncio
import io
import os
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typing_extensions import override

from api.core.errors import Unavailable
from api.core.storage import PART, Storage
from api.settings import Settings
from tests.api.live import with_values
from tests.bucket import KEY_ID, SECRET, Bucket


@pytest.fixture
def storage(bucket: Bucket, settings: Settings) -> Storage:
    return kept_in(bucket, settings)


def kept_in(bucket: Bucket, settings: Settings, **values: Any) -> Storage:
    return Storage(with_values(settings, **(bucket.settings | values)))


async def content(storage: Storage, key: str) -> bytes:
    return b"".join([chunk async for chunk in await storage.stream(key)])


@pytest.mark.parametrize("size", [0, 1, 9_000_000, PART, PART + 1, 2 * PART + 5])
async def test_what_is_stored_comes_back(size: int, storage: Storage, bucket: Bucket) -> None:
    given, key = os.urandom(size), storage.new_key()

    await storage.put(key, io.BytesIO(given))

    assert await content(storage, key) == given
    [kept] = bucket.objects()
    assert kept.read_bytes() == given
    assert bucket.unfinished() == []


async def test_a_large_file_comes_back_in_chunks(storage: Storage) -> None:
    await storage.put("ab/cd", os.urandom(9_000_000))

    chunks = [chunk async for chunk in await storage.stream("ab/cd")]

    assert len(chunks) > 1
    assert max(map(len, chunks)) < 2_000_000


async def test_what_was_never_stored_is_not_found(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        await storage.stream("ab/cd")


async def test_deleting_twice_is_no_fault(storage: Storage, bucket: Bucket) -> None:
    for key in ("a", "b", "c"):
        await storage.put(key, b"x")

    await storage.delete(["a", "gone", "b"])
    await storage.delete(["a", "b"])

    assert [path.name for path in bucket.objects()] == ["c"]


async def test_files_are_listed_by_age(storage: Storage) -> None:
    await storage.put("ab/old", b"x")

    async def older_than(moment: datetime) -> list[str]:
        return [key async for batch in storage.older_than(moment) for key in batch]

    assert await older_than(datetime.now(UTC) + timedelta(seconds=5)) == ["ab/old"]
    assert await older_than(datetime.now(UTC) - timedelta(hours=1)) == []


class Slow(io.BytesIO):
    """A file that is read slowly, and perhaps not to its end."""

    def __init__(self, size: int, *, breaks_at: int = 2**63) -> None:
        super().__init__(os.urandom(size))
        self.begun, self._breaks_at = asyncio.Event(), breaks_at
        self._loop = asyncio.get_running_loop()

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self._breaks_at:
            msg = "the disk is gone"
            raise OSError(msg)
        if self.tell() > PART:
            self._loop.call_soon_threadsafe(self.begun.set)
            time.sleep(0.1)
        return super().read(size)


async def test_a_file_that_breaks_off_between_two_parts_leaves_nothing(
    storage: Storage, bucket: Bucket
) -> None:
    with pytest.raises(Unavailable):
        await storage.put("ab/cd", Slow(3 * PART, breaks_at=2 * PART))

    assert (bucket.objects(), bucket.unfinished()) == ([], [])


async def test_sending_that_is_canceled_leaves_no_unfinished_upload(storage: Storage, bucket: Bucket) -> None:
    # As when the server is told to end: the parts would be paid for until somebody finds them.
    file = Slow(4 * PART)
    sending = asyncio.create_task(storage.put("ab/cd", file))
    async with asyncio.timeout(10):
        await file.begun.wait()
    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sending

    assert bucket.unfinished() == []
    await storage.delete(["ab/cd"])  # as whoever sends does
    assert bucket.objects() == []


@pytest.mark.parametrize("fault", ["no bucket", "wrong secret", "unknown key", "nobody listens"])
async def test_a_bucket_that_is_missing_or_refuses_is_unavailable(
    fault: str, bucket: Bucket, settings: Settings
) -> None:
    values = {
        "no bucket": {"storage_url": "s3://nowhere"},
        "wrong secret": {"storage_secret_access_key": "wrong"},
        "unknown key": {"storage_access_key_id": "nobody-s-key"},
        "nobody listens": {"storage_endpoint": "http://127.0.0.1:1"},
    }[fault]
    storage = kept_in(bucket, settings, **values)
    started = time.monotonic()

    assert not await storage.check()
    with pytest.raises(Unavailable):
        await storage.put("a", b"x")
    with pytest.raises(Unavailable):
        await storage.put("a", Slow(PART + 1))
    with pytest.raises(Unavailable):
        await storage.stream("a")
    with pytest.raises(Unavailable):
        await storage.delete(["a"])

    # The library would try for three minutes, and whoever sends a file with it.
    assert time.monotonic() - started < 30
    assert bucket.objects() == []


async def test_the_keys_may_come_from_the_environment(
    bucket: Bucket, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    storage = kept_in(bucket, settings, storage_access_key_id="", storage_secret_access_key="")

    await storage.put("a", b"x")

    assert await content(storage, "a") == b"x"


async def test_the_endpoint_s_address_may_name_the_bucket(bucket: Bucket, settings: Settings) -> None:
    named = f"{bucket.endpoint}/{bucket.folder.name}"
    storage = kept_in(bucket, settings, storage_endpoint=named, storage_path_style=False)

    await storage.put("ab/cd", b"x")

    assert (bucket.folder / "ab" / "cd").read_bytes() == b"x"


async def test_an_endpoint_with_https_is_never_asked_without(bucket: Bucket, settings: Settings) -> None:
    storage = kept_in(bucket, settings, storage_endpoint=bucket.endpoint.replace("http://", "https://"))

    assert not await storage.check()
    assert not (bucket.folder / "health").exists()


async def test_settings_of_s3_are_for_no_other_store(bucket: Bucket, settings: Settings) -> None:
    storage = kept_in(bucket, settings, storage_url="memory:///")

    await storage.put("a", b"x")

    assert await content(storage, "a") == b"x"
    assert bucket.objects() == []


def test_the_secret_is_not_printed(bucket: Bucket, settings: Settings) -> None:
    assert not re.search(SECRET, repr(with_values(settings, **bucket.settings)))
