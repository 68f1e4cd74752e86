"""How the UI's own routes ask the API: the browser's cookie comes in, and the reader's token goes out."""

from typing import Any, Final
from urllib.parse import quote

import requests
from starlette.requests import HTTPConnection

from ui import session
from ui.client import PREFIX, Client
from ui.routes import cookie_name, vault

TIMEOUT_SECONDS: Final = (3.05, 60)


def place_of(connection: HTTPConnection) -> str:
    """Return whose conversation it is, as the API's path."""
    found = connection.path_params
    if "code" in found:
        return f"/public/tickets/{quote(found['code'], safe='')}"
    return f"/tickets/{found['ticket_id']}"


def send(
    request: HTTPConnection,
    path: str,
    token: str | None,
    *,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> requests.Response:
    """Ask the API, by the method the browser used; the answer may be an error.

    Raises:
        requests.RequestException: it did not answer.
    """
    signed = {"Authorization": f"Bearer {token}"} if token else {}
    sent = reader_of(request) | {"Accept-Encoding": "identity"} | (headers or {}) | signed
    url = session.api_url().rstrip("/") + PREFIX + path
    method = str(request.scope.get("method", "GET"))
    return session.http().request(method, url, headers=sent, timeout=TIMEOUT_SECONDS, **more)


def token_of(connection: HTTPConnection) -> str | None:
    """Return the access token of the browser's cookie; whoever has a code needs none."""
    cookie = _cookie(connection)
    tokens = vault().read(cookie) if cookie else None
    if tokens is None:
        return None
    return renewed(connection, tokens.access) if session.nearly_over(tokens) else tokens.access


def renewed(connection: HTTPConnection, refused: str) -> str | None:
    """Return another token than the refused one; None when the sign-in is over."""
    cookie = _cookie(connection)
    client = Client(session.http(), session.api_url(), headers=reader_of(connection))
    tokens = vault().renew(cookie, refused, client.refresh) if cookie else None
    return tokens.access if tokens else None


def _cookie(connection: HTTPConnection) -> str | None:
    if "code" in connection.path_params:
        return None
    return connection.cookies.get(cookie_name(connection.headers.get("host")))


def reader_of(connection: HTTPConnection) -> dict[str, str]:
    """Tell the API who really asks; it believes that only of a proxy it trusts."""
    host = connection.client.host if connection.client else ""
    chain = [connection.headers.get("x-forwarded-for", ""), host]
    return {"X-Forwarded-For": ", ".join(part for part in chain if part)}
