"""Lists of tickets: filters, sorts, pages, cursors, totals, and what they cost."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, get_args

import pytest
from httpx import AsyncClient
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.tickets.models import Ticket
from api.tickets.schemas import TicketSort
from api.tickets.states import Priority, Status
from tests.conftest import SignIn
from tests.evidence import problem
from tests.factories import make_client, make_ticket, make_user

SORTS = [sort for sort in get_args(TicketSort) if sort != "relevance"]
DAY = timedelta(days=1)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
async def admin(session: AsyncSession, sign_in: SignIn) -> User:
    admin = await make_user(session, Role.ADMIN)
    await sign_in(admin)
    return admin


async def titles(client: AsyncClient, *query: tuple[str, Any]) -> set[str]:
    response = await client.get("/tickets", params=[*query, ("size", 100)])
    assert response.status_code == 200, response.text
    found = {item["title"] for item in response.json()["items"]}
    assert response.json()["total"] == len(found)
    return found


async def fill(session: AsyncSession, count: int) -> None:
    """Save tickets whose keys repeat, and are missing in some."""
    await session.execute(text("SET LOCAL session_replication_role = replica"))  # no triggers: it is faster
    await session.execute(
        text(
            """
            INSERT INTO tickets (code, title, status, priority, client_id, worker_id, viewed, version,
                                 created_at, updated_at, scheduled_at, due_at)
            SELECT 'C' || n, 'T' || n, (CAST(:statuses AS text[]))[1 + n % 7],
                   (CAST(:priorities AS text[]))[1 + n % 4], :client, :worker,
                   false, 1, CAST(:noon AS timestamptz) + (n / 5) * interval '1 minute',
                   CAST(:noon AS timestamptz) - (n % 50) * interval '1 hour',
                   CASE WHEN n % 3 > 0 THEN CAST(:noon AS timestamptz) + (n % 20) * interval '1 day' END,
                   CASE WHEN n % 4 > 1 THEN CAST(:noon AS timestamptz) - (n % 30) * interval '1 day' END
            FROM generate_series(1, :count) AS n
            """
        ),
        {
            "statuses": [status.value for status in Status],
            "priorities": [priority.value for priority in Priority],
            "client": (await make_client(session)).id,
            "worker": (await make_user(session)).id,
            "noon": NOON,
            "count": count,
        },
    )
    await session.execute(text("SET LOCAL session_replication_role = origin"))
    await session.commit()


async def walk(client: AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """Follow ``next_cursor`` to the end."""
    found, cursor = [], None
    while True:
        params = query | ({"cursor": cursor} if cursor else {})
        response = await client.get("/tickets", params=params)
        assert response.status_code == 200, response.text
        found += response.json()["items"]
        cursor = response.json()["next_cursor"]
        if cursor is None:
            return found


@pytest.mark.usefixtures("admin")
async def test_each_filter_finds_what_it_names(client: AsyncClient, session: AsyncSession) -> None:
    now = datetime.now(UTC)
    bob, ann = await make_user(session), await make_client(session)
    await make_ticket(session, title="plain", created_at=NOON, priority=Priority.LOW)
    await make_ticket(session, title="bobs", status=Status.IN_PROGRESS, worker=bob, viewed=True)
    await make_ticket(session, title="anns", client=ann, priority=Priority.URGENT, scheduled_at=NOON)
    await make_ticket(session, title="late", status=Status.ON_HOLD, due_at=now - DAY)
    await make_ticket(session, title="in time", due_at=now + DAY)
    await make_ticket(session, title="done late", status=Status.DONE, worker=bob, due_at=now - DAY)
    everything = {"plain", "bobs", "anns", "late", "in time", "done late"}
    expected: list[tuple[list[tuple[str, Any]], set[str]]] = [
        ([], everything),
        ([("status", "in_progress")], {"bobs"}),
        ([("status", "in_progress"), ("status", "on_hold")], {"bobs", "late"}),
        ([("priority", "urgent")], {"anns"}),
        ([("priority", "urgent"), ("priority", "low")], {"anns", "plain"}),
        ([("worker_id", bob.id)], {"bobs", "done late"}),
        ([("worker_id", "none")], {"plain", "anns", "in time"}),
        ([("client_id", ann.id)], {"anns"}),
        ([("viewed", True)], {"bobs"}),
        ([("viewed", False)], everything - {"bobs"}),
        ([("overdue", True)], {"late"}),
        ([("overdue", False)], everything - {"late"}),
        ([("created_from", NOON.isoformat())], everything),
        ([("created_from", (NOON + timedelta(microseconds=1)).isoformat())], everything - {"plain"}),
        ([("created_to", (NOON + timedelta(microseconds=1)).isoformat())], {"plain"}),
        ([("created_to", NOON.isoformat())], set()),
        ([("scheduled_from", "2026-03-10T15:00:00+03:00")], {"anns"}),
        ([("scheduled_from", "2026-03-10T12:00:01Z")], set()),
        ([("scheduled_to", "2026-03-10T12:00:01Z")], {"anns"}),
        ([("scheduled_to", "2026-03-10T12:00:00Z")], set()),
        ([("worker_id", bob.id), ("status", "done"), ("overdue", False), ("viewed", False)], {"done late"}),
        ([("worker_id", bob.id), ("priority", "urgent")], set()),
        ([("client_id", 2**63 - 1)], set()),
        ([("worker_id", 2**63 - 1)], set()),
    ]

    for query, found in expected:
        assert await titles(client, *query) == found, query


async def test_each_role_lists_its_own_scope(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    worker, customer = await make_user(session), await make_user(session, Role.CLIENT)
    await make_ticket(session, title="workers", status=Status.ASSIGNED, worker=worker)
    await make_ticket(session, title="workers before", status=Status.CLOSED, worker=worker)
    await make_ticket(session, title="another workers", status=Status.ASSIGNED)
    await make_ticket(session, title="customers", account_id=customer.id)
    await make_ticket(session, title="nobodys")
    everything = {"workers", "workers before", "another workers", "customers", "nobodys"}

    for viewer, expected in (
        (worker, {"workers", "workers before"}),
        (customer, {"customers"}),
        (await make_user(session), set()),
        (await make_user(session, Role.MANAGER), everything),
    ):
        await sign_in(viewer)
        assert await titles(client) == expected
        assert await titles(client, ("worker_id", "none")) == expected & {"customers", "nobodys"}


async def test_a_list_leaves_out_the_description_and_nothing_else(
    client: AsyncClient, session: AsyncSession, admin: User
) -> None:
    ticket = await make_ticket(session, status=Status.ASSIGNED, created_by=admin.id, description="Long story")
    await session.commit()

    [listed] = (await client.get("/tickets")).json()["items"]

    whole = (await client.get(f"/tickets/{ticket.id}")).json()
    assert whole.pop("description") == "Long story"
    assert listed == whole | {"highlight": None}


@pytest.mark.usefixtures("admin")
async def test_newest_first_and_ten_on_a_page_unless_asked_otherwise(
    client: AsyncClient, session: AsyncSession
) -> None:
    await fill(session, 25)

    body = (await client.get("/tickets")).json()

    assert {key: body[key] for key in body if key not in ("items", "next_cursor")} == {
        "total": 25,
        "total_is_exact": True,
        "page": 1,
        "size": 10,
        "pages": 3,
        "did_you_mean": None,
    }
    ids = [item["id"] for item in body["items"]]
    assert len(ids) == 10
    assert ids == sorted(ids, reverse=True)


def expected_order(rows: list[Ticket], sort: str) -> list[int]:
    """Return ids as the contract sorts them: by the key, then the id; without a key last either way."""
    name, descending = sort.removeprefix("-"), sort.startswith("-")

    def key(row: Ticket) -> tuple[Any, int]:
        value = getattr(row, name)
        for ranks in (Priority, Status):
            if isinstance(value, ranks):
                value = list(ranks).index(value)
        return value, row.id

    known = sorted((row for row in rows if getattr(row, name) is not None), key=key, reverse=descending)
    unknown = sorted(
        (row for row in rows if getattr(row, name) is None), key=lambda row: row.id, reverse=descending
    )
    return [row.id for row in (*known, *unknown)]


@pytest.mark.usefixtures("admin")
async def test_every_sort_walks_the_same_way_by_page_and_by_cursor(
    client: AsyncClient, session: AsyncSession
) -> None:
    await fill(session, 250)
    rows = list(await session.scalars(select(Ticket)))

    for sort in SORTS:
        by_page = []
        for page in range(1, 8):
            response = await client.get("/tickets", params={"sort": sort, "page": page, "size": 40})
            by_page += [item["id"] for item in response.json()["items"]]
        by_cursor = [item["id"] for item in await walk(client, sort=sort, size=40)]

        assert by_page == expected_order(rows, sort), sort
        assert by_cursor == by_page, sort


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("sort", ["-created_at", "created_at", "-priority", "due_at"])
async def test_a_walk_loses_and_doubles_nothing_while_tickets_come_in(
    sort: str, client: AsyncClient, session: AsyncSession
) -> None:
    await fill(session, 60)
    there = set(await session.scalars(select(Ticket.id)))
    seen: list[int] = []
    cursor: str | None = None

    while True:
        params: dict[str, Any] = {"sort": sort, "size": 7} | ({"cursor": cursor} if cursor else {})
        body = (await client.get("/tickets", params=params)).json()
        seen += [item["id"] for item in body["items"]]
        cursor = body["next_cursor"]
        if cursor is None or len(seen) > 200:
            break
        moment = datetime.now(UTC) if len(seen) % 2 else NOON  # some come before, some after the cursor
        await make_ticket(session, created_at=moment, due_at=moment, priority=Priority.HIGH)
        await session.commit()

    assert there <= set(seen)
    assert len(seen) == len(set(seen))


@pytest.mark.usefixtures("admin")
async def test_filters_hold_on_every_page_of_a_walk(client: AsyncClient, session: AsyncSession) -> None:
    await fill(session, 100)

    found = await walk(client, status="done", size=5)

    assert len(found) == sum(1 for n in range(1, 101) if n % 7 == list(Status).index(Status.DONE))
    assert {item["status"] for item in found} == {"done"}


@pytest.mark.usefixtures("admin")
async def test_the_last_page_has_no_cursor_and_exactly_full_pages_end_too(
    client: AsyncClient, session: AsyncSession
) -> None:
    await fill(session, 20)

    first = (await client.get("/tickets", params={"size": 10})).json()
    second = (await client.get("/tickets", params={"size": 10, "cursor": first["next_cursor"]})).json()

    assert (len(second["items"]), second["next_cursor"], second["total"]) == (10, None, 20)


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize(("count", "exact"), [(10_000, True), (10_050, False)])
async def test_counting_stops_at_ten_thousand(
    client: AsyncClient, session: AsyncSession, *, count: int, exact: bool
) -> None:
    await fill(session, count)

    first = (await client.get("/tickets", params={"size": 100})).json()
    far = (await client.get("/tickets", params={"size": 100, "page": 101})).json()
    beyond = (await client.get("/tickets", params={"size": 100, "page": 1_000_000})).json()
    some = (await client.get("/tickets", params={"status": "new"})).json()

    for body in (first, far, beyond):
        assert (body["total"], body["total_is_exact"]) == (10_000, exact)
        assert body["pages"] == (100 if exact else None)
    assert (len(first["items"]), len(far["items"]), beyond["items"]) == (100, count - 10_000, [])
    assert (some["total"], some["total_is_exact"]) == (count // 7, True)


@pytest.mark.usefixtures("admin")
async def test_a_page_beyond_the_end_is_empty_and_keeps_the_total(
    client: AsyncClient, session: AsyncSession
) -> None:
    await fill(session, 12)

    body = (await client.get("/tickets", params={"page": 3})).json()

    assert (body["items"], body["total"], body["pages"], body["page"]) == ([], 12, 2, 3)
    assert body["next_cursor"] is None


@pytest.mark.usefixtures("admin")
async def test_an_empty_list_has_no_pages(client: AsyncClient) -> None:

    body = (await client.get("/tickets")).json()

    assert (body["items"], body["total"], body["total_is_exact"], body["pages"]) == ([], 0, True, 0)


def written(value: Any) -> str:
    """Return a cursor as the API writes them, around any content."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def bad_cursors() -> Iterator[tuple[str, str]]:
    moment = NOON.isoformat()
    for sort, contents in (
        (
            "-created_at",
            [
                ["created_at", moment, 1],
                ["-created_at", moment],
                ["-created_at", moment, "1"],
                ["-created_at", moment, True],
                ["-created_at", moment, -1],
                ["-created_at", moment, 2**63],
                ["-created_at", moment, 1.5],
                ["-created_at", moment, None],
                ["-created_at", 5, 1],
                ["-created_at", None, 1],
                ["-created_at", "yesterday", 1],
                ["-created_at", "2026-03-10T12:00:00", 1],
                ["-created_at", "0001-01-01T00:00:00+10:00", 1],
                ["-created_at", "9999-12-31T23:59:59-10:00", 1],
                ["-created_at", [], 1],
                {"a": 1, "b": 2, "c": 3},
                "abc",
                7,
                None,
                b"[" * 370,
                b'["-created_at", NaN, 1]',
                b"\xff\xfe",
                b'["-created_at", "' + b"9" * 300 + b'", 1]',
                b'["-created_at", ' + b"9" * 340 + b", 1]",
            ],
        ),
        ("id", [["id", "1", 1], ["id", 2**63, 1], ["id", -1, 1], ["id", 1.0, 1], ["id", True, 1]]),
        ("priority", [["priority", 2**31, 1], ["priority", "low", 1], ["priority", -1, 1]]),
        ("-status", [["-status", 2**40, 1], ["-status", "\x00", 1]]),
        ("due_at", [["due_at", "\x00", 1]]),
    ):
        for content in contents:
            yield sort, written(content)
        for raw in ("", "!", "====", "a", "é", "x" * 501, written([sort, 1, 1]) + "!"):
            yield sort, raw


