"""How the API is called: one connection pool, a token that is renewed on the way, errors with words."""

from collections.abc import Callable, Mapping
from typing import Any

import requests

PREFIX = "/api/v1"
SIGNED_OUT = 401
STALE = 412
TIMEOUT_SECONDS = (3.05, 20)
"""To connect, and to wait for an answer."""

Json = dict[str, Any]


class ApiError(Exception):
    """The API refused or did not answer; ``str()`` of it can be shown to the reader."""

    def __init__(self, status: int, code: str, detail: str, problem: Json | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.problem = problem or {}

    @property
    def fields(self) -> dict[str, tuple[str, str]]:
        """What is wrong by field, as type and words: ``{"client.email": ("value_error", "…")}``."""
        found: dict[str, tuple[str, str]] = {}
        for error in self.problem.get("errors") or []:
            path = [str(part) for part in error.get("loc", []) if part not in ("body", "query", "path")]
            found.setdefault(".".join(path), (str(error.get("type", "")), str(error.get("msg", ""))))
        return found


class Caller:
    """Calls the API on behalf of one signed-in user, or of nobody."""

    def __init__(
        self,
        http: requests.Session,
        base_url: str,
        *,
        token: Callable[[], str | None] = lambda: None,
        renew: Callable[[str], str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Build a caller.

        ``token`` gives the access token of the moment; ``renew`` takes a refused one and gives another.
        """
        self._http = http
        self._base_url = base_url.rstrip("/") + PREFIX
        self._token = token
        self._renew = renew
        self._headers = dict(headers or {})

    def _object(self, method: str, path: str, **request: Any) -> Json:
        found = self._call(method, path, **request)
        return found if isinstance(found, dict) else {}

    def _single(self, path: str) -> tuple[Json, str]:
        response = self._send("GET", path)
        found = _json(response)
        return (found if isinstance(found, dict) else {}), response.headers.get("ETag", "")

    def _call(self, method: str, path: str, **request: Any) -> Any:
        return _json(self._send(method, path, **request))

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Json | None = None,
        json: Json | None = None,
        key: str = "",
        etag: str = "",
        signed: bool = True,
    ) -> requests.Response:
        """Send one call; an access token that ran out is renewed once on the way."""
        headers = dict(self._headers)
        if key:
            headers["Idempotency-Key"] = key
        if etag:
            headers["If-Match"] = etag
        token = self._token() if signed else None
        if token:
            headers["Authorization"] = f"Bearer {token}"
        query = {name: _plain(value) for name, value in (params or {}).items()}
        response = self._request(method, path, params=query, json=json, headers=headers)
        if response.status_code == SIGNED_OUT and token and self._renew:
            headers["Authorization"] = f"Bearer {self._renew(token)}"
            response = self._request(method, path, params=query, json=json, headers=headers)
        if not response.ok:
            raise _problem(response)
        return response

    def _request(self, method: str, path: str, **request: Any) -> requests.Response:
        try:
            return self._http.request(method, self._base_url + path, timeout=TIMEOUT_SECONDS, **request)
        except requests.RequestException as error:
            raise ApiError(503, "unreachable", "The server cannot be reached.") from error


def _problem(response: requests.Response) -> ApiError:
    found = _json(response)
    problem = found if isinstance(found, dict) else {}
    if response.headers.get("Retry-After", "").isdigit():
        problem.setdefault("retry_after", int(response.headers["Retry-After"]))
    code, detail = str(problem.get("code") or "error"), str(problem.get("detail") or "")
    return ApiError(response.status_code, code, detail, problem)


def _plain(value: Any) -> Any:
    # Python's True would be "True" in an address; the API reads "true".
    return str(value).lower() if isinstance(value, bool) else value


def _json(response: requests.Response) -> Any:
    """Return the answer's JSON, None for an empty or foreign answer (a proxy's error page)."""
    try:
        return response.json() if response.content else None
    except requests.JSONDecodeError:
        return None
