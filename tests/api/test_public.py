"""The public form and the tracking page."""

from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role
from api.clients.models import Client
from api.core.security import CODE_ALPHABET
from api.tickets.models import Ticket
from api.tickets.states import Status
from tests.conftest import SignIn
from tests.evidence import history, problem, rows, stored
from tests.factories import make_client, make_ticket, make_user

ANN = {"name": "Ann", "phone": "+7 912 345-67-89", "email": "ann@mail.example"}
REQUEST: dict[str, Any] = {"title": "Kettle", "description": "Does not boil", "client": ANN}


async def submit(api: AsyncClient, /, **values: Any) -> dict[str, Any]:
    response = await api.post("/public/tickets", json=REQUEST | values)
    assert response.status_code == 201, response.text
    receipt: dict[str, Any] = response.json()
    return receipt


async def client_of(session: AsyncSession, receipt: dict[str, Any]) -> Client:
    return await session.get_one(
        Client, (await stored(session, receipt["id"])).client_id, populate_existing=True
    )


@pytest.mark.parametrize("path", ["/public/tickets", "/tickets/public"])
async def test_a_visitor_submits_and_follows_by_code(path: str, client: AsyncClient) -> None:
    receipt = await client.post(path, json=REQUEST)

    assert receipt.status_code == 201, receipt.text
    assert set(receipt.json()) == {"id", "code", "status", "created_at"}
    assert receipt.json()["created_at"].endswith("Z")
    followed = await client.get(f"/public/tickets/{receipt.json()['code']}")
    assert followed.json()["status"] == receipt.json()["status"] == "new"


async def test_everything_that_was_said_is_kept(client: AsyncClient, session: AsyncSession) -> None:
    receipt = await submit(
        client,
        title="  Kettle \n",
        address="12 Lenin street",
        priority="high",
        scheduled_at="2026-12-01T10:00:00+03:00",
        client=ANN | {"comment": "Ring twice"},
    )

    ticket, known = await stored(session, receipt["id"]), await client_of(session, receipt)
    assert (ticket.title, ticket.description, ticket.address) == (
        "Kettle",
        "Does not boil",
        "12 Lenin street",
    )
    assert (ticket.priority, ticket.created_by, ticket.account_id) == ("high", None, None)
    assert ticket.scheduled_at
    assert ticket.scheduled_at.isoformat() == "2026-12-01T07:00:00+00:00"
    assert (known.name, known.phone, known.phone_key) == ("Ann", "+7 912 345-67-89", "+79123456789")
    assert (known.email, known.comment) == ("ann@mail.example", "Ring twice")
    [line] = await history(session, receipt["id"])
    assert (line.event, line.actor_id, line.changes) == ("created", None, {"status": [None, "new"]})


@pytest.mark.parametrize(
    ("known", "given"),
    [
        ({"email": "Ann@Mail.example"}, {"name": "Ann", "email": "ANN@mail.EXAMPLE"}),
        ({"email": None, "phone": "8 (912) 345-67-89"}, {"name": "Ann", "phone": "+7 912 345 67 89"}),
        ({"email": None, "phone": "+79123456789"}, {"name": "Ann", "phone": "912 345-67-89"}),
        ({"email": "ann@mail.example", "phone": "+79123456789"}, {"name": "Ann", "phone": "89123456789"}),
    ],
)
async def test_the_client_is_found_by_email_or_phone_in_any_writing(
    known: dict[str, Any], given: dict[str, Any], client: AsyncClient, session: AsyncSession
) -> None:
    ann = await make_client(session, **known)
    await session.commit()

    receipt = await submit(client, client=given)

    assert (await client_of(session, receipt)).id == ann.id


async def test_email_goes_before_phone(client: AsyncClient, session: AsyncSession) -> None:
    await make_client(session, email=None, phone="+79123456789")
    by_email = await make_client(session, email="ann@mail.example")
    await session.commit()

    receipt = await submit(client)

    assert (await client_of(session, receipt)).id == by_email.id


async def test_a_first_contact_makes_a_client(client: AsyncClient, session: AsyncSession) -> None:
    await make_client(session, email="bob@mail.example", phone="+79990000000")
    await session.commit()

    await submit(client)

    assert await session.scalar(select(func.count()).select_from(Client)) == 2


