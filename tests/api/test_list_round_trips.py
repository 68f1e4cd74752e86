"""One round trip for a list, and who may see it is decided in it: by the database, never by the token."""

from datetime import timedelta
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy import event, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.deps import InvalidToken, as_caller
from api.auth.models import Role, User, UserSession
from api.core.db import Database, now
from api.core.security import Claims, issue_access_token
from api.main import create_app
from api.settings import Settings
from api.tickets.schemas import TicketPage
from api.tickets.states import Priority, Status
from tests.conftest import SignIn
from tests.evidence import problem
from tests.factories import make_comment, make_pooled, make_session, make_ticket, make_user


async def titles(client: AsyncClient, **query: str) -> list[str]:
    response = await client.get("/tickets", params={"sort": "id", **query})
    assert response.status_code == 200, response.text
    assert response.json()["total"] == len(response.json()["items"])
    return [item["title"] for item in response.json()["items"]]


async def token_of(session: AsyncSession, settings: Settings, user: User, role: str | None) -> dict[str, str]:
    """Return the header of a live session of ``user`` whose token says ``role``."""
    opened = await make_session(session, user)
    await session.commit()
    key, ttl = settings.secret_key.get_secret_value(), settings.access_token_ttl
    return {
        "Authorization": f"Bearer {issue_access_token(Claims(user.id, opened.id, role), key=key, ttl=ttl)}"
    }


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"page": 2},
        {"status": ["new", "done"], "sort": "created_at"},
        {"sort": "due_at", "page": 9},
        {"overdue": True, "priority": ["low", "high"]},
        {"pool": True, "sort": "-priority"},
        {"search": "Ticket", "viewed": False, "page": 2},
        {"search": "Ticket", "sort": "relevance", "status": ["new", "done"], "page": 2},
    ],
)
async def test_a_list_is_one_statement_for_everybody_even_where_it_is_empty(  # noqa: PLR0917  fixtures
    role: Role,
    query: dict[str, Any],
    client: AsyncClient,
    session: AsyncSession,
    sign_in: SignIn,
    statements: list[str],
) -> None:
    await make_ticket(session)
    await sign_in(await make_user(session, role))
    statements.clear()

    response = await client.get("/tickets", params=query)

    assert response.status_code == 200
    assert len(statements) == 1, statements


async def test_a_page_past_the_end_knows_the_total_in_the_same_statement(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, statements: list[str]
) -> None:
    for _ in range(3):
        await make_ticket(session, due_at=now())
    await sign_in(await make_user(session, Role.ADMIN))

    queries: list[dict[str, Any]] = [{}, {"sort": "due_at"}, {"status": ["new", "done"]}]
    for query in queries:
        statements.clear()
        body = (await client.get("/tickets", params=query | {"page": 4})).json()

        assert (body["items"], body["total"], body["pages"]) == ([], 3, 1)
        assert len(statements) == 1


async def test_a_search_is_one_statement_and_two_more_look_for_what_was_meant(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, statements: list[str]
) -> None:
    await make_ticket(session, title="Kettle")
    await sign_in(await make_user(session, Role.ADMIN))

    async def cost(words: str) -> tuple[str | None, int]:
        statements.clear()
        response = await client.get("/tickets", params={"search": words})
        assert response.status_code == 200
        return response.json()["did_you_mean"], len(statements)

    assert await cost("kettle") == (None, 1)
    assert await cost("zzzzzz") == (None, 3)
    assert await cost("kettel") == ("kettle", 4)  # and the offer is tried


@pytest.mark.parametrize(
    "change",
    [
        update(UserSession).values(revoked_at=now()),
        update(UserSession).values(expires_at=now() - timedelta(seconds=1)),
        update(User).where(User.role == Role.ADMIN).values(is_active=False),
    ],
    ids=["signed out", "session over", "deactivated"],
)
async def test_whoever_has_no_live_session_any_more_lists_nothing(
    change: object, client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    await make_ticket(session)
    await sign_in(await make_user(session, Role.ADMIN))
    assert len(await titles(client)) == 1

    await session.execute(change)  # type: ignore[call-overload]  # an update, whichever
    await session.commit()

    for path in ("/tickets", "/tickets?search=Ticket", "/tickets?search=zzzzzz"):
        problem(await client.get(path), 401, "invalid_token")


@pytest.mark.parametrize(
    ("was", "becomes", "seen"),
    [
        (Role.ADMIN, Role.WORKER, ["mine"]),
        (Role.ADMIN, Role.CLIENT, ["claimed"]),
        (Role.WORKER, Role.CLIENT, ["claimed"]),
        (Role.CLIENT, Role.WORKER, ["mine"]),
        (Role.WORKER, Role.MANAGER, ["mine", "claimed", "nobody's"]),
    ],
)
async def test_a_role_that_was_changed_by_hand_counts_at_once(  # noqa: PLR0917  fixtures
    was: Role,
    becomes: Role,
    seen: list[str],
    client: AsyncClient,
    session: AsyncSession,
    sign_in: SignIn,
) -> None:
    user = await make_user(session, was)
    await make_ticket(session, title="mine", status=Status.ASSIGNED, worker=user)
    await make_ticket(session, title="claimed", account_id=user.id)
    await make_ticket(session, title="nobody's")
    await sign_in(user)
    await titles(client)

    await session.execute(update(User).where(User.id == user.id).values(role=becomes))
    await session.commit()

    assert await titles(client) == seen
    assert await titles(client, search="work") == seen


@pytest.mark.parametrize("hint", [None, "", "root", "admin", "manager"])
async def test_what_the_token_says_of_the_role_gives_no_right(
    hint: str | None, client: AsyncClient, session: AsyncSession, settings: Settings
) -> None:
    worker = await make_user(session)
    await make_ticket(session, title="mine", status=Status.ASSIGNED, worker=worker)
    await make_ticket(session, title="nobody's")
    client.headers.update(await token_of(session, settings, worker, hint))

    assert await titles(client) == ["mine"]
    assert await titles(client, search="work") == ["mine"]


async def test_a_token_from_before_the_hint_costs_one_statement_more(
    client: AsyncClient, session: AsyncSession, settings: Settings, statements: list[str]
) -> None:
    client.headers.update(await token_of(session, settings, await make_user(session, Role.ADMIN), None))
    statements.clear()

    await titles(client)

    assert len(statements) == 2, statements


async def test_a_session_of_somebody_else_is_nobodys(
    client: AsyncClient, session: AsyncSession, settings: Settings
) -> None:
    admin, worker = await make_user(session, Role.ADMIN), await make_user(session)
    opened = await make_session(session, worker)
    await session.commit()
    key, ttl = settings.secret_key.get_secret_value(), settings.access_token_ttl
    token = issue_access_token(Claims(admin.id, opened.id, Role.ADMIN), key=key, ttl=ttl)
    client.headers["Authorization"] = f"Bearer {token}"

    problem(await client.get("/tickets"), 401, "invalid_token")


async def test_signing_in_and_refreshing_tell_the_role_of_that_moment(
    client: AsyncClient, statements: list[str]
) -> None:
    body = {"username": "Ann", "password": "correct horse"}
    assert (await client.post("/auth/register", json=body)).status_code == 201
    first = (await client.post("/auth/login", json=body)).json()
    second = (await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})).json()

    for pair in (first, second):
        statements.clear()
        response = await client.get("/tickets", headers={"Authorization": f"Bearer {pair['access_token']}"})
        assert response.status_code == 200
        assert len(statements) == 1


