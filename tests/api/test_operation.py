"""``/health`` and ``/metrics``."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.core.db import Database
from api.core.storage import Storage
from api.main import create_app
from api.settings import Settings
from tests.api.live import caller, running, with_values
from tests.factories import make_ticket


@pytest.fixture
def app(settings: Settings, database: Database) -> FastAPI:
    """An application of the test's own, for it counts what it is asked."""
    app = create_app(settings)
    app.state.database = database
    return app


async def _requests(client: AsyncClient) -> dict[tuple[str, str, str], float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.labels["method"], sample.labels["handler"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "http_requests_total"
    }


async def test_a_process_that_runs_is_live(client: AsyncClient, statements: list[str]) -> None:
    answer = await client.get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert statements == []  # a database that is slow must not get the process killed


async def test_a_process_is_ready_when_its_database_is_and_the_tables_are_the_newest(
    client: AsyncClient,
) -> None:
    answer = await client.get("/health/ready")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "storage": "ok"},
    }


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = 'of_another_time'",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
    ],
)
async def test_a_process_is_not_ready_while_the_tables_are_not_the_newest(
    change: str, client: AsyncClient, session: AsyncSession
) -> None:
    await session.execute(text(change))
    await session.commit()

    answer = await client.get("/health/ready")

    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.json()["checks"] == {"database": "ok", "migrations": "behind", "storage": "ok"}
    assert int(answer.headers["Retry-After"]) > 0
    assert (await client.get("/health/live")).status_code == 200


async def test_a_process_is_not_ready_while_the_database_is_away(settings: Settings) -> None:
    away = "postgresql+asyncpg://nobody:SECRET@127.0.0.1:1/none"
    async with running(settings, database_url=away) as app, caller(app) as client:
        ready = await client.get("/health/ready")
        live = await client.get("/health/live")

    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert ready.json()["checks"] == {"database": "unreachable", "storage": "ok"}
    assert "SECRET" not in ready.text
    assert live.status_code == 200


async def test_requests_are_counted_by_route_and_not_by_path(
    client: AsyncClient, session: AsyncSession
) -> None:
    tickets = [await make_ticket(session) for _ in range(3)]
    await session.commit()
    for ticket in tickets:
        await client.get(f"/public/tickets/{ticket.code}")
    await client.get("/public/tickets/0000-0000-0000-0000")
    await client.get("/auth/me")
    for n in range(20):
        await client.get(f"/nothing/{n}")

    counted = await _requests(client)

    by_code = {
        status: n for (_, path, status), n in counted.items() if path.endswith("/public/tickets/{code}")
    }
    assert by_code == {"200": 3, "404": 1}
    assert [
        n for (_, path, status), n in counted.items() if path.endswith("/auth/me") and status == "401"
    ] == [1]
    assert not [path for (_, path, _) in counted if "/nothing/" in path]
    assert not [path for (_, path, _) in counted if tickets[0].code in path]
    assert not [path for (_, path, _) in counted if "metrics" in path]


async def test_each_application_counts_its_own_requests(settings: Settings, client: AsyncClient) -> None:
    await client.get("/health/live")

    async with running(settings) as app, caller(app) as other:
        counted = await _requests(other)

    assert counted == {}


async def test_durations_and_the_process_are_measured(client: AsyncClient) -> None:
    await client.get("/health/live")

    metrics = (await client.get("/metrics")).text

    names = {family.name for family in text_string_to_metric_families(metrics)}
    assert {"http_request_duration_seconds", "process_resident_memory_bytes", "python_info"} <= names


async def test_a_process_is_not_ready_while_files_cannot_be_kept(
    app: FastAPI, client: AsyncClient, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    app.state.storage = Storage(with_values(settings, storage_url=str(folder)))
    folder.rmdir()
    folder.write_text("no folder any more")

    answer = await client.get("/health/ready")

    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.json()["checks"]["storage"] == "unreachable"
