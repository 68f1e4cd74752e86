"""Figures about tickets, against a small set computed by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.db import now
from api.tickets.states import Priority, Status
from tests.conftest import SignIn
from tests.evidence import problem
from tests.factories import make_ticket, make_user

DAY1 = datetime(2026, 3, 10, 9, tzinfo=UTC)
DAY2 = datetime(2026, 3, 11, 9, tzinfo=UTC)
DAY3 = datetime(2026, 3, 12, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
MARCH = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-13T00:00:00Z"}


@pytest.fixture
async def ann(session: AsyncSession) -> User:
    return await make_user(session, username="ann", name="Ann")


@pytest.fixture
async def bob(session: AsyncSession) -> User:
    return await make_user(session, username="bob", name="Bob")


@pytest.fixture
async def shop(session: AsyncSession, sign_in: SignIn, ann: User, bob: User) -> None:
    """Save seven tickets of three days; a manager asks."""
    late, later = now() - HOUR, now() + HOUR
    await make_ticket(session, created_at=DAY1, due_at=late, priority=Priority.LOW)
    await make_ticket(session, created_at=DAY1, status=Status.CANCELED, due_at=late)
    await make_ticket(
        session,
        created_at=DAY1,
        status=Status.CLOSED,
        worker=ann,
        due_at=late,
        assigned_at=DAY1 + 1 * HOUR,
        in_progress_at=DAY1 + 2 * HOUR,
        done_at=DAY1 + 10 * HOUR,
    )
    await make_ticket(
        session,
        created_at=DAY1,
        status=Status.DONE,
        worker=ann,
        priority=Priority.HIGH,
        assigned_at=DAY1 + 3 * HOUR,
        in_progress_at=DAY1 + 6 * HOUR,
        done_at=DAY1 + 20 * HOUR,  # the second day, 05:00
    )
    await make_ticket(
        session,
        created_at=DAY2,
        status=Status.IN_PROGRESS,
        worker=ann,
        due_at=late,
        assigned_at=DAY2 + 5 * HOUR,
        in_progress_at=DAY2 + 7 * HOUR,
    )
    await make_ticket(
        session,
        created_at=DAY3,
        status=Status.ASSIGNED,
        worker=bob,
        due_at=later,
        assigned_at=DAY3 + 2 * HOUR,
    )
    await make_ticket(session, created_at=DAY3 + 16 * HOUR, status=Status.NEW)  # after the period
    await make_user(session, is_active=False)  # has nothing, and is gone
    await sign_in(await make_user(session, Role.MANAGER))


async def ask(client: AsyncClient, **query: Any) -> dict[str, Any]:
    response = await client.get("/tickets/stats", params=query)
    assert response.status_code == 200, response.text
    figures: dict[str, Any] = response.json()
    return figures


@pytest.mark.usefixtures("shop")
async def test_the_figures_of_a_period_are_those_computed_by_hand(
    client: AsyncClient, ann: User, bob: User
) -> None:
    figures = await ask(client, **MARCH)

    assert figures["by_status"] == {
        "new": 1,
        "assigned": 1,
        "in_progress": 1,
        "on_hold": 0,
        "done": 1,
        "closed": 1,
        "canceled": 1,
    }
    assert figures["by_priority"] == {"low": 1, "normal": 4, "high": 1, "urgent": 0}
    assert (figures["created"], figures["done"]) == (6, 2)
    assert (figures["open"], figures["overdue"]) == (4, 2)  # as of now, whatever the period
    # 1, 2, 3, 5 hours; the median lies between 2 and 3, nine of ten at 3 + 0.7 * 2
    assert figures["seconds_to_assign"] == {"median": 2.5 * 3600, "p90": pytest.approx(4.4 * 3600)}
    # 2, 6, 7 hours
    assert figures["seconds_to_start"] == {"median": 6 * 3600, "p90": pytest.approx(6.8 * 3600)}
    # 10, 20 hours
    assert figures["seconds_to_done"] == {"median": 15 * 3600, "p90": pytest.approx(19 * 3600)}
    assert figures["per_day"] == [
        {"day": "2026-03-10", "created": 4, "done": 1},
        {"day": "2026-03-11", "created": 1, "done": 1},
        {"day": "2026-03-12", "created": 1, "done": 0},
    ]
    nothing = {"open": 0, "in_progress": 0, "overdue": 0, "done": 0, "median_seconds_to_done": None}
    assert figures["per_worker"] == [
        {
            "worker": {"id": ann.id, "username": "ann", "name": "Ann"},
            "open": 1,
            "in_progress": 1,
            "overdue": 1,
            "done": 2,
            "median_seconds_to_done": 15 * 3600,
        },
        nothing | {"worker": {"id": bob.id, "username": "bob", "name": "Bob"}, "open": 1},
    ]


@pytest.mark.usefixtures("shop")
async def test_a_period_counts_what_was_made_and_done_in_it(client: AsyncClient) -> None:
    second_day = await ask(client, **{"from": "2026-03-11T00:00:00Z", "to": "2026-03-12T00:00:00Z"})
    everything = await ask(client)

    assert (second_day["created"], second_day["done"], second_day["open"]) == (1, 1, 4)
    assert second_day["seconds_to_done"] == {"median": None, "p90": None}  # what was made then is not done
    assert second_day["per_day"] == [{"day": "2026-03-11", "created": 1, "done": 1}]
    assert (everything["created"], everything["done"]) == (7, 2)
    assert len(everything["per_day"]) == 30
    assert everything["per_day"][-1]["day"] == now().date().isoformat()


@pytest.mark.usefixtures("shop")
async def test_the_beginning_belongs_to_a_period_and_the_end_does_not(client: AsyncClient) -> None:
    exact = await ask(client, **{"from": DAY1.isoformat(), "to": DAY2.isoformat()})
    later = await ask(client, **{"from": (DAY1 + HOUR).isoformat(), "to": (DAY2 + HOUR).isoformat()})

    assert (exact["created"], later["created"]) == (4, 1)


@pytest.mark.usefixtures("shop")
async def test_no_more_than_a_year_of_days_is_told(client: AsyncClient) -> None:
    figures = await ask(client, **{"from": "1970-01-01T00:00:00Z", "to": "2026-03-13T00:00:00Z"})

    assert len(figures["per_day"]) == 366
    assert figures["per_day"][-1] == {"day": "2026-03-12", "created": 1, "done": 0}


@pytest.mark.usefixtures("shop")
async def test_a_period_that_ends_before_it_begins_is_empty(client: AsyncClient) -> None:
    figures = await ask(client, **{"from": "2026-03-13T00:00:00Z", "to": "2026-03-10T00:00:00Z"})

    assert (figures["created"], figures["done"], figures["per_day"]) == (0, 0, [])
    assert set(figures["by_status"].values()) == {0}


@pytest.mark.usefixtures("shop")
async def test_staff_ask_for_one_worker(client: AsyncClient, ann: User) -> None:
    figures = await ask(client, worker_id=ann.id, **MARCH)

    assert (figures["created"], figures["done"], figures["open"], figures["overdue"]) == (3, 2, 1, 1)
    assert [row["worker"]["username"] for row in figures["per_worker"]] == ["ann"]


@pytest.mark.usefixtures("shop")
async def test_a_worker_sees_their_own_figures_only(
    client: AsyncClient, sign_in: SignIn, ann: User, bob: User
) -> None:
    of_ann = await ask(client, worker_id=ann.id, **MARCH)
    await sign_in(ann)

    assert await ask(client, **MARCH) == of_ann
    assert await ask(client, worker_id=ann.id, **MARCH) == of_ann
    problem(await client.get("/tickets/stats", params={"worker_id": bob.id}), 403, "forbidden")


async def test_customers_see_no_figures(client: AsyncClient, session: AsyncSession, sign_in: SignIn) -> None:
    await sign_in(await make_user(session, Role.CLIENT))

    problem(await client.get("/tickets/stats"), 403, "forbidden")


async def test_without_tickets_everything_is_nothing(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    await sign_in(await make_user(session, Role.ADMIN))

    figures = await ask(client)

    assert (figures["created"], figures["done"], figures["open"], figures["overdue"]) == (0, 0, 0, 0)
    assert figures["seconds_to_assign"] == {"median": None, "p90": None}
    assert figures["per_worker"] == []


@pytest.mark.usefixtures("shop")
async def test_a_worker_who_is_gone_still_counts_for_what_they_did(
    client: AsyncClient, session: AsyncSession, ann: User
) -> None:
    ann.is_active = False
    await session.commit()

    figures = await ask(client, **MARCH)

    assert [row["worker"]["username"] for row in figures["per_worker"]] == ["ann", "bob"]


@pytest.mark.usefixtures("shop")
async def test_all_figures_cost_two_statements(client: AsyncClient, statements: list[str]) -> None:
    statements.clear()

    await ask(client)

    assert len(statements) == 2, statements
