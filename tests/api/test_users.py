"""Accounts: for admins; managers read workers."""

import asyncio
from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.revisions import Revision
from api.settings import Settings
from api.tickets.models import Ticket, TicketEvent
from api.tickets.states import Status
from tests.api.accounts import OTHER_PASSWORD, PASSWORD, bearer, login, make_account, tokens
from tests.api.live import caller, database_of, running
from tests.conftest import SignIn
from tests.factories import make_ticket, make_user

NEW = {"username": "Boris", "password": PASSWORD, "role": "worker"}


@pytest.fixture
async def admin(session: AsyncSession, sign_in: SignIn) -> User:
    """The admin who is signed in."""
    user = await make_user(session, Role.ADMIN, username="root", name="Root")
    await sign_in(user)
    return user


async def _listed(client: AsyncClient, **query: Any) -> list[str]:
    answer = await client.get("/users", params=query)
    assert answer.status_code == 200, answer.text
    return [user["username"] for user in answer.json()["items"]]


# Lists


async def test_an_admin_lists_everybody_page_by_page(
    admin: User, client: AsyncClient, session: AsyncSession
) -> None:
    for n in range(4):
        await make_user(session, username=f"w{n}")
    await session.commit()

    first = (await client.get("/users", params={"size": 2})).json()
    second = (await client.get("/users", params={"size": 2, "page": 2})).json()
    by_cursor = (await client.get("/users", params={"size": 2, "cursor": first["next_cursor"]})).json()

    assert [user["username"] for user in first["items"]] == [admin.username, "w0"]
    assert [user["username"] for user in second["items"]] == ["w1", "w2"]
    assert by_cursor["items"] == second["items"]
    assert (first["total"], first["total_is_exact"], first["pages"]) == (5, True, 3)
    assert "password" not in str(first)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"role": "worker"}, ["anna", "boris"]),
        ({"role": ["worker", "client"]}, ["anna", "boris", "vera"]),
        ({"role": "manager"}, []),
        ({"is_active": "false"}, ["boris"]),
        ({"is_active": "true", "role": ["worker", "client"]}, ["anna", "vera"]),
        ({"search": "anna"}, ["anna"]),
        ({"search": "Кузнец"}, ["boris"]),
        ({"search": "vera@mail"}, ["vera"]),
        ({"search": "plumbing"}, ["anna"]),
        ({"search": "north boris"}, ["boris"]),
        ({"search": "nobody at all"}, []),
        ({"search": "%"}, []),
        ({"search": "", "role": "client"}, ["vera"]),
        ({"sort": "-username"}, ["vera", "root", "boris", "anna"]),
        ({"sort": "username", "role": ["worker", "admin"]}, ["anna", "boris", "root"]),
        ({"sort": "name", "role": ["worker", "client"]}, ["anna", "vera", "boris"]),
        ({"sort": "-id"}, ["vera", "boris", "anna", "root"]),
        ({"sort": "-created_at", "role": "worker"}, ["boris", "anna"]),
    ],
)
@pytest.mark.usefixtures("admin")
async def test_accounts_are_filtered_searched_and_sorted(
    query: dict[str, Any], found: list[str], client: AsyncClient, session: AsyncSession
) -> None:
    await make_user(session, username="anna", name="Anna", department="Plumbing")
    await make_user(session, username="boris", name="Борис Кузнецов", department="North", is_active=False)
    await make_user(session, Role.CLIENT, username="vera", name="Vera", email="vera@mail.example")
    await session.commit()

    assert await _listed(client, **query) == found


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "password_hash"},
        {"sort": "email"},
        {"role": "owner"},
        {"is_active": "perhaps"},
        {"size": 101},
        {"page": 0},
        {"cursor": "x"},
        {"department": "North"},
    ],
)
@pytest.mark.usefixtures("admin")
async def test_an_unknown_filter_is_refused(query: dict[str, Any], client: AsyncClient) -> None:

    answer = await client.get("/users", params=query)

    assert answer.status_code == 422


