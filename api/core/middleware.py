"""What happens to every request before a router sees it.

Pure ASGI: ``BaseHTTPMiddleware`` costs 110 µs a request and breaks the context variables of logs.
"""

import re
import time
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.core.errors import TooLarge
from api.core.metrics import Metrics
from api.core.problems import answer

log = structlog.get_logger("api.access")

PREFIX: Final = "/api/v1"
UNPREFIXED: Final = ("/docs", "/redoc", "/openapi.json", PREFIX)
SANE_REQUEST_ID: Final = re.compile(r"^[A-Za-z0-9._\-]{1,128}$")
UPLOADS: Final = "/attachments"
FORM_OVERHEAD: Final = 10_000
"""What a form adds to the file in it."""
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PAGE_CSP: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src blob:; frame-ancestors 'none'"
)
"""For the two documentation pages, whose scripts stand in the page itself."""
CODE: Final = re.compile(r"\w{4}([-\s]*\w{4}){3}")
"""What may be a tracking code."""
STRICT_CSP: Final = "default-src 'none'; frame-ancestors 'none'"


class Aliases:
    """Let every path answer without its prefix and with a trailing slash, without redirects."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the path to the one the router knows."""
        if scope["type"] in ("http", "websocket"):
            path = scope["path"].rstrip("/") or "/"
            known = path.startswith(UNPREFIXED) or path == "/"
            scope = {**scope, "path": path if known else PREFIX + path}
            scope["raw_path"] = scope["path"].encode("utf-8", "surrogateescape")
        await self.app(scope, receive, send)


class ClientAddress:
    """Believe ``X-Forwarded-For`` from configured proxies only: anybody can send the header."""

    def __init__(self, app: ASGIApp, proxies: list[IPv4Network | IPv6Network]) -> None:
        self.app = app
        self._proxies = proxies

    def _trusted(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replace the peer by the nearest address that is no proxy of ours."""
        peer = scope.get("client")
        if self._proxies and peer and self._trusted(peer[0]):
            # Some proxies add a line of their own below the one that the caller sent.
            lines = Headers(scope=scope).getlist("x-forwarded-for")
            hops = [hop.strip() for hop in ",".join(lines).split(",")]
            for hop in reversed([hop for hop in hops if hop]):
                try:
                    scope["client"] = (str(ip_address(hop)), 0)
                except ValueError:
                    break
                if not self._trusted(hop):
                    break
        await self.app(scope, receive, send)


class BodyLimit:
    """Refuse bodies over a size, counting as they come, whatever ``Content-Length`` says."""

    def __init__(self, app: ASGIApp, limit: int, file_limit: int) -> None:
        self.app = app
        self._limit, self._file_limit = limit, file_limit + FORM_OVERHEAD

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 before the body is in memory."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        limit = self._file_limit if scope["path"].endswith(UPLOADS) else self._limit
        refusal = TooLarge(f"the body is larger than {limit} bytes")
        if not declared.isdecimal() or int(declared[:20]) > limit:
            await answer(refusal)(scope, receive, send)
            return
        received, started = 0, False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise refusal
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            if received > limit and not started:
                return  # what the framework makes of our refusal: a body that cannot be read
            started = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except TooLarge:
            if started:
                raise
        if received > limit and not started:
            await answer(refusal)(scope, receive, send)


class SecurityHeaders:
    """Headers that keep browsers from doing more with an answer than showing it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add them to whatever is answered."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                is_page = "html" in headers.get("content-type", "")
                headers.setdefault("Content-Security-Policy", PAGE_CSP if is_page else STRICT_CSP)
            await send(message)

        await self.app(scope, receive, add)


class AccessLog:
    """One line for each request: what was asked, what was answered, how long it took."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.app = app
        self._metrics, self._clock = metrics, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Log when the answer is through; the query is left out, for it holds personal data."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = self._clock(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", None)
            seconds = self._clock() - started
            self._metrics.observe(scope["method"], route, status, seconds)
            log.info(
                "request",
                method=scope["method"],
                # The template: a tracking code in a path opens a ticket, and logs are read by many.
                path=route or CODE.sub("…", scope["path"])[:200],
                status=status,
                ms=round(seconds * 1000, 1),
                client=(scope.get("client") or ("",))[0],
            )


def sane_request_id(value: str) -> bool:
    """Tell whether a caller's request id may stand in our logs and answers."""
    return SANE_REQUEST_ID.fullmatch(value) is not None
