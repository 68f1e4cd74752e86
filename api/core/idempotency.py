"""`Idempotency-Key`: a repeated POST is answered again, not done again."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import CTE, Index, Insert, Select, bindparam, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from api.core.db import Base, Session
from api.core.errors import AppError
from api.core.fields import MAX_ID

T = TypeVar("T")

KEPT_FOR: Final = timedelta(hours=24)


class IdempotencyMismatch(AppError):
    """The same `Idempotency-Key` came before, with another body."""

    status = 422
    code = "idempotency_mismatch"


class IdempotencyKey(Base):
    """What a POST with a key was answered; ``answer`` is null while it is being done."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "created_at"),)

    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes]
    answer: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


_SCOPE: Final = bindparam("key_scope", type_=IdempotencyKey.scope.type)
_KEY: Final = bindparam("key", type_=IdempotencyKey.key.type)
_SAME: Final = (IdempotencyKey.scope == _SCOPE, IdempotencyKey.key == _KEY)
_KEPT: Final = IdempotencyKey.created_at >= func.now() - KEPT_FOR
ID_TO_COME: Final = MAX_ID
"""Stands in an answer for the id that is drawn by the statement that keeps it."""


@dataclass(frozen=True)
class Attempt:
    """One POST, and by which key its caller will know it again, if by any."""

    scope: str
    key: str | None
    body: bytes

    @cached_property
    def request_hash(self) -> bytes:
        """What tells this request from others; its body was read and found good before."""
        # Spacing and the order of keys do not make it another.
        same = json.dumps(json.loads(self.body), sort_keys=True).encode()
        return hashlib.sha256(same).digest()

    def parameters(self, answer: Callable[[], BaseModel]) -> dict[str, Any]:
        """Return those of a statement with :func:`answered` and :func:`keep`."""
        keyed = self.key is not None
        return {
            "key_scope": self.scope,
            "key": self.key,
            "key_request_hash": self.request_hash if keyed else None,
            "key_answer": _kept(answer().model_dump_json(), {}) if keyed else None,
        }


NO_KEY: Final = Attempt("", None, b"")


@dataclass(frozen=True, slots=True)
class Answered:
    """What the same key was answered before, and to what request."""

    request_hash: bytes
    answer: str

    def replay(self, attempt: Attempt) -> Response:
        """Return that answer again.

        Raises:
            IdempotencyMismatch: (422) the key was used with another body.
        """
        if self.request_hash != attempt.request_hash:
            msg = "this Idempotency-Key was used with another body"
            raise IdempotencyMismatch(msg)
        known = json.loads(self.answer)
        return _respond(known["body"], known["headers"] | {"Idempotent-Replayed": "true"})


def answered() -> Select[bytes, str | None]:
    """Return the SELECT of what the attempt's key was answered before: nothing where it has none."""
    return select(IdempotencyKey.request_hash, IdempotencyKey.answer).where(*_SAME, _KEPT)


def keep(made: CTE) -> Insert:
    """Return the INSERT of the attempt's key and of what ``made``, which has an ``id``, is answered.

    For statements that do everything at a stroke. It refuses a key that another request took
    meanwhile, or so long ago that it means nothing any more (``pk_idempotency_keys``), and with
    it all of its statement: :func:`forget_expired`, and run that again.
    """
    columns = ["scope", "key", "request_hash", "answer"]
    hash_, answer = [
        bindparam(f"key_{column}", type_=IdempotencyKey.__table__.c[column].type) for column in columns[2:]
    ]
    whole = func.replace(answer, str(ID_TO_COME), made.c.id.cast(_KEY.type))
    kept = select(_SCOPE, _KEY, hash_, whole).select_from(made).where(_KEY.is_not(None))
    return insert(IdempotencyKey).from_select(columns, kept)


FORGET: Final = delete(IdempotencyKey).where(*_SAME, ~_KEPT)


async def forget_expired(session: AsyncSession, attempt: Attempt) -> None:
    """Make an old key good for another request."""
    await session.execute(FORGET, {"key_scope": attempt.scope, "key": attempt.key})


