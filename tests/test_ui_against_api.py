"""The UI's client against the real API: what it sends is taken, what it reads is answered."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests
import uvicorn

from api.main import create_app
from api.settings import LOCAL_ADMIN_PASSWORD, Settings
from ui.client import ApiError, Client


@pytest.fixture
def base_url(committed: str, settings: Settings) -> Iterator[str]:
    """Address of a real server on an empty database, with the first accounts."""
    assert committed
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        end = time.monotonic() + 30
        while not server.started and thread.is_alive() and time.monotonic() < end:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """A connection pool of this test."""
    with requests.Session() as session:
        yield session


@pytest.fixture
def admin(base_url: str, http: requests.Session) -> Client:
    """The client of a signed-in admin."""
    tokens = Client(http, base_url).login("admin", LOCAL_ADMIN_PASSWORD)
    return Client(http, base_url, token=lambda: tokens.access)


CONTACT = {"name": "Ivan", "phone": "+79112000000"}


def test_a_ticket_goes_its_way_through_the_uis_calls(admin: Client) -> None:
    form = {"username": "oleg", "password": "password1", "role": "worker", "name": "Oleg"}
    worker = admin.create_user(form, "key-worker")
    made = admin.create_ticket({"title": "Tap leaks", "priority": "high", "client": CONTACT}, "key-1")
    assert admin.create_ticket({"title": "Tap leaks", "priority": "high", "client": CONTACT}, "key-1") == made

    ticket, etag = admin.ticket(made["id"])
    admin.update_ticket(ticket["id"], {"address": "Lenina 1"}, etag)
    with pytest.raises(ApiError) as stale:
        admin.update_ticket(ticket["id"], {"address": "Lenina 2"}, etag)
    assert stale.value.status == 412
    assert stale.value.problem["changed"][0]["field"] == "address"

    admin.move(ticket["id"], "assign", worker_id=worker["id"])
    admin.move(ticket["id"], "status", new_status="in_progress")
    admin.move(ticket["id"], "hold", reason="no key")
    admin.move(ticket["id"], "resume")
    admin.move(ticket["id"], "complete", resolution="fixed")
    admin.move(ticket["id"], "reopen", reason="drips again")
    admin.move(ticket["id"], "complete")
    assert admin.move(ticket["id"], "close")["status"] == "closed"
    with pytest.raises(ApiError) as refused:
        admin.move(ticket["id"], "cancel", reason="too late")
    assert refused.value.code == "invalid_transition"

    filters = {
        "search": "tap",
        "status": ["closed"],
        "priority": ["high"],
        "worker_id": worker["id"],
        "overdue": False,
    }
    assert admin.tickets(**filters, sort="-created_at", page=1, size=25)["total"] == 1
    events = [event["event"] for event in admin.history(ticket["id"], size=100)["items"]]
    assert events[0] == "created"
    assert "assigned" in events
    assert admin.stats(**{"from": "2020-01-01T00:00:00+00:00"})["by_status"]["closed"] == 1
    admin.delete_ticket(ticket["id"])
    with pytest.raises(ApiError):
        admin.ticket(ticket["id"])


def test_a_visitor_submits_tracks_and_calls_off(base_url: str, http: requests.Session) -> None:
    visitor = Client(http, base_url)
    with pytest.raises(ApiError) as wrong:
        visitor.submit({"title": "", "client": {"email": "no address"}}, "key-wrong")
    assert {"title", "client.name", "client.email"} <= set(wrong.value.fields)

    sent = visitor.submit({"title": "Door", "client": CONTACT}, "key-2")
    found = visitor.track(sent["code"])
    assert [step["status"] for step in found["milestones"]] == ["new"]
    assert "canceled" in found["allowed_statuses"]
    visitor.cancel_by_code(sent["code"], "fixed it myself")
    assert visitor.track(sent["code"])["status"] == "canceled"
    with pytest.raises(ApiError) as unknown:
        visitor.track("no/such?code")
    assert unknown.value.status in (404, 422)


def test_clients_users_and_the_own_account(admin: Client, base_url: str, http: requests.Session) -> None:
    made = admin.create_client({"name": "Anna", "email": "anna@example.org"}, "key-3")
    found, etag = admin.client(made["id"])
    assert admin.update_client(made["id"], {"comment": "dog"}, etag)["comment"] == "dog"
    assert admin.clients(search="anna", page=1, size=25)["total"] == 1
    admin.delete_client(found["id"])

    visitor = Client(http, base_url)
    visitor.register({"username": "nina", "password": "password1", "name": "Nina"})
    tokens = visitor.login("nina", "password1")
    nina = Client(http, base_url, token=lambda: tokens.access)
    assert nina.me()["role"] == "client"
    assert nina.update_me({"language": "en"})["language"] == "en"
    nina.change_password("password1", "password2")
    renewed = visitor.refresh(tokens.refresh)
    assert Client(http, base_url, token=lambda: renewed.access).me()["username"] == "nina"

    user, etag = admin.user(nina_id := admin.users(search="nina")["items"][0]["id"])
    admin.update_user(nina_id, {"department": "none"}, etag)
    admin.deactivate_user(user["id"])
    assert admin.users(is_active=False, role="client", sort="username")["items"][0]["id"] == nina_id
    admin.logout(everywhere=True)
    with pytest.raises(ApiError) as ended:
        admin.me()
    assert ended.value.status == 401
