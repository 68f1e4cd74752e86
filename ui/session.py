"""What a tab knows of its reader: pages ask here, never ``st.session_state``, for sign-in and language."""

import os
import secrets
import time
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from typing import Any, NoReturn

import requests
import streamlit as st
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from ui.client import SIGNED_OUT, ApiError, Client, Json, Tokens
from ui.routes import cookie_name, vault
from ui.texts import LANGUAGES

EARLY = timedelta(seconds=30)
"""An access token this close to its end is renewed before it is used."""
NOTICE = timedelta(seconds=10)
STAFF = ("admin", "manager")


class SessionEnded(ApiError):
    """The sign-in is over; the reader goes back to the sign-in form."""

    def __init__(self) -> None:
        super().__init__(SIGNED_OUT, "session_ended", "")


@lru_cache(maxsize=1)
def http() -> requests.Session:
    """Return the connection pool of the process; it holds no token."""
    session = requests.Session()
    # A ~/.netrc of the account that runs the UI would replace the reader's token.
    session.trust_env = False
    # Only GET is sent twice, when a kept connection turns out to be closed.
    retry = Retry(total=2, connect=1, read=1, status=0, backoff_factor=0.1, allowed_methods={"GET"})
    adapter = HTTPAdapter(pool_maxsize=32, max_retries=retry)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def api() -> Client:
    """Return the API as the reader of this tab may use it."""
    return Client(http(), api_url(), token=_token, renew=_renew, headers=_reader_headers())


def user() -> Json | None:
    """Return the signed-in user, None for a visitor.

    Raises:
        ApiError: the API cannot be asked who it is.
    """
    cookie = _cookie()
    if cookie is None or vault().read(cookie) is None:
        if st.session_state.pop("user", None):
            _note("session_ended")
        return None
    if st.session_state.get("user_of") != cookie or "user" not in st.session_state:
        try:
            remember_user(api().me())
        except SessionEnded:
            return None
        st.session_state["user_of"] = cookie
    found: Json = st.session_state["user"]
    return found


def me() -> Json:
    """Return the signed-in user on a page that only signed-in people see."""
    found = user()
    if found is None:
        raise SessionEnded
    return found


def staff() -> bool:
    """Tell whether the reader hands out work: admin or manager."""
    return bool(me()["role"] in STAFF)


def remember_user(found: Json) -> None:
    """Take over what the API says of the signed-in user; the language is part of it."""
    st.session_state["user"] = found


def sign_in(username: str, password: str) -> None:
    """Sign this browser in.

    Raises:
        ApiError: wrong name or password, too many attempts, no answer.
    """
    tokens = api().login(username, password)
    cookie = vault().keep(tokens)
    st.session_state["cookie"] = cookie
    st.session_state.pop("user", None)
    st.session_state.pop("notice", None)
    _ask_browser("POST", vault().hand_over(cookie))
    found = user()
    chosen = chosen_language()
    if found and chosen and chosen != found.get("language"):
        choose_language(chosen)


def sign_out(*, everywhere: bool = False) -> None:
    """End the sign-in here, in the other tabs and in the API."""
    cookie = _cookie()
    try:
        api().logout(everywhere=everywhere)
    except ApiError as error:
        # Signing out here must work while the API does not; everywhere is a promise only the API can keep.
        if everywhere and not isinstance(error, SessionEnded):
            raise
    if cookie:
        vault().forget(cookie)
    st.session_state.pop("user", None)
    st.session_state["cookie"] = None
    _note("signed_out")
    _ask_browser("DELETE", "")


def nearly_over(tokens: Tokens) -> bool:
    """Tell whether an access token is better renewed before it is used."""
    return tokens.expires_at - time.time() < EARLY.total_seconds()


def take_notice() -> str | None:
    """Return why the reader is at the sign-in form, for the first seconds there."""
    notice, until = st.session_state.get("notice", ("", 0.0))
    # Not once: the browser's answer that the cookie is gone draws the page again, right after.
    return notice if time.monotonic() < until else None


