"""The log: one line for each thing, readable by machines, telling no secret."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import structlog
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.core.db import Database
from api.core.metrics import Metrics
from api.core.middleware import AccessLog
from api.main import create_app
from api.settings import Settings
from tests.api.accounts import OTHER_PASSWORD, PASSWORD, bearer, login, make_account, tokens
from tests.api.live import caller, database_of, running
from tests.factories import make_ticket
from tests.logs import lines_of, logged

FORGED = "2026-01-01T00:00:00Z [info     ] forged"


@pytest.fixture
def app(settings: Settings, database: Database) -> FastAPI:
    """An application of the test's own, for routes are added to it."""
    app = create_app(settings)
    app.state.database = database
    return app


@pytest.fixture
async def log_file(settings: Settings, tmp_path: Path) -> AsyncIterator[Path]:
    """Where the log is written, in a folder that has yet to be made."""
    path = tmp_path / "logs" / "api.log"
    with logged(settings, log_file=path):
        yield path


@pytest.fixture(params=["console", "json"])
def program(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Settings:
    """Settings of a program that logs for people, or for machines, and in either case to a file."""
    return settings.model_copy(update={"log_format": request.param, "log_file": tmp_path / "api.log"})


async def test_a_request_is_one_line_with_its_id(client: AsyncClient, log_file: Path) -> None:
    answer = await client.get("/health/live", headers={"X-Request-ID": "abc-1"})

    assert answer.status_code == 200
    (line,) = lines_of(log_file)
    assert line.pop("ms") >= 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "api.access",
        "method": "GET",
        "path": "/health/live",
        "status": 200,
        "client": "127.0.0.1",
        "request_id": "abc-1",
    }


async def test_every_line_of_a_request_holds_its_id(
    app: FastAPI, client: AsyncClient, log_file: Path
) -> None:
    async def fail() -> None:
        logging.getLogger("some.library").warning("odd: %s", "it")
        raise RuntimeError("a fault")

    app.add_api_route("/api/v1/fail", fail)

    answers = [await client.get("/fail") for _ in range(2)]

    for answer in answers:
        mine = [line for line in lines_of(log_file) if line["request_id"] == answer.headers["X-Request-ID"]]
        assert [line["event"] for line in mine] == ["odd: it", "unexpected error", "request"]
        assert [line["level"] for line in mine] == ["warning", "error", "info"]
        assert mine[1]["exception"][0]["exc_type"] == "RuntimeError"
        assert mine[2]["status"] == 500


