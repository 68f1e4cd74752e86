"""Permissions as parameter types: an endpoint that takes an ``AdminUser`` needs an admin.

All of them are ``async``, waiting or not: FastAPI sends others to a thread, at 100 µs each.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from limits import RateLimitItem
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.auth.queries import LIVE, parameters
from api.core.db import database_of
from api.core.errors import AppError, Forbidden, Unauthenticated
from api.core.idempotency import Once, OnceFor
from api.core.limits import Limiter, RateLimited
from api.core.security import BadToken, Claims, PasswordHasher, read_access_token
from api.settings import Settings

T = TypeVar("T")

ENDED: Final = "the session has ended, sign in again"

_bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token", auto_error=False, description="Username or e-mail, and password"
)


class InvalidToken(AppError):
    """The access token is not valid, expired, or its session has ended."""

    status = 401
    code = "invalid_token"
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}  # noqa: RUF012  as the base declares it


async def settings_of(request: Request) -> Settings:
    """Return the settings of the application that serves ``request``."""
    settings: Settings = request.app.state.settings
    return settings


async def hasher_of(request: Request) -> PasswordHasher:
    """Return the process's password hasher."""
    hasher: PasswordHasher = request.app.state.hasher
    return hasher


AppSettings = Annotated[Settings, Depends(settings_of)]
Hasher = Annotated[PasswordHasher, Depends(hasher_of)]


async def phone_region(settings: AppSettings) -> str:
    """Return the country of phone numbers that are written without one."""
    return settings.phone_region


Region = Annotated[str, Depends(phone_region)]


async def address_of(request: Request) -> str:
    """Return the caller's network address, as far as the peer and trusted proxies tell."""
    return request.client.host if request.client else "unknown"


Address = Annotated[str, Depends(address_of)]


async def claims_of(settings: AppSettings, token: Annotated[str | None, Depends(_bearer)]) -> Claims:
    """Return what the access token says.

    Raises:
        Unauthenticated: (401) there is none.
        InvalidToken: (401) it is not good.
    """
    if not token:
        msg = "sign in first: access token missing"
        raise Unauthenticated(msg)
    try:
        return read_access_token(token, key=settings.secret_key.get_secret_value())
    except BadToken as error:
        msg = "access token invalid or expired"
        raise InvalidToken(msg) from error


CurrentClaims = Annotated[Claims, Depends(claims_of)]


async def user_of(session: AsyncSession, claims: Claims) -> User:
    """Return the user whose session the token belongs to.

    Raises:
        InvalidToken: (401) the session has ended.
    """
    user = await session.scalar(LIVE, parameters(claims))
    if user is None:
        raise InvalidToken(ENDED)
    return user


async def as_caller(session: AsyncSession, claims: Claims, ask: Callable[[Role], Awaitable[T | None]]) -> T:
    """Return what ``ask`` finds for the caller's role, in one round trip where the token has it right.

    ``ask`` finds nothing unless the caller is signed in *and* has the role it is given, in the
    statement that reads the data: what the token says of the role is a guess at the question.

    Raises:
        InvalidToken: (401) the session has ended.
    """
    hint = claims.role if claims.role in set(Role) else None
    found = await ask(Role(hint)) if hint else None
    if found is None:
        found = await ask((await user_of(session, claims)).role)
    if found is None:  # it ended, or the role changed, this very moment
        raise InvalidToken(ENDED)
    return found


async def current_user(request: Request, claims: CurrentClaims) -> User:
    """Return the caller.

    Gives its connection back at once: a request that kept it and then asked for a second one
    could starve with all others that do the same.
    """
    async with database_of(request).reads() as session:
        return await user_of(session, claims)


CurrentUser = Annotated[User, Depends(current_user)]


def need(user: User, *roles: Role) -> User:
    """Return ``user``, who has one of ``roles``.

    Raises:
        Forbidden: (403) another one.
    """
    if user.role not in roles:
        msg = f"needs role {' or '.join(roles)}"
        raise Forbidden(msg)
    return user


def _require(*roles: Role) -> Callable[[User], Awaitable[User]]:
    async def check(user: CurrentUser) -> User:
        return need(user, *roles)

    return check


AdminUser = Annotated[User, Depends(_require(Role.ADMIN))]
StaffUser = Annotated[User, Depends(_require(Role.ADMIN, Role.MANAGER))]
ClientUser = Annotated[User, Depends(_require(Role.CLIENT))]
WorkerUser = Annotated[User, Depends(_require(Role.WORKER))]
DeskUser = Annotated[User, Depends(_require(Role.ADMIN, Role.MANAGER, Role.WORKER))]
"""Anybody who works here."""
StaffOrClient = Annotated[User, Depends(_require(Role.ADMIN, Role.MANAGER, Role.CLIENT))]


async def once_for_user(once: Annotated[OnceFor, Depends()], user: CurrentUser) -> Once:
    """Return the guard against a second execution of a signed-in caller's POST."""
    return await once.caller(f"user {user.id}")


async def once_for_anyone(once: Annotated[OnceFor, Depends()]) -> Once:
    """Return the guard against a second execution of an anonymous POST."""
    return await once.caller("public")


UserOnce = Annotated[Once, Depends(once_for_user)]
PublicOnce = Annotated[Once, Depends(once_for_anyone)]


async def limiter_of(request: Request) -> Limiter:
    """Return the process's limiter."""
    limiter: Limiter = request.app.state.limiter
    return limiter


RateLimiter = Annotated[Limiter, Depends(limiter_of)]


async def within_limit(limiter: Limiter, limit: RateLimitItem | None, *what: str) -> None:
    """Count one more.

    Raises:
        RateLimited: (429) it was one too many.
    """
    seconds = await limiter.hit(limit, *what)
    if seconds:
        msg = f"too many requests, try again in {seconds} s"
        raise RateLimited(msg, seconds=seconds)


async def public_write(settings: AppSettings, limiter: RateLimiter, address: Address) -> None:
    """Count a request that writes without a token; refuse what is over ``PUBLIC_RATE_LIMIT``."""
    await within_limit(limiter, settings.public_limit, "public", address)


PublicLimit = Depends(public_write)
