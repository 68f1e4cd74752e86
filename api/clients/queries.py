"""Every SELECT on clients."""

from typing import Final

from sqlalchemy import Subquery, column, func, select, table, true
from sqlalchemy.ext.asyncio import AsyncSession

from api.clients.models import Client
from api.clients.schemas import ClientSort
from api.core.errors import NotFound
from api.core.paging import AnyRow, AnySelect, Key, SearchQuery, Slice, paginate
from api.core.search import matches

# The floor above owns this table; what is needed of it here is to count.
_tickets: Final = table("tickets", column("client_id"), column("status"), column("created_at"))
OPEN: Final = ("new", "assigned", "in_progress", "on_hold")

KEYS: Final = {"id": Key(Client.id), "name": Key(Client.name), "created_at": Key(Client.created_at)}


class ClientQuery(SearchQuery):
    """Query string of ``GET /clients``; `search` takes names, e-mails, and phones in any writing."""

    sort: ClientSort = "-created_at"


def _shown() -> AnySelect:
    brought = (
        select(
            func.count().filter(_tickets.c.status.in_(OPEN)).label("open_tickets"),
            func.count().label("tickets_total"),
            func.max(_tickets.c.created_at).label("last_ticket_at"),
        )
        .where(_tickets.c.client_id == Client.id)
        .lateral("brought")
    )
    columns = (
        Client.id,
        Client.name,
        Client.phone,
        Client.email,
        Client.comment,
        Client.created_at,
        Client.version,
        brought.c.open_tickets,
        brought.c.tickets_total,
        brought.c.last_ticket_at,
    )
    return select(*columns).select_from(Client).join(brought, true())


async def find(session: AsyncSession, query: ClientQuery) -> Slice[AnyRow]:
    """Return one page of clients."""
    found = select(Client.id)
    if query.words:
        found = found.where(matches(Client.search, query.words))

    def show(page: Subquery) -> AnySelect:
        return _shown().join(page, page.c.id == Client.id)

    return await paginate(session, found, query, keys=KEYS, sort=query.sort, show=show)


async def get(session: AsyncSession, client_id: int) -> AnyRow:
    """Return a client.

    Raises:
        NotFound: (404).
    """
    found = (await session.execute(_shown().where(Client.id == client_id))).one_or_none()
    if found is None:
        raise NotFound("client")
    return found
