"""The UI's routes for the conversation: whom they serve, what they pass on; the token stays behind."""

import asyncio
import json
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from typing_extensions import override
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from ui import live, relay
from ui.client import Json, Tokens
from ui.routes import cookie_name
from ui.vault import Vault

OWN = {"Origin": "http://crm.test", "Sec-Fetch-Site": "same-origin"}
MEGABYTE = 1024 * 1024
STRANGERS: list[dict[str, str]] = [
    {},
    {"Origin": "null"},
    {"Origin": "http://evil.test"},
    {"Origin": "http://crm.test", "Sec-Fetch-Site": "cross-site"},
]


class Asked(ThreadingHTTPServer):
    """A real server in place of the API: says what it was asked, and how much came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[Json] = []
        self.answers: list[int] = []


class Handler(BaseHTTPRequestHandler):
    """Reads in pieces, so that the memory a test measures is not its own."""

    server: Asked

    def _answer(self) -> None:
        left, size, begin = int(self.headers.get("Content-Length") or 0), 0, b""
        while size < left:
            piece = self.rfile.read(min(65536, left - size))
            size += len(piece)
            begin = begin or piece[:2000]
        known = {name.lower(): value for name, value in self.headers.items()}
        call = {"call": f"{self.command} {self.path}", "headers": known, "size": size, "begin": begin}
        self.server.calls.append(call)
        status = self.server.answers.pop(0) if self.server.answers else 201
        body = json.dumps({"id": 5, "code": "ok"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "foreign=1")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

    @override
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    server = Asked()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv("API_URL", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


APP = Starlette(routes=[*relay.routes, *live.routes])


@pytest.fixture
def browser(vault: Vault) -> httpx.AsyncClient:
    cookies = {"crm_session": vault.keep(Tokens("access-1", "refresh-1", 4e9))}
    transport = httpx.ASGITransport(APP)
    return httpx.AsyncClient(transport=transport, base_url="http://crm.test", cookies=cookies)


@pytest.mark.parametrize("headers", STRANGERS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/talk/tickets/7/comments"),
        ("POST", "/talk/tickets/7/attachments"),
        ("PATCH", "/talk/tickets/7/comments/3"),
        ("DELETE", "/talk/tickets/7/comments/3"),
        ("DELETE", "/talk/tickets/7/attachments/3"),
        ("POST", "/talk/public/ABCD/comments"),
        ("DELETE", "/talk/public/ABCD/attachments/3"),
    ],
)
async def test_another_site_can_say_nothing_in_the_readers_name(
    browser: httpx.AsyncClient, asked: Asked, method: str, path: str, *, headers: dict[str, str]
) -> None:
    answer = await browser.request(method, path, content=b"{}", headers=headers)

    assert answer.status_code == 403
    assert asked.calls == []


async def test_a_comment_goes_out_with_token_and_key_and_comes_back_without(
    browser: httpx.AsyncClient, asked: Asked
) -> None:
    answer = await browser.post(
        "/talk/tickets/7/comments", json={"text": "Hi"}, headers=OWN | {"Idempotency-Key": "k1"}
    )

    call = asked.calls[0]
    assert call["call"] == "POST /api/v1/tickets/7/comments"
    assert call["headers"]["authorization"] == "Bearer access-1"
    assert call["headers"]["idempotency-key"] == "k1"
    assert "cookie" not in call["headers"]
    assert answer.json()["id"] == 5
    assert "access-1" not in answer.text + str(answer.headers)
    assert "set-cookie" not in answer.headers


async def test_whoever_has_a_code_is_nobody_else(browser: httpx.AsyncClient, asked: Asked) -> None:
    await browser.post("/talk/public/AB%20..%2Fx/comments", json={"text": "Hi"}, headers=OWN)
    await browser.post("/talk/public/ABCD/comments", json={"text": "Hi"}, headers=OWN)

    assert [call["call"] for call in asked.calls] == ["POST /api/v1/public/tickets/ABCD/comments"]
    assert "authorization" not in asked.calls[0]["headers"]


async def test_a_token_that_ran_out_is_renewed_once(
    browser: httpx.AsyncClient, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Tokens("access-2", "refresh-2", 4e9)
    monkeypatch.setattr("ui.client.Client.refresh", lambda *_: fresh)
    asked.answers = [401, 201]

    answer = await browser.post("/talk/tickets/7/comments", json={"text": "Hi"}, headers=OWN)

    assert answer.status_code == 201
    assert [call["headers"]["authorization"] for call in asked.calls] == [
        "Bearer access-1",
        "Bearer access-2",
    ]


async def test_without_an_api_the_browser_is_told_to_try_again(
    browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_URL", "http://127.0.0.1:9")

    for path in ("comments", "attachments"):
        answer = await browser.post(f"/talk/tickets/7/{path}", content=b"{}", headers=OWN)
        assert (answer.status_code, answer.json()["code"]) == (503, "unreachable")


async def test_a_file_passes_through_in_pieces(browser: httpx.AsyncClient, asked: Asked) -> None:
    size = 9 * MEGABYTE
    begin = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    length = len(begin) + size

    async def pieces() -> AsyncIterator[bytes]:
        yield begin
        for _ in range(size // 65536):
            yield bytes(65536)

    headers = OWN | {"Content-Length": str(length), "Content-Type": "multipart/form-data; boundary=b"}
    tracemalloc.start()
    answer = await browser.post("/talk/tickets/7/attachments", content=pieces(), headers=headers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status_code == 201
    assert asked.calls[0]["size"] == length
    assert asked.calls[0]["begin"].startswith(begin)
    assert asked.calls[0]["headers"]["content-type"] == "multipart/form-data; boundary=b"
    assert peak < 3 * MEGABYTE


@pytest.mark.parametrize(("length", "status"), [("99999999", 413), ("", 411), ("x", 411), ("9" * 30, 411)])
async def test_what_is_too_large_is_refused_before_it_is_read(
    browser: httpx.AsyncClient, asked: Asked, length: str, status: int
) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"this was read"

    headers = OWN | ({"Content-Length": length} if length else {})
    answer = await browser.post("/talk/tickets/7/attachments", content=never(), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, "too_large")
    assert asked.calls == []


async def test_a_file_is_asked_for_with_the_readers_rights(browser: httpx.AsyncClient, asked: Asked) -> None:
    asked.answers = [200, 200, 404]
    own = await browser.get("/talk/tickets/7/attachments/3?thumbnail=1")
    await browser.get("/talk/public/ABCD/attachments/3")
    gone = await browser.get("/talk/tickets/7/attachments/4")

    assert [call["call"] for call in asked.calls] == [
        "GET /api/v1/attachments/3?thumbnail=true",
        "GET /api/v1/public/tickets/ABCD/attachments/3",
        "GET /api/v1/attachments/4",
    ]
    assert asked.calls[0]["headers"]["authorization"] == "Bearer access-1"
    assert "authorization" not in asked.calls[1]["headers"]
    assert own.headers["x-content-type-options"] == "nosniff"
    assert own.headers["content-security-policy"] == "sandbox"
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


async def test_a_file_is_deleted_with_the_readers_rights(browser: httpx.AsyncClient, asked: Asked) -> None:
    for place in ("tickets/7", "public/ABCD"):
        await browser.delete(f"/talk/{place}/attachments/3", headers=OWN)

    assert [call["call"] for call in asked.calls] == [
        "DELETE /api/v1/attachments/3",
        "DELETE /api/v1/public/tickets/ABCD/attachments/3",
    ]
    assert asked.calls[0]["headers"]["authorization"] == "Bearer access-1"
    assert "authorization" not in asked.calls[1]["headers"]


@pytest.fixture
async def served() -> AsyncIterator[str]:
    """The routes behind a real server, for sockets."""
    server = uvicorn.Server(uvicorn.Config(APP, port=0, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it has no event for that
        await asyncio.sleep(0.01)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


@pytest.mark.parametrize("headers", STRANGERS)
async def test_another_site_gets_no_live_socket(served: str, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        await connect(f"ws://{served}/talk/public/ABCD/live", additional_headers=headers, proxy=None)


@pytest.mark.parametrize(("path", "code"), [("tickets/7", 4401), ("public/ABCD", 1013)])
async def test_a_live_socket_says_why_it_ends(
    served: str, path: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_URL", "http://127.0.0.1:9")

    own = f"http://{served}"
    async with connect(f"ws://{served}/talk/{path}/live", origin=Origin(own), proxy=None) as socket:
        assert json.loads(await socket.recv()) == {"type": "hello", "boot": live.BOOT}
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == code


async def test_the_live_socket_takes_both_directions_and_the_token_stays_behind(
    served: str, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    async def api(socket: ServerConnection) -> None:
        assert socket.request
        heard.extend((socket.request.path, socket.request.headers["Sec-WebSocket-Protocol"]))
        await socket.send('{"type": "comment", "event_id": 9}')
        heard.append(str(await socket.recv()))
        await socket.close(4404)

    async with serve(api, "127.0.0.1", 0, subprotocols=[Subprotocol("bearer")]) as upstream:
        port = next(iter(upstream.sockets)).getsockname()[1]
        monkeypatch.setenv("API_URL", f"http://127.0.0.1:{port}")
        cookie = vault.keep(Tokens("access-1", "refresh-1", 4e9))
        headers = {"Cookie": f"{cookie_name(served)}={cookie}"}
        url = f"ws://{served}/talk/tickets/7/live?after=8"
        own = Origin(f"http://{served}")
        async with connect(url, origin=own, additional_headers=headers, proxy=None) as socket:
            await socket.send('{"type": "comment", "text": "as a frame"}')
            await socket.send("typing")
            told: list[str | bytes] = []
            with suppress(ConnectionClosed):
                while True:
                    told.append(await socket.recv())

    assert heard == ["/api/v1/tickets/7/live?after=8", "bearer, access-1", '{"type": "typing"}']
    assert [json.loads(message)["type"] for message in told] == ["hello", "comment"]
    assert socket.close_code == 4404
