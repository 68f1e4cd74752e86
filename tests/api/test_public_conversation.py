"""The client's side of the conversation, by the ticket's code."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role
from api.settings import Settings
from api.tickets.comments.models import Visibility
from api.tickets.models import Ticket
from api.tickets.states import Status
from tests.api.live import caller, running
from tests.conftest import SignIn
from tests.evidence import history, problem, rows, stored
from tests.factories import make_comment, make_ticket, make_user
from tests.processes import books


@pytest.fixture
async def ticket(session: AsyncSession) -> Ticket:
    made = await make_ticket(session, status=Status.ASSIGNED)
    await session.commit()
    return made


async def answer(client: AsyncClient, ticket: Ticket, text: str = "At home", **values: Any) -> dict[str, Any]:
    response = await client.post(f"/public/tickets/{ticket.code}/comments", json={"text": text} | values)
    assert response.status_code == 201, response.text
    comment: dict[str, Any] = response.json()
    return comment


async def test_whoever_has_the_code_answers_and_reads(client: AsyncClient, ticket: Ticket) -> None:
    said = await answer(client, ticket, " At home after six ")

    assert (said["text"], said["visibility"], said["author"]) == ("At home after six", "public", None)
    assert (await client.get(f"/public/tickets/{ticket.code}/comments")).json()["items"] == [said]
    assert (await client.get(f"/public/tickets/{ticket.code}")).json()["comments"] == [said]


async def test_the_code_may_be_written_in_any_way(client: AsyncClient, ticket: Ticket) -> None:
    bare = ticket.code.replace("-", "").lower()

    for code in (ticket.code, ticket.code.lower(), bare, f"{bare[:4]} {bare[4:]}"):
        posted = await client.post(f"/public/tickets/{code}/comments", json={"text": "Hello"})
        assert posted.status_code == 201, posted.text
    assert (await client.get(f"/public/tickets/{bare}/comments")).json()["total"] == 4


@pytest.mark.parametrize("code", ["2222-2222-2222-2222", "x", "%00", "é" * 20])
async def test_a_code_that_is_wrong_opens_nothing(
    code: str, client: AsyncClient, session: AsyncSession, ticket: Ticket
) -> None:
    before = await rows(session)
    path = f"/public/tickets/{code}"

    answers = [
        await client.get(f"{path}/comments"),
        await client.post(f"{path}/comments", json={"text": "Hello"}),
        await client.get(f"{path}/attachments"),
        await client.get(f"{path}/attachments/1"),
        await client.post(f"{path}/attachments", files={"file": ("a.txt", b"Hello")}),
        await client.delete(f"{path}/attachments/1"),
        await client.post(f"{path}/reopen", json={"reason": "It drips"}),
    ]

    for refused in answers:
        problem(refused, 404, "not_found")
    assert await rows(session) == before
    assert ticket.id


async def test_the_client_cannot_choose_who_reads(client: AsyncClient, ticket: Ticket) -> None:
    for extra in ({"visibility": "internal"}, {"visibility": "public"}, {"author_id": 1}, {"key": "k"}):
        refused = await client.post(f"/public/tickets/{ticket.code}/comments", json={"text": "Hello"} | extra)
        problem(refused, 422, "validation_error")


async def test_the_client_replies_to_what_they_can_read(
    client: AsyncClient, session: AsyncSession, ticket: Ticket
) -> None:
    question = await make_comment(session, ticket, ticket.worker)
    hidden = await make_comment(session, ticket, ticket.worker, visibility=Visibility.INTERNAL)
    await session.commit()

    said = await answer(client, ticket, parent_id=question.id)
    refused = await client.post(
        f"/public/tickets/{ticket.code}/comments", json={"text": "Hello", "parent_id": hidden.id}
    )

    assert said["parent_id"] == question.id
    problem(refused, 422, "validation_error")


async def test_an_answer_is_unread_for_worker_and_managers(
    client: AsyncClient, session: AsyncSession, ticket: Ticket, sign_in: SignIn
) -> None:
    manager = await make_user(session, Role.MANAGER)
    await answer(client, ticket)

    for reader in (ticket.worker, manager):
        assert reader
        await sign_in(reader)
        assert (await client.get("/tickets")).json()["items"][0]["unread_comments"] == 1


async def test_the_same_key_answers_once(client: AsyncClient, session: AsyncSession, ticket: Ticket) -> None:
    send: dict[str, Any] = {"json": {"text": "Hello"}, "headers": {"Idempotency-Key": "k1"}}
    path = f"/public/tickets/{ticket.code}/comments"

    first, second = await client.post(path, **send), await client.post(path, **send)

    assert first.json() == second.json()
    assert [line.event for line in await history(session, ticket.id)] == ["commented"]


async def test_the_page_of_a_request_tells_the_newest_20(
    client: AsyncClient, session: AsyncSession, ticket: Ticket
) -> None:
    for n in range(25):
        await make_comment(session, ticket, text=str(n))
    await session.commit()

    shown = (await client.get(f"/public/tickets/{ticket.code}")).json()["comments"]

    assert [comment["text"] for comment in shown] == [str(n) for n in range(24, 4, -1)]


async def test_after_an_answer_on_work_that_is_done_the_client_can_send_it_back(
    client: AsyncClient, session: AsyncSession
) -> None:
    ticket = await make_ticket(session, status=Status.DONE, worker=await make_user(session))
    await session.commit()
    path = f"/public/tickets/{ticket.code}"
    await answer(client, ticket, "It still drips")

    offered = (await client.get(path)).json()["allowed_statuses"]
    without_reason = await client.post(f"{path}/reopen")
    sent_back = await client.post(f"{path}/reopen", json={"reason": "It still drips"})
    again = await client.post(f"{path}/reopen", json={"reason": "It still drips"})

    assert offered == ["in_progress"]
    problem(without_reason, 422, "reason_required")
    assert sent_back.status_code == 200, sent_back.text
    assert (sent_back.json()["status"], sent_back.json()["allowed_statuses"]) == ("in_progress", [])
    assert problem(again, 409, "invalid_transition")["ticket_status"] == "in_progress"
    assert (await stored(session, ticket.id)).status is Status.IN_PROGRESS
    told = [(line.event, line.note) for line in await history(session, ticket.id)]
    assert told == [("commented", None), ("reopened", "It still drips")]


async def test_what_was_closed_stays_closed_for_the_client(
    client: AsyncClient, session: AsyncSession
) -> None:
    ticket = await make_ticket(session, status=Status.CLOSED, worker=await make_user(session))
    await session.commit()

    refused = await client.post(f"/public/tickets/{ticket.code}/reopen", json={"reason": "It drips"})

    problem(refused, 409, "invalid_transition")


@pytest.fixture
async def limited(committed: str, settings: Settings) -> AsyncIterator[tuple[AsyncClient, Ticket]]:
    async with running(settings, public_rate_limit="2/minute") as app, books(committed) as shop:
        async with shop.sessions.begin() as session:
            done = await make_ticket(session, status=Status.DONE, worker=await make_user(session))
        yield caller(app), done


@pytest.mark.parametrize("what", ["comments", "attachments", "attachments/1", "reopen"])
async def test_writing_by_code_has_a_limit_and_reading_none(
    what: str, limited: tuple[AsyncClient, Ticket]
) -> None:
    api, ticket = limited
    path = f"/public/tickets/{ticket.code}"
    for _ in range(2):
        assert (await api.post(f"{path}/comments", json={"text": "Hello"})).status_code == 201

    bodies: dict[str, dict[str, Any]] = {
        "comments": {"json": {"text": "Hello"}},
        "attachments": {"files": {"file": ("a.txt", b"Hello")}},
        "reopen": {"json": {"reason": "It drips"}},
    }
    if what in bodies:
        refused = await api.post(f"{path}/{what}", **bodies[what])
    else:
        refused = await api.delete(f"{path}/{what}")

    problem(refused, 429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 0
    assert (await api.get(f"{path}/comments")).json()["total"] == 2
