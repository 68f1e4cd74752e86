"""Pages, run by Streamlit's test driver against a stand-in for the API."""

from typing import Any

import pytest
import requests
from streamlit.testing.v1 import AppTest

from tests.ui.conftest import FakeApi, Screens, a_page, a_ticket, words
from ui.client import Json

PAGES = [
    *[("admin", path, {}) for path in ("overview", "tickets", "clients", "users", "statistics", "account")],
    ("admin", "ticket", {"id": "7"}),
    ("admin", "clients", {"id": "3"}),
    ("admin", "users", {"id": "2"}),
    ("manager", "users", {}),
    ("worker", "work", {}),
    ("worker", "ticket", {"id": "7"}),
    ("worker", "pool", {}),
    ("worker", "pool", {"show": "mine"}),
    ("client", "requests", {}),
    ("client", "ticket", {"id": "7"}),
    (None, "submit", {}),
    (None, "track", {}),
    (None, "login", {}),
    (None, "register", {}),
    (None, "tickets", {}),
    ("worker", "users", {}),
]


@pytest.mark.parametrize(("role", "path", "query"), PAGES)
def test_every_page_draws_without_raw_values(
    role: str | None, path: str, query: dict[str, Any], full: FakeApi, screen: Screens
) -> None:
    page = screen(role).open(path, **query)

    assert not page.exception
    assert [call["call"] for call in full.calls if call["call"] not in full.answers] == []
    shown = words(page)
    assert shown
    for raw in ("None", "{'", "Traceback", "2026-11-20T"):
        assert raw not in shown


@pytest.mark.parametrize("error", [requests.ConnectionError("refused"), requests.Timeout("slow")])
def test_a_dead_api_is_said_in_words_with_a_retry(error: Exception, full: FakeApi, screen: Screens) -> None:
    for call in list(full.answers):
        full.on(call, error)

    page = screen("admin").open("tickets")

    assert not page.exception
    assert "does not answer" in words(page)
    assert "Try again" in words(page)
    assert "refused" not in words(page)


def test_an_answer_that_is_no_json_is_no_traceback(full: FakeApi, screen: Screens) -> None:
    full.on("GET /tickets", (lambda _: (502, None)))

    page = screen("admin").open("tickets")

    assert not page.exception
    assert "Something went wrong" in words(page)


def test_filters_come_from_the_address_and_reach_the_api(full: FakeApi, screen: Screens) -> None:
    full.on("GET /tickets", a_page(a_ticket(), total=200, pages=8))
    screen("admin").open(
        "tickets",
        q="tap",
        status=["new", "done", "nonsense"],
        worker="2",
        overdue="yes",
        sort="-due_at",
        page="3",
    )

    assert full.asked("GET /tickets")[-1]["query"] == {
        "search": ["tap"],
        "status": ["new", "done"],
        "worker_id": ["2"],
        "overdue": ["true"],
        "sort": ["-due_at"],
        "page": ["3"],
        "size": ["25"],
    }


def test_a_changed_filter_goes_to_the_address_and_back_to_page_one(full: FakeApi, screen: Screens) -> None:
    full.on("GET /tickets", a_page(a_ticket(), total=200, pages=8))
    tab = screen("admin")
    page = tab.open("tickets", page="3")

    page = page.text_input(key="tickets.q").input("tap").run()

    assert full.asked("GET /tickets")[-1]["query"]["page"] == ["1"]
    assert page.query_params == {"q": "tap"}


def test_what_may_have_been_meant_is_one_click_away(full: FakeApi, screen: Screens) -> None:
    def answer(call: Json) -> tuple[int, Any]:
        if call["query"].get("search") == ["kettle *1*"]:
            return 200, a_page(a_ticket())
        return 200, a_page(did_you_mean="kettle *1*")

    full.on("GET /tickets", answer)
    page = screen("admin").open("tickets", q="kettel *1*", page="2")

    meant = page.button(key="tickets-meant")
    assert meant.label == "Did you mean: kettle \\*1\\*"  # what somebody typed formats nothing
    page = meant.click().run()

    assert not page.exception
    assert full.asked("GET /tickets")[-1]["query"]["search"] == ["kettle *1*"]
    assert full.asked("GET /tickets")[-1]["query"]["page"] == ["1"]
    assert page.text_input(key="tickets.q").value == "kettle *1*"
    assert "Did you mean" not in words(page)


@pytest.mark.parametrize(
    ("exact", "said"), [(True, "Nothing matches"), (False, "Nothing among the newest tickets")]
)
def test_a_search_that_was_not_brought_to_its_end_does_not_say_that_there_is_nothing(
    exact: bool,  # noqa: FBT001  as the API says it
    said: str,
    full: FakeApi,
    screen: Screens,
) -> None:
    full.on("GET /tickets", a_page(total_is_exact=exact))

    page = screen("admin").open("tickets", q="tap")

    assert said in words(page)
    assert "Did you mean" not in words(page)


