"""What tests look at afterwards: problems as callers read them, rows as they are stored."""

from typing import Any

from httpx import Response
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import Base
from api.tickets.models import Ticket, TicketEvent


def problem(response: Response, status: int, code: str) -> dict[str, Any]:
    """Return the body of an answer that must be this problem, whole and in the right format."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (body["status"], body["code"]) == (status, code), body
    assert body["detail"]
    assert body["type"] == f"urn:problem:{code}"
    assert body["request_id"] == response.headers["x-request-id"]
    return body


async def stored(session: AsyncSession, ticket_id: int) -> Ticket:
    """Return the ticket as the database has it now."""
    return await session.get_one(Ticket, ticket_id, populate_existing=True)


async def history(session: AsyncSession, ticket_id: int) -> list[TicketEvent]:
    """Return every line of a ticket's history, oldest first."""
    found = await session.scalars(
        select(TicketEvent).where(TicketEvent.ticket_id == ticket_id).order_by(TicketEvent.id)
    )
    return list(found)


async def rows(session: AsyncSession) -> dict[str, int]:
    """Return how many rows each table has."""
    counts = [
        select(func.count()).select_from(table).scalar_subquery().label(table.name)
        for table in Base.metadata.sorted_tables
    ]
    return dict((await session.execute(select(*counts))).one()._mapping)
