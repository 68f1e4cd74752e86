"""``/auth``: signing in and out, and one's own account."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response, status

from api.auth import accounts, service
from api.auth.accounts import EmailTaken, RegistrationClosed, UsernameTaken
from api.auth.deps import (
    Address,
    AppSettings,
    CurrentClaims,
    CurrentUser,
    Hasher,
    InvalidToken,
    PublicLimit,
    PublicOnce,
    RateLimiter,
    Region,
)
from api.auth.models import User
from api.auth.schemas import (
    Login,
    PasswordChange,
    ProfileUpdate,
    Refresh,
    Register,
    TokenForm,
    TokenPair,
    UserOut,
)
from api.auth.service import (
    Device,
    InvalidCredentials,
    InvalidRefreshToken,
    TokenReused,
    TooManyAttempts,
    WrongPassword,
)
from api.core.db import CurrentDatabase, Session
from api.core.errors import Unauthenticated
from api.core.idempotency import IdempotencyMismatch
from api.core.limits import RateLimited
from api.core.problems import problems
from api.core.revisions import IfMatch, Stale, tagged

router = APIRouter(prefix="/auth", tags=["auth"])

SIGNED_IN = (Unauthenticated, InvalidToken)


def device_of(request: Request, address: Address) -> Device:
    """Return where the caller signs in from."""
    return Device(address, (request.headers.get("user-agent") or "")[:300] or None)


CallerDevice = Annotated[Device, Depends(device_of)]


@router.post("/login", responses=problems(InvalidCredentials, TooManyAttempts))
async def login(
    body: Login,
    session: Session,
    database: CurrentDatabase,
    device: CallerDevice,
    hasher: Hasher,
    limiter: RateLimiter,
    settings: AppSettings,
) -> TokenPair:
    """Sign in with username or e-mail, and password."""
    return await service.login(
        session,
        body.name,
        body.password,
        device=device,
        database=database,
        hasher=hasher,
        limiter=limiter,
        settings=settings,
    )


@router.post("/token", responses=problems(InvalidCredentials, TooManyAttempts))
async def login_with_form(
    form: Annotated[TokenForm, Form()],
    session: Session,
    database: CurrentDatabase,
    device: CallerDevice,
    hasher: Hasher,
    limiter: RateLimiter,
    settings: AppSettings,
) -> TokenPair:
    """Sign in with an OAuth2 password form (RFC 6749 §4.3), as the Authorize button of `/docs` does."""
    return await service.login(
        session,
        form.username,
        form.password,
        device=device,
        database=database,
        hasher=hasher,
        limiter=limiter,
        settings=settings,
    )


@router.post("/refresh", responses=problems(InvalidRefreshToken, TokenReused))
async def refresh(body: Refresh, session: Session, settings: AppSettings) -> TokenPair:
    """Exchange a refresh token for a new pair; a second use of it ends the whole session."""
    return await service.refresh(session, body.refresh_token, settings=settings)


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT, responses=problems(*SIGNED_IN))
async def logout(user: CurrentUser, claims: CurrentClaims, session: Session) -> None:
    """End this session."""
    await service.end_sessions(session, user.id, only=claims.session_id)


@router.post("/logout-all", status_code=status.HTTP_204_NO_CONTENT, responses=problems(*SIGNED_IN))
async def logout_everywhere(user: CurrentUser, session: Session) -> None:
    """End every session of the user, this one too."""
    await service.end_sessions(session, user.id)


@router.get("/me", response_model=UserOut, responses=problems(*SIGNED_IN))
async def show_me(user: CurrentUser, response: Response) -> User:
    """Show one's own account."""
    tagged(response, user.version)
    return user


@router.patch("/me", response_model=UserOut, responses=problems(*SIGNED_IN, Stale))
async def update_me(
    body: ProfileUpdate,
    user: CurrentUser,
    session: Session,
    if_match: Annotated[IfMatch, Depends()],
    region: Region,
    response: Response,
) -> User:
    """Change one's own name, phone or language."""
    changed = await accounts.update_profile(session, user.id, body, if_match=if_match, region=region)
    tagged(response, changed.version)
    return changed


@router.post(
    "/password",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*SIGNED_IN, WrongPassword),
)
async def change_password(
    body: PasswordChange, user: CurrentUser, claims: CurrentClaims, session: Session, hasher: Hasher
) -> None:
    """Set a new password; every other session ends."""
    await service.change_password(session, user, body, claims=claims, hasher=hasher)


@router.post(
    "/register",
    response_model=UserOut,
    status_code=status.HTTP_201_CREATED,
    dependencies=[PublicLimit],
    responses=problems(RegistrationClosed, UsernameTaken, EmailTaken, RateLimited, IdempotencyMismatch),
)
async def register(
    body: Register, session: Session, hasher: Hasher, settings: AppSettings, once: PublicOnce
) -> Response:
    """Make a customer's account."""
    return await once(
        lambda: accounts.register(session, body, hasher=hasher, settings=settings),
        UserOut.model_validate,
    )
