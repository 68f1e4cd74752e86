"""Files on tickets and comments: who sends, sees and deletes them, and what is left of them."""

import asyncio
import hashlib
import io
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from httpx import AsyncClient
from PIL import Image
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.core import errors
from api.core.db import Database, now
from api.core.storage import Storage
from api.tickets.attachments import service
from api.tickets.attachments.models import Attachment
from api.tickets.comments.models import Visibility
from tests.api.desk import Desk, Queue, send, sent
from tests.conftest import SignIn
from tests.evidence import history, problem, rows
from tests.factories import make_attachment, make_comment, make_ticket
from tests.live import listening
from tests.pictures import DOCX, EXE, HTML, MP4, PDF, SVG, XLSX, huge_png, photo, picture


async def test_a_file_is_kept_and_comes_back_as_it_was(
    client: AsyncClient, session: AsyncSession, desk: Desk, sign_in: SignIn
) -> None:
    await sign_in(desk.users["worker"])
    large = PDF + os.urandom(3_000_000)

    file = await sent(client, desk.path, large, "Смета.pdf")
    back = await client.get(f"/attachments/{file['id']}")

    assert set(file) == {
        *("id", "filename", "content_type", "size", "sha256", "created_at", "author", "comment_id"),
        "has_thumbnail",
    }
    assert (file["filename"], file["content_type"], file["size"]) == (
        "Смета.pdf",
        "application/pdf",
        len(large),
    )
    assert file["sha256"] == hashlib.sha256(large).hexdigest()
    assert file["author"] == {"id": desk.users["worker"].id, "name": "Anna", "role": "worker"}
    assert (file["comment_id"], file["has_thumbnail"]) == (None, False)
    assert back.content == large
    assert back.headers["Content-Type"] == "application/pdf"
    assert back.headers["Content-Length"] == str(len(large))
    assert back.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{quote('Смета.pdf')}"
    assert back.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in back.headers["Content-Security-Policy"]
    assert (await client.get(desk.path)).json()["items"] == [file]
    [line] = await history(session, desk.ticket.id)
    assert (line.event, line.subject_id, line.note) == ("file_added", file["id"], "Смета.pdf")
    [kept] = desk.files()
    assert kept.read_bytes() == large
    assert "Смета" not in str(kept)


@pytest.mark.parametrize("name", ["a.exe", "a.html", "noextension", "a.svg"])
@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (picture(), "image/jpeg"),
        (picture("HEIF"), "image/heic"),
        (DOCX, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (XLSX, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (MP4, "video/mp4"),
        (b"Hello", "text/plain"),
    ],
    ids=["jpeg", "heic", "docx", "xlsx", "mp4", "txt"],
)
async def test_the_type_is_told_by_content_and_not_by_name(
    name: str, content: bytes, content_type: str, client: AsyncClient, desk: Desk
) -> None:
    file = await sent(client, desk.public, content, name)

    assert file["content_type"] == content_type
    back = await client.get(f"{desk.public}/{file['id']}")
    assert back.headers["Content-Type"].partition(";")[0] == content_type


@pytest.mark.parametrize("content", [SVG, HTML, EXE, b""], ids=["svg", "html", "exe", "empty"])
async def test_other_types_are_refused_and_leave_nothing(
    content: bytes, client: AsyncClient, session: AsyncSession, desk: Desk
) -> None:
    before = await rows(session)

    problem(await send(client, desk.public, content, "photo.jpg"), 415, "unsupported_type")

    assert (await rows(session), desk.files()) == (before, [])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../x.txt", "x.txt"),
        ("..\\..\\x.txt", "x.txt"),
        ("a\r\nX-Evil: 1\r\n.txt", "aX-Evil: 1.txt"),
        ("photo\u202egpj.txt", "photogpj.txt"),
        ('a"b.txt', 'a"b.txt'),
        ("x" * 3000 + ".txt", "x" * 140 + ".txt"),
        ("%00%2e%2e%2f", "%00%2e%2e%2f"),
        (" ", "file"),
    ],
)
async def test_a_name_is_made_harmless(given: str, kept: str, client: AsyncClient, desk: Desk) -> None:
    file = await sent(client, desk.public, b"Hello", given)
    back = await client.get(f"{desk.public}/{file['id']}")

    assert file["filename"] == kept
    assert back.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{quote(kept, safe='')}"
    assert [header for header in back.headers if "evil" in header.lower()] == []
    assert len(desk.files()) == 1


