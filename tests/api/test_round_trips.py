"""What submit and take cost: round trips to the database, BEGIN and COMMIT among them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import asyncpg.transaction
import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import event, func, select, update

from api.auth.models import Role, User
from api.clients.models import Client
from api.core.db import now
from api.core.idempotency import IdempotencyKey
from api.core.revisions import IfMatch
from api.core.security import Claims, issue_access_token
from api.settings import Settings
from api.tickets import queries, service
from api.tickets.models import Ticket, TicketEvent
from api.tickets.states import Status
from tests.api.accounts import bearer
from tests.api.live import caller, database_of, running
from tests.evidence import history, problem, stored
from tests.factories import make_session, make_ticket, make_user

_serial = count(1)


@pytest.fixture
async def app(settings: Settings, committed: str) -> AsyncIterator[FastAPI]:
    """An application without limits that really commits."""
    async with running(settings, database_url=committed) as app:
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with caller(app) as client:
        yield client


@pytest.fixture
def trips(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was sent so far; clear it, act, and count."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    def noted(name: str) -> Any:
        original = getattr(asyncpg.transaction.Transaction, name)

        async def send(self: object) -> None:
            sent.append(name)
            await original(self)

        return send

    for name in ("start", "commit", "rollback"):
        monkeypatch.setattr(asyncpg.transaction.Transaction, name, noted(name))
    engine = database_of(app).engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def request(**values: Any) -> dict[str, Any]:
    n = next(_serial)
    return {"title": f"Kettle {n}", "client": {"name": "Ann", "email": f"ann{n}@mail.example"}} | values


async def _warm(client: AsyncClient, trips: list[str]) -> None:
    # What a connection asks once, when it is opened, is no part of a request.
    await client.post("/public/tickets", json=request())
    trips.clear()


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}], ids=["no key", "key"])
async def test_a_submit_is_one_round_trip(
    headers: dict[str, str], client: AsyncClient, trips: list[str]
) -> None:
    await _warm(client, trips)

    made = await client.post("/public/tickets", json=request(), headers=headers)

    assert made.status_code == 201
    assert len(trips) == 1, trips


async def test_so_is_a_replay_and_a_refusal(client: AsyncClient, trips: list[str]) -> None:
    body, key = request(), {"Idempotency-Key": "k"}
    first = await client.post("/public/tickets", json=body, headers=key)
    trips.clear()

    again = await client.post("/public/tickets", json=body, headers=key)
    duplicate = await client.post("/public/tickets", json=body)
    other = await client.post("/public/tickets", json=request(), headers=key)

    assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
    problem(duplicate, 409, "duplicate_ticket")
    problem(other, 422, "idempotency_mismatch")
    assert len(trips) == 3, trips


async def test_the_limit_adds_one(settings: Settings, committed: str) -> None:
    async with running(settings, database_url=committed, public_rate_limit="9/hour") as app:
        sent: list[str] = []
        engine = database_of(app).engine.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *call: sent.append(call[2]))
        async with caller(app) as client:
            await client.post("/public/tickets", json=request())
            sent.clear()
            made = await client.post("/public/tickets", json=request())

    assert made.status_code == 201
    assert len(sent) == 2, sent


async def _worker_and_ticket(app: FastAPI) -> tuple[User, Ticket, int]:
    async with database_of(app).sessions.begin() as session:
        worker = await make_user(session, Role.WORKER)
        ticket = await make_ticket(session, status=Status.ASSIGNED, worker=worker)
        opened = await make_session(session, worker)
    return worker, ticket, opened.id


def _headers(app: FastAPI, user: User, session_id: int) -> dict[str, str]:
    settings = app.state.settings
    key, ttl = settings.secret_key.get_secret_value(), settings.access_token_ttl
    return bearer(issue_access_token(Claims(user.id, session_id), key=key, ttl=ttl))


async def test_a_take_is_one_round_trip_and_only_a_refused_one_costs_more(
    app: FastAPI, client: AsyncClient, trips: list[str]
) -> None:
    worker, ticket, session_id = await _worker_and_ticket(app)
    headers = _headers(app, worker, session_id)
    await _warm(client, trips)

    won = await client.post(f"/tickets/{ticket.id}/take", headers=headers)
    cost = len(trips)
    lost = await client.post(f"/tickets/{ticket.id}/take", headers=headers)

    assert (won.status_code, cost) == (200, 1), trips
    assert problem(lost, 409, "invalid_transition")["ticket_status"] == "in_progress"
    assert len(trips) - cost == 5, trips  # in vain, BEGIN, who asks, which ticket, ROLLBACK


async def test_two_bodies_under_one_key_at_once_leave_one_ticket(client: AsyncClient, app: FastAPI) -> None:
    for n in range(5):
        answers = await asyncio.gather(
            *(
                client.post("/public/tickets", json=request(), headers={"Idempotency-Key": f"k{n}"})
                for _ in range(4)
            )
        )

        assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    async with database_of(app).reads() as session:
        counts = [
            await session.scalar(select(func.count()).select_from(table))
            for table in (Ticket, Client, TicketEvent, IdempotencyKey)
        ]
    assert counts == [5, 5, 5, 5]


async def test_a_duplicate_leaves_no_client(app: FastAPI, client: AsyncClient) -> None:
    body = request()
    await client.post("/public/tickets", json=body)
    async with database_of(app).sessions.begin() as session:
        known = (await session.scalars(select(Client))).one()
        known.email, known.email_key = "new@mail.example", "new@mail.example"

    again = await client.post("/public/tickets", json=body)

    problem(again, 409, "duplicate_ticket")
    async with database_of(app).reads() as session:
        assert await session.scalar(select(func.count()).select_from(Client)) == 1


async def test_a_take_does_and_tells_what_the_move_does(app: FastAPI) -> None:
    worker, ticket, session_id = await _worker_and_ticket(app)
    _, other, _ = await _worker_and_ticket(app)
    async with database_of(app).reads() as session:
        taken = await service.take(session, ticket.id, Claims(worker.id, session_id), if_match=IfMatch('"1"'))
    async with database_of(app).sessions.begin() as session:
        its_worker = await session.get_one(User, other.worker_id)
        moved = await queries.lock(session, other.id, viewer=its_worker)
        by = moved.parties(its_worker)
        await service.move(session, moved, Status.IN_PROGRESS, by=by, actor=its_worker)

    assert taken is not None
    async with database_of(app).reads() as session:
        told = [(await history(session, one.id))[0] for one in (taken, moved)]
        kept = [await stored(session, one.id) for one in (taken, moved)]
    for one, same in (told, kept):
        assert _alike(one) == _alike(same)
    assert [line.actor_id for line in told] == [worker.id, its_worker.id]
    assert kept[0].in_progress_at is not None
    assert (taken.status, taken.version) == ("in_progress", 2)
    assert taken.worker is not None
    assert taken.worker.id == worker.id


def _alike(row: Ticket | TicketEvent) -> dict[str, Any]:
    """Return what a row has in common with the other one's; of times, that they are there."""
    own = {"id", "code", "title", "client_id", "worker_id", "ticket_id", "actor_id", "search"}
    values = {
        column.key: getattr(row, column.key) for column in row.__table__.columns if column.key not in own
    }
    return {key: isinstance(value, datetime) or value for key, value in values.items()}


@pytest.mark.parametrize("tag", ['"2"', 'W/"1"', '"01"', "1", ""])
async def test_a_take_of_another_version_is_nothing(tag: str, app: FastAPI) -> None:
    worker, ticket, session_id = await _worker_and_ticket(app)
    async with database_of(app).reads() as session:
        taken = await service.take(session, ticket.id, Claims(worker.id, session_id), if_match=IfMatch(tag))

    assert taken is None
    assert not IfMatch(tag).admits(ticket.version)


async def test_a_key_of_yesterday_is_good_for_another_submit(client: AsyncClient, app: FastAPI) -> None:
    key = {"Idempotency-Key": "k"}
    first = await client.post("/public/tickets", json=request(), headers=key)
    async with database_of(app).sessions.begin() as session:
        await session.execute(update(IdempotencyKey).values(created_at=now() - timedelta(hours=25)))
    body = request()

    other = await client.post("/public/tickets", json=body, headers=key)
    again = await client.post("/public/tickets", json=body, headers=key)

    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]
    assert "Idempotent-Replayed" not in other.headers
    assert (again.content, again.headers["Idempotent-Replayed"]) == (other.content, "true")
