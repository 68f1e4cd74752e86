"""Layers around the application, with applications that behave as ours never should."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.core.errors import NotFound, TooLarge
from api.core.middleware import BodyLimit
from api.core.problems import MEDIA_TYPE, Faults, problems
from api.core.revisions import IfMatch

LIMIT = 10


async def _call(app: ASGIApp, *chunks: bytes, kind: str = "http") -> list[Message]:
    scope: dict[str, Any] = {"type": kind, "method": "POST", "path": "/", "query_string": b"", "headers": []}
    left, sent = list(chunks), []

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def _answers_first(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("begun")(scope, receive, send)
    await receive()


async def _begins_and_fails(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("begun")(scope, receive, send)
    raise RuntimeError


async def _swallows(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await Request(scope, receive).body()
    except TooLarge:
        await PlainTextResponse("what body?", 400)(scope, receive, send)
    else:
        await PlainTextResponse("read")(scope, receive, send)


async def _reads(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)


async def _refuses(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise NotFound


async def test_a_body_at_the_limit_is_read() -> None:
    sent = await _call(BodyLimit(_swallows, LIMIT, LIMIT), b"12345", b"67890")

    assert (sent[0]["status"], sent[1]["body"]) == (200, b"read")


@pytest.mark.parametrize("app", [_reads, _swallows])
async def test_a_body_over_the_limit_is_413_whatever_the_application_makes_of_it(app: ASGIApp) -> None:
    sent = await _call(BodyLimit(app, LIMIT, LIMIT), b"12345", b"678901")

    assert sent[0]["status"] == 413
    assert (b"content-type", MEDIA_TYPE.encode()) in sent[0]["headers"]
    assert len(sent) == 2


async def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    with pytest.raises(TooLarge):
        await _call(BodyLimit(_answers_first, LIMIT, LIMIT), b"12345678901")
    with pytest.raises(RuntimeError):
        await _call(Faults(_begins_and_fails))


async def test_only_requests_are_answered() -> None:
    with pytest.raises(RuntimeError):
        await _call(Faults(_begins_and_fails), kind="lifespan")


async def test_refusals_pass_through_to_the_layer_that_knows_them() -> None:
    with pytest.raises(NotFound):
        await _call(Faults(_refuses))


def test_one_code_is_documented_once() -> None:
    class Hidden(NotFound):
        """Something else, under the same code."""

    documented = problems(NotFound, Hidden)

    assert list(documented[404]["content"][MEDIA_TYPE]["examples"]) == ["not_found"]
    assert documented[404]["description"].count("`not_found`") == 1


def test_a_version_that_is_admitted_is_not_refused() -> None:
    IfMatch('"2", "1"').require(1, [])
    IfMatch(None).require(1, [])
