"""The conversation as the browser is given it: whose words they are, who may read them, what may be done."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from streamlit.testing.v1 import AppTest

from tests.ui.conftest import FakeApi, Screens, a_comment, a_file, a_page, a_ticket
from ui import talk
from ui.client import Json
from ui.talk import Reader

ANNA: Json = {"id": 1, "name": "Anna", "role": "admin"}
OLEG: Json = {"id": 2, "name": "Oleg", "role": "worker"}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Json]:
    """Catch what the browser's part is given, newest last."""
    caught: list[Json] = []

    class Mounted:
        heard = older = None

    def component(**given: Any) -> Mounted:
        caught.append(given["data"])
        return Mounted()

    monkeypatch.setattr(talk, "_component", component)
    return caught


def open_ticket(
    full: FakeApi, screen: Screens, role: str, *comments: Json, files: tuple[Json, ...] = ()
) -> AppTest:
    full.on("GET /tickets/7", a_ticket(worker={"id": 1, "username": "x", "name": "X"}))
    full.on("GET /tickets/7/comments", a_page(*comments))
    full.on("GET /tickets/7/attachments", a_page(*files))
    return screen(role).open("ticket", id="7")


def test_messages_are_oldest_first_with_author_role_and_answers(
    full: FakeApi, screen: Screens, drawn: list[Json]
) -> None:
    question = a_comment(id=11, author=OLEG)
    answer = a_comment(
        id=12,
        author=None,
        parent_id=11,
        text="Bosch",
        created_at="2026-11-20T12:00:00Z",
        attachments=[a_file()],
    )
    open_ticket(full, screen, "admin", answer, question, files=(a_file(id=22), a_file(comment_id=12)))

    file, first, second = drawn[-1]["messages"]
    assert [one["id"] for one in (file, first, second)] == ["f22", "c11", "c12"]
    assert (first["author"], first["role"]) == ("Oleg", "Worker")
    assert (second["author"], second["role"]) == ("Ivan", "Client")
    assert second["parent"] == {"author": "Oleg", "text": "Which model is it?"}
    assert [one["name"] for one in second["files"]] == ["tap.jpg"]


@pytest.mark.parametrize(
    ("author", "minutes", "withdrawn", "editable"),
    [
        (ANNA, 1, None, True),
        (ANNA, 16, None, False),
        (ANNA, 1, "2026-11-20T12:00:00Z", False),
        (OLEG, 1, None, False),
    ],
)
def test_only_own_recent_words_can_be_changed(
    full: FakeApi,
    screen: Screens,
    drawn: list[Json],
    *,
    author: Json,
    minutes: int,
    withdrawn: str | None,
    editable: bool,
) -> None:
    said_at = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    comment = a_comment(author=author, created_at=said_at, withdrawn_at=withdrawn)
    open_ticket(full, screen, "admin", comment)

    assert drawn[-1]["messages"][0]["editable"] is editable


@pytest.mark.parametrize(
    ("role", "team"), [("admin", True), ("manager", True), ("worker", True), ("client", False)]
)
def test_only_the_team_is_offered_internal_notes(
    full: FakeApi, screen: Screens, drawn: list[Json], *, role: str, team: bool
) -> None:
    open_ticket(full, screen, role, a_comment())

    assert drawn[-1]["staff"] is team
    assert Reader(None).team is False


def test_opening_a_conversation_reads_it_once(full: FakeApi, screen: Screens, drawn: list[Json]) -> None:
    page = open_ticket(full, screen, "worker", a_comment(id=12), a_comment(id=11))
    page.run()

    assert [call["body"] for call in full.asked("POST /tickets/7/read")] == [{"comment_id": 12}]
    assert len(drawn) > 1


def test_while_the_api_is_away_the_conversation_stays(
    full: FakeApi, screen: Screens, drawn: list[Json]
) -> None:
    page = open_ticket(full, screen, "worker", a_comment())
    full.on("GET /tickets/7/comments", requests.ConnectionError("refused"))
    page.run()

    assert drawn[-1]["failed"] is True
    assert drawn[-1]["messages"] == drawn[0]["messages"]


def test_the_holder_of_a_code_reads_and_is_no_account(
    api: FakeApi, screen: Screens, drawn: list[Json]
) -> None:
    found = {
        "code": "ABCD",
        "title": "Tap",
        "status": "done",
        "allowed_statuses": ["in_progress"],
        "milestones": [],
    }
    api.on("GET /public/tickets/ABCD", found)
    api.on(
        "GET /public/tickets/ABCD/comments",
        a_page(a_comment(id=12, author=None), a_comment(id=11, author=OLEG)),
    )
    api.on("GET /public/tickets/ABCD/attachments", a_page())

    page = screen(None).open("track", code="ABCD")

    assert not page.exception
    assert [(one["author"], one["mine"]) for one in drawn[-1]["messages"]] == [("Oleg", False), ("You", True)]
    assert not any(one["editable"] for one in drawn[-1]["messages"])
    assert (drawn[-1]["by_code"], drawn[-1]["me"]) == (True, None)
    assert "Reopen" in [one.label for one in page.button]
    assert all("Authorization" not in call["headers"] for call in api.calls)


@pytest.mark.parametrize(
    ("author", "minutes", "by_code", "removable"),
    [
        (None, 1, True, True),
        (None, 16, True, False),
        (OLEG, 1, True, False),
        (None, 1, False, False),  # the account's own files have an author
        (ANNA, 16, False, True),
        (OLEG, 1, False, False),
    ],
)
def test_only_what_the_api_would_delete_is_offered(
    *, author: Json | None, minutes: int, by_code: bool, removable: bool
) -> None:
    sent_at = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    reader = Reader(None if by_code else ANNA | {"role": "client"})

    file = talk._file(a_file(author=author, created_at=sent_at), reader)

    assert file["mine"] is removable


def test_admins_are_offered_to_delete_any_file() -> None:
    assert talk._file(a_file(author=OLEG), Reader(ANNA))["mine"] is True


def test_every_refusal_of_the_api_has_words_in_the_browser(
    full: FakeApi, screen: Screens, drawn: list[Json]
) -> None:
    open_ticket(full, screen, "worker", a_comment())

    words = drawn[-1]["words"]
    for code in (
        "too_large",
        "unsupported_type",
        "too_many_files",
        "unreachable",
        "no_longer_editable",
        "error",
    ):
        assert words["problems"][code]
    assert words["typing"] == "{who} is typing…"
    assert words["problems"]["file_too_large"] == "larger than 10 MB"
