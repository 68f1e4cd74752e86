"""Limits: on failed sign-ins, and on what anybody may write."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response
from limits import parse
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from api.auth.models import Role
from api.core.db import now
from api.core.limits import PostgresStorage, RateHit
from api.settings import Settings
from tests.api.accounts import OTHER_PASSWORD, PASSWORD, bearer, login, make_account, tokens
from tests.api.live import caller, database_of, running

PROXY = ("10.0.0.5", 50000)
_serial = count(1)


@pytest.fixture
async def app(settings: Settings, committed: str) -> AsyncIterator[FastAPI]:
    """An application that lets an account fail three times, and anybody write four times."""
    limits = {"login_rate_limit": "3/hour", "public_rate_limit": "4/hour"}
    async with running(settings, database_url=committed, trusted_proxies=["10.0.0.0/8"], **limits) as app:
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Somebody at ``PEER``."""
    async with caller(app) as client:
        yield client


@pytest.fixture
async def anna(app: FastAPI) -> str:
    """Name of an account that can sign in."""
    async with database_of(app).sessions() as session:
        await make_account(session, Role.ADMIN, username="Anna", email="anna@mail.example")
    return "Anna"


async def _fail(client: AsyncClient, name: str, times: int) -> list[int]:
    return [(await login(client, name, OTHER_PASSWORD)).status_code for _ in range(times)]


async def _submit(client: AsyncClient, **headers: str) -> Response:
    n = next(_serial)
    request = {"title": f"Kettle {n}", "client": {"name": "Ann", "email": f"ann{n}@mail.example"}}
    return await client.post("/public/tickets", json=request, headers=headers)


async def test_an_account_that_failed_too_often_has_to_wait(client: AsyncClient, anna: str) -> None:
    failed = await _fail(client, anna, 3)

    refused = await login(client, anna)

    assert failed == [401, 401, 401]
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert refused.json()["retry_after"] == int(refused.headers["Retry-After"])


async def test_every_spelling_of_a_name_counts_for_one_account(client: AsyncClient, anna: str) -> None:
    for spelling in ("anna", "ANNA", " aNNa "):
        await _fail(client, spelling, 1)

    assert (await login(client, anna)).status_code == 429


async def test_unknown_accounts_have_to_wait_too(client: AsyncClient) -> None:
    failed = await _fail(client, "nobody", 4)

    assert failed == [401, 401, 401, 429]


async def test_the_form_counts_with_the_json(client: AsyncClient, anna: str) -> None:
    await _fail(client, anna, 3)

    refused = await client.post("/auth/token", data={"username": anna, "password": PASSWORD})

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")


async def test_other_accounts_go_on_working(app: FastAPI, client: AsyncClient, anna: str) -> None:
    async with database_of(app).sessions() as session:
        await make_account(session, username="Boris")
    await _fail(client, anna, 5)

    assert (await login(client, "Boris")).status_code == 200


async def test_a_sign_in_that_succeeds_is_not_counted(client: AsyncClient, anna: str) -> None:
    signed_in = [(await login(client, anna)).status_code for _ in range(6)]

    assert signed_in == [200] * 6
    assert await _fail(client, anna, 4) == [401, 401, 401, 429]


async def test_a_success_forgives_no_earlier_failure(client: AsyncClient, anna: str) -> None:
    await _fail(client, anna, 2)
    assert (await login(client, anna)).status_code == 200

    assert await _fail(client, anna, 2) == [401, 429]


async def test_the_wait_ends_with_the_window(app: FastAPI, client: AsyncClient, anna: str) -> None:
    await _fail(client, anna, 4)
    async with database_of(app).sessions.begin() as session:
        await session.execute(update(RateHit).values(expires_at=now() - timedelta(seconds=1)))

    assert (await login(client, anna)).status_code == 200
    assert await _fail(client, anna, 4) == [401, 401, 401, 429]