async def test_nothing_known_is_overwritten_and_what_differs_goes_to_staff_only(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    ann = await make_client(session, name="Ann Lee", email="ann@mail.example", phone="+79990000000")
    await session.commit()

    receipt = await submit(client, client=ANN | {"comment": "Ring twice"})

    known = await client_of(session, receipt)
    assert known.id == ann.id
    assert (known.name, known.phone, known.comment, known.version) == ("Ann Lee", "+79990000000", None, 1)
    _created, note = await history(session, receipt["id"])
    assert (note.event, note.internal) == ("contact_differs", True)
    assert note.note == "name: Ann\nphone: +7 912 345-67-89\ncomment: Ring twice"
    customer = await make_user(session, Role.CLIENT)
    (await stored(session, receipt["id"])).account_id = customer.id
    seen = {}
    for viewer in (customer, await make_user(session, Role.MANAGER)):
        await sign_in(viewer)
        told = await client.get(f"/tickets/{receipt['id']}/history")
        seen[viewer.role] = [line["event"] for line in told.json()["items"]]
        assert told.json()["total"] == len(seen[viewer.role])
    assert seen == {Role.CLIENT: ["created"], Role.MANAGER: ["created", "contact_differs"]}


async def test_the_same_contact_in_another_writing_leaves_no_note(
    client: AsyncClient, session: AsyncSession
) -> None:
    await make_client(session, name="Ann", email="ann@mail.example", phone="+79123456789", comment="Ring")
    await session.commit()

    receipt = await submit(
        client, client={"name": "Ann", "email": "ANN@mail.example", "phone": "89123456789"}
    )

    assert [line.event for line in await history(session, receipt["id"])] == ["created"]


async def test_where_a_request_came_from_is_for_staff_only(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    response = await client.post("/public/tickets", json=REQUEST, headers={"User-Agent": "Browser/1"})
    ticket = await stored(session, response.json()["id"])
    worker, customer = await make_user(session), await make_user(session, Role.CLIENT)
    ticket.worker_id, ticket.status, ticket.account_id = worker.id, Status.ASSIGNED, customer.id
    admin, manager = await make_user(session, Role.ADMIN), await make_user(session, Role.MANAGER)

    for viewer, seen in (
        (admin, ("127.0.0.1", "Browser/1")),
        (manager, ("127.0.0.1", "Browser/1")),
        (worker, (None, None)),
        (customer, (None, None)),
    ):
        await sign_in(viewer)
        one = (await client.get(f"/tickets/{ticket.id}")).json()
        [listed] = (await client.get("/tickets")).json()["items"]
        assert (one["requester_ip"], one["requester_ua"]) == seen
        assert (listed["requester_ip"], listed["requester_ua"]) == seen


async def test_a_user_agent_of_any_length_is_cut(client: AsyncClient, session: AsyncSession) -> None:
    response = await client.post("/public/tickets", json=REQUEST, headers={"User-Agent": "x" * 5000})

    assert (await stored(session, response.json()["id"])).requester_ua == "x" * 300


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-12-01T10:00:00Z", "2026-12-01T10:00:00Z"),
        ("2026-12-01T10:00:00+05:30", "2026-12-01T04:30:00Z"),
        ("2026-12-01T00:30:00-11:00", "2026-12-01T11:30:00Z"),
    ],
)
async def test_times_are_kept_and_told_in_utc(given: str, kept: str, client: AsyncClient) -> None:
    receipt = await submit(client, scheduled_at=given)

    followed = await client.get(f"/public/tickets/{receipt['code']}")

    assert followed.json()["scheduled_at"] == kept


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"scheduled_at": "2026-12-01T10:00:00"}, ["body", "scheduled_at"]),
        ({"priority": "urgent"}, ["body", "priority"]),
        ({"title": "  "}, ["body", "title"]),
        ({"client": {"name": "Ann"}}, ["body", "client"]),
        ({"client": {"name": "Ann", "phone": "12"}}, ["body", "client", "phone"]),
        ({"client": {"name": "Ann", "phone": "+7 999"}}, ["body", "client", "phone"]),
        ({"client": {"name": "Ann", "email": "ann@"}}, ["body", "client", "email"]),
        ({"client": ANN | {"id": 1}}, ["body", "client", "id"]),
        ({"status": "done"}, ["body", "status"]),
        ({"worker_id": 1}, ["body", "worker_id"]),
        ({"due_at": "2026-12-01T10:00:00Z"}, ["body", "due_at"]),
        ({"created_by": 1}, ["body", "created_by"]),
    ],
)
async def test_what_the_form_does_not_take_is_refused_by_name_and_leaves_nothing(
    values: dict[str, Any], where: list[str], client: AsyncClient, session: AsyncSession
) -> None:
    before = await rows(session)

    response = await client.post("/public/tickets", json=REQUEST | values)

    errors = problem(response, 422, "validation_error")["errors"]
    assert where in [error["loc"] for error in errors]
    assert await rows(session) == before


