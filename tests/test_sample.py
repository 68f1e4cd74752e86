"""The sample that `make demo` loads: a shop that looks alive, whose every history could have happened."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import phonenumbers
import pytest
from passlib.hash import bcrypt_sha256
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from api import cli
from api.models import Base
from api.tickets.imports.people import MAIL_DOMAINS, WORKERS
from api.tickets.states import OPEN, TRANSITIONS, Status

RECORDS = [json.loads(line) for line in cli.SAMPLE.read_text(encoding="utf-8").splitlines()]


def rows(url: str, sql: str) -> list[dict[str, Any]]:
    """Run one statement on a connection of its own and return what it answers."""

    async def run() -> list[dict[str, Any]]:
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.begin() as connection:
            result = await connection.execute(text(sql))
            found = [dict(row) for row in result.mappings()] if result.returns_rows else []
        await engine.dispose()
        return found

    return asyncio.run(run())


@pytest.fixture(scope="module")
def shop(database_url: str) -> Iterator[str]:
    """URL of a database with the sample in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", database_url)
        patch.setenv("PASSWORD_HASH_ROUNDS", "4")
        try:
            assert cli.main(["demo"]) == cli.DONE
            yield database_url
        finally:
            names = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
            rows(database_url, f"TRUNCATE {names} RESTART IDENTITY CASCADE")


@pytest.fixture(scope="module")
def tickets(shop: str) -> list[dict[str, Any]]:
    return rows(shop, "SELECT * FROM tickets ORDER BY created_at, id")


@pytest.fixture(scope="module")
def histories(shop: str) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for event in rows(shop, "SELECT * FROM ticket_events ORDER BY ticket_id, id"):
        found.setdefault(event["ticket_id"], []).append(event)
    return found


def test_every_record_is_a_ticket_with_its_words_intact(tickets: list[dict[str, Any]]) -> None:
    by_id = {ticket["external_id"]: ticket for ticket in tickets}
    assert len(by_id) == len(tickets) == len(RECORDS) == 2500
    for record in RECORDS:
        ticket = by_id[record["external_id"]]
        assert ticket["title"] == record["title"].strip()
        assert (ticket["description"] or "") == record["description"].strip()


def test_every_status_is_there_and_open_tickets_are_recent(tickets: list[dict[str, Any]]) -> None:
    now = datetime.now(UTC)
    assert {ticket["status"] for ticket in tickets} == set(Status)
    still_open = [ticket for ticket in tickets if ticket["status"] in OPEN]
    assert 50 < len(still_open) < 250
    recent = [ticket for ticket in still_open if ticket["created_at"] > now - timedelta(days=60)]
    assert len(recent) > 0.8 * len(still_open)
    assert any(ticket["due_at"] and ticket["due_at"] < now for ticket in still_open)
    days_ahead = {(t["scheduled_at"].date() - now.date()).days for t in still_open if t["scheduled_at"]}
    assert {0, 1, 2, 3} <= days_ahead


def test_the_newest_record_came_today_and_the_order_is_kept(tickets: list[dict[str, Any]]) -> None:
    assert datetime.now(UTC) - tickets[-1]["created_at"] < timedelta(days=1)
    dates = {record["external_id"]: record["created_at"] for record in RECORDS}
    ordered = [dates[ticket["external_id"]] for ticket in tickets]
    assert ordered == sorted(ordered)


def test_every_history_is_a_chain_of_legal_moves(
    tickets: list[dict[str, Any]], histories: dict[int, list[dict[str, Any]]]
) -> None:
    now = datetime.now(UTC)
    for ticket in tickets:
        lines = histories[ticket["id"]]
        assert lines[0]["changes"] == {"status": [None, "new"]}
        assert lines[0]["created_at"] == ticket["created_at"]
        assert all(earlier["created_at"] <= later["created_at"] for earlier, later in pairwise(lines))
        assert lines[-1]["created_at"] <= now
        seen: dict[str, Any] = {"status": None, "worker_id": None, "viewed": False}
        for line in lines:
            for name, (was, is_now) in line["changes"].items():
                assert seen.get(name) == was, (ticket["id"], line)
                if name == "status" and was:
                    assert Status(is_now) in TRANSITIONS[Status(was)], (ticket["id"], line)
                seen[name] = is_now
        for name in seen.keys() - {"worker"}:
            assert ticket[name] == seen[name], (ticket["id"], name)
        assert ticket["version"] == lines[-1]["version"]
        assert ticket["updated_at"] == max(line["created_at"] for line in lines if line["event"] != "viewed")


