"""The history of a ticket: what happened, by whom, in order, and never of what did not happen."""

from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.tickets.states import Status
from tests.conftest import SignIn
from tests.evidence import history, problem
from tests.factories import make_ticket, make_user


async def told(client: AsyncClient, ticket_id: int, **query: Any) -> dict[str, Any]:
    response = await client.get(f"/tickets/{ticket_id}/history", params=query)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


@pytest.fixture
async def manager(session: AsyncSession) -> User:
    return await make_user(session, Role.MANAGER)


async def test_a_life_is_told_oldest_first_with_who_did_what(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    worker = await make_user(session)
    await session.commit()
    submitted = await client.post(
        "/public/tickets", json={"title": "Kettle", "client": {"name": "Ann", "email": "ann@mail.example"}}
    )
    ticket_id = submitted.json()["id"]
    await sign_in(manager)
    await client.post(f"/tickets/{ticket_id}/assign", json={"worker_id": worker.id})
    await client.patch(f"/tickets/{ticket_id}", json={"due_at": "2026-12-05T18:00:00+03:00"})
    await sign_in(worker)
    await client.post(f"/tickets/{ticket_id}/take")
    await client.post(f"/tickets/{ticket_id}/hold", json={"reason": "No spare part"})

    page = await told(client, ticket_id)

    assert {key: page[key] for key in page if key != "items"} == {
        "total": 5,
        "total_is_exact": True,
        "page": 1,
        "size": 50,
        "pages": 1,
        "next_cursor": None,
    }
    by_manager = {"id": manager.id, "username": manager.username, "role": "manager"}
    by_worker = {"id": worker.id, "username": worker.username, "role": "worker"}
    lines = page["items"]
    assert [set(line) for line in lines] == [
        {"id", "at", "actor", "event", "changes", "note", "subject_id"}
    ] * 5
    assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)
    assert all(line["at"].endswith("Z") for line in lines)
    assert [(line["event"], line["actor"], line["changes"], line["note"]) for line in lines] == [
        ("created", None, {"status": [None, "new"]}, None),
        (
            "assigned",
            by_manager,
            {
                "status": ["new", "assigned"],
                "worker_id": [None, worker.id],
                "worker": [None, worker.username],
            },
            None,
        ),
        ("edited", by_manager, {"due_at": [None, "2026-12-05T15:00:00Z"]}, None),
        ("started", by_worker, {"status": ["assigned", "in_progress"]}, None),
        (
            "held",
            by_worker,
            {"status": ["in_progress", "on_hold"], "hold_reason": [None, "No spare part"]},
            "No spare part",
        ),
    ]


async def test_a_long_history_is_walked_by_page_and_by_cursor(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ticket = await make_ticket(session)
    await sign_in(manager)
    for n in range(7):
        await client.patch(f"/tickets/{ticket.id}", json={"title": f"Kettle {n}"})

    pages = [await told(client, ticket.id, page=page, size=3) for page in (1, 2, 3, 4)]
    by_cursor = await told(client, ticket.id, size=3)
    walked = list(by_cursor["items"])
    while by_cursor["next_cursor"]:
        by_cursor = await told(client, ticket.id, size=3, cursor=by_cursor["next_cursor"])
        walked += by_cursor["items"]

    assert [len(page["items"]) for page in pages] == [3, 3, 1, 0]
    assert {page["total"] for page in pages} == {7}
    assert walked == [line for page in pages for line in page["items"]]
    assert [line["changes"]["title"][1] for line in walked] == [f"Kettle {n}" for n in range(7)]


async def test_the_history_of_another_ticket_is_not_told(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    one, other = await make_ticket(session), await make_ticket(session)
    await sign_in(manager)
    await client.patch(f"/tickets/{other.id}", json={"title": "Toaster"})

    assert (await told(client, one.id))["items"] == []
    problem(await client.get(f"/tickets/{2**63 - 1}/history"), 404, "not_found")


async def test_what_was_done_by_somebody_who_is_gone_keeps_their_name(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, manager: User
) -> None:
    ticket = await make_ticket(session)
    await sign_in(manager)
    await client.patch(f"/tickets/{ticket.id}", json={"title": "Toaster"})
    await sign_in(await make_user(session, Role.ADMIN))

    gone = await client.delete(f"/users/{manager.id}")

    assert gone.status_code == 204
    [line] = (await told(client, ticket.id))["items"]
    assert line["actor"]["username"] == manager.username


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("close", None, 409),
        ("hold", {}, 422),
        ("assign", {"worker_id": 2**63 - 1}, 422),
        ("take", None, 403),
        ("status", {"new_status": "done", "reason": "x" * 2_001}, 422),
    ],
)
async def test_what_was_refused_did_not_happen(
    client: AsyncClient,
    session: AsyncSession,
    sign_in: SignIn,
    manager: User,
    *,
    path: str,
    body: dict[str, Any] | None,
    status: int,
) -> None:
    ticket = await make_ticket(session, status=Status.IN_PROGRESS)
    await sign_in(manager)

    response = await client.post(f"/tickets/{ticket.id}/{path}", json=body)

    assert response.status_code == status, response.text
    assert await history(session, ticket.id) == []


async def test_handing_over_a_workers_tickets_is_told_in_each_of_them(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    leaving, heir, admin = (
        await make_user(session),
        await make_user(session),
        await make_user(session, Role.ADMIN),
    )
    open_ones = [
        await make_ticket(session, status=status, worker=leaving)
        for status in (Status.ASSIGNED, Status.IN_PROGRESS, Status.ON_HOLD)
    ]
    done = await make_ticket(session, status=Status.DONE, worker=leaving)
    await sign_in(admin)

    response = await client.delete(f"/users/{leaving.id}", params={"reassign_to": heir.id})

    assert response.status_code == 204, response.text
    for ticket in open_ones:
        [line] = (await told(client, ticket.id))["items"]
        assert (line["event"], line["actor"]["id"]) == ("assigned", admin.id)
        assert line["changes"]["worker"] == [leaving.username, heir.username]
    assert await history(session, done.id) == []