@pytest.mark.usefixtures("admin")
async def test_a_list_of_users_costs_two_statements(
    client: AsyncClient, session: AsyncSession, statements: list[str]
) -> None:
    for _ in range(12):
        await make_user(session)
    await session.commit()
    statements.clear()

    await client.get("/users")

    assert len(statements) == 2, statements  # the caller, the list


@pytest.mark.usefixtures("admin")
async def test_a_workers_row_counts_open_tickets(client: AsyncClient, session: AsyncSession) -> None:
    worker = await make_user(session)
    for status in Status:
        await make_ticket(session, status=status, worker=worker)
    await session.commit()

    shown = (await client.get(f"/users/{worker.id}")).json()
    (listed,) = (await client.get("/users", params={"role": "worker"})).json()["items"]

    assert shown["open_tickets"] == 4  # new, assigned, in progress, on hold
    assert listed == shown


# What managers see


async def test_a_manager_sees_workers_only(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    others = [await make_user(session, role) for role in (Role.ADMIN, Role.MANAGER, Role.CLIENT)]
    worker = await make_user(session, username="anna")
    manager = await make_user(session, Role.MANAGER)
    await sign_in(manager)

    assert await _listed(client) == ["anna"]
    assert await _listed(client, role="admin") == []
    assert (await client.get(f"/users/{worker.id}")).status_code == 200
    for hidden in (*others, manager):
        assert (await client.get(f"/users/{hidden.id}")).status_code == 404


# Create


@pytest.mark.usefixtures("admin")
async def test_an_admin_makes_an_account_of_any_role(client: AsyncClient) -> None:
    details = {
        "email": "boris@mail.example",
        "name": "Boris",
        "phone": "8 (912) 345-67-89",
        "department": "North",
    }

    for role in Role:
        username = f"new-{role}"
        body = NEW | details | {"username": username, "role": role, "email": f"{role}@mail.example"}
        made = await client.post("/users", json=body)

        assert made.status_code == 201, made.text
        told = made.json()
        assert told | body | {"password": None} == told | {"password": None}
        assert (told["open_tickets"], told["is_active"]) == (0, True)
        assert made.headers["ETag"] == '"1"'
        assert (await client.get(f"/users/{told['id']}")).json() == told
        assert (await login(client, username)).status_code == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"username": "ROOT"}, "username_taken"),
        ({"email": "ANNA@mail.example"}, "email_taken"),
    ],
)
@pytest.mark.usefixtures("admin")
async def test_two_accounts_share_no_name_and_no_email(
    change: dict[str, str], code: str, client: AsyncClient, session: AsyncSession
) -> None:
    anna = await make_user(session, username="anna", email="Anna@mail.example")
    other = await make_user(session, username="other")
    await session.commit()

    made = await client.post("/users", json=NEW | change)
    changed = await client.patch(f"/users/{other.id}", json=change)

    assert (made.status_code, made.json()["code"]) == (409, code)
    assert (changed.status_code, changed.json()["code"]) == (409, code)
    assert (await client.get("/users", params={"search": "boris"})).json()["total"] == 0
    kept = await client.patch(f"/users/{anna.id}", json={"email": "anna@MAIL.example"})
    assert kept.status_code == 200  # one's own is not taken


@pytest.mark.parametrize(
    "change",
    [
        {"role": "owner"},
        {"role": None},
        {"password": "short"},
        {"username": "a b"},
        {"email": "x"},
        {"phone": "12"},
        {"name": ""},
        {"name": "a" * 201},
        {"department": "a\x00b"},
        {"is_active": False},
        {"id": 5},
    ],
)
async def test_an_unfit_account_is_refused(
    change: dict[str, Any], admin: User, client: AsyncClient, session: AsyncSession
) -> None:
    made = await client.post("/users", json=NEW | change)

    assert made.status_code == 422
    assert (await session.scalars(select(User.username))).all() == [admin.username]


# Change


