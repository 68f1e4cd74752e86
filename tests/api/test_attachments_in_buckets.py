"""The life of files where they are kept in a bucket: the real API on a real S3 server."""

import asyncio
import hashlib
import io
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient
from PIL import Image
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.core import errors, storage
from api.core.db import Database
from api.core.storage import Storage
from api.tickets.attachments import service
from api.tickets.attachments.models import Attachment
from tests.api.desk import Desk, Queue, send, sent
from tests.bucket import Bucket
from tests.conftest import SignIn
from tests.evidence import problem, rows
from tests.factories import make_ticket
from tests.live import listening
from tests.pictures import EXE, PDF, photo, picture


@pytest.fixture
def store(bucket: Bucket) -> tuple[dict[str, Any], Path]:
    """A bucket instead of a folder."""
    return bucket.settings, bucket.folder


@pytest.mark.parametrize("size", [20, 9_000_000])
async def test_a_file_is_kept_and_comes_back_as_it_was(
    size: int, client: AsyncClient, desk: Desk, bucket: Bucket, sign_in: SignIn
) -> None:
    await sign_in(desk.users["worker"])
    given = PDF + os.urandom(size)

    file = await sent(client, desk.path, given, "Смета.pdf")
    back = await client.get(f"/attachments/{file['id']}")
    by_code = await client.get(f"{desk.public}/{file['id']}")

    assert (file["size"], file["sha256"]) == (len(given), hashlib.sha256(given).hexdigest())
    assert (back.status_code, by_code.status_code) == (200, 200)
    assert back.content == by_code.content == given
    assert back.headers["Content-Type"] == "application/pdf"
    assert back.headers["Content-Length"] == str(len(given))
    [kept] = desk.files()
    assert kept.read_bytes() == given
    assert bucket.unfinished() == []


