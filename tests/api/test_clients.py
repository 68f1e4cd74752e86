"""Clients: who brings the repairs; for admins and managers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy import false, null, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.clients import matching
from api.clients.models import Client
from api.clients.schemas import ClientCreate
from api.core.revisions import Revision
from api.settings import Settings
from api.tickets import intake
from api.tickets.models import Ticket
from api.tickets.states import Status
from tests.api.accounts import bearer, make_account, tokens
from tests.api.live import caller, database_of, running
from tests.conftest import SignIn
from tests.factories import make_client, make_ticket, make_user

NEW = {
    "name": "Иван Петров",
    "phone": "8 (912) 345-67-89",
    "email": "Ivan@Mail.example",
    "comment": "Rings twice",
}
SAME_PHONE = [
    "+7 912 345-67-89",
    "+79123456789",
    "8 912 345 67 89",
    "89123456789",
    "(912) 345-67-89",
    "9123456789",
    "+7.912.345.67.89",
    "+7/912/3456789",
]


@pytest.fixture
async def manager(session: AsyncSession, sign_in: SignIn) -> User:
    """The manager who is signed in."""
    user = await make_user(session, Role.MANAGER, username="maria")
    await sign_in(user)
    return user


async def _found(client: AsyncClient, **query: Any) -> list[str]:
    answer = await client.get("/clients", params=query)
    assert answer.status_code == 200, answer.text
    return [found["name"] for found in answer.json()["items"]]


# Create


@pytest.mark.usefixtures("manager")
async def test_a_client_is_kept_as_given(client: AsyncClient) -> None:
    made = await client.post("/clients", json=NEW)

    assert made.status_code == 201, made.text
    told = made.json()
    assert told.pop("created_at").endswith("Z")
    assert told.pop("id") > 0
    assert told == NEW | {
        "email": "Ivan@mail.example",  # the part after the @ has no case
        "open_tickets": 0,
        "tickets_total": 0,
        "last_ticket_at": None,
    }
    assert made.headers["ETag"] == '"1"'
    shown = await client.get(f"/clients/{made.json()['id']}")
    assert (shown.json(), shown.headers["ETag"]) == (made.json(), '"1"')


@pytest.mark.parametrize("contact", [{"phone": "+79123456789"}, {"email": "ivan@mail.example"}])
@pytest.mark.usefixtures("manager")
async def test_a_phone_or_an_email_is_enough(contact: dict[str, str], client: AsyncClient) -> None:
    made = await client.post("/clients", json={"name": "Ivan"} | contact)

    assert made.status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"phone": None, "email": None},
        {"name": ""},
        {"name": "   "},
        {"name": None},
        {"name": "a" * 201},
        {"name": "a\x00b"},
        {"phone": ""},
        {"phone": "12"},
        {"phone": "call me"},
        {"phone": "+7 912 345-67-89 ext 5"},
        {"phone": "+" + "9" * 40},
        {"email": "ivan"},
        {"email": "ivan@mail@example"},
        {"email": "ivan@mail.example\r\nBcc: all@mail.example"},
        {"comment": "a" * 2001},
        {"id": 5},
        {"user_id": 1},
        {"phone_key": "+79123456789"},
    ],
)
@pytest.mark.usefixtures("manager")
async def test_an_unfit_client_is_refused(
    change: dict[str, Any], client: AsyncClient, session: AsyncSession
) -> None:
    made = await client.post("/clients", json=NEW | change)

    assert made.status_code == 422
    assert made.json()["errors"][0]["loc"][0] == "body"
    assert (await session.scalars(select(Client))).all() == []


@pytest.mark.parametrize("phone", SAME_PHONE)
@pytest.mark.usefixtures("manager")
async def test_a_phone_is_known_in_any_writing(
    phone: str, client: AsyncClient, session: AsyncSession
) -> None:
    known = await make_client(session, phone="+79123456789")
    await session.commit()

    made = await client.post("/clients", json={"name": "Somebody", "phone": phone})

    assert (made.status_code, made.json()["code"], made.json()["id"]) == (409, "client_exists", known.id)


async def test_a_phone_without_a_country_is_read_in_the_configured_region(
    settings: Settings, committed: str
) -> None:
    async with running(settings, database_url=committed, phone_region="DE") as app, caller(app) as client:
        async with database_of(app).sessions() as session:
            admin = bearer((await tokens(client, await make_account(session, Role.ADMIN)))["access_token"])
        await client.post("/clients", json={"name": "Ann", "phone": "030 1234567"}, headers=admin)

        again = await client.post("/clients", json={"name": "Ann", "phone": "+49 30 1234567"}, headers=admin)

    assert again.status_code == 409


@pytest.mark.parametrize("email", ["ivan@mail.example", "IVAN@MAIL.EXAMPLE", " Ivan@Mail.Example "])
@pytest.mark.usefixtures("manager")
async def test_an_email_is_known_in_any_case(email: str, client: AsyncClient, session: AsyncSession) -> None:
    known = await make_client(session, email="Ivan@mail.example")
    await session.commit()

    made = await client.post("/clients", json={"name": "Somebody", "email": email})

    assert (made.status_code, made.json()["code"], made.json()["id"]) == (409, "client_exists", known.id)


@pytest.mark.usefixtures("manager")
async def test_one_who_has_the_email_is_told_before_one_who_has_the_phone(
    client: AsyncClient, session: AsyncSession
) -> None:
    await make_client(session, email=None, phone="+79123456789")
    by_email = await make_client(session, email="ivan@mail.example")
    await session.commit()

    made = await client.post("/clients", json=NEW)

    assert made.json()["id"] == by_email.id


async def test_of_many_first_contacts_at_once_one_makes_the_client(
    settings: Settings, committed: str
) -> None:
    async with running(settings, database_url=committed) as app, caller(app) as client:
        async with database_of(app).sessions() as session:
            admin = bearer((await tokens(client, await make_account(session, Role.ADMIN)))["access_token"])

        made = await asyncio.gather(*(client.post("/clients", json=NEW, headers=admin) for _ in range(8)))

        statuses = sorted(answer.status_code for answer in made)
        assert statuses == [201] + [409] * 7
        (created,) = [answer.json()["id"] for answer in made if answer.status_code == 201]
        assert {answer.json()["id"] for answer in made} == {created}


@pytest.mark.parametrize(
    ("path", "body"),
    [("/clients", {}), ("/tickets", {"title": "Kettle"}), ("/public/tickets", {"title": "Kettle"})],
)
@pytest.mark.usefixtures("manager")
async def test_a_contact_that_others_take_each_time_is_given_up(
    path: str, body: dict[str, Any], client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What comes back when another one was faster: nothing, and no reason why.
    nothing = [null().label(name) for name in ("id", "request_hash", "answer")]
    monkeypatch.setattr(intake, "OPEN", select(false().label("twice"), *nothing))
    monkeypatch.setattr(matching, "FIND_OR_MAKE", select(Client.id).where(false()))
    ann = {"name": "Ann", "email": "ann@mail.example"}

    answer = await client.post(path, json=body | {"client": ann} if body else ann)

    assert (answer.status_code, answer.json()["code"]) == (409, "client_exists")


@pytest.mark.parametrize("known", [{}, {"comment": "Ring"}, {"email": None, "phone": "+79123456789"}])
@pytest.mark.parametrize(
    "contact",
    [
        {"name": "Ann", "email": "ANN@mail.example"},
        {"name": "Bob", "phone": "8 912 345-67-89", "email": "ann@mail.example", "comment": "Ring"},
        {"name": "Ann", "phone": "+7 912 345-67-89", "email": "bob@mail.example", "comment": ""},
        {"name": "Ann\\%s:x", "phone": "8 912 345 67 89"},
    ],
)
async def test_the_database_tells_the_same_differences_as_the_rule(
    known: dict[str, Any], contact: dict[str, Any], session: AsyncSession
) -> None:
    ann = await make_client(
        session, **{"name": "Ann", "email": "ann@mail.example", "phone": "89123456789"} | known
    )
    given = matching.contact_of(ClientCreate(**contact), region="RU")

    row = (await session.execute(matching.FIND_OR_MAKE, matching.given(given))).one()

    assert (row.is_new, row.differs) == (
        row.id != ann.id,
        given.differences(ann) if row.id == ann.id else None,
    )


# Change


async def test_a_change_touches_what_is_named_and_nothing_else(
    manager: User, client: AsyncClient, session: AsyncSession
) -> None:
    made = (await client.post("/clients", json=NEW)).json()

    changed = await client.patch(
        f"/clients/{made['id']}", json={"phone": "+7 999 111-22-33", "comment": None}
    )

    assert changed.status_code == 200, changed.text
    assert changed.json() == made | {"phone": "+7 999 111-22-33", "comment": None}
    assert changed.headers["ETag"] == '"2"'
    revision = (await session.scalars(select(Revision))).one()
    assert revision.actor_id == manager.id
    assert revision.changes == {"phone": [NEW["phone"], "+7 999 111-22-33"], "comment": ["Rings twice", None]}
    freed = await client.post("/clients", json={"name": "Somebody", "phone": NEW["phone"]})
    assert freed.status_code == 201


@pytest.mark.parametrize("change", [{"phone": "8 912 345 67 89"}, {"email": "IVAN@mail.example"}])
@pytest.mark.usefixtures("manager")
async def test_a_contact_of_another_client_is_refused_with_its_id(
    change: dict[str, str], client: AsyncClient, session: AsyncSession
) -> None:
    known = await make_client(session, email="ivan@mail.example", phone="+79123456789")
    other = await make_client(session)
    await session.commit()

    answer = await client.patch(f"/clients/{other.id}", json=change)

    assert (answer.status_code, answer.json()["code"], answer.json()["id"]) == (
        409,
        "client_exists",
        known.id,
    )
    own = await client.patch(f"/clients/{known.id}", json=change)
    assert own.status_code == 200  # one's own is not another's


async def test_of_two_clients_that_get_one_phone_at_once_one_does(settings: Settings, committed: str) -> None:
    async with running(settings, database_url=committed) as app, caller(app) as client:
        async with database_of(app).sessions() as session:
            admin = bearer((await tokens(client, await make_account(session, Role.ADMIN)))["access_token"])
            ids = [(await make_client(session)).id for _ in range(4)]
            await session.commit()

        body = {"phone": "+79123456789"}
        answers = await asyncio.gather(
            *(client.patch(f"/clients/{client_id}", json=body, headers=admin) for client_id in ids)
        )

        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        assert {answer.json().get("code", "") for answer in answers} == {"", "client_exists"}


@pytest.mark.usefixtures("manager")
async def test_a_client_stays_reachable(client: AsyncClient, session: AsyncSession) -> None:
    known = await make_client(session, email="ivan@mail.example", phone="+79123456789")
    await session.commit()
    path = f"/clients/{known.id}"

    both = await client.patch(path, json={"phone": None, "email": None})
    one = await client.patch(path, json={"phone": None})
    other = await client.patch(path, json={"email": None})

    assert (both.status_code, one.status_code, other.status_code) == (422, 200, 422)
    assert (await client.get(path)).json()["email"] == "ivan@mail.example"


@pytest.mark.usefixtures("manager")
async def test_a_customer_with_an_account_is_reached_through_it(
    client: AsyncClient, session: AsyncSession
) -> None:
    account = await make_user(session, Role.CLIENT)
    known = await make_client(session, email="ivan@mail.example", user_id=account.id)
    await session.commit()

    answer = await client.patch(f"/clients/{known.id}", json={"email": None})

    assert (answer.status_code, answer.json()["email"]) == (200, None)


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": ""},
        {"phone": "x"},
        {"phone": "123"},
        {"email": "x"},
        {"id": 1},
        {"tickets_total": 0},
    ],
)
@pytest.mark.usefixtures("manager")
async def test_an_unfit_change_changes_nothing(
    change: dict[str, Any], client: AsyncClient, session: AsyncSession
) -> None:
    known = await make_client(session)
    await session.commit()

    answer = await client.patch(f"/clients/{known.id}", json={"comment": "New"} | change)

    assert answer.status_code == 422
    shown = await client.get(f"/clients/{known.id}")
    assert (shown.json()["comment"], shown.headers["ETag"]) == (None, '"1"')


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_change_from_an_old_version_is_refused_and_told(
    method: str, manager: User, client: AsyncClient, session: AsyncSession
) -> None:
    known = await make_client(session, name="Ivan")
    await session.commit()
    await client.patch(f"/clients/{known.id}", json={"name": "Ivan P."})
    body = {"name": "Mine"} if method == "PATCH" else None

    stale = await client.request(method, f"/clients/{known.id}", json=body, headers={"If-Match": '"1"'})

    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    (name,) = stale.json()["changed"]
    assert name.pop("at").endswith("Z")
    assert name == {"field": "name", "was": "Ivan", "now": "Ivan P.", "by": manager.username}
    assert (await client.get(f"/clients/{known.id}")).json()["name"] == "Ivan P."
    current = await client.request(method, f"/clients/{known.id}", json=body, headers={"If-Match": '"2"'})
    assert current.status_code in (200, 204)


# Delete


@pytest.mark.usefixtures("manager")
async def test_a_client_without_tickets_is_deleted(client: AsyncClient, session: AsyncSession) -> None:
    known = await make_client(session)
    await session.commit()

    deleted = await client.delete(f"/clients/{known.id}")

    assert deleted.status_code == 204
    assert (await client.get(f"/clients/{known.id}")).status_code == 404
    assert (await client.delete(f"/clients/{known.id}")).status_code == 404


@pytest.mark.parametrize("status", [Status.NEW, Status.CANCELED])
@pytest.mark.usefixtures("manager")
async def test_a_client_with_tickets_stays(
    status: Status, client: AsyncClient, session: AsyncSession
) -> None:
    ticket = await make_ticket(session, status=status)
    await session.commit()

    answer = await client.delete(f"/clients/{ticket.client_id}")

    assert (answer.status_code, answer.json()["code"]) == (409, "has_tickets")
    assert (await session.scalars(select(Ticket.id))).all() == [ticket.id]
    assert (await client.get(f"/clients/{ticket.client_id}")).status_code == 200


# Lists


@pytest.mark.usefixtures("manager")
async def test_a_clients_row_counts_its_tickets(client: AsyncClient, session: AsyncSession) -> None:
    known = await make_client(session, name="Ivan")
    newest = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for age, status in enumerate(Status):
        await make_ticket(session, status=status, client=known, created_at=newest - timedelta(days=age))
    await make_ticket(session)
    await session.commit()

    shown = (await client.get(f"/clients/{known.id}")).json()
    listed = (await client.get("/clients", params={"search": "Ivan"})).json()["items"]

    assert (shown["open_tickets"], shown["tickets_total"]) == (4, 7)
    assert shown["last_ticket_at"] == "2026-03-01T12:00:00Z"
    assert listed == [shown]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ivan", ["Ivan Petrov"]),
        ("IVAN pet", ["Ivan Petrov"]),
        ("petrov ivan", ["Ivan Petrov"]),
        ("ivan@mail.example", ["Ivan Petrov"]),
        ("ivan@mail", ["Ivan Petrov"]),
        *((writing, ["Ivan Petrov"]) for writing in SAME_PHONE),
        ("6789", ["Ivan Petrov"]),
        ("345-67-89", ["Ivan Petrov"]),
        ("912345", ["Ivan Petrov"]),
        ("twice", ["Ivan Petrov"]),
        ("анна", ["Анна Кузнецова"]),
        ("кузнецов", ["Анна Кузнецова"]),
        ("2233", ["Анна Кузнецова"]),
        ("ivan anna", []),
        ("100%", []),
        ("'; DROP TABLE clients", []),
        ("\\", []),
        ("+79120000000", []),
        ("", ["Анна Кузнецова", "Ivan Petrov"]),
        ("  ", ["Анна Кузнецова", "Ivan Petrov"]),
    ],
)
@pytest.mark.usefixtures("manager")
async def test_clients_are_found_by_name_email_and_phone_in_any_writing(
    search: str, found: list[str], client: AsyncClient, session: AsyncSession
) -> None:
    await make_client(
        session, name="Ivan Petrov", email="ivan@mail.example", phone="+79123456789", comment="Rings twice"
    )
    await make_client(session, name="Анна Кузнецова", email=None, phone="+7 999 111-22-33")
    await session.commit()

    assert await _found(client, search=search) == found


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("id", ["b", "a", "c"]),
        ("-id", ["c", "a", "b"]),
        ("name", ["a", "b", "c"]),
        ("-name", ["c", "b", "a"]),
        ("created_at", ["a", "c", "b"]),
        ("-created_at", ["b", "c", "a"]),
    ],
)
@pytest.mark.usefixtures("manager")
async def test_clients_are_sorted_and_walked_by_cursor(
    sort: str, found: list[str], client: AsyncClient, session: AsyncSession
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for name, day in (("b", 3), ("a", 1), ("c", 2)):
        await make_client(session, name=name, created_at=start + timedelta(days=day))
    await session.commit()

    whole = await _found(client, sort=sort)
    walked: list[str] = []
    query: dict[str, Any] = {"sort": sort, "size": 1}
    while True:
        page = (await client.get("/clients", params=query)).json()
        walked += [found["name"] for found in page["items"]]
        assert page["total"] == 3
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert whole == walked == found


@pytest.mark.parametrize("query", [{"sort": "phone"}, {"email": "x"}, {"size": 0}, {"search": "a\x00"}])
@pytest.mark.usefixtures("manager")
async def test_an_unknown_filter_is_refused(query: dict[str, Any], client: AsyncClient) -> None:
    assert (await client.get("/clients", params=query)).status_code == 422


@pytest.mark.usefixtures("manager")
async def test_a_list_of_clients_costs_two_statements(
    client: AsyncClient, session: AsyncSession, statements: list[str]
) -> None:
    for _ in range(12):
        await make_client(session)
    await session.commit()
    statements.clear()

    await client.get("/clients")

    assert len(statements) == 2, statements  # the caller, the list


@pytest.mark.parametrize(
    ("client_id", "status"), [("1000000000", 404), ("0", 422), (str(2**63), 422), ("abc", 422), ("%00", 422)]
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.usefixtures("manager")
async def test_an_id_that_is_nobodys_is_404_or_422(
    method: str, client_id: str, status: int, client: AsyncClient
) -> None:
    body = {"name": "New"} if method == "PATCH" else None

    answer = await client.request(method, f"/clients/{client_id}", json=body)

    assert answer.status_code == status


@pytest.mark.usefixtures("manager")
async def test_an_empty_comment_is_none_whichever_way_it_comes(client: AsyncClient) -> None:
    made = await client.post("/clients", json=NEW | {"comment": "  "})
    assert (made.status_code, made.json()["comment"]) == (201, None)
    path = f"/clients/{made.json()['id']}"

    set_ = await client.patch(path, json={"comment": "Rings twice"})
    emptied = await client.patch(path, json={"comment": ""})

    assert (set_.json()["comment"], emptied.json()["comment"]) == ("Rings twice", None)
