"""The whole application as real processes, and a real browser in front of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, ViewportSize, sync_playwright

from tests.e2e.tab import SHOTS, Tab

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY_SECONDS = 90
Json = dict[str, Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One started program; its output goes to a file, so that a failing start can say why."""

    def __init__(self, log: Path, *command: str, **environment: str) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def wait_for(self, url: str) -> None:
        """Wait until an address answers.

        Raises:
            AssertionError: with the program's last words, when it never does.
        """
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(requests.RequestException):
                if requests.get(url, timeout=2).ok:
                    return
            time.sleep(0.1)
        self.stop()
        raise AssertionError(f"{url} never answered:\n{self._log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        """End the program, and whatever it started."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Ui:
    """The UI on one port, which can be restarted."""

    def __init__(self, folder: Path, api_url: str) -> None:
        self._folder = folder
        self._api_url = api_url
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Start it as a person would."""
        where = ("--server.port", str(self._port), "--server.address", "127.0.0.1")
        settings = {"API_URL": self._api_url, "UI_DATA_DIR": str(self._folder / "ui")}
        command = ("streamlit", "run", "ui/app.py", *where)
        self._process = Process(self._folder / "ui.log", *command, **settings)
        self._process.wait_for(f"{self.url}/_stcore/health")

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()


class Api:
    """The API as a signed-in admin; makes what the walks need."""

    process = 0
    """What runs it, and starts it anew when it dies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = requests.Session()
        tokens = self.call("POST", "/auth/login", username="admin", password="admin123")
        self._http.headers["Authorization"] = f"Bearer {tokens['access_token']}"

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Make one call that must succeed."""
        answer = self._http.request(method, f"{self.url}/api/v1{path}", json=body or None, timeout=20)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def ticket(self, title: str, **more: Any) -> Json:
        """Make a ticket."""
        contact = {"name": "Иван Петров", "phone": "+79112000000"}
        made: Json = self.call("POST", "/tickets", **{"title": title, "client": contact, **more})
        return made

    def move(self, ticket: Json, action: str, **body: Any) -> Json:
        """Move a ticket on."""
        moved: Json = self.call("POST", f"/tickets/{ticket['id']}/{action}", **body)
        return moved


@pytest.fixture(scope="package")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """PostgreSQL, API and job worker of this run's own."""
    folder, port = tmp_path_factory.mktemp("service"), free_port()
    options = ("--port", str(port), "--data-dir", str(folder / "data"), "--no-ui")
    off = {
        "STORAGE_URL": str(folder / "files"),
        "LOGIN_RATE_LIMIT": "",
        "PUBLIC_RATE_LIMIT": "",
        "ENV": "local",
        "DATABASE_URL": "",
    }
    process = Process(folder / "api.log", "api.local", *options, **off)
    url = f"http://127.0.0.1:{port}"
    process.wait_for(f"{url}/health/ready")
    found = Api(url)
    found.process = process.pid
    yield found
    process.stop()


@pytest.fixture(scope="package")
def people(api: Api) -> Json:
    """One account of each role, and tickets in every state."""
    api.call("POST", "/users", username="boss", password="password1", role="manager", name="Мария")
    oleg = api.call("POST", "/users", username="oleg", password="password1", role="worker", name="Олег")
    requests.post(
        f"{api.url}/api/v1/auth/register",
        json={"username": "petr", "password": "password1", "name": "Пётр", "email": "petr@example.org"},
        timeout=20,
    ).raise_for_status()
    tickets = [api.ticket(f"Заявка {n}", address="ул. Ленина, 12", priority="high") for n in range(6)]
    for ticket in tickets[1:]:
        api.move(ticket, "assign", worker_id=oleg["id"])
    for ticket in tickets[2:]:
        api.move(ticket, "status", new_status="in_progress")
    api.move(tickets[3], "hold", reason="Ждём запчасть")
    api.move(tickets[4], "complete", resolution="Заменили кран")
    return {"oleg": oleg, "tickets": tickets}


@pytest.fixture(scope="package")
def ui(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The UI in front of the API."""
    running = Ui(tmp_path_factory.mktemp("ui"), api.url)
    yield running
    running.stop()


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Playwright, until the last test of this folder: its loop would disturb asynchronous tests."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """A Chromium of the machine; without one the tests are skipped, in CI they fail."""
    named = os.environ.get("CHROMIUM")
    usual = ("chromium", "chromium-browser", "google-chrome")
    found = named or next(filter(None, map(shutil.which, usual)), None)
    if not found:
        why = "no Chromium on this machine; name one with CHROMIUM=/path/to/chromium"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(why)
        pytest.skip(why)
    running = playwright.chromium.launch(executable_path=found, args=FLAGS)
    yield running
    running.close()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember a failure until the tabs are closed, so that they are photographed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed  # type: ignore[attr-defined]
    return report


Open = Callable[..., Tab]


@pytest.fixture
def open_tab(request: pytest.FixtureRequest, browser: Browser, ui: Ui) -> Iterator[Open]:
    """Open tabs: ``open_tab(width=390)`` is a new person, ``beside=tab`` opens another tab of the same."""
    people: list[BrowserContext] = []
    strangers: list[str] = []

    def watch(page: Page, base: str) -> None:
        own = urlsplit(base).netloc
        page.on("request", lambda r: strangers.append(r.url) if _leaves(r.url, own) else None)

    def open_one(*, width: int = 1280, beside: Tab | None = None, base: str = ui.url) -> Tab:
        if beside:
            context = beside.page.context
        else:
            size: ViewportSize = {"width": width, "height": 1000}
            context = browser.new_context(viewport=size, locale="ru-RU", timezone_id="Europe/Moscow")
            people.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        watch(page, base)
        return Tab(page, base)

    yield open_one
    if request.node.stash.get(FAILED, False):
        for number, page in enumerate(page for context in people for page in context.pages):
            page.screenshot(path=SHOTS / f"failed-{request.node.name}-{number}.png")
    for context in people:
        context.close()
    assert strangers == [], "a page asked another host"


def _leaves(url: str, own: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != own
