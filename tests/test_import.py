"""``python -m api.cli import FILE``: other people's files, good and bad."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api import cli
from api.core.processes import wait_until
from api.tickets.imports import reader
from api.tickets.imports import rows as imported
from api.tickets.imports.lives import path_to
from api.tickets.states import TRANSITIONS, Status
from tests.test_sample import rows

TABLES = ("tickets", "ticket_events", "clients", "users")


@pytest.fixture
def database(committed: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty database, named as an operator names it."""
    monkeypatch.setenv("DATABASE_URL", committed)
    monkeypatch.setenv("PASSWORD_HASH_ROUNDS", "4")
    return committed


def jsonl(folder: Path, *lines: dict[str, Any] | str) -> str:
    path = folder / "tickets.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text, encoding="utf-8")
    return str(path)


BAD: list[tuple[dict[str, Any] | str, str]] = [
    ("not json", "is not JSON"),
    ("[1, 2]", "is not a JSON object"),
    ("[" * 100_000, "is not JSON"),
    ({"title": ""}, "title: Field required"),
    ({"title": "x" * 201}, "title: has more than 200 characters"),
    ({"title": "x", "created_at": "0001-01-01"}, "created_at: must lie between 1970 and 2999"),
    ({"title": "x", "created_at": "2999-01-01"}, "created_at: lies in the future"),
    ({"title": "x", "created_at": "2019-02-30"}, "created_at: must be a date or time like"),
    ({"title": "x", "created_at": 1577836800}, "created_at: must be a date or time like"),
    ({"title": "x", "due_at": "soon"}, "due_at: must be a date or time like"),
    ({"title": "x", "due_at": "9999-12-31"}, "due_at: must lie between 1970 and 2999"),
    ({"title": "x", "status": "frobbed"}, "status: Input should be 'new', "),
    ({"title": "x", "priority": "soon"}, "priority: Input should be 'low', "),
    ({"title": "x\u0000"}, "title: must not contain NUL"),
    ('{"title": "x", "description": "\\ud800"}', "description: Input should be a valid string"),
    ({"title": "x", "client_name": "Bo"}, "phone or email is needed"),
    ({"title": "x", "client_phone": "12"}, "client_phone: is not a phone number"),
    ({"title": "x", "client_phone": "+7 1"}, "client_phone: is not a phone number"),
    ({"title": "x", "client_phone": "-" * 20}, "client_phone: is not a phone number"),
    ({"title": "x", "client_email": "nobody"}, "client_email: is not an e-mail address"),
    ({"title": "x", "worker": "nobody"}, "worker: no active worker is called nobody"),
    ({"external_id": "first", "title": "again"}, "external_id first is in line 1 already"),
]


def test_a_dry_run_lists_every_bad_line_and_writes_nothing(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"external_id": "first", "title": "good"}
    path = jsonl(tmp_path, good, "", *(line for line, _ in BAD))

    assert cli.main(["import", path, "--dry-run"]) == cli.BAD_LINES

    said = capsys.readouterr()
    listed = said.err.splitlines()
    assert len(listed) == len(BAD)
    for number, (line, (_, reason)) in enumerate(zip(listed, BAD, strict=True), start=3):
        assert line.startswith(f"line {number}: ")
        assert reason in line
    assert f"{len(BAD) + 1} lines, 1 would be new, 0 known already, {len(BAD)} bad" in said.out
    assert "Nothing was written." in said.out
    assert [rows(database, f"SELECT * FROM {table}") for table in TABLES] == [[]] * 4  # noqa: S608


