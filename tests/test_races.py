"""Races between two real server processes on one database: of any number at once, one wins."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import cycle
from typing import Any

import httpx
import pytest
from alembic import command
from sqlalchemy import func, select

from api.auth.models import Role, User
from api.clients.models import Client
from api.tickets.models import Ticket, TicketEvent
from api.tickets.states import Status
from tests.conftest import alembic_config
from tests.factories import make_client, make_ticket, make_user
from tests.processes import Books, Server, books, connect, empty_database, servers

pytestmark = pytest.mark.slow

ANN = {"name": "Ann", "phone": "+7 912 345-67-89", "email": "ann@mail.example"}
REQUEST = {"title": "Kettle", "description": "Does not boil", "client": ANN}


@pytest.fixture(scope="module")
def database(postgres: str) -> Iterator[str]:
    with empty_database(postgres) as url:
        command.upgrade(alembic_config(url), "head")
        yield url


@pytest.fixture(scope="module")
def both(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    with servers(database, tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture
async def shop(database: str, both: list[Server]) -> AsyncIterator[Books]:
    assert len(both) == 2
    async with books(database) as opened:
        yield opened
    with connect(database) as connection:
        connection.execute("TRUNCATE users, clients, tickets, idempotency_keys CASCADE")


Call = tuple[str, str, dict[str, Any]]


async def at_once(both: list[Server], *calls: Call) -> list[httpx.Response]:
    """Send every call at the same moment, to the servers in turn."""
    limits = httpx.Limits(max_connections=len(calls))
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        sent = [
            client.request(method, server.url + path, **options)
            for server, (method, path, options) in zip(cycle(both), calls, strict=False)
        ]
        return await asyncio.gather(*sent)


def statuses(answers: list[httpx.Response]) -> dict[int, int]:
    return dict(Counter(answer.status_code for answer in answers))


def codes(answers: list[httpx.Response]) -> set[str]:
    return {answer.json()["code"] for answer in answers if answer.status_code >= 400}


async def count(shop: Books, model: type) -> int:
    async with shop.sessions() as session:
        return await session.scalar(select(func.count()).select_from(model)) or 0


async def lines(shop: Books, ticket: Ticket) -> list[TicketEvent]:
    async with shop.sessions() as session:
        return list(await session.scalars(select(TicketEvent).where(TicketEvent.ticket_id == ticket.id)))


async def test_the_first_accounts_are_made_once_though_both_start_together(shop: Books) -> None:
    async with shop.sessions() as session:
        made = list(await session.scalars(select(User.username).order_by(User.id)))

    assert made == ["admin", "worker"]


async def test_of_50_takes_one_succeeds(shop: Books, both: list[Server]) -> None:
    async with shop.sessions.begin() as session:
        worker = await make_user(session)
        ticket = await make_ticket(session, status=Status.ASSIGNED, worker=worker)
    headers = await shop.headers(worker)

    answers = await at_once(both, *[("POST", f"/tickets/{ticket.id}/take", {"headers": headers})] * 50)

    assert statuses(answers) == {200: 1, 409: 49}
    assert codes(answers) == {"invalid_transition"}
    assert {a.json()["ticket_status"] for a in answers if a.status_code == 409} == {"in_progress"}
    assert [line.event for line in await lines(shop, ticket)] == ["started"]


async def test_of_50_assigns_with_one_etag_one_succeeds(shop: Books, both: list[Server]) -> None:
    async with shop.sessions.begin() as session:
        manager = await make_user(session, Role.MANAGER)
        workers = [await make_user(session) for _ in range(2)]
        ticket = await make_ticket(session)
    headers = await shop.headers(manager) | {"If-Match": '"1"'}
    path = f"/tickets/{ticket.id}/assign"

    answers = await at_once(
        both,
        *[
            ("POST", path, {"headers": headers, "json": {"worker_id": workers[n % 3 % 2].id}})
            for n in range(50)
        ],
    )

    assert statuses(answers) == {200: 1, 409: 49}
    [winner] = [answer.json()["worker"]["id"] for answer in answers if answer.status_code == 200]
    [line] = await lines(shop, ticket)
    assert line.changes["worker_id"] == [None, winner]


async def test_of_20_edits_with_one_etag_one_succeeds(shop: Books, both: list[Server]) -> None:
    async with shop.sessions.begin() as session:
        manager = await make_user(session, Role.MANAGER)
        ticket = await make_ticket(session, title="Kettle")
    headers = await shop.headers(manager) | {"If-Match": '"1"'}

    answers = await at_once(
        both,
        *[
            ("PATCH", f"/tickets/{ticket.id}", {"headers": headers, "json": {"title": f"Kettle {n}"}})
            for n in range(20)
        ],
    )

    assert statuses(answers) == {200: 1, 412: 19}
    [winner] = [answer.json()["title"] for answer in answers if answer.status_code == 200]
    assert {a.json()["changed"][0]["now"] for a in answers if a.status_code == 412} == {winner}
    [line] = await lines(shop, ticket)
    assert line.changes == {"title": ["Kettle", winner]}


async def test_30_submits_with_one_key_make_one_ticket(shop: Books, both: list[Server]) -> None:
    headers = {"Idempotency-Key": "7f9c"}

    answers = await at_once(both, *[("POST", "/public/tickets", {"headers": headers, "json": REQUEST})] * 30)

    assert statuses(answers) == {201: 30}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 29
    assert (await count(shop, Ticket), await count(shop, Client), await count(shop, TicketEvent)) == (1, 1, 1)


async def test_30_submits_of_the_same_request_make_one_ticket(shop: Books, both: list[Server]) -> None:
    answers = await at_once(both, *[("POST", "/public/tickets", {"json": REQUEST})] * 30)

    assert statuses(answers) == {201: 1, 409: 29}
    assert codes(answers) == {"duplicate_ticket"}
    assert (await count(shop, Ticket), await count(shop, Client), await count(shop, TicketEvent)) == (1, 1, 1)


@pytest.mark.parametrize(
    "contacts",
    [
        [ANN],
        [{"name": "Ann", "phone": "+79123456789"}, {"name": "Ann", "phone": "8 (912) 345-67-89"}],
        [{"name": "Ann", "email": "ann@mail.example"}, {"name": "Ann", "email": "ANN@mail.example"}],
    ],
    ids=["both", "phone", "email"],
)
async def test_20_first_contacts_make_one_client(
    contacts: list[dict[str, str]], shop: Books, both: list[Server]
) -> None:
    requests = [
        REQUEST | {"title": f"Kettle {n}", "client": contact}
        for n, contact in zip(range(20), cycle(contacts), strict=False)
    ]

    answers = await at_once(both, *[("POST", "/public/tickets", {"json": request}) for request in requests])

    assert statuses(answers) == {201: 20}, [answer.text for answer in answers]
    assert (await count(shop, Ticket), await count(shop, Client)) == (20, 1)


async def test_an_account_that_cannot_be_reached_otherwise_is_one_client_too(
    shop: Books, both: list[Server]
) -> None:
    async with shop.sessions.begin() as session:
        customer = await make_user(session, Role.CLIENT)
    headers = await shop.headers(customer)

    answers = await at_once(
        both,
        *[("POST", "/tickets", {"headers": headers, "json": {"title": f"Kettle {n}"}}) for n in range(10)],
    )

    assert statuses(answers) == {201: 10}, [answer.text for answer in answers]
    assert await count(shop, Client) == 1


async def test_two_admins_who_deactivate_each_other_leave_one(shop: Books, both: list[Server]) -> None:
    for _ in range(5):
        async with shop.sessions.begin() as session:
            one, other = [await make_user(session, Role.ADMIN) for _ in range(2)]
        tokens = [await shop.headers(one), await shop.headers(other)]

        answers = await at_once(
            both,
            ("DELETE", f"/users/{other.id}", {"headers": tokens[0]}),
            ("PATCH", f"/users/{one.id}", {"headers": tokens[1], "json": {"is_active": False}}),
        )

        async with shop.sessions.begin() as session:
            left = list(await session.scalars(select(User).where(User.role == Role.ADMIN, User.is_active)))
            assert len(left) == 1, answers
            left[0].is_active = False
        assert codes(answers) in ({"last_admin"}, {"invalid_token"})


async def test_no_ticket_is_left_with_a_worker_who_leaves_meanwhile(shop: Books, both: list[Server]) -> None:
    async with shop.sessions.begin() as session:
        admin = await make_user(session, Role.ADMIN)
        leaving = [await make_user(session) for _ in range(10)]
        tickets = [await make_ticket(session) for _ in leaving]
    headers = await shop.headers(admin)
    calls: list[Call] = []
    for worker, ticket in zip(leaving, tickets, strict=True):
        calls += [
            ("POST", f"/tickets/{ticket.id}/assign", {"headers": headers, "json": {"worker_id": worker.id}}),
            ("DELETE", f"/users/{worker.id}", {"headers": headers}),
        ]

    answers = await at_once([both[0], both[1], both[1], both[0]], *calls)

    for assigned, left in zip(answers[::2], answers[1::2], strict=True):
        assert {assigned.status_code, left.status_code} in ({200, 409}, {422, 204})
    async with shop.sessions() as session:
        lost = await session.scalar(
            select(func.count()).select_from(Ticket).join(Ticket.worker).where(~User.is_active)
        )
    assert lost == 0


async def test_no_request_fails_because_its_client_is_deleted_meanwhile(
    shop: Books, both: list[Server]
) -> None:
    async with shop.sessions.begin() as session:
        admin = await make_user(session, Role.ADMIN)
        known = [await make_client(session) for _ in range(20)]
    headers = await shop.headers(admin)
    calls: list[Call] = []
    for one in known:
        contact = {"name": one.name, "email": one.email}
        calls += [
            ("POST", "/public/tickets", {"json": REQUEST | {"client": contact}}),
            ("DELETE", f"/clients/{one.id}", {"headers": headers}),
        ]

    answers = await at_once(both, *calls)

    assert statuses(answers[::2]) == {201: 20}, [answer.text for answer in answers[::2]]
    assert set(statuses(answers[1::2])) <= {204, 409}
    assert codes(answers) <= {"has_tickets"}
    assert (await count(shop, Ticket), await count(shop, Client)) == (20, 20)


async def test_of_20_first_looks_one_is_told(shop: Books, both: list[Server]) -> None:
    async with shop.sessions.begin() as session:
        worker = await make_user(session)
        ticket = await make_ticket(session, status=Status.ASSIGNED, worker=worker)
    headers = await shop.headers(worker)

    answers = await at_once(both, *[("GET", f"/tickets/{ticket.id}", {"headers": headers})] * 20)

    assert statuses(answers) == {200: 20}
    assert [line.event for line in await lines(shop, ticket)] == ["viewed"]
