"""``/clients``: who brings the repairs; for admins and managers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, status

from api.auth.deps import InvalidToken, Region, StaffUser, UserOnce
from api.clients import queries, service
from api.clients.matching import ClientExists, contact_of
from api.clients.queries import ClientQuery
from api.clients.schemas import ClientCreate, ClientOut, ClientPage, ClientUpdate
from api.clients.service import HasTickets
from api.core.db import Reads, Session
from api.core.errors import Forbidden, NotFound, Unauthenticated
from api.core.fields import PathId
from api.core.idempotency import IdempotencyMismatch
from api.core.paging import AnyRow, InvalidCursor, Slice
from api.core.problems import problems
from api.core.revisions import IfMatch, Stale, etag, tagged

router = APIRouter(prefix="/clients", tags=["clients"])

ACCESS = (Unauthenticated, InvalidToken, Forbidden)
Expected = Annotated[IfMatch, Depends()]


@router.get("", response_model=ClientPage, responses=problems(*ACCESS, InvalidCursor))
async def list_clients(
    query: Annotated[ClientQuery, Query()], session: Reads, _staff: StaffUser
) -> Slice[AnyRow]:
    """List clients; search by name, e-mail, or phone in any writing."""
    return await queries.find(session, query)


@router.post(
    "",
    response_model=ClientOut,
    status_code=status.HTTP_201_CREATED,
    responses=problems(*ACCESS, ClientExists, IdempotencyMismatch),
)
async def create_client(
    body: ClientCreate, session: Session, _staff: StaffUser, region: Region, once: UserOnce
) -> Response:
    """Add a client."""

    async def create() -> AnyRow:
        client_id = await service.create(session, contact_of(body, region=region))
        return await queries.get(session, client_id)

    return await once(create, ClientOut.model_validate, headers=lambda client: {"ETag": etag(client.version)})


@router.get("/{client_id}", response_model=ClientOut, responses=problems(*ACCESS, NotFound))
async def get_client(client_id: PathId, session: Reads, _staff: StaffUser, response: Response) -> AnyRow:
    """Show one client."""
    client = await queries.get(session, client_id)
    tagged(response, client.version)
    return client


@router.patch(
    "/{client_id}", response_model=ClientOut, responses=problems(*ACCESS, NotFound, Stale, ClientExists)
)
async def update_client(
    client_id: PathId,
    body: ClientUpdate,
    session: Session,
    staff: StaffUser,
    if_match: Expected,
    region: Region,
    response: Response,
) -> AnyRow:
    """Change a client; what is left out stays."""
    await service.update(session, client_id, body, actor=staff, if_match=if_match, region=region)
    client = await queries.get(session, client_id)
    tagged(response, client.version)
    return client


@router.delete(
    "/{client_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*ACCESS, NotFound, Stale, HasTickets),
)
async def delete_client(client_id: PathId, session: Session, _staff: StaffUser, if_match: Expected) -> None:
    """Delete a client who never had a ticket."""
    await service.delete(session, client_id, if_match=if_match)
