"""Files on a disk, and what happens when it is away; for buckets see test_storage_in_buckets.py."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.core.errors import Unavailable
from api.core.storage import Storage
from api.settings import Settings
from tests.api.live import with_values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def storage(folder: Path, settings: Settings) -> Storage:
    return Storage(with_values(settings, storage_url=str(folder)))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def content(storage: Storage, key: str) -> bytes:
    return b"".join([chunk async for chunk in await storage.stream(key)])


def break_it(folder: Path) -> None:
    """Put a file where the folder was, which not even root can write into."""
    folder.rename(folder.with_name("away"))
    folder.write_text("in the way")


async def test_what_is_stored_comes_back_in_chunks(storage: Storage) -> None:
    large, key = bytes(range(256)) * 20_000, storage.new_key()
    await storage.put(key, io.BytesIO(large))

    chunks = [chunk async for chunk in await storage.stream(key)]

    assert b"".join(chunks) == large
    assert len(chunks) > 1
    assert max(map(len, chunks)) < len(large)


async def test_bytes_are_stored_too(storage: Storage, folder: Path) -> None:
    await storage.put("ab/cd", b"small")

    assert await content(storage, "ab/cd") == b"small"
    assert (folder / "ab" / "cd").read_bytes() == b"small"


def test_keys_cannot_be_guessed() -> None:
    keys = {Storage.new_key() for _ in range(1000)}

    assert len(keys) == 1000
    assert {(len(key), key[2]) for key in keys} == {(41, "/")}


async def test_the_folder_may_be_given_as_an_address(folder: Path, settings: Settings) -> None:
    storage = Storage(with_values(settings, storage_url=f"file://{folder}"))
    await storage.put("a", b"x")
    assert files(folder) == ["a"]


async def test_what_was_never_stored_is_not_found(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        await storage.stream("ab/cd")


async def test_deleting_twice_is_no_fault(storage: Storage, folder: Path) -> None:
    for key in ("a", "b", "c"):
        await storage.put(key, b"x")

    await storage.delete(["a", "gone", "b"])
    await storage.delete(["a", "b"])

    assert files(folder) == ["c"]


async def test_files_are_listed_by_age(storage: Storage) -> None:
    await storage.put("ab/old", b"x")

    async def older_than(moment: datetime) -> list[str]:
        return [key async for batch in storage.older_than(moment) for key in batch]

    assert await older_than(datetime.now(UTC) + timedelta(seconds=5)) == ["ab/old"]
    assert await older_than(datetime.now(UTC) - timedelta(hours=1)) == []


async def test_a_store_that_is_away_is_unavailable(storage: Storage, folder: Path) -> None:
    await storage.put("ab/cd", b"x")
    assert await storage.check()
    break_it(folder)

    assert not await storage.check()
    with pytest.raises(Unavailable):
        await storage.put("ab/ef", b"x")
    with pytest.raises(Unavailable):
        await storage.stream("ab/cd")
    with pytest.raises(Unavailable):
        await storage.delete(["ab/cd"])
