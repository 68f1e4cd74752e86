"""A stand-in for the API below ``requests``, and pages run by Streamlit's own test driver."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests.adapters import BaseAdapter
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash
from typing_extensions import override

from ui import routes, session
from ui.client import Json, Tokens
from ui.vault import Vault

Answer = tuple[int, Any]
Answering = Callable[[Json], Answer]
APP = Path(__file__).parents[2] / "ui" / "app.py"


class FakeApi(BaseAdapter):
    """Answers by method and path, and remembers what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Answer | Answering | Exception] = {}
        self.calls: list[Json] = []

    def on(self, call: str, answer: Any = None, status: int = 200) -> None:
        """Answer ``METHOD /path`` with a body, or with what a function makes of the call."""
        self.answers[call] = answer if callable(answer) or isinstance(answer, Exception) else (status, answer)

    def refuse(self, call: str, status: int, code: str, **problem: Any) -> None:
        """Answer with a problem."""
        self.answers[call] = (
            status,
            {"status": status, "code": code, "detail": f"detail of {code}", **problem},
        )

    def asked(self, call: str) -> list[Json]:
        """Return the calls of a kind, oldest first."""
        return [one for one in self.calls if one["call"] == call]

    @override
    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Answer one request; what nobody expected is a failure of the test."""
        parts = urlsplit(str(request.url))
        call: Json = {
            "call": f"{request.method} {parts.path.removeprefix('/api/v1')}",
            "query": parse_qs(parts.query),
            "body": json.loads(request.body) if request.body else None,
            "headers": dict(request.headers),
        }
        self.calls.append(call)
        unexpected = (501, {"code": "unexpected", "detail": call["call"]})
        answer: Answer | Answering | Exception = self.answers.get(call["call"], unexpected)
        if isinstance(answer, Exception):
            raise answer
        status, body = answer if isinstance(answer, tuple) else answer(call)
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, str(request.url)
        response._content = b"" if body is None else json.dumps(body).encode()
        response.headers["ETag"] = '"1"'
        return response

    @override
    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """The stand-in, asked by every page of the test."""
    fake, http = FakeApi(), requests.Session()
    http.mount("http://", fake)
    monkeypatch.setenv("API_URL", "http://api.test")
    monkeypatch.setattr(session, "http", lambda: http)
    return fake


@pytest.fixture(autouse=True)
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """An empty store of sign-ins."""
    monkeypatch.setenv("UI_DATA_DIR", str(tmp_path))
    routes.vault.cache_clear()
    yield routes.vault()
    routes.vault.cache_clear()


def a_user(role: str = "admin", **more: Any) -> Json:
    return {
        "id": 1,
        "username": role,
        "email": None,
        "name": "Анна",
        "phone": None,
        "role": role,
        "department": None,
        "language": "en",
        "is_active": True,
        "created_at": "2026-01-01T10:00:00Z",
        "open_tickets": 2,
        **more,
    }


def a_ticket(**more: Any) -> Json:
    times = dict.fromkeys(
        ("scheduled_at", "due_at", "assigned_at", "in_progress_at", "done_at", "closed_at", "canceled_at")
    )
    return {
        "id": 7,
        "code": "ABCD-EFGH",
        "title": "Tap leaks",
        "description": "Since Monday",
        "address": "Lenina 1",
        "status": "new",
        "priority": "high",
        "viewed": False,
        "unread_comments": 0,
        "published_at": None,
        "worker": None,
        "created_by": None,
        "client": {"id": 3, "name": "Ivan", "phone": "+79001234567", "email": "ivan@example.org"},
        "resolution": None,
        "hold_reason": None,
        "cancel_reason": None,
        "requester_ip": "10.0.0.1",
        "requester_ua": "Browser",
        "created_at": "2026-11-20T10:00:00Z",
        "updated_at": "2026-11-20T10:00:00Z",
        "allowed_statuses": ["assigned", "canceled"],
        **times,
        **more,
    }


def a_page(*items: Json, **more: Any) -> Json:
    found = {"items": list(items), "total": len(items), "total_is_exact": True, "page": 1, "size": 25}
    return {**found, "pages": 1, "next_cursor": None, **more}


def a_comment(**more: Any) -> Json:
    return {
        "id": 11,
        "text": "Which model is it?",
        "visibility": "public",
        "parent_id": None,
        "author": {"id": 2, "name": "Oleg", "role": "worker"},
        "created_at": "2026-11-20T11:00:00Z",
        "edited_at": None,
        "withdrawn_at": None,
        "attachments": [],
        **more,
    }


def a_file(**more: Any) -> Json:
    return {
        "id": 21,
        "filename": "tap.jpg",
        "content_type": "image/jpeg",
        "size": 12345,
        "sha256": "0" * 64,
        "created_at": "2026-11-20T10:30:00Z",
        "author": None,
        "comment_id": None,
        "has_thumbnail": True,
        **more,
    }


def an_offer(**more: Any) -> Json:
    return {
        "id": 31,
        "ticket": {"id": 7, "title": "Tap leaks", "status": "new"},
        "worker": {"id": 1, "username": "worker", "name": "Oleg"},
        "status": "open",
        "created_at": "2026-11-20T11:00:00Z",
        "messages_total": 2,
        "last_message": "Tomorrow at ten",
        "last_message_at": "2026-11-20T11:00:00Z",
        **more,
    }


STATS: Json = {
    "by_status": {"new": 4, "assigned": 1},
    "by_priority": {"high": 5},
    "open": 5,
    "overdue": 1,
    "created": 6,
    "done": 1,
    "seconds_to_assign": {"median": 60, "p90": 7200},
    "seconds_to_start": {"median": None, "p90": None},
    "seconds_to_done": {"median": 90000, "p90": 200000},
    "per_day": [],
    "per_worker": [
        {
            "worker": {"id": 2, "username": "oleg", "name": "Oleg"},
            "open": 3,
            "in_progress": 1,
            "done": 4,
            "median_seconds_to_done": 5000,
            "overdue": 1,
        }
    ],
}


class Screen:
    """One tab of a browser: a page, run as often as the test acts."""

    def __init__(self, api: FakeApi, role: str | None) -> None:
        self.api = api
        self.driver = AppTest.from_file(str(APP), default_timeout=20)
        if role:
            api.on("GET /auth/me", a_user(role))
            tokens = Tokens("access-1", "refresh-1", 4e9)
            self.driver.session_state["cookie"] = routes.vault().keep(tokens)

    def open(self, path: str, **query: str | list[str]) -> AppTest:
        """Go to an address."""
        self.driver._page_hash = calc_hash(path)
        for name, value in query.items():
            self.driver.query_params[name] = value
        return self.driver.run()


Screens = Callable[[str | None], Screen]


@pytest.fixture
def full(api: FakeApi) -> FakeApi:
    """An API with one of everything."""
    worker = a_user("worker", id=2, name="Oleg")
    client = {
        "id": 3,
        "name": "Ivan",
        "phone": "+79001234567",
        "email": None,
        "comment": "Dog",
        "open_tickets": 1,
        "tickets_total": 2,
        "last_ticket_at": None,
        "created_at": "2026-01-01T10:00:00Z",
    }
    events = [
        {
            "id": 1,
            "at": "2026-11-20T10:00:00Z",
            "actor": None,
            "event": "created",
            "changes": {},
            "note": None,
        },
        {
            "id": 2,
            "at": "2026-11-20T11:00:00Z",
            "actor": {"id": 1, "username": "anna", "role": "admin"},
            "event": "updated",
            "changes": {"priority": ["low", "high"], "due_at": [None, "2026-11-22T10:00:00Z"]},
            "note": "asked by phone",
        },
    ]
    api.on("GET /users", a_page(worker))
    api.on("GET /users/2", worker)
    api.on("GET /clients", a_page(client))
    api.on("GET /clients/3", client)
    api.on("GET /tickets", a_page(a_ticket()))
    api.on("GET /tickets/7", a_ticket())
    api.on("GET /tickets/7/history", a_page(*events))
    api.on("GET /tickets/stats", STATS)
    api.on("GET /tickets/7/comments", a_page(a_comment()))
    api.on("GET /tickets/7/attachments", a_page(a_file()))
    api.on("GET /tickets/7/responses", a_page(an_offer()))
    api.on("GET /responses", a_page(an_offer()))
    api.on("POST /tickets/7/read", None, 204)
    return api


@pytest.fixture
def screen(api: FakeApi) -> Screens:
    """Make a tab for a signed-in role, or for a visitor."""
    return lambda role: Screen(api, role)


def words(page: AppTest) -> str:
    """Return everything a reader can read on a page."""
    kinds = (
        page.title,
        page.subheader,
        page.markdown,
        page.caption,
        page.error,
        page.warning,
        page.info,
        page.success,
    )
    found = [element.value for kind in kinds for element in kind] + [one.proto.body for one in page.html]
    labels = [
        one.label for kind in (page.button, page.text_input, page.selectbox, page.metric) for one in kind
    ]
    return "\n".join(map(str, found + labels))
