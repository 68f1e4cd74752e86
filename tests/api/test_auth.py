"""Signing in and out, tokens, one's own account."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import RefreshToken, Role, User, UserSession
from api.core.db import Database, now
from api.core.security import PasswordHasher
from api.settings import Settings
from tests.api.accounts import OTHER_PASSWORD, PASSWORD, bearer, login, make_account, tokens
from tests.api.live import caller, database_of, running
from tests.conftest import SignIn
from tests.factories import make_session, make_user

NEW = {"username": "Anna.K", "password": PASSWORD, "email": "Anna@Mail.example"}


async def _me(client: AsyncClient, token: str) -> int:
    return (await client.get("/auth/me", headers=bearer(token))).status_code


# Signing in


@pytest.mark.parametrize(
    "name",
    [
        {"username": "Anna"},
        {"username": "aNNA"},
        {"username": "anna@mail.example"},
        {"username": "ANNA@mail.EXAMPLE"},
        {"email": "Anna@mail.example"},
        {"email": "anna"},
        {"username": "  anna "},
    ],
)
async def test_a_user_signs_in_with_username_or_email_in_any_case(
    name: dict[str, str], client: AsyncClient, session: AsyncSession
) -> None:
    user = await make_account(session, username="Anna", email="Anna@Mail.example")

    answer = await client.post("/auth/login", json=name | {"password": PASSWORD})

    assert answer.status_code == 200, answer.text
    pair = answer.json()
    assert (pair["token_type"], pair["expires_in"]) == ("bearer", 30 * 60)
    me = await client.get("/auth/me", headers=bearer(pair["access_token"]))
    assert me.json()["id"] == user.id


async def test_sign_in_case_folds_beyond_ascii(client: AsyncClient, session: AsyncSession) -> None:
    await make_account(session, username="Мастер")

    answer = await login(client, "мАСТЕР")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"password": PASSWORD},
        {"username": "anna", "email": "anna@mail.example", "password": PASSWORD},
        {"username": "anna"},
        {"username": " ", "password": PASSWORD},
        {"username": "anna", "password": PASSWORD, "remember": True},
    ],
)
async def test_a_sign_in_names_one_account_and_nothing_else(
    body: dict[str, Any], client: AsyncClient, session: AsyncSession
) -> None:
    await make_account(session, username="anna", email="anna@mail.example")

    answer = await client.post("/auth/login", json=body)

    assert answer.status_code == 422


async def test_an_unknown_user_and_a_wrong_password_are_answered_alike(
    client: AsyncClient, session: AsyncSession
) -> None:
    await make_account(session, username="anna")
    await make_account(session, username="gone", is_active=False)

    answers = [
        await login(client, "anna", OTHER_PASSWORD),
        await login(client, "nobody", PASSWORD),
        await login(client, "gone", PASSWORD),
    ]

    told = [answer.json() | {"request_id": None} for answer in answers]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert told[0]["code"] == "invalid_credentials"
    assert told[0] == told[1] == told[2]
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}


@pytest.mark.parametrize("name", ["anna", "nobody", "gone"])
async def test_every_failed_sign_in_costs_one_hash(
    name: str, app: FastAPI, client: AsyncClient, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_account(session, username="anna")
    await make_account(session, username="gone", is_active=False)
    await login(client, "nobody")  # the hash that nobody's password fits is made once
    scheme = app.state.hasher._scheme
    hashed: list[str] = []
    original = scheme._calc_checksum

    def counted(self: object, secret: str) -> str:
        hashed.append(secret)
        checksum: str = original(self, secret)
        return checksum

    monkeypatch.setattr(scheme, "_calc_checksum", counted)

    await login(client, name, OTHER_PASSWORD)

    assert len(hashed) == 1


async def test_the_oauth2_form_signs_in_too(client: AsyncClient, session: AsyncSession) -> None:
    await make_account(session, username="anna", email="anna@mail.example")
    form = {"grant_type": "password", "scope": "", "client_id": "docs", "password": PASSWORD}

    answer = await client.post("/auth/token", data=form | {"username": "ANNA@mail.example"})

    assert answer.status_code == 200, answer.text
    assert await _me(client, answer.json()["access_token"]) == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"username": "anna", "password": OTHER_PASSWORD}, 401),
        ({"username": "anna", "password": "p" * 100_000}, 422),
        ({"username": "an\x00na", "password": PASSWORD}, 422),
        ({"username": " ", "password": PASSWORD}, 422),
        ({"username": "anna"}, 422),
        ({"username": "anna", "password": PASSWORD, "grant_type": "implicit"}, 422),
        ({"username": "anna", "password": PASSWORD, "role": "admin"}, 422),
    ],
)
async def test_an_unfit_oauth2_form_is_refused(
    form: dict[str, str], status: int, client: AsyncClient, session: AsyncSession
) -> None:
    await make_account(session, username="anna")

    answer = await client.post("/auth/token", data=form)

    assert answer.status_code == status


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register"])
async def test_a_huge_password_is_refused_without_hashing_it(
    path: str, app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        pytest.fail("hashed")

    monkeypatch.setattr(app.state.hasher._scheme, "_calc_checksum", never)

    answer = await client.post(path, json={"username": "anna", "password": "p" * 100_000})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "password"]


async def test_where_a_session_was_opened_is_kept(client: AsyncClient, session: AsyncSession) -> None:
    user = await make_account(session)

    await client.post(
        "/auth/login",
        json={"username": user.username, "password": PASSWORD},
        headers={"User-Agent": "Phone " * 100},
    )

    opened = (await session.scalars(select(UserSession))).one()
    assert opened.user_id == user.id
    assert opened.address == "127.0.0.1"
    assert opened.user_agent == ("Phone " * 100)[:300]


# Refresh tokens


async def test_a_refresh_gives_a_new_pair_and_the_old_access_token_goes_on(
    client: AsyncClient, session: AsyncSession
) -> None:
    user = await make_account(session)
    first = await tokens(client, user)

    answer = await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})

    assert answer.status_code == 200
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert await _me(client, second["access_token"]) == 200
    assert await _me(client, first["access_token"]) == 200


async def test_a_refresh_token_used_twice_ends_its_family_and_no_other(
    client: AsyncClient, session: AsyncSession
) -> None:
    user = await make_account(session)
    elsewhere = await tokens(client, user)
    first = await tokens(client, user)
    second = (await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})).json()

    reused = await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})

    assert (reused.status_code, reused.json()["code"]) == (401, "token_reused")
    assert "WWW-Authenticate" in reused.headers
    newest = await client.post("/auth/refresh", json={"refresh_token": second["refresh_token"]})
    assert (newest.status_code, newest.json()["code"]) == (401, "invalid_token")
    assert await _me(client, first["access_token"]) == 401
    assert await _me(client, second["access_token"]) == 401
    assert await _me(client, elsewhere["access_token"]) == 200


@pytest.mark.parametrize("token", ["x", "ünïcode", "a" * 43])
async def test_an_unknown_refresh_token_is_refused(token: str, client: AsyncClient) -> None:
    answer = await client.post("/auth/refresh", json={"refresh_token": token})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_access_token_does_not_refresh(client: AsyncClient, session: AsyncSession) -> None:
    pair = await tokens(client, await make_account(session))

    answer = await client.post("/auth/refresh", json={"refresh_token": pair["access_token"]})

    assert answer.status_code == 401


async def test_refresh_tokens_are_stored_as_digests(client: AsyncClient, session: AsyncSession) -> None:
    pair = await tokens(client, await make_account(session))

    stored = (await session.scalars(select(RefreshToken.digest))).all()

    assert stored == [hashlib.sha256(pair["refresh_token"].encode()).digest()]


async def test_a_session_that_rested_too_long_does_not_refresh(
    client: AsyncClient, session: AsyncSession
) -> None:
    pair = await tokens(client, await make_account(session))
    await session.execute(update(UserSession).values(expires_at=now() - timedelta(seconds=1)))
    await session.commit()

    answer = await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert await _me(client, pair["access_token"]) == 401


async def test_a_refresh_makes_the_session_live_longer(client: AsyncClient, session: AsyncSession) -> None:
    pair = await tokens(client, await make_account(session))
    soon = now() + timedelta(hours=1)
    await session.execute(update(UserSession).values(expires_at=soon))
    await session.commit()

    await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})

    expires_at = await session.scalar(select(UserSession.expires_at))
    assert expires_at is not None
    assert expires_at > soon + timedelta(days=28)


async def test_a_deactivated_user_does_not_refresh(client: AsyncClient, session: AsyncSession) -> None:
    pair = await tokens(client, await make_account(session))
    await session.execute(update(User).values(is_active=False))
    await session.commit()

    answer = await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})

    assert answer.status_code == 401


async def _until_waiting(database: Database, count: int) -> None:
    """Wait until so many transactions are held up by a lock."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    async with asyncio.timeout(10), database.reads() as session:
        while await session.scalar(waiting) != count:
            await session.execute(text("SELECT pg_sleep(0.01)"))


