"""``/users``: accounts, for admins; managers read workers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, status

from api.auth.accounts import EmailTaken, UsernameTaken
from api.auth.deps import AdminUser, Hasher, InvalidToken, Region, StaffUser, UserOnce
from api.core.db import Reads, Session
from api.core.errors import Forbidden, NotFound, Unauthenticated
from api.core.fields import Id, PathId
from api.core.idempotency import IdempotencyMismatch
from api.core.paging import AnyRow, InvalidCursor, Slice
from api.core.problems import problems
from api.core.revisions import IfMatch, Stale, etag, tagged
from api.users import queries, service
from api.users.queries import UserQuery
from api.users.schemas import UserCreate, UserOut, UserPage, UserUpdate
from api.users.service import HasOpenTickets, LastAdmin, NotAWorker, OwnAccount

router = APIRouter(prefix="/users", tags=["users"])

ACCESS = (Unauthenticated, InvalidToken, Forbidden)
Expected = Annotated[IfMatch, Depends()]


@router.get("", response_model=UserPage, responses=problems(*ACCESS, InvalidCursor))
async def list_users(
    query: Annotated[UserQuery, Query()], session: Reads, viewer: StaffUser
) -> Slice[AnyRow]:
    """List accounts; a manager sees workers only."""
    return await queries.find(session, query, viewer=viewer)


@router.post(
    "",
    response_model=UserOut,
    status_code=status.HTTP_201_CREATED,
    responses=problems(*ACCESS, UsernameTaken, EmailTaken, IdempotencyMismatch),
)
async def create_user(
    body: UserCreate, session: Session, admin: AdminUser, hasher: Hasher, region: Region, once: UserOnce
) -> Response:
    """Make an account."""

    async def create() -> AnyRow:
        user = await service.create(session, body, hasher=hasher, region=region)
        return await queries.get(session, user.id, viewer=admin)

    return await once(create, UserOut.model_validate, headers=lambda user: {"ETag": etag(user.version)})


@router.get("/{user_id}", response_model=UserOut, responses=problems(*ACCESS, NotFound))
async def get_user(user_id: PathId, session: Reads, viewer: StaffUser, response: Response) -> AnyRow:
    """Show one account."""
    user = await queries.get(session, user_id, viewer=viewer)
    tagged(response, user.version)
    return user


@router.patch(
    "/{user_id}",
    response_model=UserOut,
    responses=problems(
        *ACCESS, NotFound, Stale, UsernameTaken, EmailTaken, LastAdmin, OwnAccount, HasOpenTickets
    ),
)
async def update_user(
    user_id: PathId,
    body: UserUpdate,
    session: Session,
    admin: AdminUser,
    if_match: Expected,
    hasher: Hasher,
    region: Region,
    response: Response,
) -> AnyRow:
    """Change an account; what is left out stays. A new role or password ends its sessions."""
    await service.update(session, user_id, body, actor=admin, if_match=if_match, hasher=hasher, region=region)
    user = await queries.get(session, user_id, viewer=admin)
    tagged(response, user.version)
    return user


@router.delete(
    "/{user_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*ACCESS, NotFound, Stale, LastAdmin, OwnAccount, HasOpenTickets, NotAWorker),
)
async def delete_user(
    user_id: PathId,
    session: Session,
    admin: AdminUser,
    if_match: Expected,
    reassign_to: Annotated[Id | None, Query(description="Who gets the open tickets")] = None,
) -> None:
    """Deactivate an account; its history stays."""
    await service.delete(session, user_id, actor=admin, if_match=if_match, reassign_to=reassign_to)