def test_bad_lines_are_left_out_and_told(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = ["not json"] * 60
    assert cli.main(["import", jsonl(tmp_path, {"title": "good"}, *bad)]) == cli.BAD_LINES
    said = capsys.readouterr()
    assert "1 imported, 0 known already, 60 bad" in said.out
    assert "and 10 more; --dry-run lists them all" in said.err
    assert [row["title"] for row in rows(database, "SELECT title FROM tickets")] == ["good"]


def test_a_good_file_passes_a_dry_run(database: str, tmp_path: Path) -> None:
    assert cli.main(["import", jsonl(tmp_path, {"title": "good"}), "--dry-run"]) == cli.DONE
    assert rows(database, "SELECT * FROM tickets") == []


def test_what_a_file_says_is_taken_at_its_word(database: str, tmp_path: Path) -> None:
    lines = [
        {
            "external_id": status,
            "title": f"it is {status}",
            "status": status,
            "priority": "urgent",
            "created_at": "2020-02-02T10:00:00+03:00",
            "due_at": "2020-02-03",
            "client_email": "a@mail.example",
        }
        for status in Status
    ]
    assert cli.main(["import", jsonl(tmp_path, *lines)]) == cli.DONE
    for ticket in rows(database, "SELECT * FROM tickets"):
        assert ticket["status"] == ticket["external_id"]
        assert ticket["priority"] == "urgent"
        assert ticket["created_at"].isoformat() == "2020-02-02T07:00:00+00:00"
        assert ticket["due_at"].isoformat() == "2020-02-03T00:00:00+00:00"
        history = rows(database, "SELECT ticket_id, changes FROM ticket_events ORDER BY id")
        moves = [line["changes"]["status"] for line in history if line["ticket_id"] == ticket["id"]]
        assert moves[0] == [None, "new"]
        assert [is_now for _, is_now in moves[1:]] == path_to(Status(ticket["status"]))
        assert all(Status(is_now) in TRANSITIONS[Status(was)] for was, is_now in moves[1:])
    assert len(rows(database, "SELECT * FROM clients")) == 1


def test_a_known_client_is_found_and_never_overwritten(database: str, tmp_path: Path) -> None:
    first = {
        "title": "one",
        "client_name": "Ann",
        "client_email": "ann@mail.example",
        "client_phone": "8 912 345-67-89",
    }
    changed = {"title": "two", "client_name": "Anna", "client_email": "ANN@mail.example"}
    by_phone = {"title": "three", "client_phone": "+79123456789"}
    cli.main(["import", jsonl(tmp_path, first)])
    assert cli.main(["import", jsonl(tmp_path, changed, by_phone)]) == cli.DONE
    [client] = rows(database, "SELECT * FROM clients")
    assert (client["name"], client["email"]) == ("Ann", "ann@mail.example")
    notes = rows(database, "SELECT note, internal FROM ticket_events WHERE event = 'contact_differs'")
    assert {note["note"] for note in notes} == {"name: Anna"}
    assert all(note["internal"] for note in notes)


def test_a_named_worker_gets_the_ticket(database: str, tmp_path: Path) -> None:
    cli.main(["import", jsonl(tmp_path, {"title": "makes the first accounts"})])
    lines = [
        {"title": "held", "status": "on_hold", "worker": "Worker", "reason": "no part"},
        {"title": "done", "status": "done", "worker": "worker", "resolution": "glued"},
        {"title": "gone", "status": "canceled", "reason": "too old"},
    ]
    assert cli.main(["import", jsonl(tmp_path, *lines)]) == cli.DONE
    found = rows(
        database, "SELECT t.*, u.username FROM tickets t LEFT JOIN users u ON u.id = worker_id ORDER BY t.id"
    )
    told = {
        t["title"]: (t["username"], t["hold_reason"], t["resolution"], t["cancel_reason"]) for t in found[1:]
    }
    assert told == {
        "held": ("worker", "no part", None, None),
        "done": ("worker", None, "glued", None),
        "gone": (None, None, None, "too old"),
    }


def test_lines_without_external_id_are_known_again(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"title": "Lamp", "client_email": "a@mail.example"}
    assert cli.main(["import", jsonl(tmp_path, line, line)]) == cli.BAD_LINES
    assert "line 2: the same is in line 1 already" in capsys.readouterr().err
    assert cli.main(["import", jsonl(tmp_path, line)]) == cli.DONE
    assert len(rows(database, "SELECT * FROM tickets")) == 1


def test_open_requests_that_say_the_same_are_both_kept(database: str, tmp_path: Path) -> None:
    lines = [{"external_id": n, "title": "Lamp", "client_email": "a@mail.example"} for n in range(3)]
    cli.main(["import", jsonl(tmp_path, lines[0])])
    assert cli.main(["import", jsonl(tmp_path, *lines)]) == cli.DONE
    fingerprints = [row["fingerprint"] for row in rows(database, "SELECT fingerprint FROM tickets")]
    assert len(fingerprints) == 3
    assert fingerprints.count(None) == 2


def test_today_may_be_tomorrow_already_in_the_east(monkeypatch: pytest.MonkeyPatch) -> None:
    late = datetime(2026, 11, 21, 20, tzinfo=UTC)
    monkeypatch.setattr(imported, "now", lambda: late)
    good = imported.understood(1, {"title": "x", "created_at": "2026-11-22"}, "a", region="RU")
    assert isinstance(good, imported.Entry)
    assert good.row.created_at == late


@pytest.mark.slow
def test_a_killed_run_is_completed_by_the_next(database: str) -> None:
    count = "SELECT count(*) AS n FROM tickets"
    killed = subprocess.Popen([sys.executable, "-m", "api.cli", "demo"], cwd=cli.ROOT, env=os.environ)
    assert wait_until(lambda: rows(database, count)[0]["n"] > 0, seconds=60)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert 0 < rows(database, count)[0]["n"] < 2500

    assert cli.main(["demo"]) == cli.DONE

    records = reader.read(cli.SAMPLE, region="RU").entries
    dates = {entry.row.external_id: entry.row.created_at for entry in records}
    ordered = [
        dates[row["external_id"]]
        for row in rows(database, "SELECT external_id FROM tickets ORDER BY created_at, id")
    ]
    assert len(ordered) == 2500
    assert ordered == sorted(ordered, key=str)
    assert (
        rows(
            database,
            "SELECT 1 FROM tickets t WHERE NOT EXISTS (SELECT FROM ticket_events WHERE ticket_id = t.id)",
        )
        == []
    )
