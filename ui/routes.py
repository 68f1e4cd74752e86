"""The UI's own HTTP route: it alone sets the sign-in cookie, so that no script can read it."""

import logging
import os
import sqlite3
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ui.vault import KEPT, Vault

LONGEST_CODE = 200
log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def vault() -> Vault:
    """Return the store of this process, in the folder ``UI_DATA_DIR``."""
    return Vault(Path(os.environ.get("UI_DATA_DIR") or ".data/ui") / "sessions.sqlite3")


def cookie_name(host: str | None) -> str:
    """Name the cookie by port: browsers share cookies between the ports of a host, two copies must not."""
    port = urlsplit(f"//{host or ''}").port
    return f"crm_session_{port}" if port else "crm_session"


async def session(request: Request) -> Response:
    """Set the cookie for a hand-over code (POST) or take it away (DELETE)."""
    if not from_own_page(request):
        return PlainTextResponse("Ask from the page itself.", status_code=403)
    name = cookie_name(request.headers.get("host"))
    done = Response(status_code=204, headers={"Cache-Control": "no-store"})
    try:
        if request.method == "DELETE":
            if old := request.cookies.get(name):
                await run_in_threadpool(vault().forget, old)
            done.delete_cookie(name, path="/", httponly=True, samesite="strict")
            return done
        code = await _short_body(request)
        cookie = await run_in_threadpool(vault().redeem, code) if code else None
    except sqlite3.Error:
        log.exception("the store of sign-ins does not answer")
        return PlainTextResponse("The sign-in could not be kept.", status_code=503)
    if cookie is None:
        return PlainTextResponse("This code is used or too old.", status_code=400)
    secure = request.headers.get("origin", "").startswith("https://")
    done.set_cookie(
        name,
        cookie,
        max_age=int(KEPT.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=secure,
    )
    return done


def from_own_page(request: HTTPConnection) -> bool:
    """Tell whether the UI's own page asks; another site could sign a visitor in as somebody else."""
    origin = urlsplit(request.headers.get("origin", ""))
    same_site = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
    return same_site and bool(origin.netloc) and origin.netloc == request.headers.get("host")


async def _short_body(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_CODE:
            return ""
    return body.decode("ascii", errors="replace")


routes = [Route("/session", session, methods=["POST", "DELETE"])]