class Once:
    """Runs what a POST does at most once for each key; routers build it through ``once``."""

    def __init__(self, session: AsyncSession, attempt: Attempt) -> None:
        self._session, self._attempt = session, attempt
        self._row = {"scope": attempt.scope, "key": attempt.key}

    async def __call__(
        self,
        create: Callable[[], Awaitable[T]],
        answer: Callable[[T], BaseModel],
        *,
        headers: Callable[[T], dict[str, str]] = lambda _made: {},
    ) -> Response:
        """Return the 201 of what ``create`` makes, or of what it made the first time.

        The key is written in the same transaction as what is created. A second request with
        it waits for the first one to commit, and then finds its answer.

        Raises:
            IdempotencyMismatch: (422) the key was used with another body.
        """
        if self._attempt.key is not None and (known := await self._reserve()) is not None:
            return known.replay(self._attempt)
        made = await create()
        body = answer(made).model_dump_json()
        if self._attempt.key is not None:
            await self._session.execute(
                text("UPDATE idempotency_keys SET answer = :answer WHERE scope = :scope AND key = :key"),
                self._row | {"answer": _kept(body, headers(made))},
            )
        return _respond(body, headers(made))

    async def _reserve(self) -> Answered | None:
        reserved = await self._session.scalar(
            text(
                """
                INSERT INTO idempotency_keys AS k (scope, key, request_hash)
                VALUES (:scope, :key, :request_hash)
                ON CONFLICT (scope, key) DO UPDATE
                  SET request_hash = excluded.request_hash, answer = NULL, created_at = now()
                  WHERE k.created_at < now() - make_interval(secs => :kept)
                RETURNING true
                """
            ),
            self._row | {"request_hash": self._attempt.request_hash, "kept": KEPT_FOR.total_seconds()},
        )
        if reserved:
            return None
        found = await self._session.execute(
            text("SELECT request_hash, answer FROM idempotency_keys WHERE scope = :scope AND key = :key"),
            self._row,
        )
        return Answered(*found.one())


def _kept(body: str, headers: Mapping[str, str]) -> str:
    return json.dumps({"body": body, "headers": headers})


def created(answer: BaseModel) -> Response:
    """Return the 201 of what was made."""
    return _respond(answer.model_dump_json(), {})


def _respond(body: str, headers: dict[str, str]) -> Response:
    return Response(body, 201, headers, media_type="application/json")


@dataclass(frozen=True, slots=True)
class Key:
    """The caller's ``Idempotency-Key``, and the request that came with it."""

    request: Request
    key: str | None

    async def attempt_of(self, name: str, **same: Any) -> Attempt:
        """Return the attempt of this request; keys of different callers never meet.

        ``same`` tells what makes a request the same one where its body is no JSON: a form with
        a file was read by then, and its parts are parted anew each time it is sent.
        """
        # The operation and what it is about, not the path: one operation may have two.
        route, params = self.request.scope["route"], self.request.path_params
        scope = " ".join([name, route.name, *(f"{key}={value}" for key, value in sorted(params.items()))])
        return Attempt(scope, self.key, json.dumps(same).encode() if same else await self.request.body())


async def key_of(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=255,
            min_length=1,
            description="Any word of your choice, a UUID at best: the same request again within 24 h "
            "gets the same answer and creates nothing",
        ),
    ] = None,
) -> Key:
    """Return the caller's key."""
    return Key(request, idempotency_key)


CurrentKey = Annotated[Key, Depends(key_of)]


class OnceFor:
    """Dependency: makes a :class:`Once` for the caller that a subclass or router names."""

    def __init__(self, key: CurrentKey, session: Session) -> None:
        self._key, self._session = key, session

    async def caller(self, name: str, **same: Any) -> Once:
        """Return the :class:`Once` of this request; see :meth:`Key.attempt_of`."""
        return Once(self._session, await self._key.attempt_of(name, **same))
