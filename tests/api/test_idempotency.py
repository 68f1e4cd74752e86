"""``Idempotency-Key``: the same request again is answered again, not done again."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest
from httpx import AsyncClient, Response
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.clients.models import Client
from api.core.db import now
from api.core.idempotency import IdempotencyKey
from api.settings import Settings
from api.tickets.models import Ticket
from tests.api.accounts import PASSWORD, bearer, make_account, tokens
from tests.api.live import caller, database_of, running
from tests.conftest import SignIn
from tests.factories import make_user

ANN: Final = {"name": "Ann", "email": "ann@mail.example"}


@dataclass(frozen=True)
class Post:
    """A POST that creates."""

    path: str
    body: dict[str, Any]
    other: dict[str, Any]
    table: type[Ticket | User | Client]


POSTS: Final = [
    Post("/tickets", {"title": "Kettle", "client": ANN}, {"title": "Mixer"}, Ticket),
    Post("/public/tickets", {"title": "Kettle", "client": ANN}, {"title": "Mixer"}, Ticket),
    Post("/users", {"username": "boris", "password": PASSWORD, "role": "worker"}, {"role": "manager"}, User),
    Post("/clients", ANN, {"name": "Anna"}, Client),
    Post("/auth/register", {"username": "boris", "password": PASSWORD}, {"name": "Boris"}, User),
]
BY_USER: Final = [post for post in POSTS if post.path in ("/tickets", "/users", "/clients")]
each = pytest.mark.parametrize("post", POSTS, ids=lambda post: post.path)
each_by_user = pytest.mark.parametrize("post", BY_USER, ids=lambda post: post.path)


@pytest.fixture
async def admin(session: AsyncSession, sign_in: SignIn) -> User:
    """The admin who is signed in."""
    user = await make_user(session, Role.ADMIN)
    await sign_in(user)
    return user


async def _send(client: AsyncClient, post: Post, key: str = "k", **change: Any) -> Response:
    return await client.post(post.path, json=post.body | change, headers={"Idempotency-Key": key})


async def _count(session: AsyncSession, post: Post) -> int:
    return await session.scalar(select(func.count()).select_from(post.table)) or 0


@each
@pytest.mark.usefixtures("admin")
async def test_the_same_request_again_is_answered_again(
    post: Post, client: AsyncClient, session: AsyncSession
) -> None:
    first = await _send(client, post)
    made = await _count(session, post)

    again = await _send(client, post)

    assert first.status_code == 201, first.text
    assert "Idempotent-Replayed" not in first.headers
    assert again.status_code == 201
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.content == first.content
    assert again.headers.get("ETag") == first.headers.get("ETag")
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert await _count(session, post) == made


@each
@pytest.mark.usefixtures("admin")
async def test_another_body_under_the_same_key_is_refused(
    post: Post, client: AsyncClient, session: AsyncSession
) -> None:
    await _send(client, post)
    made = await _count(session, post)

    other = await _send(client, post, **post.other)

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert await _count(session, post) == made


@each
@pytest.mark.usefixtures("admin")
async def test_another_key_is_another_request(post: Post, client: AsyncClient) -> None:
    await _send(client, post, "one")

    other = await _send(client, post, "two")

    assert other.status_code == 409  # the same again is a duplicate of what exists, and nothing replayed


@pytest.mark.usefixtures("admin")
async def test_spacing_and_order_do_not_make_another_body(client: AsyncClient) -> None:
    one = b'{"name": "Ann", "email": "ann@mail.example"}'
    other = b'{ "email":"ann@mail.example",\n "name":"\\u0041nn" }'
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}

    first = await client.post("/clients", content=one, headers=headers)
    again = await client.post("/clients", content=other, headers=headers)

    assert (again.status_code, again.content) == (201, first.content)


@each_by_user
async def test_keys_of_different_users_do_not_meet(
    post: Post, admin: User, client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    await _send(client, post)
    other = await make_user(session, Role.ADMIN)
    await sign_in(other)

    answer = await _send(client, post)

    assert other.id != admin.id
    assert answer.status_code == 409  # done, not replayed: it exists already
    assert (await _send(client, post, **post.other)).headers.get("Idempotent-Replayed") is None


@pytest.mark.usefixtures("admin")
async def test_keys_of_different_operations_do_not_meet(client: AsyncClient) -> None:
    answers = [await _send(client, post) for post in (POSTS[0], POSTS[2])]

    assert [answer.status_code for answer in answers] == [201, 201]


async def test_both_paths_of_the_public_form_share_their_keys(client: AsyncClient) -> None:
    first = await _send(client, POSTS[1])

    again = await client.post("/tickets/public", json=POSTS[1].body, headers={"Idempotency-Key": "k"})

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == first.json()


@pytest.mark.usefixtures("admin")
async def test_a_request_that_failed_does_not_use_up_its_key(client: AsyncClient) -> None:
    known = (await client.post("/clients", json=ANN)).json()
    refused = await client.post("/clients", json=ANN, headers={"Idempotency-Key": "k"})
    await client.delete(f"/clients/{known['id']}")

    answer = await client.post("/clients", json=ANN, headers={"Idempotency-Key": "k"})

    assert refused.status_code == 409
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers


@pytest.mark.usefixtures("admin")
async def test_a_malformed_request_does_not_use_up_its_key(client: AsyncClient) -> None:
    refused = await _send(client, POSTS[3], name="")

    answer = await _send(client, POSTS[3])

    assert (refused.status_code, answer.status_code) == (422, 201)


@pytest.mark.parametrize(
    ("age", "replayed"), [(timedelta(hours=23, minutes=59), True), (timedelta(hours=24, minutes=1), False)]
)
@pytest.mark.usefixtures("admin")
async def test_a_key_is_kept_for_a_day(
    age: timedelta, replayed: object, client: AsyncClient, session: AsyncSession
) -> None:
    first = await _send(client, POSTS[3])
    await client.delete(f"/clients/{first.json()['id']}")
    await session.execute(update(IdempotencyKey).values(created_at=now() - age))
    await session.commit()

    answer = await _send(client, POSTS[3])

    assert answer.status_code == 201
    assert ("Idempotent-Replayed" in answer.headers) is replayed
    again = await _send(client, POSTS[3])
    assert again.content == answer.content  # whether anew or still, the key is taken


@pytest.mark.parametrize(("key", "status"), [("", 422), ("k" * 255, 201), ("k" * 256, 422), ("ключ", 201)])
@pytest.mark.usefixtures("admin")
async def test_a_key_has_1_to_255_characters(key: str, status: int, client: AsyncClient) -> None:
    headers = [(b"Idempotency-Key", key.encode())]

    answer = await client.post("/clients", json=ANN, headers=headers)

    assert answer.status_code == status


async def test_a_key_is_for_who_is_signed_in_only(client: AsyncClient) -> None:
    answer = await _send(client, POSTS[3])

    assert answer.status_code == 401


async def test_a_replay_tells_nobody_who_lost_the_right(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    user = await make_user(session, Role.ADMIN)
    await sign_in(user)
    await _send(client, POSTS[3])
    await session.execute(update(User).values(role=Role.WORKER))
    await session.commit()

    assert (await _send(client, POSTS[3])).status_code == 403


@each
async def test_of_30_posts_with_one_key_one_is_done_and_all_are_answered_alike(
    post: Post, settings: Settings, committed: str
) -> None:
    async with running(settings, database_url=committed) as app, caller(app) as client:
        async with database_of(app).sessions() as session:
            admin = await make_account(session, Role.ADMIN)
            before = await _count(session, post)
        client.headers.update(bearer((await tokens(client, admin))["access_token"]))

        answers = await asyncio.gather(*(_send(client, post) for _ in range(30)))

        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 29
        async with database_of(app).reads() as session:
            assert await _count(session, post) - before == 1