@pytest.mark.usefixtures("admin")
async def test_a_cursor_that_was_not_given_out_for_this_sort_is_refused(
    client: AsyncClient, session: AsyncSession
) -> None:
    await fill(session, 3)

    wrong = []
    for sort, cursor in bad_cursors():
        response = await client.get("/tickets", params={"sort": sort, "cursor": cursor})
        if response.status_code != 422 or response.json()["code"] not in (
            "invalid_cursor",
            "validation_error",
        ):
            wrong.append((sort, cursor, response.status_code, response.text))

    assert wrong == []


@pytest.mark.usefixtures("admin")
async def test_a_cursor_of_another_list_is_refused(client: AsyncClient, session: AsyncSession) -> None:
    await fill(session, 3)
    given = (await client.get("/tickets", params={"sort": "due_at", "size": 1})).json()["next_cursor"]

    problem(await client.get("/tickets", params={"sort": "-due_at", "cursor": given}), 422, "invalid_cursor")
    problem(await client.get("/clients", params={"cursor": given}), 422, "invalid_cursor")


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize(
    "query",
    [
        {"page": 0},
        {"page": -1},
        {"page": "x"},
        {"page": 10**30},
        {"size": 0},
        {"size": 101},
        {"sort": "title"},
        {"sort": "created_at;drop table tickets"},
        {"sort": "--created_at"},
        {"sort": ""},
        {"status": "lost"},
        {"priority": "whenever"},
        {"worker_id": "nobody"},
        {"worker_id": 0},
        {"client_id": 2**63},
        {"viewed": "perhaps"},
        {"overdue": ""},
        {"created_from": "2026-03-10T12:00:00"},
        {"created_to": "2026-02-30T12:00:00Z"},
        {"scheduled_from": "0001-01-01T00:00:00+10:00"},
        {"scheduled_to": "9999-12-31T23:59:59-10:00"},
        {"created_from": "1741608000"},
        {"search": "x" * 10_001},
        {"title": "Kettle"},
    ],
)
async def test_a_question_nobody_understands_is_refused(query: dict[str, Any], client: AsyncClient) -> None:

    body = problem(await client.get("/tickets", params=query), 422, "validation_error")

    assert body["errors"][0]["loc"][:2] == ["query", next(iter(query))]


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("size", [1, 50])
async def test_a_list_costs_one_statement_however_long_it_is(
    size: int, client: AsyncClient, session: AsyncSession, statements: list[str]
) -> None:
    await fill(session, 50)
    await session.execute(text("UPDATE tickets SET search = search_document(title)"))
    await session.commit()
    statements.clear()

    response = await client.get("/tickets", params={"size": size, "search": "T1", "status": list(Status)})

    assert response.status_code == 200
    assert response.json()["total"] == 11
    assert len(statements) == 1, statements  # who asks, the page and its total


@pytest.mark.usefixtures("admin")
async def test_one_ticket_costs_two_statements_and_its_history_three(
    client: AsyncClient, session: AsyncSession, statements: list[str]
) -> None:
    ticket = await make_ticket(session, status=Status.ASSIGNED)
    await session.commit()
    for title in ("One", "Two", "Three"):
        await client.patch(f"/tickets/{ticket.id}", json={"title": title})
    counts = []
    for path in (f"/tickets/{ticket.id}", f"/tickets/{ticket.id}/history"):
        statements.clear()
        response = await client.get(path)
        assert response.status_code == 200
        counts.append(len(statements))
    assert counts == [2, 3]


def test_the_sorts_come_in_both_directions() -> None:
    assert {sort.removeprefix("-") for sort in SORTS} == {
        "id",
        "created_at",
        "updated_at",
        "priority",
        "status",
        "scheduled_at",
        "due_at",
    }
    assert all(descending == f"-{ascending}" for ascending, descending in list(pairwise(SORTS))[::2])
