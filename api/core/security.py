"""Secrets: passwords, access tokens, random tokens and codes. Pure, but for the hashing threads."""

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any, Final, TypeVar

from jose import jwt
from jose.exceptions import JWTError
from passlib.hash import bcrypt_sha256

T = TypeVar("T")

ALGORITHM: Final = "HS256"
HEADER: Final = {"alg": ALGORITHM, "typ": "JWT"}
ACCESS: Final = "access"
CODE_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's Base32: no I, L, O or U, which are misheard and misread."""
CODE_LENGTH: Final = 16
"""16 characters of 5 bits: 80 bits."""
_MISREAD: Final = str.maketrans("ILO", "110")


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says; everything else is asked of the database."""

    user_id: int
    session_id: int
    role: str | None = None
    """What the user was when the token was issued: a hint for what to ask, never a right."""


class BadToken(Exception):
    """The access token is not ours, not intact, or no longer good."""


def issue_access_token(claims: Claims, *, key: str, ttl: timedelta) -> str:
    """Return a signed access token (RFC 7519)."""
    issued = datetime.now(UTC)
    payload = {"sub": str(claims.user_id), "sid": claims.session_id, "type": ACCESS, "iat": issued}
    if claims.role is not None:
        payload["role"] = str(claims.role)
    return str(jwt.encode(payload | {"exp": issued + ttl}, key, algorithm=ALGORITHM))


def read_access_token(token: str, *, key: str) -> Claims:
    """Return what ``token`` says.

    The header must be exactly ours: no other algorithm, and no ``jwk``, ``jku`` or ``kid`` that
    tells which key to use (RFC 8725 §3.1, §3.10).

    Raises:
        BadToken: for any reason; the caller is told no more than that.
    """
    try:
        claims, expires = _verified(token, key)
    except (JWTError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise BadToken from error
    if expires < time.time():
        raise BadToken
    return claims


# The same token comes with every request of a session, and its signature does not change: only
# whether it has expired does. What is refused is not kept.
@lru_cache(maxsize=4096)
def _verified(token: str, key: str) -> tuple[Claims, int]:
    if jwt.get_unverified_header(token) != HEADER:
        raise BadToken
    payload: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        options={"require_exp": True, "require_iat": True, "require_sub": True},
    )
    return _claims(payload), int(payload["exp"])


def _claims(payload: dict[str, Any]) -> Claims:
    subject, session_id = payload["sub"], payload.get("sid")
    if payload.get("type") != ACCESS or type(session_id) is not int or not subject.isascii():
        raise BadToken
    if not subject.isdecimal() or not 0 < int(subject) < 2**63 or not 0 < session_id < 2**63:
        raise BadToken
    role = payload.get("role")
    return Claims(int(subject), session_id, role if isinstance(role, str) else None)


def random_token() -> str:
    """Return 256 random bits, safe in a URL."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """Return what is stored of a random token: too long to guess, so one round is enough."""
    return hashlib.sha256(token.encode()).digest()


def random_code() -> str:
    """Return a tracking code: 80 random bits, written in groups of four."""
    drawn = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    return "-".join(drawn[start : start + 4] for start in range(0, CODE_LENGTH, 4))


def read_code(text: str) -> str | None:
    """Return the code that somebody typed, or None when it cannot be one."""
    bare = "".join(text.upper().split()).replace("-", "").translate(_MISREAD)
    if len(bare) != CODE_LENGTH or not set(bare) <= set(CODE_ALPHABET):
        return None
    return "-".join(bare[start : start + 4] for start in range(0, CODE_LENGTH, 4))


class PasswordHasher:
    """bcrypt over a SHA-256 pre-hash, so that no byte beyond its 72 is lost.

    One hash is a quarter of a second of CPU, and lets go of the interpreter meanwhile. Hashes run
    in threads of their own, one less than there are cores: so sign-ins wait for each other and
    never hold up other requests. The threads are as important as any other: with a lower priority
    they would be put aside while they hold the interpreter, and everybody would wait for them.
    """

    def __init__(self, rounds: int) -> None:
        self._scheme = bcrypt_sha256.using(rounds=rounds)  # type: ignore[no-untyped-call]  # its stubs are half done
        # Not a semaphore before asyncio's threads: whoever gives up waiting would free a place
        # while the thread still computes.
        self._threads = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="hash")

    async def hash(self, password: str) -> str:
        """Return the hash to store."""
        return str(await self._run(self._scheme.hash, password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether ``password`` is the one; as slow for an account that does not exist."""
        return await self._run(self._verify, password, stored) and stored is not None

    async def _run(self, compute: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, compute, *arguments)

    def _verify(self, password: str, stored: str | None) -> bool:
        # In the thread as a whole: the first use of `_nobody` is a hash too.
        return bool(self._scheme.verify(password, stored or self._nobody))

    @cached_property
    def _nobody(self) -> str:
        return str(self._scheme.hash(random_token()))