@pytest.mark.parametrize("role", list(Role))
async def test_a_list_is_written_as_its_model_would_be(
    role: Role, client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    user = await make_user(session, role, email="ann@mail.example")
    moment = now().replace(microsecond=120_000)
    worker = user if role is Role.WORKER else None
    first = await make_ticket(
        session,
        title='"Ёж" \u2028 <b>',
        status=Status.ON_HOLD,
        worker=worker,
        account_id=user.id,
        priority=Priority.URGENT,
        due_at=moment,
        scheduled_at=moment.replace(microsecond=0),
        requester_ip="198.51.100.7",
        requester_ua="Agent",
        hold_reason="Part",
    )
    await make_comment(session, first)
    await make_ticket(session, account_id=user.id)
    pooled = await make_pooled(session, await make_user(session, Role.MANAGER))
    await sign_in(user)

    queries: list[dict[str, Any]] = [{}, {"pool": True}, {"size": 1}]
    queries += [{"search": "work ёж"}, {"search": "work", "pool": True}, {"search": "wrok"}]
    for query in queries:
        response = await client.get("/tickets", params=query)
        page = TicketPage.model_validate_json(response.content)

        assert (page.did_you_mean == "work") is (query.get("search") == "wrok")
        assert response.headers["content-type"] == "application/json"
        assert response.json() == page.model_dump(mode="json")
        assert list(response.json()) == list(page.model_dump())
        assert [list(item) for item in response.json()["items"]] == [
            list(item.model_dump()) for item in page.items
        ]
        assert all((item.highlight is None) is ("search" not in query) for item in page.items)
    assert pooled.id in [item["id"] for item in (await client.get("/tickets?pool=true")).json()["items"]] or (
        role is Role.CLIENT
    )


async def test_on_the_wire_a_list_is_one_message_without_begin_and_commit(
    committed: str, settings: Settings
) -> None:
    settings = settings.model_copy(update={"database_url": committed, "database_pool_size": 1})
    app = create_app(settings)
    database: Database = app.state.database
    sent: list[str] = []

    @event.listens_for(database.engine.sync_engine, "connect")
    def listen(connection: object, _record: object) -> None:
        # What the driver sends of its own accord: BEGIN and COMMIT.
        connection.driver_connection.add_query_logger(lambda query: sent.append(query.query))  # type: ignore[attr-defined]

    @event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    async with database.sessions() as session:
        ticket = await make_ticket(session)
        headers = await token_of(session, settings, await make_user(session, Role.ADMIN), "admin")
    paths = {
        "/tickets": 1,
        "/tickets?page=3": 1,
        "/tickets?search=Ticket": 1,
        f"/tickets/{ticket.id}": 2,
        f"/tickets/{ticket.id}/history": 3,
        f"/tickets/{ticket.id}/comments": 4,
        "/clients": 2,
        "/users": 2,
        "/users?page=4": 2,
        "/auth/me": 1,
    }
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://api/api/v1", headers=headers) as client:
        counted = {}
        for path in paths:
            for _ in range(2):  # the first time, the driver asks for the types of the answer
                sent.clear()
                assert (await client.get(path)).status_code == 200, path
            counted[path] = len(sent)
        sent.clear()
        assert (await client.patch(f"/tickets/{ticket.id}", json={"title": "Other"})).status_code == 200
        written = [statement.split()[0].strip(";") for statement in sent]
    await database.engine.dispose()

    assert counted == paths
    assert {"BEGIN", "COMMIT"} <= set(written)  # they would have been seen


async def test_a_caller_who_is_gone_between_two_questions_is_told_so(session: AsyncSession) -> None:
    user = await make_user(session, Role.WORKER)
    opened = await make_session(session, user)
    asked: list[Role] = []

    async def ask(role: Role) -> None:
        asked.append(role)

    with pytest.raises(InvalidToken):
        await as_caller(session, Claims(user.id, opened.id, "admin"), ask)

    assert asked == [Role.ADMIN, Role.WORKER]