def test_the_matching_part_of_a_description_stands_under_the_title(
    full: FakeApi, screen: Screens, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []

    def draw(**given: Any) -> Mounted:
        drawn.append(given["data"])
        return Mounted()

    monkeypatch.setattr("ui.listing._component", draw)
    part = "… **since** <b>Monday</b> it drips …"
    marks = [
        {"field": "title", "text": "Tap leaks", "spans": [[0, 3]]},
        {"field": "description", "text": part, "spans": [[2, 5]]},
    ]
    full.on("GET /tickets", a_page(a_ticket(highlight=marks), a_ticket(id=8, highlight=marks[:1])))

    page = screen("admin").open("tickets", q="tap")

    assert not page.exception
    assert [row["cells"][0]["note"] for row in drawn[-1]["rows"]] == [part, "Lenina 1"]  # drawn as text


class Mounted:
    """What a list that nobody clicked returns."""

    opened = sorted = None


def test_a_submitted_request_shows_its_code(api: FakeApi, screen: Screens) -> None:
    api.on("POST /public/tickets", {"id": 1, "code": "QW12-ER34", "status": "new"}, 201)
    page = screen(None).open("submit")
    for field, value in {"title": " Tap ", "client.name": "Ivan", "client.phone": "8 900"}.items():
        page.text_input(key=f"submit:0:{field}").input(value)

    page = page.button(key="submit:0:send").click().run()

    sent = api.asked("POST /public/tickets")[0]
    assert sent["body"] == {
        "title": "Tap",
        "priority": "normal",
        "client": {"name": "Ivan", "phone": "8 900"},
    }
    assert sent["headers"]["Idempotency-Key"]
    assert "Authorization" not in sent["headers"]
    assert "QW12-ER34" in words(page)


def test_errors_stand_under_their_fields_and_a_retry_keeps_its_key(api: FakeApi, screen: Screens) -> None:
    api.refuse(
        "POST /public/tickets",
        422,
        "validation_error",
        errors=[
            {"loc": ["body", "title"], "msg": "Field required", "type": "missing"},
            {"loc": ["body", "address"], "msg": "Value error, no @ in **it**", "type": "value_error"},
            {"loc": ["body"], "msg": "Leave a phone", "type": "contact"},
        ],
    )
    page = screen(None).open("submit")
    page = page.button(key="submit:0:send").click().run()

    assert ":red[:material/error: Please fill this in.]" in words(page)
    assert "no \\@\u2060 in \\*\\*it\\*\\*" in words(page)
    assert "Leave a phone number or an e-mail." in words(page)
    page = page.button(key="submit:0:send").click().run()
    first, second = (call["headers"]["Idempotency-Key"] for call in api.asked("POST /public/tickets"))
    assert first == second
    page.text_input(key="submit:0:title").input("Tap")
    page.button(key="submit:0:send").click().run()
    assert api.asked("POST /public/tickets")[2]["headers"]["Idempotency-Key"] != first


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


@pytest.mark.parametrize(
    ("role", "status", "allowed", "shown"),
    [
        ("admin", "new", ["assigned", "canceled"], ["Assign", "Cancel"]),
        ("worker", "assigned", ["in_progress"], ["Take"]),
        ("admin", "assigned", ["in_progress", "new", "assigned"], ["Start", "Assign to another", "Unassign"]),
        ("worker", "in_progress", ["on_hold", "done"], ["Done", "Hold"]),
        ("worker", "on_hold", ["in_progress"], ["Resume"]),
        ("manager", "done", ["closed", "in_progress"], ["Close", "Reopen"]),
        ("client", "done", ["in_progress"], ["Reopen"]),
        ("client", "closed", [], []),
        ("admin", "new", ["some_later_status"], []),
    ],
)
def test_buttons_are_what_the_api_allows(
    full: FakeApi, screen: Screens, *, role: str, status: str, allowed: list[str], shown: list[str]
) -> None:
    own = {"id": 1, "username": "worker", "name": "Oleg"}
    full.on("GET /tickets/7", a_ticket(status=status, allowed_statuses=allowed, worker=own))

    found = labels(screen(role).open("ticket", id="7"))

    assert [label for label in found if label in MOVES] == shown


MOVES = (
    "Assign",
    "Assign to another",
    "Unassign",
    "Take",
    "Start",
    "Hold",
    "Resume",
    "Done",
    "Close",
    "Reopen",
    "Cancel",
)


def test_a_move_that_somebody_else_made_first_is_said_in_passing(full: FakeApi, screen: Screens) -> None:
    full.on("GET /tickets/7", a_ticket(status="assigned", allowed_statuses=["in_progress"]))
    full.refuse("POST /tickets/7/take", 409, "invalid_transition")
    page = screen("worker").open("ticket", id="7")

    page = page.button(key="ticket-take-7").click().run()

    assert "Somebody was faster" in page.toast[0].value


def test_my_work_puts_what_is_late_first(full: FakeApi, screen: Screens) -> None:
    late = a_ticket(id=1, title="late", status="assigned", due_at="2020-01-01T10:00:00Z")
    running = a_ticket(id=2, title="running", status="in_progress")
    later = a_ticket(id=3, title="later", status="assigned", scheduled_at="2099-01-01T10:00:00Z")
    full.on("GET /tickets", a_page(later, running, late))

    page = screen("worker").open("work")

    assert [one.value for one in page.subheader] == ["Late · 1", "Today · 1", "Later · 1"]