async def test_one_address_cannot_try_many_accounts(app: FastAPI, client: AsyncClient, anna: str) -> None:
    tried = [status for n in range(30) for status in await _fail(client, f"name{n}", 1)]

    refused = await login(client, anna)

    assert tried == [401] * 30
    assert refused.status_code == 429
    async with caller(app, ("203.0.113.9", 1)) as elsewhere:
        assert (await login(elsewhere, anna)).status_code == 200


async def test_an_attempt_over_the_limit_is_not_hashed(
    app: FastAPI, client: AsyncClient, anna: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _fail(client, anna, 3)

    def never(*_: object) -> None:
        pytest.fail("hashed")

    monkeypatch.setattr(app.state.hasher._scheme, "_calc_checksum", never)

    assert (await login(client, anna)).status_code == 429


async def test_a_limit_holds_across_processes(
    client: AsyncClient, anna: str, settings: Settings, committed: str
) -> None:
    limits = {"login_rate_limit": "3/hour", "public_rate_limit": "4/hour"}
    async with (
        running(settings, database_url=committed, **limits) as another,
        caller(another) as there,
    ):
        await _fail(client, anna, 2)
        await _fail(there, anna, 1)
        submitted = [(await _submit(side)).status_code for side in (client, there, client, there)]

        assert (await login(client, anna)).status_code == 429
        assert (await login(there, anna)).status_code == 429
        assert submitted == [201] * 4
        assert [(await _submit(side)).status_code for side in (client, there)] == [429, 429]


async def test_the_public_form_takes_so_many_requests_from_one_address(
    app: FastAPI, client: AsyncClient
) -> None:
    taken = [(await _submit(client)).status_code for _ in range(4)]

    refused = await _submit(client)

    assert taken == [201] * 4
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    async with caller(app, ("203.0.113.9", 1)) as elsewhere:
        assert (await _submit(elsewhere)).status_code == 201


async def test_whatever_is_written_without_a_token_shares_one_limit(client: AsyncClient) -> None:
    code = (await _submit(client)).json()["code"]
    writes: list[tuple[str, dict[str, Any]]] = [
        ("/public/tickets/AAAA-AAAA-AAAA-AAAA/cancel", {"reason": "found"}),
        (f"/public/tickets/{code}/cancel", {"reason": "It works again"}),
        ("/auth/register", {"username": "boris", "password": PASSWORD}),
    ]

    allowed = [(await client.post(path, json=body)).status_code for path, body in writes]
    refused = [
        (await client.post(path, json=body)).status_code
        for path, body in [
            *writes,
            ("/tickets/public", {"title": "x", "client": {"name": "x", "phone": "1"}}),
        ]
    ]

    assert allowed == [404, 200, 201]
    assert refused == [429, 429, 429, 429]


async def test_reading_without_a_token_is_not_limited(client: AsyncClient) -> None:
    code = (await _submit(client)).json()["code"]

    read = {(await client.get(f"/public/tickets/{code}")).status_code for _ in range(6)}

    assert read == {200}


async def test_a_signed_in_user_is_not_limited_by_the_public_one(client: AsyncClient, anna: str) -> None:
    token = (await login(client, anna)).json()["access_token"]
    while (await _submit(client)).status_code == 201:
        pass

    made = await client.post("/clients", json={"name": "Ann", "phone": "+79123456789"}, headers=bearer(token))

    assert made.status_code == 201


async def test_a_header_anybody_may_send_makes_nobody_another_address(client: AsyncClient) -> None:
    for n in range(4):
        await _submit(client, **{"X-Forwarded-For": f"203.0.113.{n}", "X-Real-IP": f"203.0.113.{n}"})

    refused = await _submit(client, **{"X-Forwarded-For": "203.0.113.99", "Forwarded": "for=203.0.113.99"})

    assert refused.status_code == 429


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["203.0.113.1"], "203.0.113.1"),
        (["6.6.6.6, 203.0.113.1"], "203.0.113.1"),
        (["6.6.6.6, 203.0.113.1, 10.1.2.3"], "203.0.113.1"),
        (["6.6.6.6", "203.0.113.1"], "203.0.113.1"),
        (["203.0.113.1,, "], "203.0.113.1"),
        (["2001:DB8::1"], "2001:db8::1"),
        (["10.1.2.3"], "10.1.2.3"),
        (["6.6.6.6, unknown"], PROXY[0]),
        (["6.6.6.6, unknown, 10.1.2.3"], "10.1.2.3"),
        ([""], PROXY[0]),
        ([], PROXY[0]),
    ],
)
async def test_a_trusted_proxy_tells_the_nearest_address_that_is_no_proxy(
    lines: list[str], address: str, app: FastAPI, anna: str
) -> None:
    async with caller(app, PROXY) as proxy:
        pair = (await login(proxy, anna)).json()
        made = await proxy.post(
            "/public/tickets",
            json={"title": "Kettle", "client": {"name": "Ann", "phone": "+79123456789"}},
            headers=[("X-Forwarded-For", line) for line in lines],
        )
        ticket = await proxy.get(f"/tickets/{made.json()['id']}", headers=bearer(pair["access_token"]))

    assert ticket.json()["requester_ip"] == address