async def test_an_admin_changes_what_is_named_and_nothing_else(
    admin: User, client: AsyncClient, session: AsyncSession
) -> None:
    user = await make_user(session, username="anna", email="anna@mail.example", department="North")
    await session.commit()

    changed = await client.patch(f"/users/{user.id}", json={"username": "Hanna", "email": None, "name": "H."})

    assert changed.status_code == 200, changed.text
    told = changed.json()
    assert (told["username"], told["email"], told["name"]) == ("Hanna", None, "H.")
    assert (told["department"], told["role"], told["is_active"]) == ("North", "worker", True)
    assert changed.headers["ETag"] == '"2"'
    revision = (await session.scalars(select(Revision))).one()
    assert revision.actor_id == admin.id
    assert revision.changes == {
        "username": ["anna", "Hanna"],
        "email": ["anna@mail.example", None],
        "name": [user.name, "H."],
    }
    free = await client.post("/users", json=NEW | {"username": "anna", "email": "anna@mail.example"})
    assert free.status_code == 201


@pytest.mark.usefixtures("admin")
async def test_an_admin_sets_a_password(client: AsyncClient, session: AsyncSession) -> None:
    user = await make_account(session)

    await client.patch(f"/users/{user.id}", json={"password": OTHER_PASSWORD})

    assert (await login(client, user.username, PASSWORD)).status_code == 401
    assert (await login(client, user.username, OTHER_PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"username": None},
        {"role": None},
        {"password": None},
        {"password": ""},
        {"is_active": None},
        {"language": "en"},
        {"open_tickets": 0},
        {"phone": "1"},
    ],
)
@pytest.mark.usefixtures("admin")
async def test_an_unfit_change_changes_nothing(
    body: dict[str, Any], client: AsyncClient, session: AsyncSession
) -> None:
    user = await make_user(session)
    await session.commit()

    answer = await client.patch(f"/users/{user.id}", json={"name": "New"} | body)

    assert answer.status_code == 422
    assert (await client.get(f"/users/{user.id}")).headers["ETag"] == '"1"'


@pytest.mark.usefixtures("admin")
async def test_a_change_that_changes_nothing_keeps_the_version(
    client: AsyncClient, session: AsyncSession
) -> None:
    user = await make_user(session, name="Anna")
    await session.commit()

    answer = await client.patch(f"/users/{user.id}", json={"name": "Anna", "role": "worker"})

    assert answer.headers["ETag"] == '"1"'
    assert (await session.scalars(select(Revision))).all() == []


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_change_from_an_old_version_is_refused_and_told(
    method: str, admin: User, client: AsyncClient, session: AsyncSession
) -> None:
    user = await make_user(session, name="Ann", department="North")
    await session.commit()
    for change in ({"name": "Anna"}, {"name": "Hanna", "department": "South"}, {"department": "North"}):
        await client.patch(f"/users/{user.id}", json=change)
    body = {"name": "Mine"} if method == "PATCH" else None

    stale = await client.request(method, f"/users/{user.id}", json=body, headers={"If-Match": '"1"'})

    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    (name,) = stale.json()["changed"]  # the department is what it was
    at = name.pop("at")
    assert name == {"field": "name", "was": "Ann", "now": "Hanna", "by": admin.username}
    assert at.endswith("Z")
    shown = await client.get(f"/users/{user.id}")
    assert (shown.json()["name"], shown.json()["is_active"]) == ("Hanna", True)


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ('"2"', 200),
        ("*", 200),
        ('"1", "2"', 200),
        ('"1"', 412),
        ('W/"2"', 412),
        ('"3"', 412),
        ("2", 412),
        ('""', 412),
        ("", 412),
        ('"' + "9" * 500 + '"', 412),
    ],
)
@pytest.mark.usefixtures("admin")
async def test_if_match_admits_the_current_version_only(
    if_match: str, status: int, client: AsyncClient, session: AsyncSession
) -> None:
    user = await make_user(session, name="Ann")
    await session.commit()
    await client.patch(f"/users/{user.id}", json={"name": "Anna"})

    answer = await client.patch(f"/users/{user.id}", json={"name": "Hanna"}, headers={"If-Match": if_match})

    assert answer.status_code == status


# Leaving


