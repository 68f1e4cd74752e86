"""Accounts with a password that is known, for tests that sign in the real way."""

from typing import Any

from httpx import AsyncClient, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.core.security import PasswordHasher
from tests.factories import make_user

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "staple of another colour"
_HASH = PasswordHasher(rounds=4)._scheme.hash(PASSWORD)


async def make_account(session: AsyncSession, role: Role = Role.WORKER, **values: Any) -> User:
    """Save a user whose password is ``PASSWORD``, visible to requests."""
    user = await make_user(session, role, **{"password_hash": _HASH} | values)
    await session.commit()
    return user


async def login(client: AsyncClient, name: str, password: str = PASSWORD) -> Response:
    """Try to sign in."""
    return await client.post("/auth/login", json={"username": name, "password": password})


async def tokens(client: AsyncClient, user: User) -> dict[str, Any]:
    """Sign ``user`` in and return the pair."""
    answer = await login(client, user.username)
    assert answer.status_code == 200, answer.text
    pair: dict[str, Any] = answer.json()
    return pair


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries an access token."""
    return {"Authorization": f"Bearer {token}"}
