"""Moves of a ticket over HTTP: who may, from where, what they stamp, and what a refused one leaves alone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import override

from api.auth.models import Role, User
from api.tickets import service
from api.tickets.models import Ticket
from api.tickets.states import Party, Status
from tests.conftest import SignIn
from tests.evidence import history, problem, stored
from tests.factories import make_ticket, make_user
from tests.test_states import MAY

EVERY_STATUS = frozenset(Status)
FINISHED = frozenset({Status.DONE, Status.CLOSED})
WHY = {"reason": "Waiting for a part"}


@dataclass(frozen=True)
class Cast:
    """One user for each part in a ticket's life."""

    staff: User
    worker: User
    customer: User

    def playing(self, party: Party) -> User:
        """Return the user who is this to the ticket."""
        return {
            Party.STAFF: self.staff,
            Party.ITS_WORKER: self.worker,
            Party.ITS_CLIENT: self.customer,
        }[party]

    async def ticket(self, session: AsyncSession, status: Status, **values: Any) -> Ticket:
        """Save a ticket of these people, with its worker where it has been with one."""
        worker = None if status is Status.NEW else self.worker
        values = {"created_by": self.customer.id, "account_id": self.customer.id, "worker": worker} | values
        ticket = await make_ticket(session, status=status, **values)
        await session.commit()
        return ticket


@pytest.fixture
async def cast(session: AsyncSession) -> Cast:
    return Cast(
        staff=await make_user(session, Role.MANAGER),
        worker=await make_user(session, Role.WORKER),
        customer=await make_user(session, Role.CLIENT),
    )


@dataclass(frozen=True)
class Action:
    """A way to move a ticket, as the contract has it."""

    path: str
    body: dict[str, Any] | None
    target: Status
    only_from: frozenset[Status] = EVERY_STATUS
    parties: frozenset[Party] = frozenset(Party)

    @override
    def __str__(self) -> str:
        return f"{self.path} {self.target}" if self.path == "status" else self.path

    def status_for(self, party: Party, was: Status) -> int:
        """Return the HTTP status that the contract's table means."""
        if party is Party.ITS_WORKER and was is Status.NEW:
            return 404  # nobody's yet, so not theirs to see
        ever = any((status, self.target, party) in MAY for status in self.only_from)
        if party not in self.parties or not ever:
            return 403
        if was not in self.only_from or (was, self.target, party) not in MAY:
            return 409
        return 422 if self.target is Status.ASSIGNED else 200


SHORTHANDS = [
    Action(
        "take", None, Status.IN_PROGRESS, frozenset({Status.ASSIGNED}), parties=frozenset({Party.ITS_WORKER})
    ),
    Action("complete", {"resolution": "New pump"}, Status.DONE),
    Action("cancel", WHY, Status.CANCELED),
    Action("close", None, Status.CLOSED),
    Action("reopen", WHY, Status.IN_PROGRESS, FINISHED),
    Action("hold", WHY, Status.ON_HOLD),
    Action("resume", None, Status.IN_PROGRESS, frozenset({Status.ON_HOLD})),
]
BY_STATUS = [Action("status", {"new_status": target, **WHY}, target) for target in Status]


@pytest.mark.parametrize("party", Party)
@pytest.mark.parametrize("action", [*SHORTHANDS, *BY_STATUS], ids=str)
async def test_a_move_answers_as_the_contract_says_and_a_refused_one_changes_nothing(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast, *, action: Action, party: Party
) -> None:
    await sign_in(cast.playing(party))
    for was in Status:
        ticket = await cast.ticket(session, was)

        response = await client.post(f"/tickets/{ticket.id}/{action.path}", json=action.body)

        expected = action.status_for(party, was)
        assert response.status_code == expected, (was, response.text)
        now = await stored(session, ticket.id)
        if expected == 200:
            assert response.json()["status"] == now.status == action.target
            assert response.headers["etag"] == f'"{now.version}"' == '"2"'
            assert len(await history(session, ticket.id)) == 1
            continue
        assert (now.status, now.version) == (was, 1)
        assert await history(session, ticket.id) == []
        if expected == 409:
            body = problem(response, 409, "invalid_transition")
            assert body["ticket_status"] == was
            assert set(body["allowed"]) == {to for was_, to, who in MAY if (was_, who) == (was, party)}


