"""Opening, changing and deleting tickets as a signed-in user."""

from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.clients.models import Client
from api.tickets.models import Ticket, TicketEvent
from api.tickets.states import Status
from tests.conftest import SignIn
from tests.evidence import history, problem, rows, stored
from tests.factories import make_client, make_ticket, make_user

REQUEST: dict[str, Any] = {"title": "Kettle", "description": "Does not boil"}
ANN = {"name": "Ann", "phone": "+7 912 345-67-89", "email": "ann@mail.example"}
CONTRACT_KEYS = """
id code title description address status priority viewed client worker created_by scheduled_at due_at
resolution hold_reason cancel_reason created_at updated_at assigned_at in_progress_at done_at closed_at
canceled_at requester_ip requester_ua allowed_statuses published_at unread_comments
"""


@pytest.fixture
async def manager(session: AsyncSession) -> User:
    return await make_user(session, Role.MANAGER)


@pytest.fixture
async def customer(session: AsyncSession) -> User:
    return await make_user(session, Role.CLIENT, name="Ann", email="ann@mail.example", phone="+79123456789")


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER])
async def test_staff_open_a_ticket_for_a_client_that_is_known(
    role: Role, client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    ann, user = await make_client(session), await make_user(session, role)
    await sign_in(user)
    more = {"priority": "urgent", "due_at": "2026-12-05T18:00:00Z", "address": "12 Lenin street"}

    response = await client.post("/tickets", json=REQUEST | more | {"client_id": ann.id})

    assert response.status_code == 201, response.text
    body = response.json()
    assert set(body) == set(CONTRACT_KEYS.split())
    assert body["client"] == {"id": ann.id, "name": ann.name, "phone": None, "email": ann.email}
    assert (body["status"], body["worker"], body["viewed"]) == ("new", None, False)
    assert {key: body[key] for key in more} == more
    assert body["created_by"] == user.id
    assert response.headers["etag"] == '"1"'
    assert (await client.get(f"/tickets/{body['id']}")).json() == body
    [line] = await history(session, body["id"])
    assert (line.event, line.actor_id) == ("created", user.id)


async def test_staff_open_a_ticket_for_somebody_new(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    await sign_in(manager)

    response = await client.post("/tickets", json=REQUEST | {"client": ANN})

    assert response.status_code == 201, response.text
    made = (await session.scalars(select(Client))).one()
    assert response.json()["client"] == {"id": made.id, **ANN}


async def test_staff_who_name_a_known_contact_get_the_known_client(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ann = await make_client(session, name="Ann Lee", email=None, phone="89123456789")
    await sign_in(manager)

    response = await client.post("/tickets", json=REQUEST | {"client": ANN})

    assert (response.json()["client"]["id"], response.json()["client"]["name"]) == (ann.id, "Ann Lee")


async def test_staff_say_whose_ticket_it_is(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ann = await make_client(session)
    await sign_in(manager)
    before = await rows(session)

    neither = await client.post("/tickets", json=REQUEST)
    both = await client.post("/tickets", json=REQUEST | {"client": ANN, "client_id": ann.id})
    unknown = await client.post("/tickets", json=REQUEST | {"client_id": 2**63 - 1})

    problem(neither, 422, "client_required")
    problem(both, 422, "validation_error")
    problem(unknown, 404, "not_found")
    assert await rows(session) == before


async def test_a_ticket_can_be_given_to_a_worker_at_once(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    worker = await make_user(session)
    await sign_in(manager)

    response = await client.post("/tickets", json=REQUEST | {"client": ANN, "worker_id": worker.id})

    body = response.json()
    assert (body["status"], body["worker"]["id"]) == ("assigned", worker.id)
    assert body["assigned_at"]
    assert response.headers["etag"] == '"2"'
    told = [(line.event, line.version) for line in await history(session, body["id"])]
    assert told == [("created", 1), ("assigned", 2)]


async def test_a_ticket_for_no_worker_is_not_opened_at_all(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    await sign_in(manager)
    before = await rows(session)

    response = await client.post("/tickets", json=REQUEST | {"client": ANN, "worker_id": manager.id})

    problem(response, 422, "not_a_worker")
    assert await rows(session) == before


async def test_workers_open_no_tickets(client: AsyncClient, session: AsyncSession, sign_in: SignIn) -> None:
    await sign_in(await make_user(session))

    problem(await client.post("/tickets", json=REQUEST | {"client": ANN}), 403, "forbidden")


async def test_a_customers_own_account_stands_in_for_the_client(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, customer: User
) -> None:
    await sign_in(customer)

    response = await client.post("/tickets", json=REQUEST)

    assert response.status_code == 201, response.text
    body = response.json()
    made = (await session.scalars(select(Client))).one()
    assert body["client"] == {
        "id": made.id,
        "name": "Ann",
        "phone": "+79123456789",
        "email": "ann@mail.example",
    }
    assert (body["created_by"], body["allowed_statuses"]) == (customer.id, ["canceled"])
    assert (made.user_id, made.phone_key, made.email_key) == (
        customer.id,
        "+79123456789",
        "ann@mail.example",
    )
    listed = (await client.get("/tickets")).json()
    assert [ticket["id"] for ticket in listed["items"]] == [body["id"]]


async def test_a_customer_sees_no_tickets_but_their_own(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, customer: User
) -> None:
    other = await make_user(session, Role.CLIENT)
    foreign = await make_ticket(session, account_id=other.id, created_by=other.id)
    same_contact = await make_ticket(session, client=await make_client(session, email="ann@mail.example"))
    await sign_in(customer)

    listed = await client.get("/tickets")

    assert (listed.json()["items"], listed.json()["total"]) == ([], 0)
    for ticket in (foreign, same_contact):
        problem(await client.get(f"/tickets/{ticket.id}"), 404, "not_found")
        problem(await client.get(f"/tickets/{ticket.id}/history"), 404, "not_found")
        problem(await client.patch(f"/tickets/{ticket.id}", json={"title": "Mine"}), 404, "not_found")


async def test_a_customer_is_not_told_what_the_shop_knows_of_their_email(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, customer: User
) -> None:
    known = await make_client(session, name="Ann Lee", email="ann@mail.example", phone="+79990000000")
    await sign_in(customer)

    response = await client.post("/tickets", json=REQUEST)

    assert response.json()["client"] == {
        "id": known.id,
        "name": "Ann",
        "phone": "+79123456789",
        "email": "ann@mail.example",
    }
    assert "Ann Lee" not in (await client.get("/tickets")).text
    assert "Ann Lee" not in (await client.get(f"/tickets/{response.json()['id']}/history")).text


async def test_an_account_without_contact_data_opens_tickets_too(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    nameless = await make_user(session, Role.CLIENT, name=None)
    await sign_in(nameless)

    first = await client.post("/tickets", json=REQUEST)
    second = await client.post("/tickets", json=REQUEST | {"title": "Toaster"})

    assert (first.status_code, second.status_code) == (201, 201), second.text
    assert first.json()["client"]["id"] == second.json()["client"]["id"]
    assert first.json()["client"]["name"] == nameless.username
    made = (await session.scalars(select(Client))).one()
    assert (made.name, made.email, made.phone, made.user_id) == (nameless.username, None, None, nameless.id)


@pytest.mark.parametrize(
    "values",
    [
        {"client_id": 1},
        {"client": ANN},
        {"worker_id": 1},
        {"due_at": "2026-12-05T18:00:00Z"},
        {"priority": "urgent"},
    ],
)
async def test_customers_do_not_set_what_is_for_staff(
    values: dict[str, Any], client: AsyncClient, session: AsyncSession, sign_in: SignIn, customer: User
) -> None:
    await sign_in(customer)
    before = await rows(session)

    response = await client.post("/tickets", json=REQUEST | values)

    problem(response, 403, "forbidden")
    assert await rows(session) == before


async def test_the_same_request_again_is_a_duplicate_until_the_first_has_ended(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ann = await make_client(session, email="ann@mail.example")
    await sign_in(manager)
    first = await client.post("/tickets", json=REQUEST | {"client_id": ann.id})

    again = await client.post(
        "/tickets", json={"title": " kettle", "description": "DOES not  boil", "client_id": ann.id}
    )
    by_contact = await client.post("/tickets", json=REQUEST | {"client": ANN})
    from_the_public = await client.post("/public/tickets", json=REQUEST | {"client": ANN})

    for refused in (again, by_contact, from_the_public):
        problem(refused, 409, "duplicate_ticket")
    await client.post(f"/tickets/{first.json()['id']}/cancel", json={"reason": "Why"})
    welcome = await client.post("/tickets", json=REQUEST | {"client_id": ann.id})
    assert welcome.status_code == 201, welcome.text


async def test_clients_who_can_only_be_reached_by_account_have_duplicates_of_their_own(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    accounts = [await make_user(session, Role.CLIENT) for _ in range(2)]
    clients = [
        Client(name="Ann", user_id=account.id, phone=None, email=None, version=1) for account in accounts
    ]
    session.add_all(clients)
    await sign_in(manager)

    answers = [
        await client.post("/tickets", json=REQUEST | {"client_id": known.id})
        for known in [*clients, clients[0]]
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 409]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER])
@pytest.mark.parametrize(
    ("field", "was", "now"),
    [
        ("title", "Kettle", "Toaster"),
        ("description", "Does not boil", "Burns"),
        ("description", "Does not boil", None),
        ("address", "12 Lenin street", None),
        ("priority", "normal", "urgent"),
        ("scheduled_at", None, "2026-12-01T07:00:00Z"),
        ("due_at", None, "2026-12-05T18:00:00Z"),
    ],
)
async def test_staff_change_a_field_and_the_history_tells(
    client: AsyncClient,
    session: AsyncSession,
    sign_in: SignIn,
    *,
    role: Role,
    field: str,
    was: str | None,
    now: str | None,
) -> None:
    ticket = await make_ticket(
        session, title="Kettle", description="Does not boil", address="12 Lenin street", status=Status.DONE
    )
    staff = await make_user(session, role)
    await sign_in(staff)
    before = (await client.get(f"/tickets/{ticket.id}")).json()

    response = await client.patch(f"/tickets/{ticket.id}", json={field: now})

    assert response.status_code == 200, response.text
    after = response.json()
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {field, "updated_at"}
    assert after[field] == now
    assert response.headers["etag"] == '"2"'
    [line] = await history(session, ticket.id)
    assert (line.event, line.actor_id, line.changes) == ("edited", staff.id, {field: [was, now]})


@pytest.mark.parametrize("values", [{}, {"title": "Kettle", "description": "Does not boil", "due_at": None}])
async def test_a_change_that_changes_nothing_writes_nothing(
    values: dict[str, Any], client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ticket = await make_ticket(session, title="Kettle", description="Does not boil")
    await sign_in(manager)

    response = await client.patch(f"/tickets/{ticket.id}", json=values)

    assert (response.status_code, response.headers["etag"]) == (200, '"1"')
    assert await history(session, ticket.id) == []
    assert (await stored(session, ticket.id)).updated_at == ticket.updated_at


@pytest.mark.parametrize(
    "values",
    [
        {"title": None},
        {"title": " "},
        {"priority": None},
        {"status": None},
        {"id": 5},
        {"code": "0A1B-2C3D-4E5F-6G70"},
        {"viewed": True},
        {"created_by": 1},
        {"client_id": 1},
        {"resolution": "Done by itself"},
        {"reason": "Because"},
        {"due_at": "2026-12-05T18:00:00"},
    ],
)
async def test_what_cannot_be_changed_so_is_refused(
    values: dict[str, Any], client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ticket = await make_ticket(session)
    await sign_in(manager)

    response = await client.patch(f"/tickets/{ticket.id}", json=values | {"address": "Changed too"})

    problem(response, 422, "validation_error")
    now = await stored(session, ticket.id)
    assert (now.version, now.address) == (1, None)
    assert await history(session, ticket.id) == []


async def test_worker_and_status_change_by_the_same_rules(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ticket, worker = await make_ticket(session), await make_user(session)
    await sign_in(manager)
    path = f"/tickets/{ticket.id}"

    assigned = await client.patch(path, json={"worker_id": worker.id, "priority": "high"})
    started = await client.patch(path, json={"status": "in_progress"})
    nameless = await client.patch(path, json={"status": "assigned"})
    silent = await client.patch(path, json={"status": "on_hold"})
    done = await client.patch(path, json={"status": "done", "resolution": "New heater"})
    wrong = await client.patch(path, json={"status": "canceled", "reason": "Why"})
    late = await client.patch(path, json={"worker_id": None})

    assert (assigned.json()["status"], assigned.json()["worker"]["id"]) == ("assigned", worker.id)
    assert started.json()["in_progress_at"]
    problem(nameless, 422, "worker_required")
    problem(silent, 422, "reason_required")
    assert (done.json()["status"], done.json()["resolution"]) == ("done", "New heater")
    assert problem(wrong, 409, "invalid_transition")["allowed"] == ["closed", "in_progress"]
    problem(late, 409, "invalid_transition")
    told = [line.event for line in await history(session, ticket.id)]
    assert told == ["edited", "assigned", "started", "completed"]


async def test_one_change_may_assign_and_start(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ticket, worker = await make_ticket(session), await make_user(session)
    await sign_in(manager)

    response = await client.patch(
        f"/tickets/{ticket.id}", json={"worker_id": worker.id, "status": "in_progress"}
    )

    assert (response.json()["status"], response.headers["etag"]) == ("in_progress", '"3"')


async def test_null_takes_the_ticket_from_its_worker(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ticket = await make_ticket(session, status=Status.IN_PROGRESS)
    await sign_in(manager)

    for body in ({"worker_id": None}, {"worker_id": None}):  # the second finds nothing to do
        response = await client.patch(f"/tickets/{ticket.id}", json=body)
        assert (response.json()["status"], response.json()["worker"]) == ("new", None)

    assert [line.event for line in await history(session, ticket.id)] == ["unassigned"]


async def test_a_change_that_fails_half_way_changes_nothing(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ticket, worker = await make_ticket(session, title="Kettle"), await make_user(session)
    await sign_in(manager)

    response = await client.patch(
        f"/tickets/{ticket.id}", json={"title": "Toaster", "worker_id": worker.id, "status": "closed"}
    )

    problem(response, 409, "invalid_transition")
    now = await stored(session, ticket.id)
    assert (now.title, now.status, now.worker_id, now.version) == ("Kettle", Status.NEW, None, 1)
    assert await history(session, ticket.id) == []


async def test_customers_change_their_own_ticket_while_it_is_new(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, customer: User
) -> None:
    ticket = await make_ticket(session, created_by=customer.id, account_id=customer.id)
    await sign_in(customer)
    path = f"/tickets/{ticket.id}"
    mine = {
        "title": "Toaster",
        "description": "Burns",
        "address": "12 Lenin street",
        "scheduled_at": "2026-12-01T07:00:00Z",
        "priority": "high",
    }

    changed = await client.patch(path, json=mine)

    assert changed.status_code == 200, changed.text
    assert {key: changed.json()[key] for key in mine} == mine
    for staffs in (
        {"due_at": None},
        {"worker_id": None},
        {"resolution": "Done"},
        {"priority": "urgent"},
        {"status": "closed"},
    ):
        problem(await client.patch(path, json=staffs), 403, "forbidden")
    canceled = await client.patch(path, json={"status": "canceled", "reason": "Works again"})
    assert canceled.json()["status"] == "canceled"


@pytest.mark.parametrize("was", sorted(set(Status) - {Status.NEW}))
async def test_customers_change_nothing_once_it_is_no_longer_new(
    was: Status, client: AsyncClient, session: AsyncSession, sign_in: SignIn, customer: User
) -> None:
    ticket = await make_ticket(session, status=was, created_by=customer.id, account_id=customer.id)
    await sign_in(customer)

    response = await client.patch(f"/tickets/{ticket.id}", json={"title": "Toaster"})

    problem(response, 403, "forbidden")
    assert (await stored(session, ticket.id)).title != "Toaster"


async def test_who_did_not_make_the_ticket_does_not_change_it(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, customer: User, manager: User
) -> None:
    ticket = await make_ticket(session, created_by=manager.id, account_id=customer.id)
    await sign_in(customer)

    problem(await client.patch(f"/tickets/{ticket.id}", json={"title": "Toaster"}), 403, "forbidden")


async def test_workers_do_not_edit(client: AsyncClient, session: AsyncSession, sign_in: SignIn) -> None:
    worker = await make_user(session)
    ticket = await make_ticket(session, status=Status.IN_PROGRESS, worker=worker)
    await sign_in(worker)

    problem(await client.patch(f"/tickets/{ticket.id}", json={"title": "Toaster"}), 403, "forbidden")
    problem(await client.patch(f"/tickets/{ticket.id}", json={"status": "done"}), 403, "forbidden")


async def test_an_old_version_is_told_what_became_of_each_field(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ticket, worker = await make_ticket(session, title="Kettle", address="Here"), await make_user(session)
    await sign_in(manager)
    path = f"/tickets/{ticket.id}"
    await client.patch(path, json={"title": "Toaster", "address": "There"})
    admin = await make_user(session, Role.ADMIN)
    await sign_in(admin)
    await client.patch(path, json={"title": "Oven", "address": "Here"})
    await client.post(f"{path}/assign", json={"worker_id": worker.id})

    response = await client.patch(path, json={"priority": "low"}, headers={"If-Match": '"1"'})

    changed = {entry.pop("field"): entry for entry in problem(response, 412, "stale")["changed"]}
    assert set(changed) == {"title", "status", "worker_id", "worker"}  # the address is what it was
    at = changed["title"].pop("at")
    assert at.endswith("Z")
    assert changed["title"] == {"was": "Kettle", "now": "Oven", "by": admin.username}
    assert (changed["status"]["was"], changed["status"]["now"]) == ("new", "assigned")
    assert (changed["worker"]["was"], changed["worker"]["now"]) == (None, worker.username)
    assert (await stored(session, ticket.id)).priority == "normal"


@pytest.mark.parametrize(
    ("tags", "newest_seen"), [('"1", "2"', 2), ('"2","1"', 2), ('W/"3"', 0), ('"x"', 0), ('"99"', 0), ("", 0)]
)
async def test_tags_that_are_not_current_are_stale(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User, *, tags: str, newest_seen: int
) -> None:
    ticket = await make_ticket(session, title="Kettle")
    await sign_in(manager)
    for title in ("Toaster", "Oven"):
        await client.patch(f"/tickets/{ticket.id}", json={"title": title})

    response = await client.patch(
        f"/tickets/{ticket.id}", json={"priority": "low"}, headers={"If-Match": tags}
    )

    [entry] = problem(response, 412, "stale")["changed"]
    assert (entry["was"], entry["now"]) == ("Toaster" if newest_seen == 2 else "Kettle", "Oven")


@pytest.mark.parametrize("tags", ["*", '"1"', '"7", "1"', None])
async def test_the_current_version_may_be_changed(
    tags: str | None, client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ticket = await make_ticket(session)
    await sign_in(manager)

    response = await client.patch(
        f"/tickets/{ticket.id}", json={"priority": "low"}, headers={"If-Match": tags} if tags else {}
    )

    assert (response.status_code, response.headers["etag"]) == (200, '"2"')


async def test_an_admin_deletes_a_ticket_with_its_history(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    ticket, other = await make_ticket(session), await make_ticket(session)
    await sign_in(await make_user(session, Role.ADMIN))
    for kept_or_not in (ticket, other):
        await client.patch(f"/tickets/{kept_or_not.id}", json={"priority": "low"})

    stale = await client.delete(f"/tickets/{ticket.id}", headers={"If-Match": '"1"'})
    deleted = await client.delete(f"/tickets/{ticket.id}", headers={"If-Match": '"2"'})

    assert problem(stale, 412, "stale")["changed"][0]["field"] == "priority"
    assert (deleted.status_code, deleted.content) == (204, b"")
    problem(await client.get(f"/tickets/{ticket.id}"), 404, "not_found")
    problem(await client.delete(f"/tickets/{ticket.id}"), 404, "not_found")
    assert list(await session.scalars(select(Ticket.id))) == [other.id]
    assert list(await session.scalars(select(TicketEvent.ticket_id))) == [other.id]


@pytest.mark.parametrize("role", [Role.MANAGER, Role.WORKER, Role.CLIENT])
async def test_nobody_else_deletes_tickets(
    role: Role, client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    user = await make_user(session, role)
    ticket = await make_ticket(session, account_id=user.id, created_by=user.id, worker=user)
    await sign_in(user)

    problem(await client.delete(f"/tickets/{ticket.id}"), 403, "forbidden")
    assert (await stored(session, ticket.id)).version == 1