async def test_callers_behind_a_trusted_proxy_are_counted_apart(app: FastAPI) -> None:
    async with caller(app, PROXY) as proxy:
        one = [(await _submit(proxy, **{"X-Forwarded-For": "203.0.113.1"})).status_code for _ in range(5)]
        other = await _submit(proxy, **{"X-Forwarded-For": "203.0.113.2"})

    assert one == [201, 201, 201, 201, 429]
    assert other.status_code == 201


@pytest.mark.parametrize("peer", [("not-an-address", 1), None])
async def test_a_peer_without_an_address_is_no_proxy(
    peer: tuple[str, int] | None, app: FastAPI, anna: str
) -> None:
    async with caller(app) as client:
        token = (await login(client, anna)).json()["access_token"]
    async with caller(app, peer) as client:  # type: ignore[arg-type]  # as over a socket file
        made = await _submit(client, **{"X-Forwarded-For": "203.0.113.1"})
        ticket = await client.get(f"/tickets/{made.json()['id']}", headers=bearer(token))

    assert ticket.json()["requester_ip"] == (peer[0] if peer else "unknown")


async def test_empty_limits_are_off(settings: Settings, committed: str) -> None:
    off = {"login_rate_limit": "", "public_rate_limit": ""}
    async with running(settings, database_url=committed, **off) as app, caller(app) as client:
        assert set(await _fail(client, "nobody", 30)) == {401}
        assert {(await _submit(client)).status_code for _ in range(40)} == {201}
        async with database_of(app).reads() as session:
            assert await session.scalar(select(func.count()).select_from(RateHit)) == 0


async def test_counts_do_what_the_library_expects_of_a_storage(app: FastAPI) -> None:
    storage = PostgresStorage(database_of(app))
    item = parse("3/hour")
    key, other = item.key_for("a"), item.key_for("b")

    assert await storage.check()
    assert storage.base_exceptions is SQLAlchemyError
    assert await storage.get(key) == 0
    assert await storage.incr(key, 60) == 1
    assert await storage.incr(key, 60, amount=2) == 3
    assert await storage.incr(key, 60, amount=-5) == 0
    assert await storage.incr(other, 60, amount=-1) == 0
    assert await storage.incr(other, 60) == 1
    assert 0 < await storage.get_expiry(other) - now().timestamp() <= 60
    assert abs(await storage.get_expiry("unknown") - now().timestamp()) < 60
    await storage.clear(key)
    assert (await storage.get(key), await storage.get(other)) == (0, 1)
    assert await storage.reset() == 1
    assert await storage.get(other) == 0


async def test_tokens_of_a_locked_account_go_on_working(client: AsyncClient, app: FastAPI) -> None:
    async with database_of(app).sessions() as session:
        user = await make_account(session)
    pair = await tokens(client, user)
    await _fail(client, user.username, 5)

    refreshed = await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})

    assert refreshed.status_code == 200
    me = await client.get("/auth/me", headers=bearer(pair["access_token"]))
    assert me.status_code == 200