@pytest.mark.parametrize("party", Party)
async def test_a_ticket_tells_each_caller_where_they_may_move_it(
    party: Party, client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    await sign_in(cast.playing(party))
    for was in Status:
        if party is Party.ITS_WORKER and was is Status.NEW:
            continue
        ticket = await cast.ticket(session, was)

        one = await client.get(f"/tickets/{ticket.id}")
        listed = await client.get("/tickets", params={"status": was})

        expected = {to for was_, to, who in MAY if (was_, who) == (was, party)}
        assert set(one.json()["allowed_statuses"]) == expected
        assert set(listed.json()["items"][0]["allowed_statuses"]) == expected


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER])
async def test_staff_assign_a_new_ticket(
    role: Role, client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.NEW)
    await sign_in(await make_user(session, role))

    response = await client.post(f"/tickets/{ticket.id}/assign", json={"worker_id": cast.worker.id})

    assert response.status_code == 200, response.text
    body = response.json()
    assert body["status"] == "assigned"
    assert body["worker"] == {
        "id": cast.worker.id,
        "username": cast.worker.username,
        "name": cast.worker.name,
    }
    assert body["assigned_at"] >= body["created_at"]
    assert body["in_progress_at"] is None
    [line] = await history(session, ticket.id)
    assert line.event == "assigned"
    assert line.changes == {
        "status": ["new", "assigned"],
        "worker_id": [None, cast.worker.id],
        "worker": [None, cast.worker.username],
    }


