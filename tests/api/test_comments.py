"""The conversation about a ticket, and who reads what of it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.db import now
from api.settings import Settings
from api.tickets.comments.models import Comment, Visibility
from api.tickets.models import Ticket
from api.tickets.states import Status
from tests.api.live import caller, running
from tests.conftest import SignIn
from tests.evidence import history, problem, rows
from tests.factories import make_comment, make_ticket, make_user
from tests.processes import books

INTERNAL: dict[str, Any] = {"visibility": Visibility.INTERNAL}


class Talk:
    """A ticket with everybody who may talk about it, and one who may not."""

    def __init__(self, ticket: Ticket, users: dict[str, User]) -> None:
        self.ticket, self.users = ticket, users
        self.path = f"/tickets/{ticket.id}/comments"


@pytest.fixture
async def talk(session: AsyncSession) -> Talk:
    users = {
        "worker": await make_user(session, name="Anna"),
        "manager": await make_user(session, Role.MANAGER),
        "customer": await make_user(session, Role.CLIENT),
        "stranger": await make_user(session, Role.CLIENT),
        "other_worker": await make_user(session),
    }
    ticket = await make_ticket(
        session, status=Status.ASSIGNED, worker=users["worker"], account_id=users["customer"].id
    )
    await session.commit()
    return Talk(ticket, users)


async def say(client: AsyncClient, talk: Talk, text: str = "Hello", **values: Any) -> dict[str, Any]:
    response = await client.post(talk.path, json={"text": text} | values)
    assert response.status_code == 201, response.text
    comment: dict[str, Any] = response.json()
    return comment


async def texts(client: AsyncClient, path: str) -> list[str]:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return [comment["text"] for comment in response.json()["items"]]


async def test_what_is_said_is_told_with_its_author(client: AsyncClient, talk: Talk, sign_in: SignIn) -> None:
    worker = talk.users["worker"]
    await sign_in(worker)

    said = await say(client, talk, "  Which model? \n")

    assert set(said) == {
        *("id", "text", "visibility", "parent_id", "author", "created_at", "edited_at"),
        *("withdrawn_at", "attachments"),
    }
    assert (said["text"], said["visibility"], said["parent_id"]) == ("Which model?", "public", None)
    assert said["author"] == {"id": worker.id, "name": "Anna", "role": "worker"}
    assert (said["edited_at"], said["withdrawn_at"], said["attachments"]) == (None, None, [])
    assert said["created_at"].endswith("Z")
    assert (await client.get(talk.path)).json()["items"] == [said]


async def test_whoever_has_no_name_is_called_by_their_username(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    nameless = await make_user(session, Role.ADMIN, name=None)
    await sign_in(nameless)

    said = await say(client, talk)

    assert said["author"]["name"] == nameless.username


@pytest.mark.parametrize("text", ["", "  \n", "x" * 10_001, "a\x00b", "\ud800", None, 5, ["x"]])
async def test_text_that_is_none_is_refused(
    text: object, client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    await sign_in(talk.users["manager"])
    before = await rows(session)

    response = await client.post(
        talk.path, content=json.dumps({"text": text}), headers={"Content-Type": "application/json"}
    )

    problem(response, 422, "validation_error")
    assert await rows(session) == before


@pytest.mark.parametrize("who", ["customer", None])
async def test_clients_see_internal_comments_in_no_way(
    who: str | None, client: AsyncClient, talk: Talk, sign_in: SignIn
) -> None:
    await sign_in(talk.users["manager"])
    await say(client, talk, "Open to all")
    hidden = await say(client, talk, "Pays late", visibility="internal")
    await client.patch(f"/comments/{hidden['id']}", json={"text": "Pays late again"})
    upload = {"file": ("note.txt", b"Pays late, in a file")}
    kept = await client.post(
        f"/tickets/{talk.ticket.id}/attachments", files=upload, data={"comment_id": str(hidden["id"])}
    )
    taken_back = await say(client, talk, "Never pays", visibility="internal")
    await client.delete(f"/comments/{taken_back['id']}")
    await client.delete(f"/attachments/{kept.json()['id']}")
    again = await client.post(
        f"/tickets/{talk.ticket.id}/attachments", files=upload, data={"comment_id": str(hidden["id"])}
    )
    assert again.status_code == 201, again.text

    if who is None:
        del client.headers["Authorization"]
        base = f"/public/tickets/{talk.ticket.code}"
        paths = [base, f"{base}/comments", f"{base}/attachments"]
        blocked = [f"{base}/attachments/{again.json()['id']}"]
    else:
        await sign_in(talk.users[who])
        base = f"/tickets/{talk.ticket.id}"
        paths = [base, "/tickets", f"{base}/comments", f"{base}/attachments", f"{base}/history"]
        blocked = [f"/attachments/{again.json()['id']}"]
    answers = [await client.get(path) for path in paths]

    assert [answer.status_code for answer in answers] == [200] * len(paths)
    everything = "".join(answer.text for answer in answers).lower()
    for secret in ("pays", "internal", "note.txt", "comment_edited", "comment_withdrawn", "file_deleted"):
        assert secret not in everything
    assert everything.count("open to all") == (1 if who else 2)
    for path in blocked:
        problem(await client.get(path), 404, "not_found")
    if who:
        assert answers[0].json()["unread_comments"] == answers[1].json()["items"][0]["unread_comments"] == 1


@pytest.mark.parametrize("who", ["worker", "manager"])
async def test_those_who_work_here_read_internal_comments(
    who: str, client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    await make_comment(session, talk.ticket, talk.users["manager"], text="Pays late", **INTERNAL)
    await sign_in(talk.users[who])

    assert await texts(client, talk.path) == ["Pays late"]


async def test_clients_write_no_internal_comments(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    await sign_in(talk.users["customer"])
    before = await rows(session)

    answer = await client.post(talk.path, json={"text": "Hello", "visibility": "internal"})

    problem(answer, 403, "forbidden")
    assert await rows(session) == before


@pytest.mark.parametrize("who", ["stranger", "other_worker"])
async def test_others_tickets_have_no_conversation(
    who: str, client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    comment = await make_comment(session, talk.ticket, talk.users["worker"])
    await sign_in(talk.users[who])

    problem(await client.get(talk.path), 404, "not_found")
    problem(await client.post(talk.path, json={"text": "Hello"}), 404, "not_found")
    problem(await client.post(f"/tickets/{talk.ticket.id}/read"), 404, "not_found")
    problem(await client.patch(f"/comments/{comment.id}", json={"text": "No"}), 404, "not_found")
    problem(await client.delete(f"/comments/{comment.id}"), 404, "not_found")


async def test_a_reply_names_what_it_answers(client: AsyncClient, talk: Talk, sign_in: SignIn) -> None:
    await sign_in(talk.users["worker"])
    question = await say(client, talk, "Which model?")
    await sign_in(talk.users["customer"])

    reply = await say(client, talk, "The old one", parent_id=question["id"])

    assert reply["parent_id"] == question["id"]


async def test_a_reply_to_another_conversation_is_refused(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    elsewhere = await make_comment(session, await make_ticket(session))
    await sign_in(talk.users["manager"])

    for parent_id in (elsewhere.id, elsewhere.id + 1000):
        answer = await client.post(talk.path, json={"text": "Hello", "parent_id": parent_id})
        body = problem(answer, 422, "validation_error")
        assert body["errors"][0]["loc"] == ["body", "parent_id"]


@pytest.mark.parametrize("who", ["customer", "manager"])
async def test_nothing_public_answers_an_internal_comment(
    who: str, client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    hidden = await make_comment(session, talk.ticket, talk.users["worker"], **INTERNAL)
    await sign_in(talk.users[who])

    answer = await client.post(talk.path, json={"text": "Hello", "parent_id": hidden.id})

    problem(answer, 422, "validation_error")


async def test_an_internal_comment_answers_either_kind(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    public = await make_comment(session, talk.ticket)
    hidden = await make_comment(session, talk.ticket, talk.users["worker"], **INTERNAL)
    await sign_in(talk.users["manager"])

    for parent in (public, hidden):
        await say(client, talk, visibility="internal", parent_id=parent.id)


async def test_pages_go_from_the_newest_and_a_cursor_walks_them(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    for n in range(7):
        await make_comment(session, talk.ticket, text=str(n))
    await sign_in(talk.users["worker"])

    first = (await client.get(f"{talk.path}?size=3")).json()
    await make_comment(session, talk.ticket, text="later")  # moves nothing
    second = (await client.get(f"{talk.path}?size=3&cursor={first['next_cursor']}")).json()
    third = (await client.get(f"{talk.path}?size=3&cursor={second['next_cursor']}")).json()

    seen = [comment["text"] for page in (first, second, third) for comment in page["items"]]
    assert (first["total"], third["next_cursor"]) == (7, None)
    assert seen == list("6543210")
    assert await texts(client, f"{talk.path}?sort=id&size=2") == ["0", "1"]


async def test_after_tells_what_is_newer(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    made = [await make_comment(session, talk.ticket, text=str(n)) for n in range(4)]
    await sign_in(talk.users["worker"])

    assert await texts(client, f"{talk.path}?after={made[1].id}&sort=id") == ["2", "3"]
    assert await texts(client, f"{talk.path}?after={made[3].id}") == []


async def unread(client: AsyncClient, ticket: Ticket) -> int:
    listed = (await client.get("/tickets")).json()["items"]
    whole = (await client.get(f"/tickets/{ticket.id}")).json()
    [counted] = [row["unread_comments"] for row in listed if row["id"] == ticket.id]
    assert counted == whole["unread_comments"]
    return int(counted)


async def test_what_others_said_is_unread_until_it_is_read(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    other = await make_ticket(session, status=Status.ASSIGNED, worker=talk.users["worker"])
    await make_comment(session, other)
    by_code = [await make_comment(session, talk.ticket) for _ in range(2)]
    await make_comment(session, talk.ticket, talk.users["customer"])
    await make_comment(session, talk.ticket, talk.users["manager"], **INTERNAL)
    await make_comment(session, talk.ticket, talk.users["manager"], text=None, withdrawn_at=now())
    expected = {"worker": 4, "manager": 3, "customer": 2}

    for who, count in expected.items():
        await sign_in(talk.users[who])
        assert await unread(client, talk.ticket) == count, who
        assert (
            await client.post(f"/tickets/{talk.ticket.id}/read", json={"comment_id": by_code[0].id})
        ).status_code == 204
        assert await unread(client, talk.ticket) == count - 1, who
        assert (await client.post(f"/tickets/{talk.ticket.id}/read")).status_code == 204
        assert await unread(client, talk.ticket) == 0, who
        await client.post(f"/tickets/{talk.ticket.id}/read", json={"comment_id": by_code[0].id})
        assert await unread(client, talk.ticket) == 0, f"{who}: it went back"
    await sign_in(talk.users["worker"])
    assert await unread(client, other) == 1
    await client.post(f"/tickets/{other.id}/read")
    assert [await unread(client, ticket) for ticket in (other, talk.ticket)] == [0, 0]


async def test_one_s_own_comments_are_read_and_so_is_what_stood_before_them(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    await make_comment(session, talk.ticket)
    await sign_in(talk.users["worker"])

    await say(client, talk)

    assert await unread(client, talk.ticket) == 0
    await sign_in(talk.users["manager"])
    assert await unread(client, talk.ticket) == 2


async def test_whoever_changes_a_ticket_is_told_what_is_unread_too(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    await make_comment(session, talk.ticket)
    await sign_in(talk.users["manager"])

    changed = await client.patch(f"/tickets/{talk.ticket.id}", json={"title": "New"})

    assert changed.json()["unread_comments"] == 1


async def test_reading_ahead_does_not_hide_what_comes(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    first = await make_comment(session, talk.ticket)
    await sign_in(talk.users["worker"])
    await client.post(f"/tickets/{talk.ticket.id}/read", json={"comment_id": first.id + 1000})

    await make_comment(session, talk.ticket)
    await session.commit()

    assert await unread(client, talk.ticket) == 1


async def test_lists_cost_the_same_however_much_was_said(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn, statements: list[str]
) -> None:
    await sign_in(talk.users["manager"])
    costs = []
    for _ in range(2):
        for _ in range(5):
            ticket = await make_ticket(session)
            await make_comment(session, ticket)
        await session.commit()
        statements.clear()
        await client.get("/tickets?size=100")
        await client.get(talk.path)
        costs.append(len(statements))

    assert costs[0] == costs[1]


async def test_one_s_own_comment_can_be_put_right(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    await sign_in(talk.users["customer"])
    said = await say(client, talk, "At sx")

    answer = await client.patch(f"/comments/{said['id']}", json={"text": "At six"})

    assert answer.status_code == 200, answer.text
    assert answer.json() == said | {"text": "At six", "edited_at": answer.json()["edited_at"]}
    assert answer.json()["edited_at"] >= said["created_at"]
    assert await texts(client, talk.path) == ["At six"]
    told = [(line.event, line.actor_id, line.subject_id) for line in await history(session, talk.ticket.id)]
    customer = talk.users["customer"].id
    assert told == [("commented", customer, said["id"]), ("comment_edited", customer, said["id"])]


async def test_one_s_own_comment_can_be_taken_back_and_the_history_keeps_that_it_was(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    await sign_in(talk.users["worker"])
    said = await say(client, talk, "Secret of my own")

    answer = await client.delete(f"/comments/{said['id']}")

    assert answer.status_code == 204, answer.text
    listed = await client.get(talk.path)
    [left] = listed.json()["items"]
    assert (left["id"], left["text"]) == (said["id"], None)
    assert left["withdrawn_at"]
    stored = await session.get_one(Comment, said["id"], populate_existing=True)
    assert stored.text is None
    told = [(line.event, line.subject_id) for line in await history(session, talk.ticket.id)]
    assert told == [("commented", said["id"]), ("comment_withdrawn", said["id"])]
    for second in (
        await client.delete(f"/comments/{said['id']}"),
        await client.patch(f"/comments/{said['id']}", json={"text": "Back"}),
    ):
        problem(second, 409, "no_longer_editable")


async def test_after_a_quarter_of_an_hour_it_stands(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    worker = talk.users["worker"]
    then = now() - timedelta(minutes=15)
    late = await make_comment(session, talk.ticket, worker, created_at=then - timedelta(seconds=1))
    soon = await make_comment(session, talk.ticket, worker, created_at=then + timedelta(seconds=30))
    await sign_in(worker)

    problem(await client.patch(f"/comments/{late.id}", json={"text": "New"}), 409, "no_longer_editable")
    problem(await client.delete(f"/comments/{late.id}"), 409, "no_longer_editable")
    assert (await client.patch(f"/comments/{soon.id}", json={"text": "New"})).status_code == 200
    assert (await client.delete(f"/comments/{soon.id}")).status_code == 204


@pytest.mark.parametrize("who", ["customer", "manager"])
async def test_what_others_said_is_theirs(
    who: str, client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    said = await make_comment(session, talk.ticket, talk.users["worker"], text="Mine")
    by_code = await make_comment(session, talk.ticket, text="Theirs")
    await sign_in(talk.users[who])

    for comment in (said, by_code):
        problem(await client.patch(f"/comments/{comment.id}", json={"text": "No"}), 403, "forbidden")
        problem(await client.delete(f"/comments/{comment.id}"), 403, "forbidden")

    assert await texts(client, talk.path) == ["Theirs", "Mine"]


async def test_a_comment_that_is_hidden_or_does_not_exist_cannot_be_touched(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    hidden = await make_comment(session, talk.ticket, talk.users["worker"], **INTERNAL)
    await sign_in(talk.users["customer"])

    for comment_id in (hidden.id, hidden.id + 1000):
        problem(await client.patch(f"/comments/{comment_id}", json={"text": "No"}), 404, "not_found")
        problem(await client.delete(f"/comments/{comment_id}"), 404, "not_found")


async def test_one_s_comments_on_a_ticket_that_was_taken_away_are_out_of_reach(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    worker = talk.users["worker"]
    said = await make_comment(session, talk.ticket, worker)
    talk.ticket.worker = talk.users["other_worker"]
    await sign_in(worker)

    problem(await client.patch(f"/comments/{said.id}", json={"text": "No"}), 404, "not_found")


async def test_the_same_key_says_it_once(
    client: AsyncClient, session: AsyncSession, talk: Talk, sign_in: SignIn
) -> None:
    await sign_in(talk.users["customer"])
    key = {"Idempotency-Key": "k1"}

    first = await client.post(talk.path, json={"text": "Hello"}, headers=key)
    second = await client.post(talk.path, json={"text": "Hello"}, headers=key)
    other = await client.post(talk.path, json={"text": "Bye"}, headers=key)

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    problem(other, 422, "idempotency_mismatch")
    assert [line.event for line in await history(session, talk.ticket.id)] == ["commented"]


async def test_a_comment_leaves_the_ticket_s_version_alone(
    client: AsyncClient, talk: Talk, sign_in: SignIn
) -> None:
    await sign_in(talk.users["manager"])
    before = (await client.get(f"/tickets/{talk.ticket.id}")).headers["ETag"]

    await say(client, talk)

    assert (await client.get(f"/tickets/{talk.ticket.id}")).headers["ETag"] == before


async def test_no_operation_needs_two_connections_at_once(committed: str, settings: Settings) -> None:
    # Each of as many requests as there are connections would hold one and wait for another.
    async with (
        running(settings, database_pool_size=1, database_pool_timeout=0.5) as app,
        books(committed) as shop,
    ):
        async with shop.sessions.begin() as session:
            worker = await make_user(session)
            ticket = await make_ticket(session, status=Status.ASSIGNED, worker=worker)
            secret = settings.secret_key.get_secret_value()
        api = caller(app, Authorization=f"Bearer {await shop.token(worker, key=secret)}")
        path = f"/tickets/{ticket.id}"
        said = await api.post(f"{path}/comments", json={"text": "Hello"})
        file = {"file": ("a.txt", b"Hello")}
        stored = await api.post(f"{path}/attachments", files=file)

        answers = [
            said,
            stored,
            await api.get(f"{path}/comments"),
            await api.post(f"{path}/read"),
            await api.patch(f"/comments/{said.json()['id']}", json={"text": "Bye"}),
            await api.delete(f"/comments/{said.json()['id']}"),
            await api.get(f"{path}/attachments"),
            await api.get(f"/attachments/{stored.json()['id']}"),
            await api.delete(f"/attachments/{stored.json()['id']}"),
            await api.get("/responses"),
            await api.get(f"{path}/responses"),
            await api.get(f"/public{path.replace(str(ticket.id), ticket.code)}"),
            await api.get(f"/public{path.replace(str(ticket.id), ticket.code)}/comments"),
        ]

        assert all(answer.is_success for answer in answers), [answer.text for answer in answers]
