"""What the browser asks of the API through the UI: to say something, and files in both directions.

The reader's token never reaches a script of the page. Files pass through in pieces, so that none is ever
whole in the memory of this process.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Final

import anyio.from_thread
import requests
import streamlit as st
from anyio import CapacityLimiter, fail_after, to_thread
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from ui.asking import place_of, renewed, send, token_of
from ui.client import SIGNED_OUT
from ui.routes import from_own_page

CHUNK: Final = 64 * 1024
MEGABYTE: Final = 1024 * 1024
FORM_AROUND_FILE: Final = 64 * 1024
LONGEST_TEXT: Final = 128 * 1024
SILENCE_SECONDS: Final = 60
"""A browser that sends nothing of its file for so long has gone."""
KEPT_HEADERS: Final = (
    "Content-Type",
    "Content-Length",
    "Content-Disposition",
    "Cache-Control",
    "Retry-After",
)
uploads = CapacityLimiter(16)
"""Each upload holds a thread; the others wait, unread, in their browsers."""


# --- the conversation


async def write_comment(request: Request) -> Response:
    """Say something; with the same key again it is said once."""
    return await _pass_on(request, f"{place_of(request)}/comments")


async def change_comment(request: Request) -> Response:
    """Put another text in place of one's own, or take it back."""
    return await _pass_on(request, f"/comments/{request.path_params['comment_id']}")


async def _pass_on(request: Request, path: str) -> Response:
    """Send a short request to the API and return what it answers."""
    if not from_own_page(request):
        return _refusal(403, "forbidden")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_TEXT:
            return _refusal(413, "too_large")
    headers = {"Content-Type": "application/json"}
    if key := request.headers.get("idempotency-key"):
        headers["Idempotency-Key"] = key
    try:
        answer = await to_thread.run_sync(_ask, request, path, headers, body)
    except requests.RequestException:
        return _refusal(503, "unreachable")
    return Response(answer.content, answer.status_code, headers=_kept(answer) | {"Cache-Control": "no-store"})


def _ask(request: Request, path: str, headers: dict[str, str], body: bytes) -> requests.Response:
    """Ask the API; a token that was refused is renewed once."""
    token = token_of(request)
    answer = send(request, path, token, headers=headers, data=body)
    if answer.status_code == SIGNED_OUT and token:
        token = renewed(request, token)
        if token:
            answer = send(request, path, token, headers=headers, data=body)
    return answer


# --- files


async def upload(request: Request) -> Response:
    """Hand a file on to the API while it arrives."""
    if not from_own_page(request):
        return _refusal(403, "forbidden")
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or len(length) > len(str(2**63)):
        return _refusal(411, "too_large")
    if int(length) > int(st.get_option("server.maxUploadSize")) * MEGABYTE + FORM_AROUND_FILE:
        return _refusal(413, "too_large")
    headers = {"Content-Type": request.headers.get("content-type", "")}
    body = _Body(request.stream(), int(length))

    def hand_on() -> requests.Response:
        return send(
            request, f"{place_of(request)}/attachments", token_of(request), headers=headers, data=body
        )

    try:
        answer = await to_thread.run_sync(hand_on, limiter=uploads)
    except (requests.RequestException, ClientDisconnect, TimeoutError):
        return _refusal(503, "unreachable")
    return Response(answer.content, answer.status_code, headers=_kept(answer) | {"Cache-Control": "no-store"})


class _Body:
    """A body that is read from the browser by the thread that sends it on, piece by piece."""

    def __init__(self, chunks: AsyncIterator[bytes], length: int) -> None:
        self._chunks = chunks
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        while chunk := anyio.from_thread.run(self._next):
            yield chunk

    async def _next(self) -> bytes:
        with fail_after(SILENCE_SECONDS):
            return await anext(self._chunks, b"")


async def download(request: Request) -> Response:
    """Hand a file, or its thumbnail, on to the browser while it is read."""
    path = _file_path(request)
    small = {"thumbnail": "true"} if request.query_params.get("thumbnail") else {}

    def ask() -> requests.Response:
        return send(request, path, token_of(request), params=small, stream=True)

    try:
        answer = await to_thread.run_sync(ask)
    except requests.RequestException:
        return _refusal(503, "unreachable")
    if not answer.ok:
        answer.close()
        return _refusal(answer.status_code, "not_found")
    headers = _kept(answer) | {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    content = answer.raw.stream(CHUNK, decode_content=False)
    return StreamingResponse(content, headers=headers, background=BackgroundTask(answer.close))


async def delete_file(request: Request) -> Response:
    """Delete a file of one's own, or take back what was sent by the code."""
    return await _pass_on(request, _file_path(request))


def _file_path(request: Request) -> str:
    path = f"/attachments/{request.path_params['attachment_id']}"
    return place_of(request) + path if "code" in request.path_params else path


def _kept(answer: requests.Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}


def _refusal(status: int, code: str) -> Response:
    return JSONResponse({"status": status, "code": code}, status, headers={"Cache-Control": "no-store"})


def _both(path: str) -> tuple[str, str]:
    return f"/talk/tickets/{{ticket_id:int}}/{path}", f"/talk/public/{{code}}/{path}"


routes: Final[list[BaseRoute]] = [
    *(Route(path, write_comment, methods=["POST"]) for path in _both("comments")),
    *(Route(path, upload, methods=["POST"]) for path in _both("attachments")),
    *(Route(path, download, methods=["GET"]) for path in _both("attachments/{attachment_id:int}")),
    Route(
        "/talk/tickets/{ticket_id:int}/comments/{comment_id:int}", change_comment, methods=["PATCH", "DELETE"]
    ),
    *(Route(path, delete_file, methods=["DELETE"]) for path in _both("attachments/{attachment_id:int}")),
]