@pytest.mark.parametrize("was", [Status.ASSIGNED, Status.IN_PROGRESS, Status.ON_HOLD])
async def test_another_worker_gets_the_ticket_anew(
    was: Status, client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    other = await make_user(session)
    ticket = await cast.ticket(
        session, was, viewed=True, in_progress_at=datetime.fromisoformat("2026-01-02T03:04:05Z")
    )
    await sign_in(cast.staff)

    response = await client.post(f"/tickets/{ticket.id}/assign", json={"worker_id": other.id})

    body = response.json()
    assert (body["status"], body["worker"]["id"], body["viewed"]) == ("assigned", other.id, False)
    assert body["assigned_at"]
    assert body["in_progress_at"] is None
    [line] = await history(session, ticket.id)
    assert line.changes["worker"] == [cast.worker.username, other.username]


@pytest.mark.parametrize("was", [Status.ASSIGNED, Status.IN_PROGRESS, Status.ON_HOLD])
async def test_unassigning_makes_the_ticket_new(
    was: Status, client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    moment = datetime.fromisoformat("2026-01-02T03:04:05Z")
    ticket = await cast.ticket(session, was, viewed=True, assigned_at=moment, in_progress_at=moment)
    await sign_in(cast.staff)

    response = await client.post(f"/tickets/{ticket.id}/assign", json={"worker_id": None})

    now = await stored(session, ticket.id)
    assert response.status_code == 200
    assert (now.status, now.worker_id, now.viewed) == (Status.NEW, None, False)
    assert (now.assigned_at, now.in_progress_at, now.hold_reason) == (None, None, None)
    [line] = await history(session, ticket.id)
    assert (line.event, line.changes["worker"]) == ("unassigned", [cast.worker.username, None])


@pytest.mark.parametrize("was", [Status.NEW, Status.DONE, Status.CLOSED, Status.CANCELED])
async def test_nothing_can_be_taken_back_from_nobody_or_after_the_work(
    was: Status, client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, was)
    await sign_in(cast.staff)

    response = await client.post(f"/tickets/{ticket.id}/assign", json={"worker_id": None})

    problem(response, 409, "invalid_transition")
    assert await history(session, ticket.id) == []


@pytest.mark.parametrize("was", [Status.DONE, Status.CLOSED, Status.CANCELED])
async def test_a_finished_ticket_is_not_given_to_anybody(
    was: Status, client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, was)
    other = await make_user(session)
    await sign_in(cast.staff)

    response = await client.post(f"/tickets/{ticket.id}/assign", json={"worker_id": other.id})

    assert problem(response, 409, "invalid_transition")["ticket_status"] == was
    assert (await stored(session, ticket.id)).worker_id == cast.worker.id


@pytest.mark.parametrize("was", [Status.ASSIGNED, Status.IN_PROGRESS, Status.ON_HOLD])
async def test_the_worker_who_has_it_is_not_assigned_again(
    was: Status, client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, was, viewed=True)
    await sign_in(cast.staff)

    response = await client.post(f"/tickets/{ticket.id}/assign", json={"worker_id": cast.worker.id})

    problem(response, 409, "invalid_transition")
    now = await stored(session, ticket.id)
    assert (now.status, now.viewed, now.version) == (was, True, 1)


@pytest.mark.parametrize("who", ["customer", "admin", "deactivated worker", "nobody"])
async def test_tickets_go_to_active_workers_only(
    who: str, client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ids = {
        "customer": cast.customer.id,
        "admin": (await make_user(session, Role.ADMIN)).id,
        "deactivated worker": (await make_user(session, is_active=False)).id,
        "nobody": 2**63 - 1,
    }
    ticket = await cast.ticket(session, Status.NEW)
    await sign_in(cast.staff)

    response = await client.post(f"/tickets/{ticket.id}/assign", json={"worker_id": ids[who]})

    assert problem(response, 422, "not_a_worker")["errors"][0]["loc"] == ["body", "worker_id"]
    assert (await stored(session, ticket.id)).status is Status.NEW


@pytest.mark.parametrize("party", [Party.ITS_WORKER, Party.ITS_CLIENT])
async def test_only_staff_assign(
    party: Party, client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.ASSIGNED)
    other = await make_user(session)
    await sign_in(cast.playing(party))

    response = await client.post(f"/tickets/{ticket.id}/assign", json={"worker_id": other.id})

    problem(response, 403, "forbidden")
    assert (await stored(session, ticket.id)).worker_id == cast.worker.id


@pytest.mark.parametrize("action", ["take", "complete", "hold", "resume", "cancel", "close", "reopen"])
@pytest.mark.parametrize("role", [Role.WORKER, Role.CLIENT])
async def test_tickets_of_others_do_not_exist(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast, *, action: str, role: Role
) -> None:
    ticket = await cast.ticket(session, Status.ASSIGNED)
    await sign_in(await make_user(session, role))

    response = await client.post(f"/tickets/{ticket.id}/{action}")

    if (action, role) == ("take", Role.CLIENT):
        problem(response, 403, "forbidden")  # taking is for workers, whatever the ticket
    else:
        problem(response, 404, "not_found")


@pytest.mark.parametrize("body", [None, {}, {"reason": None}])
@pytest.mark.parametrize(
    ("action", "was"),
    [
        ("hold", Status.IN_PROGRESS),
        ("cancel", Status.ASSIGNED),
        ("reopen", Status.DONE),
        ("reopen", Status.CLOSED),
    ],
)
async def test_hold_cancel_and_reopen_want_to_know_why(
    client: AsyncClient,
    session: AsyncSession,
    sign_in: SignIn,
    cast: Cast,
    *,
    action: str,
    was: Status,
    body: dict[str, Any] | None,
) -> None:
    ticket = await cast.ticket(session, was)
    await sign_in(cast.staff)

    response = await client.post(f"/tickets/{ticket.id}/{action}", json=body)

    problem(response, 422, "reason_required")
    assert (await stored(session, ticket.id)).status is was
    assert await history(session, ticket.id) == []


async def test_an_empty_reason_is_none(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.IN_PROGRESS)
    await sign_in(cast.worker)

    response = await client.post(f"/tickets/{ticket.id}/hold", json={"reason": "  \n "})

    problem(response, 422, "validation_error")


async def test_a_whole_life_stamps_each_step_and_tells_each_in_the_history(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.ASSIGNED)
    path = f"/tickets/{ticket.id}"
    await sign_in(cast.worker)

    taken = (await client.post(f"{path}/take")).json()
    held = (await client.post(f"{path}/hold", json={"reason": "No spare part"})).json()
    resumed = (await client.post(f"{path}/resume")).json()
    done = (await client.post(f"{path}/complete", json={"resolution": "New pump"})).json()
    await sign_in(cast.staff)
    closed = (await client.post(f"{path}/close")).json()
    reopened = (await client.post(f"{path}/reopen", json={"reason": "Drips again"})).json()
    await sign_in(cast.worker)
    again = (await client.post(f"{path}/complete")).json()

    assert taken["in_progress_at"]
    assert taken["in_progress_at"] == held["in_progress_at"] == resumed["in_progress_at"]
    assert (held["hold_reason"], resumed["hold_reason"]) == ("No spare part", None)
    assert done["resolution"] == "New pump"
    assert done["done_at"] >= taken["in_progress_at"]
    assert (closed["done_at"], closed["in_progress_at"]) == (done["done_at"], taken["in_progress_at"])
    assert closed["closed_at"] >= done["done_at"]
    assert (reopened["done_at"], reopened["closed_at"]) == (None, None)
    assert reopened["in_progress_at"] > closed["closed_at"]
    assert reopened["worker"]["id"] == cast.worker.id
    assert again["resolution"] == "New pump"  # nothing newer was said
    told = [(line.event, line.actor_id, line.note) for line in await history(session, ticket.id)]
    assert told == [
        ("started", cast.worker.id, None),
        ("held", cast.worker.id, "No spare part"),
        ("resumed", cast.worker.id, None),
        ("completed", cast.worker.id, None),
        ("closed", cast.staff.id, None),
        ("reopened", cast.staff.id, "Drips again"),
        ("completed", cast.worker.id, None),
    ]
    assert [line.version for line in await history(session, ticket.id)] == [2, 3, 4, 5, 6, 7, 8]


async def test_canceling_keeps_the_reason_and_the_moment(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.ON_HOLD, hold_reason="No spare part")
    await sign_in(cast.staff)

    response = await client.post(f"/tickets/{ticket.id}/cancel", json={"reason": "Bought a new one"})

    body = response.json()
    assert (body["cancel_reason"], body["hold_reason"]) == ("Bought a new one", None)
    assert body["canceled_at"]
    assert body["allowed_statuses"] == []
    [line] = await history(session, ticket.id)
    assert line.note == "Bought a new one"
    assert line.changes["cancel_reason"] == [None, "Bought a new one"]


async def test_a_resolution_goes_with_done_only(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.IN_PROGRESS)
    await sign_in(cast.worker)

    response = await client.post(
        f"/tickets/{ticket.id}/status", json={"new_status": "on_hold", "reason": "Why", "resolution": "Pump"}
    )

    assert problem(response, 422, "validation_error")["errors"][0]["loc"] == ["body", "resolution"]
    assert (await stored(session, ticket.id)).status is Status.IN_PROGRESS


async def test_done_by_status_keeps_its_resolution(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.IN_PROGRESS)
    await sign_in(cast.worker)

    response = await client.post(
        f"/tickets/{ticket.id}/status", json={"new_status": "done", "resolution": "New pump"}
    )

    assert (response.json()["status"], response.json()["resolution"]) == ("done", "New pump")


@pytest.mark.parametrize("action", [*SHORTHANDS, Action("assign", {}, Status.ASSIGNED)], ids=str)
async def test_a_move_on_an_old_version_sees_the_status_that_won(
    action: Action, client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    was = min(action.only_from & {s for s, to, _ in MAY if to is action.target})
    ticket = await cast.ticket(session, was, version=7)
    other = await make_user(session)
    await sign_in(cast.worker if action.path == "take" else cast.staff)
    body = {"worker_id": other.id} if action.path == "assign" else action.body
    move = f"/tickets/{ticket.id}/{action.path}"

    overtaken = await client.post(move, json=body, headers={"If-Match": '"6"'})

    assert problem(overtaken, 409, "invalid_transition")["ticket_status"] == was
    assert await history(session, ticket.id) == []
    current = await client.post(move, json=body, headers={"If-Match": '"6", "7"'})
    assert (current.status_code, current.headers["etag"]) == (200, '"8"'), current.text


async def test_a_star_matches_any_version(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.ASSIGNED, version=7)
    await sign_in(cast.worker)

    response = await client.post(f"/tickets/{ticket.id}/take", headers={"If-Match": "*"})

    assert response.status_code == 200


async def test_the_workers_first_look_counts_as_viewed_and_nothing_else_changes(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.ASSIGNED)
    for other in (cast.staff, cast.customer):
        await sign_in(other)
        assert (await client.get(f"/tickets/{ticket.id}")).json()["viewed"] is False
    await sign_in(cast.worker)
    assert (await client.get("/tickets")).json()["items"][0]["viewed"] is False

    first = await client.get(f"/tickets/{ticket.id}")
    second = await client.get(f"/tickets/{ticket.id}")

    assert first.json()["viewed"] is True
    assert first.headers["etag"] == second.headers["etag"] == '"1"'
    now = await stored(session, ticket.id)
    assert (now.viewed, now.version, now.updated_at) == (True, 1, ticket.updated_at)
    [line] = await history(session, ticket.id)
    assert (line.event, line.actor_id, line.changes) == ("viewed", cast.worker.id, {"viewed": [False, True]})


async def test_a_look_that_another_one_overtook_is_not_told_again(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    seen_before = await cast.ticket(session, Status.ASSIGNED)
    await sign_in(cast.worker)
    await client.get(f"/tickets/{seen_before.id}")
    assert seen_before.viewed is False  # as it was loaded

    await service.mark_viewed(session, seen_before, cast.worker)

    assert [line.event for line in await history(session, seen_before.id)] == ["viewed"]


@pytest.mark.parametrize("role", [Role.WORKER, Role.CLIENT])
async def test_who_is_nothing_to_a_ticket_is_no_party_to_it(
    role: Role, session: AsyncSession, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.ASSIGNED)

    assert ticket.parties(await make_user(session, role)) == frozenset()


async def test_a_former_worker_does_not_view_what_is_no_longer_theirs(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    ticket = await cast.ticket(session, Status.ASSIGNED, worker=await make_user(session))
    await sign_in(cast.worker)

    response = await client.get(f"/tickets/{ticket.id}")

    problem(response, 404, "not_found")
    assert (await stored(session, ticket.id)).viewed is False


async def test_a_customer_takes_back_what_nobody_has_begun(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, cast: Cast
) -> None:
    await sign_in(cast.customer)
    for was in (Status.NEW, Status.ASSIGNED):
        ticket = await cast.ticket(session, was)

        response = await client.post(f"/tickets/{ticket.id}/cancel", json={"reason": "Works again"})

        assert response.json()["status"] == "canceled"
        [line] = await history(session, ticket.id)
        assert (line.actor_id, line.note) == (cast.customer.id, "Works again")