def test_times_follow_one_another_and_fit_the_status(tickets: list[dict[str, Any]]) -> None:
    for ticket in tickets:
        order = ["created_at", "assigned_at", "in_progress_at", "done_at", "closed_at", "canceled_at"]
        times = [ticket[name] for name in order if ticket[name]]
        assert times == sorted(times), ticket["id"]
        assert (ticket["done_at"] is not None) == (ticket["status"] in ("done", "closed"))
        assert (ticket["canceled_at"] is not None) == (ticket["status"] == "canceled")
        assert (ticket["hold_reason"] is not None) == (ticket["status"] == "on_hold")
        assert (ticket["cancel_reason"] is not None) == (ticket["status"] == "canceled")
        assert ticket["status"] in OPEN or ticket["fingerprint"] is None


def test_clients_come_again_and_cannot_be_anybody(shop: str, tickets: list[dict[str, Any]]) -> None:
    clients = rows(shop, "SELECT * FROM clients")
    assert len(tickets) / 5 < len(clients) < len(tickets) / 2
    for client in clients:
        assert client["email"] or client["phone"]
        assert not client["email"] or client["email"].split("@")[1] in MAIL_DOMAINS
        if client["phone"]:
            assert phonenumbers.is_possible_number(phonenumbers.parse(client["phone"]))
            assert client["phone"].startswith(("+44 7700 900", "+33 6 39 98", "+49 30 23125")) or (
                "-555-01" in client["phone"]
            )
    first = {t["client_id"]: t["created_at"] for t in reversed(tickets)}
    assert all(client["created_at"] == first[client["id"]] for client in clients)


def test_workers_share_the_work_and_cannot_sign_in(shop: str) -> None:
    crew = rows(
        shop,
        "SELECT username, password_hash, count(t.id) AS tickets, "
        "count(t.id) FILTER (WHERE t.status NOT IN ('done', 'closed', 'canceled')) AS open "
        "FROM users u LEFT JOIN tickets t ON t.worker_id = u.id WHERE u.role = 'worker' GROUP BY u.id",
    )
    assert {worker["username"] for worker in crew} == {"worker", *(name for name, *_ in WORKERS)}
    for worker in crew:
        assert worker["tickets"] > 250
        assert worker["open"] > 0
        if worker["username"] != "worker":
            for guess in ("", "worker123", worker["username"]):
                assert not bcrypt_sha256.verify(guess, worker["password_hash"])


def test_tickets_are_found_by_their_words_and_by_their_client(shop: str) -> None:
    found = rows(shop, "SELECT count(*) AS n FROM tickets WHERE search @@ search_query('toaster')")
    assert found[0]["n"] > 5
    [somebody] = rows(
        shop, "SELECT c.name, t.id FROM tickets t JOIN clients c ON c.id = client_id ORDER BY t.id LIMIT 1"
    )
    name = somebody["name"].replace("'", "''")
    found = rows(shop, f"SELECT id FROM tickets WHERE search @@ search_query('{name}')")  # noqa: S608
    assert somebody["id"] in [row["id"] for row in found]


def test_a_second_run_changes_nothing_and_says_so(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    digest = "SELECT md5(string_agg(x::text, '' ORDER BY id)) AS md5 FROM "
    tables = ("tickets", "ticket_events", "clients", "users")
    before = [rows(shop, f"{digest}{table} x") for table in tables]
    assert cli.main(["import", str(cli.SAMPLE)]) == cli.DONE
    assert [rows(shop, f"{digest}{table} x") for table in tables] == before
    said = capsys.readouterr().out
    assert "2500 lines, 0 imported, 2500 known already, 0 bad" in said
    assert "Nothing changed." in said
