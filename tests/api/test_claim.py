"""Tying a ticket to a customer's account by its code."""

import pytest
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role
from tests.conftest import SignIn
from tests.evidence import history, problem, rows, stored
from tests.factories import make_comment, make_ticket, make_user


async def test_a_claimed_ticket_is_one_s_own(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    ticket = await make_ticket(session)
    await make_comment(session, ticket, await make_user(session, Role.MANAGER))
    customer = await make_user(session, Role.CLIENT, name="Vera", phone="+7 900")
    await sign_in(customer)
    problem(await client.get(f"/tickets/{ticket.id}"), 404, "not_found")

    claimed = await client.post("/tickets/claim", json={"code": ticket.code.replace("-", " ").lower()})

    assert claimed.status_code == 200, claimed.text
    body = claimed.json()
    assert (body["id"], body["code"], body["unread_comments"]) == (ticket.id, ticket.code, 1)
    assert claimed.headers["ETag"]
    assert body["allowed_statuses"] == ["canceled"]
    assert (await client.get(f"/tickets/{ticket.id}")).json() == body
    assert [row["id"] for row in (await client.get("/tickets")).json()["items"]] == [ticket.id]
    assert (await client.get(f"/tickets/{ticket.id}/comments")).json()["total"] == 1
    assert [(line.event, line.actor_id) for line in await history(session, ticket.id)] == [
        ("claimed", customer.id)
    ]


async def test_what_the_shop_knows_of_its_client_is_not_told_to_whoever_claims(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    ticket = await make_ticket(session)
    await sign_in(await make_user(session, Role.CLIENT, name="Vera"))

    body = (await client.post("/tickets/claim", json={"code": ticket.code})).json()

    assert body["client"] == {"id": ticket.client_id, "name": "Vera", "phone": None, "email": None}


async def test_claiming_again_changes_nothing(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    ticket = await make_ticket(session)
    await sign_in(await make_user(session, Role.CLIENT))

    first = await client.post("/tickets/claim", json={"code": ticket.code})
    second = await client.post("/tickets/claim", json={"code": ticket.code})

    assert (first.status_code, second.json()) == (200, first.json())
    assert len(await history(session, ticket.id)) == 1


async def test_what_another_account_has_stays_theirs(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    owner = await make_user(session, Role.CLIENT)
    ticket = await make_ticket(session, account_id=owner.id)
    await sign_in(await make_user(session, Role.CLIENT))

    problem(await client.post("/tickets/claim", json={"code": ticket.code}), 409, "already_claimed")

    assert (await stored(session, ticket.id)).account_id == owner.id
    problem(await client.get(f"/tickets/{ticket.id}"), 404, "not_found")


@pytest.mark.parametrize("role", [Role.WORKER, Role.MANAGER, Role.ADMIN])
async def test_those_who_work_here_claim_nothing(
    role: Role, client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    ticket = await make_ticket(session)
    await sign_in(await make_user(session, role))
    before = await rows(session)

    problem(await client.post("/tickets/claim", json={"code": ticket.code}), 403, "forbidden")

    assert await rows(session) == before


@pytest.mark.parametrize("code", ["2222-2222-2222-2222", "nonsense"])
async def test_a_wrong_code_claims_nothing(
    code: str, client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    await sign_in(await make_user(session, Role.CLIENT))

    problem(await client.post("/tickets/claim", json={"code": code}), 404, "not_found")


async def test_nobody_claims_without_an_account(client: AsyncClient, session: AsyncSession) -> None:
    ticket = await make_ticket(session)
    await session.commit()

    problem(await client.post("/tickets/claim", json={"code": ticket.code}), 401, "unauthenticated")
