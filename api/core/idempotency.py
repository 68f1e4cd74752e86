"""`Idempotency-Key`: a repeated POST is answered again, not done again."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

from fastapi import Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import Index, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from api.core.db import Base, Session
from api.core.errors import AppError

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


class Once:
    """Runs what a POST does at most once for each key; routers build it through ``once``."""

    def __init__(self, session: AsyncSession, key: str | None, scope: str, body: bytes) -> None:
        self._session, self._key, self._body = session, key, body
        self._row = {"scope": scope, "key": key}

    async def __call__(
        self,
        create: Callable[[], Awaitable[T]],
        answer: Callable[[T], BaseModel],
        *,
        headers: Callable[[T], dict[str, str]] = lambda _created: {},
    ) -> Response:
        """Return the 201 of what ``create`` makes, or of what it made the first time.

        The key is written in the same transaction as what is created. A second request with
        it waits for the first one to commit, and then finds its answer.

        Raises:
            IdempotencyMismatch: (422) the key was used with another body.
        """
        if self._key is not None and (known := await self._reserve()) is not None:
            return _respond(known["body"], known["headers"] | {"Idempotent-Replayed": "true"})
        created = await create()
        body = answer(created).model_dump_json()
        if self._key is not None:
            await self._session.execute(
                text("UPDATE idempotency_keys SET answer = :answer WHERE scope = :scope AND key = :key"),
                self._row | {"answer": json.dumps({"body": body, "headers": headers(created)})},
            )
        return _respond(body, headers(created))

    async def _reserve(self) -> dict[str, Any] | None:
        # The body was read and found good by now. Spacing and the order of keys do not make it another.
        same = json.dumps(json.loads(self._body), sort_keys=True).encode()
        request_hash = hashlib.sha256(same).digest()
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
            self._row | {"request_hash": request_hash, "kept": KEPT_FOR.total_seconds()},
        )
        if reserved:
            return None
        found = (
            await self._session.execute(
                text("SELECT request_hash, answer FROM idempotency_keys WHERE scope = :scope AND key = :key"),
                self._row,
            )
        ).one()
        if found.request_hash != request_hash:
            msg = "this Idempotency-Key was used with another body"
            raise IdempotencyMismatch(msg)
        answer: dict[str, Any] = json.loads(found.answer)
        return answer


def _respond(body: str, headers: dict[str, str]) -> Response:
    return Response(body, 201, headers, media_type="application/json")


class OnceFor:
    """Dependency: makes a :class:`Once` for the caller that a subclass or router names."""

    def __init__(
        self,
        request: Request,
        session: Session,
        idempotency_key: Annotated[
            str | None,
            Header(
                max_length=255,
                min_length=1,
                description="Any word of your choice, a UUID at best: the same request again within 24 h "
                "gets the same answer and creates nothing",
            ),
        ] = None,
    ) -> None:
        self._request, self._session, self._key = request, session, idempotency_key

    async def caller(self, name: str, **same: Any) -> Once:
        """Return the :class:`Once` of this request; keys of different callers never meet.

        ``same`` tells what makes a request the same one where its body is no JSON: a form with
        a file was read by then, and its parts are parted anew each time it is sent.
        """
        # The operation and what it is about, not the path: one operation may have two.
        route, params = self._request.scope["route"], self._request.path_params
        scope = " ".join([name, route.name, *(f"{key}={value}" for key, value in sorted(params.items()))])
        body = json.dumps(same).encode() if same else await self._request.body()
        return Once(self._session, self._key, scope, body)