async def test_a_code_has_80_bits_in_an_alphabet_nobody_misreads(client: AsyncClient) -> None:
    codes = {(await submit(client, title=f"Kettle {n}"))["code"] for n in range(3)}

    assert len(codes) == 3
    assert len(CODE_ALPHABET) == 32
    for code in codes:
        groups = code.split("-")
        assert [len(group) for group in groups] == [4, 4, 4, 4]  # 16 characters of 5 bits
        assert set("".join(groups)) <= set(CODE_ALPHABET)
        assert not set(code) & set("ILOU")


async def test_a_code_is_read_however_it_is_typed(client: AsyncClient, session: AsyncSession) -> None:
    ticket = await make_ticket(session, code="0A1B-2C3D-4E5F-6G70")
    await session.commit()

    for typed in (
        "0A1B-2C3D-4E5F-6G70",
        "0a1b-2c3d-4e5f-6g70",
        "0a1b2c3d4e5f6g70",
        "OA1B-2C3D-4E5F-6G7O",
        "oaIb2c3d4e5f6g7o",
        "0AlB%202C3D%204E5F%206G70",
    ):
        found = await client.get(f"/public/tickets/{typed}")
        assert (found.status_code, found.json().get("code")) == (200, ticket.code), typed


@pytest.mark.parametrize(
    "code", ["0A1B-2C3D-4E5F-6G71", "0A1B", "UUUU-UUUU-UUUU-UUUU", "%00", "💥", "x" * 64]
)
async def test_a_code_that_nobody_was_given_is_not_found(code: str, client: AsyncClient) -> None:
    problem(await client.get(f"/public/tickets/{code}"), 404, "not_found")
    problem(await client.post(f"/public/tickets/{code}/cancel", json={"reason": "Why"}), 404, "not_found")