async def test_the_log_tells_no_secret(
    program: Settings,
    client: AsyncClient,
    session: AsyncSession,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    user = await make_account(session, email="anna@mail.example")
    ticket = await make_ticket(session)
    await session.commit()
    typed = ticket.code.replace("-", "").lower()

    with logged(program, log_level="DEBUG"):
        logging.getLogger("httpx").disabled = logging.getLogger("httpcore").disabled = True
        pair = await tokens(client, user)
        await login(client, user.username, OTHER_PASSWORD)
        await client.post("/auth/token", data={"username": "x", "password": "p" * 200 + PASSWORD})
        refreshed = await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        await client.get("/tickets", params={"search": "query-string"}, headers=bearer(pair["access_token"]))
        await client.get("/auth/me", headers=bearer("forged-token"))
        for code in (ticket.code, typed, ticket.code.replace("-", " ")):
            for path in (f"/public/tickets/{code}", f"/public/tickets/{code}/nothing", f"/track/{code}"):
                await client.get(path)
                await client.put(path)
        logging.getLogger("httpx").disabled = logging.getLogger("httpcore").disabled = False

    written = (tmp_path / "api.log").read_text() + capfd.readouterr().out
    assert written.count("/auth/login") == 4  # two sign-ins, in the file and on standard output
    for secret in (
        PASSWORD,
        OTHER_PASSWORD,
        pair["access_token"],
        pair["refresh_token"],
        refreshed.json()["refresh_token"],
        "forged-token",
        "query-string",
        ticket.code,
        typed,
        ticket.code.replace("-", " "),
        "anna@mail.example",
    ):
        assert secret not in written, secret


async def test_a_fault_is_told_without_the_values_it_met(
    program: Settings,
    app: FastAPI,
    client: AsyncClient,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def fail() -> None:
        secret = "local-secret"
        raise RuntimeError(len(secret))

    app.add_api_route("/api/v1/fail", fail)

    with logged(program):
        await client.get("/fail")

    written, shown = (tmp_path / "api.log").read_text(), capfd.readouterr().out
    for place in (written, shown):
        assert "RuntimeError" in place
        assert "local-secret" not in place


async def test_a_fault_of_the_database_is_told_without_the_values_it_met(
    settings: Settings, committed: str, tmp_path: Path
) -> None:
    async with running(settings, database_url=committed) as app, caller(app) as client:

        async def fail() -> None:
            async with database_of(app).reads() as session:
                await session.execute(text("SELECT nothing, :value"), {"value": "personal-data"})

        app.add_api_route("/api/v1/fail", fail)
        with logged(settings, log_file=tmp_path / "api.log"):
            answer = await client.get("/fail")

    written = (tmp_path / "api.log").read_text()
    assert answer.status_code == 500
    assert "UndefinedColumn" in written
    assert "personal-data" not in written


async def test_nothing_a_caller_sends_can_forge_a_line(
    program: Settings,
    client: AsyncClient,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    ends = ("\n", "\r", "\r\n", "\x1b[2K\r", "\x85", "\u2028", "\x0b", "\x0c")

    with logged(program):
        logging.getLogger("httpx").disabled = True
        for end in ends:
            await client.get(f"/x{quote(end)}{quote(FORGED)}")
            await client.request(f"GET{end}", "/health/live")
            await client.get("/health/live", headers=[(b"X-Request-ID", f"x{end}{FORGED}".encode())])
            await client.get("/health/live", headers=[(b"User-Agent", f"x{end}{FORGED}".encode())])
            await login(client, f"x{end}{FORGED}")
        logging.getLogger("httpx").disabled = False

    written, shown = lines_of(tmp_path / "api.log"), capfd.readouterr().out
    assert [line["event"] for line in written] == ["request"] * len(written)
    assert len(written) >= 4 * len(ends)
    assert not [line for line in shown.splitlines() if line.lstrip("\x1b[2K").startswith(FORGED)]
    assert "\x1b[2K" not in shown
    assert len(shown.splitlines()) == len(written)


def test_the_file_is_turned_over_at_its_size(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "api.log"

    with logged(settings, log_file=path, log_file_size=2_000, log_file_count=2):
        for n in range(100):
            structlog.get_logger("test").info("said", n=n)

    kept = [path, tmp_path / "api.log.1", tmp_path / "api.log.2"]
    assert sorted(tmp_path.iterdir()) == kept
    assert all(part.stat().st_size <= 2_000 for part in kept)
    numbers = [line["n"] for part in reversed(kept) for line in lines_of(part)]
    assert numbers == list(range(numbers[0], 100))


def test_lines_under_the_level_are_left_out(settings: Settings, tmp_path: Path) -> None:
    with logged(settings, log_file=tmp_path / "api.log", log_level="WARNING"):
        structlog.get_logger("test").info("quiet")
        structlog.get_logger("test").warning("loud")
        logging.getLogger("some.library").info("quiet")
        logging.getLogger("uvicorn.access").warning("quiet")
        logging.getLogger("uvicorn.error").warning("loud too")

    assert [line["event"] for line in lines_of(tmp_path / "api.log")] == ["loud", "loud too"]


def test_people_read_lines_and_machines_json(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    with logged(settings, log_format="console"):
        structlog.get_logger("test").info("said", what="this")
    people = capfd.readouterr().out
    with logged(settings, log_format="json"):
        structlog.get_logger("test").info("said", what="это")
    machines = capfd.readouterr().out

    assert "what=this" in people
    assert not people.startswith("{")
    assert machines.startswith("{")
    assert '"what": "это"' in machines


async def test_the_time_of_a_request_is_measured_even_when_it_fails(log_file: Path) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError

    ticks = iter([10.0, 10.25])
    app = AccessLog(fail, Metrics(), clock=lambda: next(ticks))

    with pytest.raises(RuntimeError):
        await app({"type": "http", "method": "GET", "path": "/x", "headers": []}, fail, fail)  # type: ignore[arg-type]

    (line,) = lines_of(log_file)
    assert (line["ms"], line["status"], line["client"]) == (250.0, 500, "")