async def test_a_file_beyond_one_request_goes_in_parts(
    client: AsyncClient, desk: Desk, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PART", 5 * 1024 * 1024)  # the least that S3 takes
    given = PDF + os.urandom(9_000_000)

    file = await sent(client, desk.public, given, "a.pdf")

    assert (await client.get(f"{desk.public}/{file['id']}")).content == given
    assert len(desk.files()) == 1
    assert bucket.unfinished() == []


async def test_a_picture_has_its_thumbnail(client: AsyncClient, desk: Desk) -> None:
    file = await sent(client, desk.public, photo(), "kitchen.jpg")

    small = await client.get(f"{desk.public}/{file['id']}?thumbnail=true")

    with Image.open(io.BytesIO(small.content)) as drawn:
        assert drawn.size == (60, 90)
    assert (await client.get(f"{desk.public}/{file['id']}")).content == photo()
    assert len(desk.files()) == 2


async def test_what_is_refused_leaves_nothing(
    client: AsyncClient, session: AsyncSession, desk: Desk, bucket: Bucket
) -> None:
    await sent(client, desk.public)
    before, kept = await rows(session), desk.files()
    desk.app.state.settings = desk.app.state.settings.model_copy(update={"attachments_per_ticket": 1})

    problem(await send(client, desk.public, EXE), 415, "unsupported_type")
    problem(await send(client, desk.public, b"x" * 10_000_001), 413, "too_large")
    problem(await send(client, desk.public, picture()), 409, "too_many_files")

    assert (await rows(session), desk.files(), bucket.unfinished()) == (before, kept, [])


async def test_an_upload_that_breaks_off_leaves_nothing(
    session: AsyncSession, desk: Desk, bucket: Bucket
) -> None:
    before = await rows(session)
    async with listening(desk.app) as listener:
        host, port = listener.address.split("/")[0].split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /api/v1{desk.public} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            '--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        )
        writer.write(head.encode() + b"x" * 6_000_000)
        await writer.drain()
        writer.transport.abort()
        await listener.quiet()

    assert (await rows(session), bucket.objects(), bucket.unfinished()) == (before, [], [])


async def test_a_deleted_file_goes_with_the_job_and_not_before(
    client: AsyncClient, desk: Desk, sign_in: SignIn, queue: Queue
) -> None:
    await sign_in(desk.users["worker"])
    kept = await sent(client, desk.path)
    file = await sent(client, desk.path, picture(), "a.jpg")

    assert (await client.delete(f"/attachments/{file['id']}")).status_code == 204

    problem(await client.get(f"/attachments/{file['id']}"), 404, "not_found")
    assert len(desk.files()) == 3
    assert await queue.run() == 1
    assert len(desk.files()) == 1
    assert (await client.get(f"/attachments/{kept['id']}")).content == b"Hello"


async def test_the_files_of_a_deleted_ticket_go(
    client: AsyncClient, session: AsyncSession, desk: Desk, sign_in: SignIn, queue: Queue
) -> None:
    other = await make_ticket(session)
    await session.commit()
    await sent(client, desk.public, picture())
    kept = await sent(client, f"/public/tickets/{other.code}/attachments")
    await sign_in(desk.users["admin"])

    assert (await client.delete(f"/tickets/{desk.ticket.id}")).status_code == 204
    assert await queue.run() == 1

    assert len(desk.files()) == 1
    assert (await client.get(f"/attachments/{kept['id']}")).content == b"Hello"


async def test_the_sweep_removes_what_nobody_names_once_it_is_a_day_old(
    client: AsyncClient, session: AsyncSession, desk: Desk, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await queue.run() == 0
    await sent(client, desk.public, picture())
    kept: Storage = desk.app.state.storage
    assert await kept.check()
    old, new = kept.new_key(), kept.new_key()
    for key in (old, new):
        await kept.put(key, b"left behind")
    yesterday = time.time() - timedelta(days=1, minutes=1).total_seconds()
    for path in desk.folder.rglob("*"):
        if path.is_file() and not str(path).endswith(new.partition("/")[2]):
            os.utime(path, (yesterday, yesterday))
    monkeypatch.setattr(Database, "connect", lambda _settings: desk.app.state.database)

    await service.sweep_files(0)

    left = {str(path.relative_to(desk.folder)) for path in desk.files()}
    named = await session.execute(select(Attachment.key, Attachment.thumbnail_key))
    assert left == {key for row in named for key in row} | {new}
    assert (desk.folder / "health").exists()


async def test_a_file_that_vanished_from_the_bucket_is_not_found(client: AsyncClient, desk: Desk) -> None:
    file = await sent(client, desk.public)
    desk.files()[0].unlink()

    problem(await client.get(f"{desk.public}/{file['id']}"), 404, "not_found")


async def refuse(desk: Desk, bucket: Bucket, how: str) -> None:
    """Take the bucket away, or the right to use it."""
    if how == "missing":
        bucket.drop()
    else:
        desk.app.state.storage = Storage(
            desk.app.state.settings.model_copy(update={"storage_access_key_id": "withdrawn-key"})
        )


@pytest.mark.parametrize("how", ["missing", "refusing"])
async def test_a_bucket_that_is_missing_or_refuses_is_told_of(
    how: str, client: AsyncClient, session: AsyncSession, desk: Desk, bucket: Bucket
) -> None:
    file = await sent(client, desk.public)
    assert (await client.get("/health/ready")).json()["checks"]["storage"] == "ok"
    before = await rows(session)
    await refuse(desk, bucket, how)

    for refused in (
        await send(client, desk.public),
        await send(client, desk.public, picture()),
        await client.get(f"{desk.public}/{file['id']}"),
    ):
        problem(refused, 503, "unavailable")
        assert refused.headers["Retry-After"]
    ready = problem(await client.get("/health/ready"), 503, "not_ready")
    assert ready["checks"]["storage"] == "unreachable"
    assert await rows(session) == before


async def test_files_wait_to_be_deleted_until_their_bucket_is_back(
    client: AsyncClient, desk: Desk, bucket: Bucket, queue: Queue
) -> None:
    await sent(client, desk.public, picture())
    assert await queue.run() == 0
    keys = [str(path.relative_to(desk.folder)) for path in desk.files()]
    away = bucket.folder.rename(bucket.folder.with_name("away"))

    with pytest.raises(errors.Unavailable):  # the queue tries again later
        await service.delete_files(keys)
    away.rename(bucket.folder)
    await service.delete_files(keys)

    assert desk.files() == []