@pytest.mark.parametrize("public", [False, True])
async def test_a_file_that_is_sent_again_under_its_key_is_kept_once(
    public: bool,  # noqa: FBT001  a table's column
    client: AsyncClient,
    desk: Desk,
    sign_in: SignIn,
) -> None:
    await sign_in(desk.users["worker"])
    path, key = (desk.public if public else desk.path), {"Idempotency-Key": "k"}

    first = await client.post(path, files={"file": ("a.txt", b"Hello")}, headers=key)
    again = await client.post(path, files={"file": ("a.txt", b"Hello")}, headers=key)
    other = await client.post(path, files={"file": ("a.txt", b"Other")}, headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert (await client.get(path)).json()["total"] == 1
    assert len(desk.files()) == 1


async def test_a_name_that_is_longer_than_any_is_refused(client: AsyncClient, desk: Desk) -> None:
    problem(await send(client, desk.public, b"Hello", "x" * 5000 + ".txt"), 422, "validation_error")


async def test_a_form_without_a_file_is_refused(client: AsyncClient, desk: Desk) -> None:
    forms: list[dict[str, Any]] = [
        {"data": {"file": "text"}},
        {"files": {"other": ("a.txt", b"A")}},
        {"json": {}},
    ]
    for form in forms:
        problem(await client.post(desk.public, **form), 422, "validation_error")
    empty_name = await client.post(
        desk.public,
        content=b'--x\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\nHello\r\n--x--\r\n',
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert empty_name.status_code in (201, 422)


async def test_a_picture_has_a_thumbnail_that_tells_not_where_it_was_taken(
    client: AsyncClient, desk: Desk
) -> None:
    file = await sent(client, desk.public, photo(), "kitchen.jpg")
    small = await client.get(f"{desk.public}/{file['id']}?thumbnail=true")

    assert file["has_thumbnail"] is True
    assert small.headers["Content-Type"] == "image/jpeg"
    assert small.headers["Content-Disposition"].startswith("attachment")
    with Image.open(io.BytesIO(small.content)) as drawn:
        assert drawn.size == (60, 90)
        assert not drawn.getexif()
    assert b"SECRET" not in small.content
    assert len(desk.files()) == 2
    words = await sent(client, desk.public)
    problem(await client.get(f"{desk.public}/{words['id']}?thumbnail=true"), 404, "not_found")


async def test_a_picture_of_too_many_pixels_is_refused_at_once(client: AsyncClient, desk: Desk) -> None:
    problem(await send(client, desk.public, huge_png(30_000), "a.png"), 413, "too_large")
    assert desk.files() == []


@pytest.mark.parametrize("excess", [1, 20_000])
async def test_a_file_that_is_too_large_is_refused(
    excess: int, client: AsyncClient, session: AsyncSession, desk: Desk
) -> None:
    before = await rows(session)
    limit = desk.app.state.settings.attachment_max_size

    problem(await send(client, desk.public, b"x" * (limit + excess)), 413, "too_large")

    assert (await rows(session), desk.files()) == (before, [])


async def test_a_file_of_the_full_size_is_taken(client: AsyncClient, desk: Desk) -> None:
    limit = desk.app.state.settings.attachment_max_size
    assert (await sent(client, desk.public, b"x" * limit))["size"] == limit == 10_000_000


async def test_a_body_that_does_not_tell_its_size_is_cut_off(client: AsyncClient, desk: Desk) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        for _ in range(1000):
            given += 1
            yield b"x" * 100_000

    answer = await client.post(
        desk.public, content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )

    problem(answer, 413, "too_large")
    assert desk.files() == []


def change(desk: Desk, **values: Any) -> None:
    desk.app.state.settings = desk.app.state.settings.model_copy(update=values)


async def test_a_ticket_has_so_many_files_and_no_more(
    client: AsyncClient, session: AsyncSession, desk: Desk
) -> None:
    change(desk, attachments_per_ticket=2)
    for _ in range(2):
        await sent(client, desk.public, picture())
    before = await rows(session)

    problem(await send(client, desk.public, picture()), 409, "too_many_files")

    assert await rows(session) == before
    assert len(desk.files()) == 4  # two pictures and their thumbnails: the third left nothing


async def test_a_ticket_s_files_have_a_sum(client: AsyncClient, desk: Desk) -> None:
    change(desk, attachments_size_per_ticket=10)
    await sent(client, desk.public, b"123456")

    problem(await send(client, desk.public, b"12345"), 413, "too_large")
    await sent(client, desk.public, b"1234")

    assert len(desk.files()) == 2


@pytest.mark.parametrize("who", ["stranger", "other_worker"])
async def test_others_files_do_not_exist(who: str, client: AsyncClient, desk: Desk, sign_in: SignIn) -> None:
    file = await sent(client, desk.public)
    await sign_in(desk.users[who])

    problem(await client.get(desk.path), 404, "not_found")
    problem(await send(client, desk.path), 404, "not_found")
    problem(await client.get(f"/attachments/{file['id']}"), 404, "not_found")
    problem(await client.delete(f"/attachments/{file['id']}"), 404, "not_found")
    assert len(desk.files()) == 1


async def test_a_code_opens_the_files_of_its_own_ticket_only(
    client: AsyncClient, session: AsyncSession, desk: Desk
) -> None:
    file = await sent(client, desk.public)
    other = await make_ticket(session)
    await session.commit()

    problem(await client.get(f"/public/tickets/{other.code}/attachments/{file['id']}"), 404, "not_found")
    assert (await client.get(f"/public/tickets/{other.code}/attachments")).json()["total"] == 0
    assert (await client.get(desk.public)).json()["items"] == [file]
    assert file["author"] is None


async def test_without_a_token_there_are_no_files(client: AsyncClient, desk: Desk) -> None:
    file = await sent(client, desk.public)

    for refused in (
        await client.get(desk.path),
        await send(client, desk.path),
        await client.get(f"/attachments/{file['id']}"),
        await client.delete(f"/attachments/{file['id']}"),
    ):
        problem(refused, 401, "unauthenticated")


async def test_a_file_belongs_to_one_s_own_comment(
    client: AsyncClient, session: AsyncSession, desk: Desk, sign_in: SignIn
) -> None:
    mine = await make_comment(session, desk.ticket, desk.users["worker"])
    theirs = await make_comment(session, desk.ticket, desk.users["manager"])
    by_code = await make_comment(session, desk.ticket)
    elsewhere = await make_comment(session, await make_ticket(session), desk.users["worker"])
    await sign_in(desk.users["worker"])

    file = await sent(client, desk.path, b"Hello", "a.txt", comment_id=mine.id)

    assert file["comment_id"] == mine.id
    comments = (await client.get(f"/tickets/{desk.ticket.id}/comments")).json()["items"]
    assert [comment["attachments"] for comment in comments] == [[], [], [file]]
    for other in (theirs.id, by_code.id, elsewhere.id, elsewhere.id + 1000):
        refused = await send(client, desk.path, comment_id=other)
        assert problem(refused, 422, "validation_error")["errors"][0]["loc"] == ["body", "comment_id"]
    for bad in ("0", "x", str(2**63)):
        problem(await send(client, desk.path, comment_id=bad), 422, "validation_error")
    assert len(desk.files()) == 1


@pytest.mark.parametrize("who", ["customer", None])
async def test_files_of_internal_comments_are_hidden_from_clients(
    who: str | None, client: AsyncClient, session: AsyncSession, desk: Desk, sign_in: SignIn
) -> None:
    worker = desk.users["worker"]
    note = await make_comment(session, desk.ticket, worker, visibility=Visibility.INTERNAL)
    await sign_in(worker)
    hidden = await sent(client, desk.path, b"Pays late", "a.txt", comment_id=note.id)
    shown = await sent(client, desk.path)

    listing, one = desk.path, "/attachments"
    if who:
        await sign_in(desk.users[who])
    else:
        del client.headers["Authorization"]
        listing = one = desk.public

    assert [file["id"] for file in (await client.get(listing)).json()["items"]] == [shown["id"]]
    problem(await client.get(f"{one}/{hidden['id']}"), 404, "not_found")
    assert (await client.get(f"{one}/{shown['id']}")).status_code == 200


async def test_its_author_and_admins_delete_a_file(
    client: AsyncClient, session: AsyncSession, desk: Desk, sign_in: SignIn, queue: Queue
) -> None:
    await sign_in(desk.users["worker"])
    kept = await sent(client, desk.path)
    for who in ("worker", "admin"):
        await sign_in(desk.users["worker"])
        file = await sent(client, desk.path, picture(), "a.jpg")
        await sign_in(desk.users[who])

        deleted = await client.delete(f"/attachments/{file['id']}")

        assert deleted.status_code == 204, deleted.text
        problem(await client.get(f"/attachments/{file['id']}"), 404, "not_found")
        problem(await client.delete(f"/attachments/{file['id']}"), 404, "not_found")
        assert [row["id"] for row in (await client.get(desk.path)).json()["items"]] == [kept["id"]]
        told = [(line.event, line.subject_id) for line in await history(session, desk.ticket.id)]
        assert told[-1] == ("file_deleted", file["id"])
        assert len(desk.files()) == 3  # not before the deletion has committed
        assert await queue.run() == 1
        assert len(desk.files()) == 1


@pytest.mark.parametrize("who", ["customer", "manager"])
async def test_nobody_else_deletes_it(who: str, client: AsyncClient, desk: Desk, sign_in: SignIn) -> None:
    await sign_in(desk.users["worker"])
    files = [await sent(client, desk.path), await sent(client, desk.public)]
    await sign_in(desk.users[who])

    for file in files:
        problem(await client.delete(f"/attachments/{file['id']}"), 403, "forbidden")
        assert (await client.get(f"/attachments/{file['id']}")).status_code == 200


async def test_the_files_of_a_deleted_ticket_go(
    client: AsyncClient, session: AsyncSession, desk: Desk, sign_in: SignIn, queue: Queue
) -> None:
    other = await make_ticket(session)
    await session.commit()
    await sent(client, desk.public, picture())
    await sent(client, desk.public)
    kept = await sent(client, f"/public/tickets/{other.code}/attachments")
    await sign_in(desk.users["admin"])

    assert (await client.delete(f"/tickets/{desk.ticket.id}")).status_code == 204
    assert await queue.run() == 1

    assert len(desk.files()) == 1
    assert (await client.get(f"/attachments/{kept['id']}")).content == b"Hello"
    empty = await make_ticket(session)
    await session.commit()
    assert (await client.delete(f"/tickets/{empty.id}")).status_code == 204
    assert await queue.run() == 0


async def test_a_file_that_vanished_from_the_store_is_not_found(client: AsyncClient, desk: Desk) -> None:
    file = await sent(client, desk.public)
    desk.files()[0].unlink()

    problem(await client.get(f"{desk.public}/{file['id']}"), 404, "not_found")


async def test_while_the_store_is_away_callers_are_told_to_come_back(
    client: AsyncClient, session: AsyncSession, desk: Desk
) -> None:
    file = await sent(client, desk.public)
    assert (await client.get("/health/ready")).json()["checks"]["storage"] == "ok"
    before = await rows(session)
    desk.folder.rename(desk.folder.with_name("away"))
    desk.folder.write_text("in the way")

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


async def test_a_thumbnail_that_cannot_be_stored_takes_its_picture_along(
    client: AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Storage.put

    async def full(self: Storage, key: str, file: Any) -> None:
        if isinstance(file, bytes):
            msg = "full"
            raise errors.Unavailable(msg)
        await put(self, key, file)

    monkeypatch.setattr(Storage, "put", full)

    problem(await send(client, desk.public, picture()), 503, "unavailable")

    assert desk.files() == []


async def test_an_upload_that_breaks_off_leaves_nothing(session: AsyncSession, desk: Desk) -> None:
    before = await rows(session)
    async with listening(desk.app) as listener:
        host, port = listener.address.split("/")[0].split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /api/v1{desk.public} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            '--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        )
        writer.write(head.encode() + b"x" * 2_000_000)
        await writer.drain()
        writer.transport.abort()
        await listener.quiet()

    assert (await rows(session), desk.files()) == (before, [])


async def test_the_sweep_removes_what_nobody_names_once_it_is_a_day_old(
    client: AsyncClient, session: AsyncSession, desk: Desk, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await queue.run() == 0
    await sent(client, desk.public, picture())
    storage: Storage = desk.app.state.storage
    assert await storage.check()
    old, new = storage.new_key(), storage.new_key()
    for key in (old, new):
        await storage.put(key, b"left behind")
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


async def test_a_file_sent_by_the_code_hangs_on_a_text_that_was(
    client: AsyncClient, desk: Desk, sign_in: SignIn
) -> None:
    said = (await client.post(f"/public/tickets/{desk.ticket.code}/comments", json={"text": "Look"})).json()

    file = await sent(client, desk.public, picture(), "tap.jpg", comment_id=said["id"])

    assert (file["comment_id"], file["author"]) == (said["id"], None)
    for path in (f"/public/tickets/{desk.ticket.code}", f"/public/tickets/{desk.ticket.code}/comments"):
        answer = (await client.get(path)).json()
        [comment] = answer.get("comments") or answer["items"]
        assert comment["attachments"] == [file]
    await sign_in(desk.users["worker"])
    [shown] = (await client.get(f"/tickets/{desk.ticket.id}/comments")).json()["items"]
    assert shown["attachments"] == [file]


async def test_the_code_adds_files_to_its_own_texts_only(
    client: AsyncClient, session: AsyncSession, desk: Desk
) -> None:
    own = await make_comment(session, desk.ticket)
    others = [
        await make_comment(session, desk.ticket, desk.users["worker"]),
        await make_comment(session, desk.ticket, desk.users["customer"]),
        await make_comment(session, desk.ticket, desk.users["worker"], visibility=Visibility.INTERNAL),
        await make_comment(session, await make_ticket(session)),
        await make_comment(session, desk.ticket, text=None, withdrawn_at=now()),
    ]
    await session.commit()
    before = await rows(session)

    for number in (*[one.id for one in others], own.id + 1000, 2**63 - 1):
        refused = await send(client, desk.public, comment_id=number)
        assert problem(refused, 422, "validation_error")["errors"][0]["loc"] == ["body", "comment_id"]
    for bad in ("0", "-1", "x", "1.5", str(2**63)):
        problem(await send(client, desk.public, comment_id=bad), 422, "validation_error")

    assert (await rows(session), desk.files()) == (before, [])


async def test_the_same_file_on_another_text_is_another_request(
    client: AsyncClient, session: AsyncSession, desk: Desk
) -> None:
    one, two = await make_comment(session, desk.ticket), await make_comment(session, desk.ticket)
    await session.commit()
    form: dict[str, Any] = {"files": {"file": ("a.txt", b"Hello")}, "headers": {"Idempotency-Key": "k"}}

    first = await client.post(desk.public, data={"comment_id": str(one.id)}, **form)
    again = await client.post(desk.public, data={"comment_id": str(one.id)}, **form)
    other = await client.post(desk.public, data={"comment_id": str(two.id)}, **form)

    assert again.json() == first.json()
    problem(other, 422, "idempotency_mismatch")
    assert len(desk.files()) == 1


async def test_whoever_has_the_code_takes_a_file_back(
    client: AsyncClient, session: AsyncSession, desk: Desk, queue: Queue
) -> None:
    kept = await sent(client, desk.public)
    file = await sent(client, desk.public, picture(), "wrong.jpg")

    taken_back = await client.delete(f"{desk.public}/{file['id']}")

    assert taken_back.status_code == 204, taken_back.text
    problem(await client.get(f"{desk.public}/{file['id']}"), 404, "not_found")
    problem(await client.get(f"{desk.public}/{file['id']}?thumbnail=true"), 404, "not_found")
    problem(await client.delete(f"{desk.public}/{file['id']}"), 404, "not_found")
    assert (await client.get(desk.public)).json()["items"] == [kept]
    line = (await history(session, desk.ticket.id))[-1]
    assert (line.event, line.actor_id, line.subject_id) == ("file_deleted", None, file["id"])
    assert (line.note, line.internal) == ("wrong.jpg", False)
    assert await queue.run() == 1
    assert len(desk.files()) == 1


async def test_the_code_takes_back_nothing_else(
    client: AsyncClient, session: AsyncSession, desk: Desk, sign_in: SignIn
) -> None:
    await sign_in(desk.users["worker"])
    note = await make_comment(session, desk.ticket, desk.users["worker"], visibility=Visibility.INTERNAL)
    hidden = await sent(client, desk.path, b"Pays late", "a.txt", comment_id=note.id)
    theirs = await sent(client, desk.path)
    await sign_in(desk.users["customer"])
    of_the_account = await sent(client, desk.path)
    elsewhere = await make_attachment(session, await make_ticket(session))
    late = await make_attachment(session, desk.ticket, created_at=now() - timedelta(minutes=15, seconds=1))
    await session.commit()
    before = await rows(session)

    for file in (theirs, of_the_account):
        problem(await client.delete(f"{desk.public}/{file['id']}"), 403, "forbidden")
    for number in (hidden["id"], elsewhere.id, late.id + 1000):
        problem(await client.delete(f"{desk.public}/{number}"), 404, "not_found")
    problem(await client.delete(f"{desk.public}/{late.id}"), 409, "no_longer_editable")

    assert await rows(session) == before


@pytest.mark.parametrize("visibility", list(Visibility))
async def test_a_comment_that_is_taken_back_takes_its_files_along(
    visibility: Visibility,
    *,
    client: AsyncClient,
    session: AsyncSession,
    desk: Desk,
    sign_in: SignIn,
    queue: Queue,
) -> None:
    await sign_in(desk.users["worker"])
    said = await make_comment(session, desk.ticket, desk.users["worker"], visibility=visibility)
    other = await make_comment(session, desk.ticket, desk.users["worker"])
    gone = [
        await sent(client, desk.path, picture(), "a.jpg", comment_id=said.id),
        await sent(client, desk.path, b"Hello", "b.txt", comment_id=said.id),
    ]
    kept = [await sent(client, desk.path), await sent(client, desk.path, comment_id=other.id)]

    assert (await client.delete(f"/comments/{said.id}")).status_code == 204

    for who in ("worker", "admin", "manager", "customer"):
        await sign_in(desk.users[who])
        assert (await client.get(desk.path)).json()["items"] == kept
        for file in gone:
            problem(await client.get(f"/attachments/{file['id']}"), 404, "not_found")
            problem(await client.get(f"{desk.public}/{file['id']}"), 404, "not_found")
    told = [(line.event, line.note, line.internal) for line in await history(session, desk.ticket.id)][-3:]
    internal = visibility is Visibility.INTERNAL
    assert told == [
        ("comment_withdrawn", None, internal),
        ("file_deleted", "a.jpg", internal),
        ("file_deleted", "b.txt", internal),
    ]
    assert await queue.run() == 1
    assert len(desk.files()) == len(kept)


async def test_nothing_is_added_to_a_comment_that_was_taken_back(
    client: AsyncClient, session: AsyncSession, desk: Desk, sign_in: SignIn
) -> None:
    said = await make_comment(session, desk.ticket, desk.users["worker"])
    await sign_in(desk.users["worker"])
    assert (await client.delete(f"/comments/{said.id}")).status_code == 204

    problem(await send(client, desk.path, comment_id=said.id), 422, "validation_error")

    assert desk.files() == []
