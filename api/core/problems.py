"""HTTP side of ``errors``: the problem+json body, its handlers, its OpenAPI entries."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.core.errors import AppError, Invalid, NotFound, TooLarge, Unavailable

log = structlog.get_logger()

MEDIA_TYPE: Final = "application/problem+json"
AWAY_STATES: Final = ("08", "53", "55P03", "57", "58", "40001", "40P01")
"""SQLSTATE classes of a database that is away, full, too busy or in a deadlock: worth another try."""
DATA_STATES: Final = ("22",)


class FieldError(BaseModel):
    """One field that was refused."""

    loc: list[str | int] = Field(examples=[["body", "client", "email"]])
    msg: str
    type: str


class Problem(BaseModel):
    """Body of every error response (RFC 9457); some problems carry further members."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Names the kind of problem", examples=["urn:problem:not_found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What went wrong this time", examples=["ticket not found"])
    code: str = Field(description="Stable word to branch on", examples=["not_found"])
    request_id: str = Field(description="The same as `X-Request-ID`; it is in the log too")
    errors: list[FieldError] | None = Field(None, description="Which fields were refused and why")


class InternalError(AppError):
    """A fault of the server; the log has the rest under the request id."""

    status = 500
    code = "internal_error"


class MethodNotAllowed(AppError):
    """The path exists, but not with this method."""

    status = 405
    code = "method_not_allowed"


def _title(code: str) -> str:
    return code.replace("_", " ").capitalize()


def problems(*errors: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """Document ``errors`` in an endpoint's ``responses=``, one example each."""
    documented: dict[int | str, dict[str, Any]] = {}
    every: list[type[AppError]] = [*errors, Invalid, Unavailable]
    for error in every:
        summary = (error.__doc__ or "").split("\n", 1)[0]
        entry = documented.setdefault(
            error.status,
            {"model": Problem, "description": "", "content": {MEDIA_TYPE: {"examples": {}}}},
        )
        if error.code not in entry["content"][MEDIA_TYPE]["examples"]:
            entry["description"] += f"{' ' if entry['description'] else ''}`{error.code}`: {summary}"
            entry["content"][MEDIA_TYPE]["examples"][error.code] = {
                "value": body_of(error.status, error.code, summary, request_id="5e0f…")
            }
    return documented


def body_of(status: int, code: str, detail: str, *, request_id: str, **members: Any) -> dict[str, Any]:
    """Return a problem's JSON."""
    problem = {"type": f"urn:problem:{code}", "title": _title(code), "status": status, "detail": detail}
    return problem | {"code": code, "request_id": request_id} | members


def answer(error: AppError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the response that tells the caller of ``error``."""
    request_id = correlation_id.get() or ""
    body = body_of(error.status, error.code, error.detail, request_id=request_id, **error.members)
    return JSONResponse(body, error.status, {**error.headers, **(headers or {})}, MEDIA_TYPE)


async def _app_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    return answer(error)


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    # Neither `input` nor `ctx`: they echo what was sent, and a lone surrogate or NaN in it
    # cannot be written as JSON.
    assert isinstance(error, RequestValidationError)
    fields = [
        {"loc": list(e["loc"]), "msg": e["msg"].removeprefix("Value error, "), "type": e["type"]}
        for e in error.errors()
    ]
    for field in fields:
        field["loc"] = [part if isinstance(part, int) else _printable(str(part)) for part in field["loc"]]
    first = fields[0] if fields else {"loc": [], "msg": "invalid request"}
    where = ".".join(str(part) for part in first["loc"][1:]) or "request"
    return answer(Invalid(f"{where}: {first['msg']}", *fields))


def _printable(text: str) -> str:
    return text[:100].encode("utf-8", "replace").decode()


async def _http_exception(_request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework itself refuses: unknown path, wrong method, unreadable body."""
    assert isinstance(error, HTTPException)
    known: dict[int, AppError] = {
        HTTPStatus.BAD_REQUEST: Invalid("the body cannot be read as JSON"),
        HTTPStatus.NOT_FOUND: NotFound("path"),
        HTTPStatus.METHOD_NOT_ALLOWED: MethodNotAllowed("method not allowed here"),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge("the body is too large"),
    }
    return answer(known.get(error.status_code) or Invalid(str(error.detail)), error.headers)


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DBAPIError)
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if error.connection_invalidated or state.startswith(AWAY_STATES) or not state:
        return await _away(request, error)
    if state.startswith(DATA_STATES):
        log.warning("value refused by the database", sqlstate=state)
        return answer(Invalid("a value is out of range"))
    return await _internal_error(request, error)


async def _away(_request: Request, error: Exception) -> JSONResponse:
    state = str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
    log.warning("database away", error=type(error).__name__, sqlstate=state)
    return answer(Unavailable("the service is away for a moment, try again"))


async def _internal_error(_request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error", exc_info=error)
    return answer(InternalError("something went wrong on our side; the log has it under request_id"))


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error with a problem."""
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(DBAPIError, _database_error)
    # While PostgreSQL restarts SQLAlchemy lets these through raw, beside DBAPIError.
    for away in (PoolTimeout, OSError, TimeoutError, EOFError):
        app.add_exception_handler(away, _away)
    app.add_middleware(Faults)


class Faults:
    """Answers 500 to whatever nobody expected.

    A handler for ``Exception`` would run too, but the framework raises the error once more
    after it, which closes the connection under the caller's other requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the answer has begun."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except AppError:
            raise  # raised by a middleware, for a middleware
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            await (await _internal_error(Request(scope), error))(scope, receive, send)