def _note(notice: str) -> None:
    st.session_state["notice"] = (notice, time.monotonic() + NOTICE.total_seconds())


def language() -> str:
    """Return the reader's language: chosen, remembered by the browser, or the browser's own."""
    kept = st.session_state.get("user", {}).get("language") or _browser("cookies").get("crm_language")
    chosen = st.session_state.get("language") or kept
    if chosen in LANGUAGES:
        return str(chosen)
    locale = st.context.locale
    return "ru" if isinstance(locale, str) and locale.lower().startswith("ru") else "en"


def choose_language(chosen: str) -> None:
    """Use a language from now on: the browser remembers it, and the API for whoever is signed in."""
    st.session_state["language"] = chosen
    if "user" in st.session_state:
        # When the API cannot keep it, the choice still holds in this browser: no reason to disturb.
        with suppress(ApiError):
            remember_user(api().update_me({"language": chosen}))


def chosen_language() -> str | None:
    """Return the language chosen in this tab, for the browser to remember."""
    chosen: str | None = st.session_state.get("language")
    return chosen


def browser_call() -> Json | None:
    """Return the call that the bridge component has to make for us, if any."""
    call: Json | None = st.session_state.get("browser_call")
    return call


def browser_answered(answer: Any) -> bool:
    """Note that the browser made the call; False when the cookie route refused it."""
    st.session_state.pop("browser_call", None)
    return bool(answer.get("ok")) if isinstance(answer, dict) else True


def _ask_browser(method: str, code: str) -> None:
    st.session_state["browser_call"] = {"id": secrets.token_hex(8), "method": method, "code": code}


def api_url() -> str:
    """Return where the API is."""
    return os.environ.get("API_URL") or "http://127.0.0.1:8000"


def _cookie() -> str | None:
    """Return the cookie this tab is signed in with.

    The handshake's cookies are a snapshot: after a sign-in or -out in this tab its own knowledge is newer.
    """
    if "cookie" in st.session_state:
        own: str | None = st.session_state["cookie"]
        return own
    cookie = _browser("cookies").get(cookie_name(_browser("headers").get("Host")))
    return cookie or None


def _browser(part: str) -> dict[str, str]:
    """Return cookies or headers of this tab's handshake; a test without a browser gives neither."""
    found = getattr(st.context, part)
    return {str(k): v for k, v in found.to_dict().items() if isinstance(v, str)} if len(found) else {}


def _token() -> str | None:
    cookie = _cookie()
    tokens = vault().read(cookie) if cookie else None
    if tokens is None:
        if "user" in st.session_state:
            _end()
        return None
    if nearly_over(tokens):
        return _renew(tokens.access)
    return tokens.access


def _renew(refused: str) -> str:
    """Return another access token than the refused one, or end the session."""
    cookie = _cookie()
    tokens: Tokens | None = vault().renew(cookie, refused, _refresh) if cookie else None
    if tokens is None:
        _end()
    return tokens.access


def _refresh(refresh_token: str) -> Tokens:
    return Client(http(), api_url(), headers=_reader_headers()).refresh(refresh_token)


def _end() -> NoReturn:
    st.session_state.pop("user", None)
    st.session_state["cookie"] = None
    _note("session_ended")
    raise SessionEnded


def _reader_headers() -> dict[str, str]:
    """Tell the API who really asks; it believes that only of a proxy it trusts."""
    headers = _browser("headers")
    known = {name.lower(): value for name, value in headers.items()}
    ip = st.context.ip_address
    chain = [known.get("x-forwarded-for", ""), ip if isinstance(ip, str) else "127.0.0.1"]
    told = {"X-Forwarded-For": ", ".join(part for part in chain if part)}
    if agent := known.get("user-agent"):
        told["User-Agent"] = agent
    return told
