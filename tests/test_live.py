"""Live sockets on one process: who gets in, what they hear, and what becomes of bad ones."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import select, text, update
from structlog.testing import capture_logs
from typing_extensions import override
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.auth.models import Role, User, UserSession
from api.core.db import Database, now
from api.core.pubsub import PubSub
from api.core.security import Claims, PasswordHasher, issue_access_token, read_access_token
from api.settings import LOCAL_SECRET_KEY, Settings
from api.tickets.comments.models import Comment
from api.tickets.live import router
from api.tickets.live import socket as live_socket
from api.tickets.models import Ticket, TicketEvent
from api.tickets.states import Status
from tests.api.accounts import OTHER_PASSWORD, PASSWORD
from tests.api.live import caller, database_of, running
from tests.factories import make_comment, make_offer, make_pooled, make_ticket, make_user
from tests.live import Listener, guest, listening
from tests.processes import Books, books


@dataclass
class Room:
    """A ticket on a running server, with everybody who may talk about it."""

    listener: Listener
    app: FastAPI
    api: AsyncClient
    shop: Books
    ticket: Ticket
    users: dict[str, User]

    @property
    def address(self) -> str:
        """Where the server listens."""
        return self.listener.address

    @property
    def path(self) -> str:
        """Where those who are signed in follow the ticket."""
        return f"/tickets/{self.ticket.id}/live"

    @property
    def public(self) -> str:
        """Where its client follows it by code."""
        return f"/public/tickets/{self.ticket.code}/live"

    async def enter(self, who: str, query: str = "", **options: Any) -> Any:
        """Return the socket of somebody, to be opened."""
        if who == "code":
            return guest(self.address, self.public + query, **options)
        token = await self.shop.token(self.users[who])
        return guest(self.address, self.path + query, token, **options)

    async def headers(self, who: str) -> dict[str, str]:
        """Return the header of a session of somebody."""
        return await self.shop.headers(self.users[who])

    async def post(self, who: str, path: str, **body: Any) -> dict[str, Any]:
        """Do something to the ticket over HTTP, as one of the users."""
        headers = await self.headers(who)
        answer = await self.api.post(f"/tickets/{self.ticket.id}{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told

    @contextmanager
    def changed(self, name: str, value: Any) -> Iterator[None]:
        """Let the application have another part for a while."""
        kept = getattr(self.app.state, name)
        setattr(self.app.state, name, value)
        yield
        setattr(self.app.state, name, kept)

    def with_settings(self, **values: Any) -> AbstractContextManager[None]:
        """Change settings for a while."""
        return self.changed("settings", self.app.state.settings.model_copy(update=values))


@pytest.fixture(scope="module")
async def served(database_url: str, settings: Settings) -> AsyncIterator[tuple[FastAPI, Listener]]:
    assert database_url
    async with running(settings, secret_key=LOCAL_SECRET_KEY) as app, listening(app) as listener:
        yield app, listener
        await app.state.pubsub.close()


@pytest.fixture
async def room(served: tuple[FastAPI, Listener], committed: str) -> AsyncIterator[Room]:
    app, listener = served
    async with books(committed) as shop:
        async with shop.sessions.begin() as session:
            users = {
                "worker": await make_user(session, name="Anna"),
                "manager": await make_user(session, Role.MANAGER, name="Mark"),
                "admin": await make_user(session, Role.ADMIN),
                "customer": await make_user(session, Role.CLIENT),
                "stranger": await make_user(session, Role.CLIENT),
                "other_worker": await make_user(session),
            }
            ticket = await make_ticket(
                session, status=Status.ASSIGNED, worker=users["worker"], account_id=users["customer"].id
            )
        yield Room(listener, app, caller(app), shop, ticket, users)
        await listener.quiet()  # or the tables could not be emptied: somebody reads them


INSIDE = ("worker", "manager")
OUTSIDE = ("customer", "code")


@pytest.mark.parametrize("who", [*INSIDE, *OUTSIDE])
async def test_everybody_in_the_conversation_gets_in(who: str, room: Room) -> None:
    async with await room.enter(who) as one:
        assert one.heard == [{"type": "ready", "last_event_id": 0}]
        assert one.connection.subprotocol == (None if who == "code" else "bearer")
        ack = await one.comment("Hello", key="k1")
        said = await one.hear("comment")

    assert (ack["key"], ack["comment_id"]) == ("k1", said["comment"]["id"])
    assert said["comment"]["text"] == "Hello"
    actor = None if who == "code" else room.users[who].id
    assert (said["actor"] and said["actor"]["id"]) == actor


async def test_the_token_may_come_as_the_first_message(room: Room) -> None:
    token = await room.shop.token(room.users["worker"])
    async with guest(room.address, room.path, greeted=False) as one:
        await one.say("auth", token=token)
        await one.hear("ready")
        assert one.connection.subprotocol is None
        await one.comment("Hello")


@pytest.mark.parametrize(
    "first",
    [
        '{"type": "auth", "token": "x"}',
        '{"type": "auth"}',
        '{"type": "auth", "token": 5}',
        '{"type": "comment", "text": "x", "token": "x"}',
        "[]",
        "null",
        "nonsense",
        '"',
        b"\xff\xfe",
        "[" * 60_000,
        '{"type": "auth", "token": "' + "x" * 100_000 + '"}',
    ],
    ids=range(11),
)
async def test_a_first_message_that_is_no_token_is_4401(first: str | bytes, room: Room) -> None:
    async with guest(room.address, room.path, greeted=False) as one:
        await one.connection.send(first)

        assert await one.closed() == 4401
        assert one.heard == []


async def test_whoever_says_nothing_is_sent_away(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "FIRST_MESSAGE_SECONDS", 0.1)
    async with guest(room.address, room.path, greeted=False) as one:
        assert await one.closed() == 4401


async def test_a_token_in_the_address_is_none(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "FIRST_MESSAGE_SECONDS", 0.1)
    token = await room.shop.token(room.users["worker"])
    for name in ("token", "access_token", "bearer"):
        async with guest(room.address, f"{room.path}?{name}={token}", greeted=False) as one:
            assert await one.closed() == 4401


@pytest.mark.parametrize("what", ["nonsense", "expired", "other key", "ended session", "left"])
async def test_a_bad_token_is_4401(what: str, room: Room) -> None:
    worker = room.users["worker"]
    token = await room.shop.token(worker)
    async with room.shop.sessions.begin() as session:
        opened = await session.scalar(select(UserSession).order_by(UserSession.id.desc()))
        assert opened
        if what == "ended session":
            opened.revoked_at = now()
        elif what == "left":
            (await session.get_one(User, worker.id)).is_active = False
        else:
            claims = Claims(worker.id, opened.id)
            ttl = timedelta(minutes=5)
            token = {
                "nonsense": "x.y.z",
                "expired": issue_access_token(claims, key=LOCAL_SECRET_KEY, ttl=-ttl),
                "other key": issue_access_token(claims, key="k" * 40, ttl=ttl),
            }[what]
    async with guest(room.address, room.path, token, greeted=False) as one:
        assert await one.closed() == 4401
        assert one.heard == []


@pytest.mark.parametrize("who", ["worker", "code"])
async def test_a_page_of_another_site_is_4403(who: str, room: Room) -> None:
    for origin in ("https://evil.example", "http://127.0.0.1:1", "null"):
        async with await room.enter(who, origin=origin, greeted=False) as one:
            assert await one.closed() == 4403


async def test_pages_of_this_host_and_of_configured_origins_get_in(room: Room) -> None:
    known = "https://desk.example"
    with room.with_settings(cors_origins=[known]):
        for origin in (f"http://{room.address.split('/')[0]}", known):
            async with await room.enter("worker", origin=origin):
                pass


@pytest.mark.parametrize("who", ["stranger", "other_worker"])
async def test_others_tickets_are_4404(who: str, room: Room) -> None:
    async with await room.enter(who, greeted=False) as one:
        assert await one.closed() == 4404


@pytest.mark.parametrize("path", ["/public/tickets/2222-2222-2222-2222/live", "/public/tickets/x/live"])
async def test_an_unknown_code_is_4404(path: str, room: Room) -> None:
    async with guest(room.address, path, greeted=False) as one:
        assert await one.closed() == 4404


async def test_an_unknown_ticket_is_4404(room: Room) -> None:
    token = await room.shop.token(room.users["manager"])
    for ticket_id in (room.ticket.id + 1000, 2**63 - 1):
        async with guest(room.address, f"/tickets/{ticket_id}/live", token, greeted=False) as one:
            assert await one.closed() == 4404


async def test_a_pooled_ticket_is_4404_for_workers(room: Room) -> None:
    async with room.shop.sessions.begin() as session:
        pooled = await make_pooled(session, room.users["manager"])
    token = await room.shop.token(room.users["worker"])
    async with guest(room.address, f"/tickets/{pooled.id}/live", token, greeted=False) as one:
        assert await one.closed() == 4404


@pytest.mark.parametrize("said", [True, False])
async def test_when_the_session_ends_the_socket_ends(said: bool, room: Room) -> None:  # noqa: FBT001
    async with await room.enter("worker") as one:
        async with room.shop.sessions.begin() as session:
            await session.execute(update(UserSession).values(revoked_at=now()))
        if said:
            with suppress(ConnectionClosed):  # shown out before the word was spoken
                await one.say("comment", text="Am I still here?")
        else:
            await room.post("manager", "/comments", text="Not for you any more")

        assert await one.closed() == 4401
        assert "comment" not in one.kinds()


async def test_a_session_that_ends_in_silence_ends_the_socket_at_the_next_heartbeat(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_socket, "HEARTBEAT_SECONDS", 0.2)
    async with await room.enter("worker") as one:
        await one.hear("ping")
        await one.say("pong")
        async with room.shop.sessions.begin() as session:
            await session.execute(update(UserSession).values(revoked_at=now()))

        assert await one.closed() == 4401


@pytest.mark.parametrize("how", ["logout", "logout-all", "password", "deactivated", "role"])
async def test_a_session_that_ends_ends_its_sockets_at_once(how: str, room: Room) -> None:
    headers = await room.headers("manager")
    async with room.shop.sessions.begin() as session:
        manager = await session.get_one(User, room.users["manager"].id)
        manager.password_hash = await PasswordHasher(rounds=4).hash(PASSWORD)
    token = headers["Authorization"].removeprefix("Bearer ")
    async with guest(room.address, room.path, token) as one, await room.enter("worker") as worker:
        started = time.monotonic()
        await end_session(room, how, headers)

        assert await one.closed() == 4401
        assert time.monotonic() - started < live_socket.HEARTBEAT_SECONDS / 5
        assert (await worker.hear("presence", state="gone"))["who"]["name"] == "Mark"


async def end_session(room: Room, how: str, headers: dict[str, str]) -> None:
    """End the session of the manager whose header this is."""
    user, admin = f"/users/{room.users['manager'].id}", await room.headers("admin")
    change = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    if how in ("logout", "logout-all"):
        answer = await room.api.post(f"/auth/{how}", headers=headers)
    elif how == "password":
        other = await room.headers("manager")  # the one that changes it lives on
        answer = await room.api.post("/auth/password", json=change, headers=other)
    elif how == "deactivated":
        answer = await room.api.patch(user, json={"is_active": False}, headers=admin)
    else:
        answer = await room.api.patch(user, json={"role": "worker"}, headers=admin)
    assert answer.is_success, answer.text


async def test_another_session_of_the_same_user_stays(room: Room) -> None:
    headers = await room.headers("worker")
    async with await room.enter("worker") as one:
        await room.api.post("/auth/logout", headers=headers)
        await room.post("manager", "/comments", text="Still there?")

        assert (await one.hear("comment"))["comment"]["text"] == "Still there?"


class Deaf(PubSub):
    """An ear that is told of ended sessions too late, as over a slow line."""

    @override
    def _on_end(self, *_: object) -> None:
        """Hear nothing."""


async def test_nobody_types_after_their_session_ended(room: Room) -> None:
    with room.changed("pubsub", Deaf(room.app.state.settings)):
        async with await room.enter("worker") as worker, await room.enter("manager") as manager:
            await worker.say("typing")
            await manager.hear("typing")
            async with room.shop.sessions.begin() as session:
                await session.execute(update(UserSession).values(revoked_at=now()))
            await asyncio.sleep(live_socket.TYPING_SECONDS)
            await worker.say("typing")

            assert await worker.closed() == 4401
        await room.app.state.pubsub.close()
    assert manager.kinds().count("typing") == 1


async def test_nobody_hears_who_types_after_their_session_ended(room: Room) -> None:
    token = await room.shop.token(room.users["worker"])
    opened = read_access_token(token, key=LOCAL_SECRET_KEY).session_id
    async with guest(room.address, room.path, token) as worker, await room.enter("code") as code:
        database = room.app.state.database
        # In one transaction with the end, so that nothing lies between the two.
        signal = {"topic": room.ticket.id, "kind": "typing", "socket": "x", "role": "client", "id": None}
        async with database.sessions.begin() as session:
            ended = update(UserSession).where(UserSession.id == opened)
            await session.execute(ended.values(revoked_at=now()))
            await session.execute(
                text("SELECT pg_notify('ticket_signals', :payload)"),
                {"payload": json.dumps(signal | {"name": None})},
            )

        assert await worker.closed() == 4401
        assert (await code.hear("typing"))["who"] == {"role": "client"}
    assert "typing" not in worker.kinds()


async def test_when_the_ticket_is_given_to_another_the_socket_ends(room: Room) -> None:
    async with await room.enter("worker") as one:
        await room.post("manager", "/assign", worker_id=room.users["other_worker"].id)
        await room.post("manager", "/comments", text="To the new one")

        assert await one.closed() == 4404
        assert "comment" not in one.kinds()


async def test_everybody_hears_what_happens(room: Room) -> None:
    guests = {}
    async with (
        await room.enter("worker") as guests["worker"],
        await room.enter("manager") as guests["manager"],
        await room.enter("customer") as guests["customer"],
        await room.enter("code") as guests["code"],
    ):
        said = await room.post("manager", "/comments", text="Which model?")
        await room.post("worker", "/take")
        answer = await room.api.patch(
            f"/comments/{said['id']}", json={"text": "Which one?"}, headers=await room.headers("manager")
        )
        assert answer.is_success
        await room.post("worker", "/complete", resolution="Descaled")
        for who, one in guests.items():
            await one.hear("status", status="done", event="completed")
            told = [message for message in one.heard if message["type"] not in ("ready", "presence")]
            assert [message["type"] for message in told] == ["comment", "status", "comment_edited", "status"]
            assert [message["event"] for message in told] == [
                *("commented", "started", "comment_edited", "completed")
            ]
            assert told[0]["comment"]["id"] == said["id"]
            assert told[2]["comment"]["text"] == "Which one?"
            assert told[0]["actor"] == {"id": room.users["manager"].id, "name": "Mark", "role": "manager"}
            assert told[0]["at"].endswith("Z")
            assert all(("changes" in message) == (who in INSIDE) for message in told)
            events = [message["event_id"] for message in told]
            assert events == sorted(events)


async def test_internal_things_reach_no_client_s_socket(room: Room) -> None:
    async with (
        await room.enter("worker") as worker,
        await room.enter("customer") as customer,
        await room.enter("code") as code,
    ):
        hidden = await worker.comment("Pays late", visibility="internal")
        await worker.hear("comment")
        note = {"file": ("note.txt", b"Pays late")}
        headers = await room.headers("worker")
        stored = await room.api.post(
            f"/tickets/{room.ticket.id}/attachments",
            files=note,
            data={"comment_id": str(hidden["comment_id"])},
            headers=headers,
        )
        assert stored.status_code == 201, stored.text
        await room.api.delete(f"/attachments/{stored.json()['id']}", headers=headers)
        await room.api.delete(f"/comments/{hidden['comment_id']}", headers=headers)
        await room.post("manager", "/comments", text="Open to all")
        await worker.hear("comment")
        for one in (customer, code):
            await one.hear("comment")
            assert one.kinds() == ["ready", "comment"]
            assert "late" not in json.dumps(one.heard)
            assert one.heard[-1]["comment"]["text"] == "Open to all"
        assert worker.kinds("presence")[-5:] == [
            *("comment", "attachment", "attachment_deleted", "comment_withdrawn", "comment")
        ]


async def test_clients_write_nothing_internal(room: Room) -> None:
    for who in OUTSIDE:
        async with await room.enter(who) as one:
            await one.say("comment", text="Hello", visibility="internal", key="k")
            refused = await one.hear("error")
            assert (refused["code"], refused["key"]) == ("forbidden", "k")
    async with room.shop.sessions() as session:
        assert await session.scalar(select(Comment.id)) is None


async def test_offers_are_told_to_their_worker_and_the_publisher_only(room: Room) -> None:
    async with room.shop.sessions.begin() as session:
        customer, worker, rival = (room.users[who] for who in ("customer", "worker", "other_worker"))
        mine = await make_pooled(session, customer, account_id=customer.id, created_by=customer.id)
        theirs = await make_pooled(session, room.users["manager"], account_id=customer.id)
        offers = [await make_offer(session, ticket, worker) for ticket in (mine, theirs)]
        await make_offer(session, mine, rival)
    token = await room.shop.token(customer)
    for ticket, made, heard in ((mine, offers[0], True), (theirs, offers[1], False)):
        async with guest(room.address, f"/tickets/{ticket.id}/live", token) as one:
            answer = await room.api.post(
                f"/responses/{made.id}/messages", json={"text": "Or 95"}, headers=await room.headers("worker")
            )
            assert answer.status_code == 201, answer.text
            accepted = await room.api.post(
                f"/responses/{made.id}/accept", headers=await room.headers("manager")
            )
            assert accepted.status_code == 200, accepted.text
            await one.hear("assigned")
            if heard:
                await one.hear("response", event="offer_declined")
            assert ("response" in one.kinds()) == heard


async def test_the_same_key_is_one_comment(room: Room) -> None:
    async with await room.enter("worker") as worker, await room.enter("code") as code:
        first = await worker.comment("Hello", key="1")
        second = await worker.comment("Hello", key="1")
        theirs = await code.comment("Hello", key="1")  # another one who counts
        fresh = await worker.comment("Hello again", key="2")
        for _ in range(3 - code.kinds().count("comment")):
            await code.hear("comment")

    assert first["comment_id"] == second["comment_id"]
    assert len({first["comment_id"], theirs["comment_id"], fresh["comment_id"]}) == 3
    told = [message["comment"]["id"] for message in code.heard if message["type"] == "comment"]
    assert told == [first["comment_id"], theirs["comment_id"], fresh["comment_id"]]


async def test_after_tells_what_was_missed_once_and_in_order(room: Room) -> None:
    async with await room.enter("code") as one:
        await one.comment("0")
        last = (await one.hear("comment"))["event_id"]
    async with room.shop.sessions.begin() as session:  # more than one batch
        for n in range(1, 451):
            await make_comment(session, room.ticket, text=str(n))
        await session.execute(
            text(
                "INSERT INTO ticket_events (ticket_id, event, internal, version, subject_id)"
                " SELECT ticket_id, 'commented', text::int % 10 = 0, 1, id FROM comments WHERE text <> '0'"
                " ORDER BY id"
            )
        )
    async with await room.enter("code", f"?after={last}") as one:
        await one.comment("end", key="end")
        while one.heard[-1].get("comment", {}).get("text") != "end":
            await one.hear("comment")

    told = [message["comment"]["text"] for message in one.heard if message["type"] == "comment"]
    assert told == [*[str(n) for n in range(1, 451) if n % 10], "end"]


async def test_after_something_that_never_was_hears_what_comes(room: Room) -> None:
    async with await room.enter("code", f"?after={2**63 - 1}") as one:
        assert one.heard[0]["last_event_id"] == 0
        await one.comment("Hello")
        await one.hear("comment")


@pytest.mark.parametrize("after", ["-1", "x", str(2**63), ""])
async def test_a_bad_after_opens_nothing(after: str, room: Room) -> None:
    with pytest.raises(InvalidStatus):
        async with await room.enter("code", f"?after={after}"):
            pass


async def test_staff_see_who_looks_and_clients_see_nobody(room: Room) -> None:
    async with await room.enter("manager") as manager, await room.enter("customer") as customer:
        async with await room.enter("worker") as worker:
            came = await manager.hear("presence", state="here")
            found = await worker.hear("presence", state="here")
        gone = await manager.hear("presence", state="gone")
        await room.post("manager", "/comments", text="end")
        await customer.hear("comment")

    anna = {"id": room.users["worker"].id, "name": "Anna", "role": "worker"}
    assert came["who"] == gone["who"] == anna
    assert found["who"]["name"] == "Mark"
    assert customer.kinds() == ["ready", "comment"]


async def test_a_client_who_looks_is_nobody_s_business(room: Room) -> None:
    async with await room.enter("manager") as manager:
        async with await room.enter("customer"):
            pass
        await room.post("manager", "/comments", text="end")
        await manager.hear("comment")
    assert manager.kinds() == ["ready", "comment"]


async def test_whoever_types_is_told_of_and_clients_learn_no_name(room: Room) -> None:
    async with (
        await room.enter("worker") as worker,
        await room.enter("manager") as manager,
        await room.enter("code") as code,
    ):
        for _ in range(3):  # told of once in a while, not at each key
            await worker.say("typing")
        assert (await manager.hear("typing"))["who"]["name"] == "Anna"
        assert (await code.hear("typing"))["who"] == {"role": "worker"}
        await code.say("typing")
        assert (await worker.hear("typing"))["who"] == {"id": None, "name": None, "role": "client"}
        await worker.comment("end")
        for one in (worker, manager, code):
            await one.hear("comment")
        assert [one.kinds().count("typing") for one in (worker, manager, code)] == [1, 2, 1]


@pytest.mark.parametrize(
    "frame",
    [
        "nonsense",
        "",
        "[]",
        "null",
        "5",
        '"x"',
        "{}",
        '{"type": null}',
        '{"type": ["comment"]}',
        '{"type": "comment"}',
        '{"type": "comment", "text": ""}',
        '{"type": "comment", "text": "\\ud800"}',
        '{"type": "comment", "text": "\\u0000"}',
        '{"type": "comment", "text": "x", "key": "\\ud800"}',
        '{"type": "comment", "text": "x", "key": NaN}',
        '{"type": "comment", "text": "x", "key": {"\\ud800": [1]}}',
        '{"type": "comment", "text": "x", "key": ""}',
        '{"type": "comment", "text": "x", "parent_id": 99999}',
        '{"type": "comment", "text": "x", "parent_id": 1e400}',
        '{"type": "comment", "text": "x", "role": "admin"}',
        '{"type": "comment", "text": ' + "9" * 5000 + "}",
        '{"type": "comment", "text": ' + "[" * 20_000,
        b"\xff\xfe\x00",
        b"",
    ],
    ids=range(24),
)
async def test_garbage_is_answered_and_the_socket_lives(frame: str | bytes, room: Room) -> None:
    async with await room.enter("code") as one:
        await one.connection.send(frame)
        refused = await one.hear("error")
        assert refused["code"] == "validation_error"
        assert refused["detail"]
        await one.comment("Still here")


async def test_a_comment_may_come_in_a_binary_frame(room: Room) -> None:
    async with await room.enter("code") as one:
        await one.connection.send('{"type": "comment", "text": "Привет"}'.encode())
        await one.hear("ack")
        assert (await one.hear("comment"))["comment"]["text"] == "Привет"


@pytest.mark.parametrize("who", ["worker", "code"])
async def test_frames_beyond_64_kilobytes_close_the_socket(who: str, room: Room) -> None:
    async with await room.enter(who) as one:
        await one.connection.send(json.dumps({"type": "pong", "x": "я" * 33_000}, ensure_ascii=False))
        assert await one.closed() == 1009


async def test_a_frame_of_64_kilobytes_is_taken(room: Room) -> None:
    async with await room.enter("code") as one:
        frame = json.dumps({"type": "pong", "x": ""})
        await one.connection.send(frame[:-2] + "x" * (64 * 1024 - len(frame)) + '"}')
        await one.comment("Still here")


async def test_the_code_s_comments_have_the_public_limit(room: Room) -> None:
    strict = room.with_settings(public_rate_limit="2/minute")
    with strict:
        async with await room.enter("code") as one, await room.enter("worker") as worker:
            for _ in range(2):
                await one.comment("Hello")
            await one.say("comment", text="One too many", key="3")
            refused = await one.hear("error")
            assert (refused["code"], refused["key"]) == ("rate_limited", "3")
            for _ in range(3):
                await worker.comment("Hello")


async def test_a_reader_who_takes_nothing_is_dropped(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_socket, "SLOW_SECONDS", 0.3)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = room.address.split("/")[0].split(":")
    slow.connect((host, int(port)))
    with capture_logs() as logs:
        async with guest(room.address, room.public, sock=slow, compression=None, max_queue=1):
            async with room.shop.sessions.begin() as session:
                await session.execute(
                    text(
                        "WITH said AS (INSERT INTO comments (ticket_id, visibility, text)"
                        " SELECT :id, 'public', repeat('x', 10000) FROM generate_series(1, 1000)"
                        " RETURNING id)"
                        " INSERT INTO ticket_events (ticket_id, event, internal, version, subject_id)"
                        " SELECT :id, 'commented', false, 1, id FROM said"
                    ),
                    {"id": room.ticket.id},
                )
            await room.listener.quiet()
            slow.close()
    assert "slow reader dropped" in [line["event"] for line in logs]


NOWHERE = "postgresql+asyncpg://none:none@127.0.0.1:1/none"


async def test_a_socket_whose_database_is_away_is_told_to_come_back(room: Room) -> None:
    gone = Database.connect(room.app.state.settings.model_copy(update={"database_url": NOWHERE}))
    token = await room.shop.token(room.users["worker"])
    with room.changed("database", gone):
        for path, given in ((room.public, None), (room.path, token)):
            async with guest(room.address, path, given, greeted=False) as one:
                assert await one.closed() == 1013


class Flaky:
    """Sessions of a database that comes and goes."""

    def __init__(self, sessions: Any) -> None:
        self._sessions = sessions
        self.left: float = float("inf")

    def __call__(self) -> Any:
        """Open a session, unless there are none left."""
        self._count()
        return self._sessions()

    def begin(self) -> Any:
        """Open a transaction, unless there are none left."""
        self._count()
        return self._sessions.begin()

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ConnectionRefusedError


@pytest.fixture
def flaky(room: Room) -> Iterator[tuple[Flaky, Flaky]]:
    """What sockets that are opened now have for a database: its reads and its transactions."""
    real = database_of(room.app)
    reads, sessions = Flaky(real.reads), Flaky(real.sessions)
    with room.changed("database", Database(real.engine, sessions, reads)):  # type: ignore[arg-type]
        yield reads, sessions


async def test_a_database_that_goes_away_while_a_socket_opens(room: Room, flaky: tuple[Flaky, Flaky]) -> None:
    flaky[0].left = 1
    async with await room.enter("code", greeted=False) as one:
        assert await one.closed() == 1013


async def test_while_the_database_is_away_a_socket_waits_and_then_tells_what_it_missed(
    room: Room, flaky: tuple[Flaky, Flaky], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_socket, "RETRY_SECONDS", 0.05)
    async with await room.enter("worker") as one:
        flaky[0].left = flaky[1].left = 0
        await one.say("typing")
        await one.say("comment", text="Lost?", key="1")
        refused = await one.hear("error")
        assert (refused["code"], refused["key"]) == ("unavailable", "1")
        async with room.shop.sessions.begin() as session:
            said = await make_comment(session, room.ticket, text="Meanwhile")
            session.add(
                TicketEvent(ticket_id=room.ticket.id, event="commented", version=1, subject_id=said.id)
            )
        await asyncio.sleep(0.2)
        assert "comment" not in one.kinds()
        flaky[0].left = flaky[1].left = float("inf")

        assert (await one.hear("comment"))["comment"]["text"] == "Meanwhile"
        await one.comment("Lost?", key="1")


async def test_a_guest_who_leaves_without_a_word_leaves_no_trace(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    token = await room.shop.token(room.users["worker"])
    for path, given in ((room.path, None), (room.path, token), (room.public, None)):
        async with guest(room.address, path, given, greeted=False) as one:
            one.connection.transport.abort()
    await room.listener.quiet()

    assert "Exception in ASGI application" not in caplog.text