async def test_of_two_refreshes_at_once_one_wins_and_the_family_ends(
    committed: str, settings: Settings
) -> None:
    async with running(settings, database_url=committed) as app, caller(app) as client:
        async with database_of(app).sessions() as session:
            user = await make_account(session)
        pair = await tokens(client, user)

        body = {"refresh_token": pair["refresh_token"]}
        async with database_of(app).sessions() as holding:
            await holding.execute(select(RefreshToken).with_for_update())
            both = asyncio.gather(*(client.post("/auth/refresh", json=body) for _ in range(2)))
            await _until_waiting(database_of(app), 2)
        answers = await both

        assert sorted(answer.status_code for answer in answers) == [200, 401]
        won, lost = sorted(answers, key=lambda answer: answer.status_code)
        assert lost.json()["code"] == "token_reused"
        assert await _me(client, won.json()["access_token"]) == 401


# Signing out


async def test_logout_ends_this_session_only(client: AsyncClient, session: AsyncSession) -> None:
    user = await make_account(session)
    here, there = await tokens(client, user), await tokens(client, user)

    answer = await client.post("/auth/logout", headers=bearer(here["access_token"]))

    assert answer.status_code == 204
    assert await _me(client, here["access_token"]) == 401
    refreshed = await client.post("/auth/refresh", json={"refresh_token": here["refresh_token"]})
    assert refreshed.status_code == 401
    assert await _me(client, there["access_token"]) == 200


