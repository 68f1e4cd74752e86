"""The OpenAPI document: what FastAPI leaves out of it, and the check that holds callers to it."""

from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import HTTPConnection

from api.core.errors import AppError, Invalid, TooLarge
from api.core.problems import MEDIA_TYPE, InternalError, body_of

DESCRIPTION: Final = """
Repair requests from intake to done.

Sign in with `POST /auth/login` (or the Authorize button), send the access token as
`Authorization: Bearer …`, and get the next one with `POST /auth/refresh`. Errors are RFC 9457
problems; branch on their `code`. Lists take `page` and `size`, or `cursor` for deep walks. Send
`Idempotency-Key` with a `POST` that creates and `If-Match` with a `PATCH` or `DELETE`.
""".strip()

HEADERS: Final = {
    "X-Request-ID": {"description": "The caller's, if it sent a sane one", "schema": {"type": "string"}}
}


async def known_query(request: HTTPConnection) -> None:
    """Refuse query parameters that the operation does not know: nothing is silently ignored.

    Raises:
        Invalid: (422) naming each of them.
    """
    if request.scope["type"] != "http" or not request.query_params:
        return
    names: dict[str, frozenset[str]] | None = getattr(request.app.state, "query_names", None)
    if names is None:
        names = request.app.state.query_names = _query_names(request.app.openapi())
    known = names.get(getattr(request.scope.get("route"), "name", ""), frozenset())
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        shown = [name[:100].encode("utf-8", "replace").decode() for name in unknown]
        errors = [{"loc": ["query", name], "msg": "unknown", "type": "extra_forbidden"} for name in shown]
        msg = f"unknown query parameter {shown[0]}"
        raise Invalid(msg, *errors)


def _query_names(schema: dict[str, Any]) -> dict[str, frozenset[str]]:
    # From the document, which is public, and not from FastAPI's own structures, which change.
    return {
        operation["operationId"]: frozenset(
            parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"
        )
        for path in schema["paths"].values()
        for operation in path.values()
    }


def complete(app: FastAPI) -> None:
    """Make ``app.openapi()`` tell of what every operation can answer."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = original()
            for path in schema["paths"].values():
                for operation in path.values():
                    _complete(operation)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _documented(error: type[AppError], summary: str) -> dict[str, Any]:
    example = body_of(error.status, error.code, summary, request_id="5e0f…")
    return {
        "description": f"`{error.code}`: {summary}",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }


def _complete(operation: dict[str, Any]) -> None:
    # The first sentence tells more than the function's name does.
    operation["summary"] = operation["description"].split("\n", 1)[0].rstrip(".")
    responses = operation["responses"]
    if "requestBody" in operation:
        responses.setdefault(
            "413", _documented(TooLarge, "The request's body is larger than the API accepts.")
        )
    responses.setdefault("500", _documented(InternalError, "A fault of the server."))
    for status, response in responses.items():
        content = response.get("content", {})
        if status >= "4" and "application/json" in content:  # where FastAPI puts a model's schema
            content[MEDIA_TYPE] = content.pop("application/json") | content.get(MEDIA_TYPE, {})
        response.setdefault("headers", {}).update(HEADERS)
        if status in ("429", "503"):
            response["headers"]["Retry-After"] = {
                "description": "Seconds to wait",
                "schema": {"type": "integer"},
            }