async def test_the_tracking_page_tells_how_far_it_is_and_nothing_internal(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    receipt = await submit(client, address="12 Lenin street")
    worker, manager = await make_user(session), await make_user(session, Role.MANAGER)
    path = f"/tickets/{receipt['id']}"
    await sign_in(manager)
    await client.post(f"{path}/assign", json={"worker_id": worker.id})
    await sign_in(worker)
    await client.post(f"{path}/take")
    await client.post(f"{path}/hold", json={"reason": "The client is rude"})
    await client.post(f"{path}/resume")
    await client.post(f"{path}/complete", json={"resolution": "New heater"})
    del client.headers["Authorization"]

    followed = await client.get(f"/public/tickets/{receipt['code']}")

    body = followed.json()
    assert set(body) == {
        "code",
        "status",
        "title",
        "created_at",
        "scheduled_at",
        "resolution",
        "milestones",
        "comments",
        "allowed_statuses",
    }
    reached = [milestone["status"] for milestone in body["milestones"]]
    assert reached == ["new", "assigned", "in_progress", "done"]
    assert [set(milestone) for milestone in body["milestones"]] == [{"status", "at"}] * 4
    assert (body["status"], body["resolution"], body["allowed_statuses"]) == (
        "done",
        "New heater",
        ["in_progress"],
    )
    for secret in ("Ann", "ann@", "345-67", "Lenin", "boil", "rude", worker.username):
        assert secret not in followed.text


async def test_what_was_undone_is_no_milestone(client: AsyncClient, session: AsyncSession) -> None:
    ticket = await make_ticket(session)
    await session.commit()

    followed = await client.get(f"/public/tickets/{ticket.code}")

    assert [milestone["status"] for milestone in followed.json()["milestones"]] == ["new"]


@pytest.mark.parametrize("was", [Status.NEW, Status.ASSIGNED])
async def test_whoever_has_the_code_cancels_while_nobody_has_begun(
    was: Status, client: AsyncClient, session: AsyncSession
) -> None:
    ticket = await make_ticket(session, status=was)
    await session.commit()
    assert (await client.get(f"/public/tickets/{ticket.code}")).json()["allowed_statuses"] == ["canceled"]

    response = await client.post(
        f"/public/tickets/{ticket.code.lower()}/cancel", json={"reason": "Works again"}
    )

    assert response.status_code == 200, response.text
    assert (response.json()["status"], response.json()["allowed_statuses"]) == ("canceled", [])
    [line] = await history(session, ticket.id)
    assert (line.event, line.actor_id, line.note) == ("canceled", None, "Works again")
    now = await stored(session, ticket.id)
    assert (now.status, now.cancel_reason) == (Status.CANCELED, "Works again")


@pytest.mark.parametrize("was", sorted(set(Status) - {Status.NEW, Status.ASSIGNED}))
async def test_nobody_cancels_by_code_what_was_begun(
    was: Status, client: AsyncClient, session: AsyncSession
) -> None:
    ticket = await make_ticket(session, status=was)
    await session.commit()

    response = await client.post(f"/public/tickets/{ticket.code}/cancel", json={"reason": "Works again"})

    assert problem(response, 409, "invalid_transition")["ticket_status"] == was
    assert (await stored(session, ticket.id)).status is was
    assert await history(session, ticket.id) == []


async def test_canceling_by_code_wants_a_reason(client: AsyncClient, session: AsyncSession) -> None:
    ticket = await make_ticket(session)
    await session.commit()

    response = await client.post(f"/public/tickets/{ticket.code}/cancel")

    problem(response, 422, "reason_required")
    assert (await stored(session, ticket.id)).status is Status.NEW


@pytest.mark.parametrize(
    "again",
    [
        REQUEST,
        REQUEST | {"title": "  KETTLE ", "description": "does  not\n boil"},
        REQUEST | {"client": {"name": "Somebody", "email": "ANN@mail.example"}},
        REQUEST | {"priority": "high", "address": "Elsewhere", "scheduled_at": "2026-12-01T10:00:00Z"},
    ],
)
async def test_the_same_request_again_is_a_duplicate_while_the_first_is_open(
    again: dict[str, Any], client: AsyncClient, session: AsyncSession
) -> None:
    await submit(client)
    before = await rows(session)

    response = await client.post("/public/tickets", json=again)

    problem(response, 409, "duplicate_ticket")
    assert await rows(session) == before


@pytest.mark.parametrize(
    "other",
    [
        {"title": "Kettles"},
        {"description": "Does not boil!"},
        {"description": None},
        {"title": "Kettle Does", "description": "not boil"},
        {"client": ANN | {"email": "bob@mail.example"}},
    ],
)
async def test_another_request_is_no_duplicate(other: dict[str, Any], client: AsyncClient) -> None:
    first = await submit(client)

    assert (await submit(client, **other))["id"] != first["id"]


async def test_without_email_the_phone_tells_a_duplicate_in_any_writing(client: AsyncClient) -> None:
    await submit(client, client={"name": "Ann", "phone": "+7 912 345-67-89"})

    again = await client.post(
        "/public/tickets", json=REQUEST | {"client": {"name": "Ann", "phone": "89123456789"}}
    )

    problem(again, 409, "duplicate_ticket")


@pytest.mark.parametrize("ending", ["done", "closed", "canceled"])
async def test_the_same_request_is_welcome_again_once_the_first_has_ended(
    ending: str, client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    first = await submit(client)
    worker = await make_user(session)
    await sign_in(await make_user(session, Role.ADMIN))
    path = f"/tickets/{first['id']}"
    if ending == "canceled":
        await client.post(f"{path}/cancel", json={"reason": "Why"})
    else:
        await client.post(f"{path}/assign", json={"worker_id": worker.id})
        await client.post(f"{path}/status", json={"new_status": "in_progress"})
        await client.post(f"{path}/complete")
    if ending == "closed":
        await client.post(f"{path}/close")
    assert (await stored(session, first["id"])).status == ending

    second = await submit(client)

    assert second["id"] != first["id"]
    if ending != "canceled":
        reopened = await client.post(f"{path}/reopen", json={"reason": "Again"})
        assert reopened.status_code == 200, reopened.text
        open_now = await session.scalar(
            select(func.count()).where(Ticket.status.in_(["new", "in_progress"])).select_from(Ticket)
        )
        assert open_now == 2