async def test_logout_all_ends_every_session_of_this_user_only(
    client: AsyncClient, session: AsyncSession
) -> None:
    user, other = await make_account(session), await make_account(session)
    here, there, others = await tokens(client, user), await tokens(client, user), await tokens(client, other)

    answer = await client.post("/auth/logout-all", headers=bearer(here["access_token"]))

    assert answer.status_code == 204
    assert await _me(client, here["access_token"]) == 401
    assert await _me(client, there["access_token"]) == 401
    assert await _me(client, others["access_token"]) == 200


# One's own account


async def test_me_tells_the_user_and_no_secret(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    user = await make_user(session, email="a@mail.example", phone="+7 912 345-67-89", department="North")
    await sign_in(user)

    me = await client.get("/auth/me")

    told = me.json()
    assert told.pop("created_at").endswith("Z")
    assert told == {
        "id": user.id,
        "username": user.username,
        "email": "a@mail.example",
        "name": user.name,
        "phone": "+7 912 345-67-89",
        "role": "worker",
        "department": "North",
        "language": "ru",
        "is_active": True,
    }
    assert me.headers["ETag"] == '"1"'


async def test_users_change_their_name_phone_and_language(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    await sign_in(await make_user(session, phone="+79123456789"))

    changed = await client.patch("/auth/me", json={"name": " Анна ", "phone": None, "language": "en"})

    assert changed.status_code == 200, changed.text
    assert changed.headers["ETag"] == '"2"'
    me = (await client.get("/auth/me")).json()
    assert (me["name"], me["phone"], me["language"]) == ("Анна", None, "en")


@pytest.mark.parametrize(
    "body",
    [
        {"role": "admin"},
        {"is_active": True},
        {"username": "root"},
        {"email": "new@mail.example"},
        {"department": "North"},
        {"password": OTHER_PASSWORD},
        {"id": 1},
        {"language": None},
        {"language": "de"},
        {"phone": "12"},
        {"phone": "not a phone"},
        {"name": ""},
    ],
)
async def test_users_change_nothing_else_of_their_account(
    body: dict[str, Any], client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    await sign_in(await make_user(session))
    before = (await client.get("/auth/me")).json()

    answer = await client.patch("/auth/me", json={"name": "New name"} | body)

    assert answer.status_code == 422
    assert (await client.get("/auth/me")).json() == before


async def test_one_s_own_account_is_not_changed_from_an_old_version(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    user = await make_user(session, name="Ann")
    await sign_in(user)
    await client.patch("/auth/me", json={"name": "Anna"})

    stale = await client.patch("/auth/me", json={"name": "Hanna"}, headers={"If-Match": '"1"'})

    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    (changed,) = stale.json()["changed"]
    assert (changed["field"], changed["was"], changed["now"]) == ("name", "Ann", "Anna")
    assert changed["by"] == user.username
    current = await client.patch("/auth/me", json={"name": "Hanna"}, headers={"If-Match": '"2"'})
    assert current.json()["name"] == "Hanna"


# Passwords


async def test_a_password_change_ends_every_other_session(client: AsyncClient, session: AsyncSession) -> None:
    user = await make_account(session)
    here, there = await tokens(client, user), await tokens(client, user)

    answer = await client.post(
        "/auth/password",
        json={"current_password": PASSWORD, "new_password": OTHER_PASSWORD},
        headers=bearer(here["access_token"]),
    )

    assert answer.status_code == 204, answer.text
    assert await _me(client, here["access_token"]) == 200
    assert await _me(client, there["access_token"]) == 401
    assert (await login(client, user.username, PASSWORD)).status_code == 401
    assert (await login(client, user.username, OTHER_PASSWORD)).status_code == 200


async def test_a_password_change_wants_the_current_one(client: AsyncClient, session: AsyncSession) -> None:
    user = await make_account(session)
    here, there = await tokens(client, user), await tokens(client, user)

    answer = await client.post(
        "/auth/password",
        json={"current_password": OTHER_PASSWORD, "new_password": OTHER_PASSWORD},
        headers=bearer(here["access_token"]),
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_password")
    assert await _me(client, there["access_token"]) == 200
    assert (await login(client, user.username, PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    ("password", "status"),
    [
        ("a" * 7, 422),
        ("a" * 8, 201),
        ("a" * 128, 201),
        ("a" * 129, 422),
        ("пароль на русском", 201),
        ("🔑" * 8, 201),
        ("🔑" * 128, 201),
        ("  spaces  ", 201),
        ("line\nbreak", 201),
        ("with\x00nul!", 422),
        (12345678, 422),
    ],
)
async def test_passwords_have_8_to_128_characters_of_any_kind(
    password: Any, status: int, client: AsyncClient
) -> None:
    answer = await client.post("/auth/register", json=NEW | {"password": password})

    assert answer.status_code == status, answer.text
    if status == 201:
        assert (await login(client, "anna.k", password)).status_code == 200
        assert (await login(client, "anna.k", password[:-1])).status_code == 401
        assert (await login(client, "anna.k", password.strip()[1:])).status_code == 401


async def test_bytes_of_a_password_beyond_bcrypts_72_count(client: AsyncClient) -> None:
    await client.post("/auth/register", json=NEW | {"password": "a" * 72 + "one"})

    other = await login(client, "anna.k", "a" * 72 + "two")

    assert other.status_code == 401
    assert (await login(client, "anna.k", "a" * 72 + "one")).status_code == 200


# Registration


async def test_whoever_registers_is_a_client(client: AsyncClient, session: AsyncSession) -> None:
    answer = await client.post("/auth/register", json=NEW | {"name": "Anna", "phone": "8 912 345-67-89"})

    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["role"], told["is_active"]) == ("client", True)
    assert (told["username"], told["email"], told["phone"]) == (
        "Anna.K",
        "Anna@mail.example",
        "8 912 345-67-89",
    )
    user = (await session.scalars(select(User))).one()
    assert user.role is Role.CLIENT
    assert PASSWORD not in user.password_hash


@pytest.mark.parametrize(
    "extra",
    [{"role": "admin"}, {"is_active": True}, {"id": 7}, {"department": "North"}, {"password_hash": "!"}],
)
async def test_nobody_registers_with_more_than_the_form_has(
    extra: dict[str, Any], client: AsyncClient, session: AsyncSession
) -> None:
    answer = await client.post("/auth/register", json=NEW | extra)

    assert answer.status_code == 422
    assert (await session.scalars(select(User))).all() == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (NEW | {"username": "ANNA.K", "email": None}, "username_taken"),
        (NEW | {"username": "somebody", "email": "ANNA@mail.example"}, "email_taken"),
    ],
)
async def test_names_and_emails_are_taken_whatever_their_case(
    body: dict[str, Any], code: str, client: AsyncClient
) -> None:
    await client.post("/auth/register", json=NEW)

    answer = await client.post("/auth/register", json=body)

    assert (answer.status_code, answer.json()["code"]) == (409, code)


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": "ab"},
        {"username": "a" * 65},
        {"username": "with space"},
        {"username": "anna@mail.example"},
        {"username": ".anna"},
        {"email": "no-at-sign"},
        {"email": "a@" + "b" * 250 + ".example"},
        {"phone": "123"},
        {"phone": "phone"},
    ],
)
async def test_an_unfit_registration_names_the_field(wrong: dict[str, Any], client: AsyncClient) -> None:
    answer = await client.post("/auth/register", json=NEW | wrong)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", *wrong]


async def test_registration_can_be_closed(settings: Settings, committed: str) -> None:
    async with running(settings, database_url=committed, registration_open=False) as app:
        async with caller(app) as client:
            answer = await client.post("/auth/register", json=NEW)

        assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")
        async with database_of(app).reads() as session:
            assert (await session.scalars(select(User))).all() == []


# Rights end at once


Ending = Callable[[AsyncClient, User, dict[str, str]], Awaitable[int]]


async def _deactivate(client: AsyncClient, user: User, admin: dict[str, str]) -> int:
    return (await client.patch(f"/users/{user.id}", json={"is_active": False}, headers=admin)).status_code


async def _delete(client: AsyncClient, user: User, admin: dict[str, str]) -> int:
    return (await client.delete(f"/users/{user.id}", headers=admin)).status_code


async def _demote(client: AsyncClient, user: User, admin: dict[str, str]) -> int:
    return (await client.patch(f"/users/{user.id}", json={"role": "worker"}, headers=admin)).status_code


async def _reset_password(client: AsyncClient, user: User, admin: dict[str, str]) -> int:
    body = {"password": OTHER_PASSWORD}
    return (await client.patch(f"/users/{user.id}", json=body, headers=admin)).status_code


@pytest.mark.parametrize("end", [_deactivate, _delete, _demote, _reset_password])
async def test_a_token_stops_the_moment_its_user_loses_rights(
    end: Ending, client: AsyncClient, session: AsyncSession
) -> None:
    admin = bearer((await tokens(client, await make_account(session, Role.ADMIN)))["access_token"])
    user = await make_account(session, Role.MANAGER)
    pair = await tokens(client, user)
    assert await _me(client, pair["access_token"]) == 200

    assert await end(client, user, admin) in (200, 204)

    assert await _me(client, pair["access_token"]) == 401
    refreshed = await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    assert refreshed.status_code == 401
    assert (await client.get("/auth/me", headers=admin)).status_code == 200


async def test_what_ended_does_not_come_back_when_the_user_is_active_again(
    client: AsyncClient, session: AsyncSession
) -> None:
    admin = bearer((await tokens(client, await make_account(session, Role.ADMIN)))["access_token"])
    user = await make_account(session, Role.MANAGER)
    pair = await tokens(client, user)
    await _deactivate(client, user, admin)

    back = await client.patch(f"/users/{user.id}", json={"is_active": True}, headers=admin)

    assert back.json()["is_active"] is True
    assert await _me(client, pair["access_token"]) == 401
    assert (await login(client, user.username)).status_code == 200


async def test_a_change_of_the_name_leaves_sessions_alone(client: AsyncClient, session: AsyncSession) -> None:
    admin = bearer((await tokens(client, await make_account(session, Role.ADMIN)))["access_token"])
    user = await make_account(session, Role.MANAGER)
    pair = await tokens(client, user)

    await client.patch(f"/users/{user.id}", json={"name": "Maria", "role": "manager"}, headers=admin)

    assert await _me(client, pair["access_token"]) == 200


async def test_a_password_that_changes_while_somebody_signs_in_opens_no_session(
    app: FastAPI, client: AsyncClient, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await make_account(session)
    hasher: PasswordHasher = app.state.hasher
    verify = hasher.verify

    async def verify_while_it_changes(password: str, stored: str | None) -> bool:
        matches = await verify(password, stored)
        await session.execute(update(User).values(password_hash="another"))
        await session.commit()
        return matches

    monkeypatch.setattr(hasher, "verify", verify_while_it_changes)

    answer = await login(client, user.username)

    assert answer.status_code == 401
    assert (await session.scalars(select(UserSession))).all() == []


# Forged access tokens


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _forge(header: Any, payload: Any, key: str, algorithm: str = "sha256") -> str:
    signed = ".".join(_b64(json.dumps(part).encode()) for part in (header, payload))
    if algorithm == "none":
        return f"{signed}."
    return f"{signed}.{_b64(hmac.digest(key.encode(), signed.encode(), algorithm))}"


HS256 = {"alg": "HS256", "typ": "JWT"}
BAD_SUBJECTS: list[Any] = ["0", "-1", "1 ", "\u0661", "admin", "", "9" * 30, "9" * 5000, None, 1, ["1"], {}]
BAD_SESSIONS: list[Any] = [0, -1, 2**63, "1", True, None, 1.0, [1]]
OURS: dict[str, Any] = {"header": HS256, "change": {}, "drop": (), "key": None, "algorithm": "sha256"}


@pytest.fixture
async def good(session: AsyncSession, settings: Settings) -> dict[str, Any]:
    """The payload of a token that is good, of a session that lives."""
    user = await make_user(session, Role.ADMIN)
    opened = await make_session(session, user)
    await session.commit()
    moment = int(time.time())
    payload = {"sub": str(user.id), "sid": opened.id, "type": "access", "iat": moment, "exp": moment + 600}
    return {"payload": payload, "key": settings.secret_key.get_secret_value()}


async def test_a_token_made_by_hand_is_good_when_nothing_is_wrong_with_it(
    client: AsyncClient, good: dict[str, Any]
) -> None:
    assert await _me(client, _forge(HS256, good["payload"], good["key"])) == 200


@pytest.mark.parametrize(
    "flaw",
    [
        pytest.param({"header": {"alg": "none", "typ": "JWT"}, "algorithm": "none"}, id="alg none"),
        pytest.param({"header": {"alg": "None", "typ": "JWT"}, "algorithm": "none"}, id="alg None"),
        pytest.param({"algorithm": "none"}, id="no signature"),
        pytest.param(
            {"header": {"alg": "HS512", "typ": "JWT"}, "algorithm": "sha512"}, id="HS512 with our key"
        ),
        pytest.param(
            {"header": {"alg": "HS384", "typ": "JWT"}, "algorithm": "sha384"}, id="HS384 with our key"
        ),
        pytest.param({"header": {"alg": "RS256", "typ": "JWT"}}, id="RS256"),
        pytest.param({"header": HS256 | {"kid": "../../dev/null"}}, id="kid"),
        pytest.param({"header": HS256 | {"jwk": {"kty": "oct", "k": "AA"}}}, id="jwk"),
        pytest.param({"header": HS256 | {"jku": "https://evil.example/keys"}}, id="jku"),
        pytest.param({"header": HS256 | {"crit": ["exp"]}}, id="crit"),
        pytest.param({"header": {"typ": "JWT"}}, id="no alg"),
        pytest.param({"header": ["HS256"]}, id="header is a list"),
        pytest.param({"key": "another-secret-of-more-than-32-bytes-in-all"}, id="other key"),
        pytest.param({"key": ""}, id="empty key"),
        pytest.param({"drop": ("exp",)}, id="no exp"),
        pytest.param({"drop": ("iat",)}, id="no iat"),
        pytest.param({"drop": ("sub",)}, id="no sub"),
        pytest.param({"drop": ("sid",)}, id="no sid"),
        pytest.param({"drop": ("type",)}, id="no type"),
        pytest.param({"change": {"type": "refresh"}}, id="other type"),
        pytest.param({"change": {"exp": int(time.time()) - 1}}, id="expired"),
        pytest.param({"change": {"exp": "tomorrow"}}, id="exp is a word"),
        pytest.param({"change": {"exp": None}}, id="exp is null"),
        pytest.param({"change": {"exp": 1e400}}, id="exp is infinite"),
        pytest.param({"change": {"iat": "x"}}, id="iat is a word"),
        pytest.param({"change": {"nbf": 32503680000}}, id="not yet good"),
        *(pytest.param({"change": {"sub": sub}}, id=f"sub {sub!r}"[:30]) for sub in BAD_SUBJECTS),
        *(pytest.param({"change": {"sid": sid}}, id=f"sid {sid!r}"[:30]) for sid in BAD_SESSIONS),
    ],
)
async def test_a_forged_token_is_refused(
    flaw: dict[str, Any], client: AsyncClient, good: dict[str, Any]
) -> None:
    made = OURS | flaw
    payload = {k: v for k, v in (good["payload"] | made["change"]).items() if k not in made["drop"]}
    key = good["key"] if made["key"] is None else made["key"]

    answer = await client.get(
        "/auth/me", headers=bearer(_forge(made["header"], payload, key, made["algorithm"]))
    )

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_a_token_whose_payload_was_changed_is_refused(
    client: AsyncClient, session: AsyncSession, good: dict[str, Any]
) -> None:
    victim = await make_user(session, Role.ADMIN)
    await session.commit()
    header, payload, signature = _forge(HS256, good["payload"], good["key"]).split(".")
    other = json.loads(base64.urlsafe_b64decode(payload + "==")) | {"sub": str(victim.id)}

    answer = await _me(client, f"{header}.{_b64(json.dumps(other).encode())}.{signature}")

    assert answer == 401


async def test_a_token_of_another_users_session_is_refused(
    client: AsyncClient, session: AsyncSession, good: dict[str, Any]
) -> None:
    other = await make_user(session, Role.ADMIN)
    await session.commit()

    answer = await _me(client, _forge(HS256, good["payload"] | {"sub": str(other.id)}, good["key"]))

    assert answer == 401


@pytest.mark.parametrize("role", list(Role))
async def test_the_database_decides_the_role_and_not_the_token(
    role: Role, client: AsyncClient, session: AsyncSession, good: dict[str, Any]
) -> None:
    await session.execute(update(User).values(role=role))
    await session.commit()
    token = _forge(HS256, good["payload"] | {"role": "admin", "scope": "admin"}, good["key"])

    me = await client.get("/auth/me", headers=bearer(token))
    users = await client.get("/users", headers=bearer(token))

    assert me.json()["role"] == role
    assert users.status_code == (200 if role in (Role.ADMIN, Role.MANAGER) else 403)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "unauthenticated"),
        ("Bearer", "unauthenticated"),
        ("Bearer ", "unauthenticated"),
        ("Basic YWRtaW46YWRtaW4xMjM=", "unauthenticated"),
        ("Bearer x", "invalid_token"),
        ("Bearer a.b.c", "invalid_token"),
        ("Bearer " + "a" * 8000, "invalid_token"),
        ("Bearer ....", "invalid_token"),
        ("Bearer \xff\xfe", "invalid_token"),
    ],
)
async def test_garbage_in_place_of_a_token_is_refused(header: str, code: str, client: AsyncClient) -> None:
    answer = await client.get("/auth/me", headers=[(b"Authorization", header.encode("latin-1"))])

    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