async def test_deleting_an_account_deactivates_it_and_keeps_history(
    admin: User, client: AsyncClient, session: AsyncSession
) -> None:
    worker = await make_user(session, username="anna")
    ticket = await make_ticket(session, status=Status.DONE, worker=worker)
    session.add(
        TicketEvent(ticket_id=ticket.id, actor_id=worker.id, event="completed", changes={}, version=1)
    )
    await session.commit()

    deleted = await client.delete(f"/users/{worker.id}")
    again = await client.delete(f"/users/{worker.id}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert again.status_code == 204
    shown = await client.get(f"/users/{worker.id}")
    assert (shown.json()["is_active"], shown.headers["ETag"]) == (False, '"2"')
    assert (await client.get(f"/tickets/{ticket.id}")).json()["worker"]["username"] == "anna"
    (event,) = (await client.get(f"/tickets/{ticket.id}/history")).json()["items"]
    assert event["actor"]["username"] == "anna"
    revision = (await session.scalars(select(Revision))).one()
    assert (revision.changes, revision.actor_id) == ({"is_active": [True, False]}, admin.id)


@pytest.mark.parametrize("status", [Status.ASSIGNED, Status.IN_PROGRESS, Status.ON_HOLD])
@pytest.mark.parametrize("way", ["delete", "deactivate", "demote"])
@pytest.mark.usefixtures("admin")
async def test_a_worker_with_open_tickets_stays(
    way: str, status: Status, client: AsyncClient, session: AsyncSession
) -> None:
    worker = await make_user(session)
    for n in range(2):
        await make_ticket(session, status=status, worker=worker, title=f"Ticket {n}")
    await session.commit()

    answer = await _leave(client, worker, way)

    assert (answer["status"], answer["code"], answer["count"]) == (409, "has_open_tickets", 2)
    shown = (await client.get(f"/users/{worker.id}")).json()
    assert (shown["is_active"], shown["role"]) == (True, "worker")


async def _leave(client: AsyncClient, user: User, way: str) -> dict[str, Any]:
    path = f"/users/{user.id}"
    if way == "delete":
        answer = await client.delete(path)
    else:
        body = {"is_active": False} if way == "deactivate" else {"role": "client"}
        answer = await client.patch(path, json=body)
    told: dict[str, Any] = answer.json() if answer.content else {}
    return told | {"status": answer.status_code}


@pytest.mark.parametrize("way", ["delete", "deactivate", "demote"])
@pytest.mark.usefixtures("admin")
async def test_a_worker_whose_tickets_are_finished_may_go(
    way: str, client: AsyncClient, session: AsyncSession
) -> None:
    worker = await make_user(session)
    for status in (Status.DONE, Status.CLOSED, Status.CANCELED):
        await make_ticket(session, status=status, worker=worker)
    await session.commit()

    answer = await _leave(client, worker, way)

    assert answer["status"] in (200, 204)


async def test_open_tickets_are_handed_over_with_history(
    admin: User, client: AsyncClient, session: AsyncSession
) -> None:
    worker, heir = await make_user(session, username="anna"), await make_user(session, username="boris")
    moved = [
        await make_ticket(session, status=status, worker=worker, viewed=True)
        for status in (Status.ASSIGNED, Status.IN_PROGRESS, Status.ON_HOLD)
    ]
    done = await make_ticket(session, status=Status.DONE, worker=worker)
    await session.commit()

    deleted = await client.delete(f"/users/{worker.id}", params={"reassign_to": heir.id})

    assert deleted.status_code == 204, deleted.text
    assert (await client.get(f"/users/{worker.id}")).json()["is_active"] is False
    assert (await client.get(f"/users/{heir.id}")).json()["open_tickets"] == 3
    for ticket in moved:
        shown = (await client.get(f"/tickets/{ticket.id}")).json()
        assert (shown["worker"]["id"], shown["status"], shown["viewed"]) == (heir.id, "assigned", False)
        (event,) = (await client.get(f"/tickets/{ticket.id}/history")).json()["items"]
        assert (event["event"], event["actor"]["id"]) == ("assigned", admin.id)
        assert event["changes"]["worker_id"] == [worker.id, heir.id]
        assert event["changes"]["worker"] == ["anna", "boris"]
    assert (await client.get(f"/tickets/{done.id}")).json()["worker"]["id"] == worker.id


@pytest.mark.usefixtures("admin")
async def test_whoever_has_no_tickets_goes_with_an_heir_too(
    client: AsyncClient, session: AsyncSession
) -> None:
    manager, heir = await make_user(session, Role.MANAGER), await make_user(session)
    await session.commit()

    deleted = await client.delete(f"/users/{manager.id}", params={"reassign_to": heir.id})

    assert deleted.status_code == 204
    assert (await client.get(f"/users/{heir.id}")).json()["open_tickets"] == 0


async def test_only_an_active_worker_inherits_tickets(
    admin: User, client: AsyncClient, session: AsyncSession
) -> None:
    worker = await make_user(session)
    gone = await make_user(session, is_active=False)
    client_account = await make_user(session, Role.CLIENT)
    ticket = await make_ticket(session, status=Status.ASSIGNED, worker=worker)
    await session.commit()

    for heir, code in [
        (gone.id, "not_a_worker"),
        (client_account.id, "not_a_worker"),
        (admin.id, "not_a_worker"),
        (10**9, "not_a_worker"),
        (worker.id, "validation_error"),
    ]:
        answer = await client.delete(f"/users/{worker.id}", params={"reassign_to": heir})

        assert (answer.status_code, answer.json()["code"]) == (422, code), heir
    assert await session.scalar(select(Ticket.worker_id).where(Ticket.id == ticket.id)) == worker.id
    assert (await client.get(f"/users/{worker.id}")).json()["is_active"] is True


@pytest.mark.parametrize("way", ["delete", "deactivate", "demote"])
async def test_the_last_active_admin_stays(
    way: str, admin: User, client: AsyncClient, session: AsyncSession
) -> None:
    await make_user(session, Role.ADMIN, is_active=False)
    await session.commit()

    answer = await _leave(client, admin, way)

    assert (answer["status"], answer["code"]) == (409, "last_admin")
    assert (await client.get("/auth/me")).json()["role"] == "admin"


@pytest.mark.parametrize("way", ["delete", "deactivate", "demote"])
async def test_nobody_removes_the_account_they_are_signed_in_with(
    way: str, admin: User, client: AsyncClient, session: AsyncSession
) -> None:
    other = await make_user(session, Role.ADMIN)
    await session.commit()

    own = await _leave(client, admin, way)
    others = await _leave(client, other, way)

    assert (own["status"], own["code"]) == (409, "own_account")
    assert others["status"] in (200, 204)


async def test_two_admins_who_remove_each_other_at_once_do_not_both_succeed(
    committed: str, settings: Settings
) -> None:
    async with running(settings, database_url=committed) as app, caller(app) as client:
        async with database_of(app).sessions() as session:
            pair = [await make_account(session, Role.ADMIN) for _ in range(2)]
        signed_in = [bearer((await tokens(client, admin))["access_token"]) for admin in pair]

        answers = await asyncio.gather(
            client.delete(f"/users/{pair[1].id}", headers=signed_in[0]),
            client.delete(f"/users/{pair[0].id}", headers=signed_in[1]),
        )

        async with database_of(app).reads() as session:
            left = (await session.scalars(select(User.id).where(User.is_active))).all()
        assert len(left) == 1
        assert min(answer.status_code for answer in answers) == 204
        assert {answer.status_code for answer in answers} <= {204, 401, 409}


@pytest.mark.parametrize(
    ("user_id", "status"),
    [("1000000000", 404), ("0", 422), ("-1", 422), (str(2**63), 422), ("abc", 422), ("%00", 422)],
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.usefixtures("admin")
async def test_an_id_that_is_nobodys_is_404_or_422(
    method: str, user_id: str, status: int, client: AsyncClient
) -> None:
    body = {"name": "New"} if method == "PATCH" else None

    answer = await client.request(method, f"/users/{user_id}", json=body)

    assert answer.status_code == status


@pytest.mark.usefixtures("admin")
async def test_search_finds_a_user_by_phone_and_by_nothing_secret(
    client: AsyncClient, session: AsyncSession
) -> None:
    await make_user(session, username="anna", phone="+79123456789", password_hash="secrethash")
    await session.commit()

    assert await _listed(client, search="secrethash") == []
    assert await _listed(client, search="79123456789") == ["anna"]
