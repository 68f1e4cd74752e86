"""Tickets as parameter types: already found, already checked, locked if need be."""

from typing import Annotated

from fastapi import Depends, Request

from api.auth.deps import Address, AdminUser, CurrentUser
from api.core.db import Reads, Session
from api.core.fields import PathId
from api.core.revisions import IfMatch
from api.tickets import queries
from api.tickets.intake import Requester
from api.tickets.models import Ticket

Expected = Annotated[IfMatch, Depends()]


async def visible_ticket(ticket_id: PathId, session: Reads, viewer: CurrentUser) -> Ticket:
    """Return the ticket of the path, if the caller may see it."""
    return await queries.get(session, ticket_id, viewer=viewer)


async def glimpsed_ticket(ticket_id: PathId, session: Reads, viewer: CurrentUser) -> Ticket:
    """Return the ticket of the path, if the caller may see it, or at least that it is in the pool."""
    return await queries.get(session, ticket_id, viewer=viewer, glimpse=True)


async def locked_ticket(ticket_id: PathId, session: Session, viewer: CurrentUser) -> Ticket:
    """Return the ticket of the path, its row locked until the request's transaction ends."""
    return await queries.lock(session, ticket_id, viewer=viewer)


async def admins_ticket(ticket_id: PathId, admin: AdminUser, session: Session) -> Ticket:
    """Return the ticket of the path, locked; asked by an admin."""
    return await queries.lock(session, ticket_id, viewer=admin)


VisibleTicket = Annotated[Ticket, Depends(visible_ticket, scope="function")]
GlimpsedTicket = Annotated[Ticket, Depends(glimpsed_ticket, scope="function")]
LockedTicket = Annotated[Ticket, Depends(locked_ticket, scope="function")]
AdminsTicket = Annotated[Ticket, Depends(admins_ticket, scope="function")]


async def requester_of(request: Request, address: Address) -> Requester:
    """Return where the request came from."""
    return Requester(address, (request.headers.get("user-agent") or "")[:300] or None)


CurrentRequester = Annotated[Requester, Depends(requester_of)]
