"""Build and save test data. Every field has a default; a test names only what it is about."""

from datetime import timedelta
from itertools import count
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User, UserSession
from api.clients.models import Client
from api.core.db import now
from api.core.fields import e164, key_of
from api.core.security import random_code
from api.tickets.attachments.models import Attachment
from api.tickets.comments.models import Comment, Visibility
from api.tickets.models import Ticket
from api.tickets.responses.models import Offer, OfferMessage
from api.tickets.states import WITH_WORKER, Status

_serial = count(1)


async def make_user(session: AsyncSession, role: Role = Role.WORKER, **values: Any) -> User:
    """Save a user; the password hash fits no password unless one is given."""
    n = next(_serial)
    fields = {"username": f"user{n}", "name": f"User {n}", "password_hash": "!"} | values
    email = fields.get("email")
    user = User(
        **fields,
        role=role,
        username_key=key_of(fields["username"]),
        email_key=key_of(email) if email else None,
        version=1,
    )
    session.add(user)
    await session.flush()
    return user


async def make_session(session: AsyncSession, user: User) -> UserSession:
    """Save a live session of ``user``."""
    opened = UserSession(user_id=user.id, last_used_at=now(), expires_at=now() + timedelta(days=1))
    session.add(opened)
    await session.flush()
    return opened


async def make_client(session: AsyncSession, **values: Any) -> Client:
    """Save a client."""
    n = next(_serial)
    fields = {"name": f"Client {n}", "email": f"client{n}@mail.example", "phone": None} | values
    client = Client(
        **fields,
        email_key=key_of(fields["email"]) if fields["email"] else None,
        phone_key=e164(fields["phone"], "RU") if fields["phone"] else None,
        version=1,
    )
    session.add(client)
    await session.flush()
    return client


async def make_ticket(session: AsyncSession, **values: Any) -> Ticket:
    """Save a ticket, with a client, and with a worker where its status wants one."""
    n = next(_serial)
    fields = {"title": f"Ticket {n}", "description": "It does not work", "status": Status.NEW} | values
    client = fields.pop("client", None) or await make_client(session)
    worker = fields.pop("worker", None)
    if worker is None and fields["status"] in WITH_WORKER:
        worker = await make_user(session)
    ticket = Ticket(
        **{"code": random_code(), "created_at": now(), "updated_at": now(), "version": 1} | fields,
        client=client,
        worker=worker,
    )
    session.add(ticket)
    await session.flush()
    return ticket


async def make_comment(
    session: AsyncSession, ticket: Ticket, author: User | None = None, **values: Any
) -> Comment:
    """Save a comment; without an author it is of the client who has the code."""
    fields = {"text": f"Comment {next(_serial)}", "visibility": Visibility.PUBLIC, "created_at": now()}
    comment = Comment(ticket_id=ticket.id, author_id=author.id if author else None, **(fields | values))
    session.add(comment)
    await session.flush()
    return comment


async def make_pooled(session: AsyncSession, publisher: User, **values: Any) -> Ticket:
    """Save a ticket that takes offers."""
    return await make_ticket(session, **{"published_at": now(), "published_by": publisher.id} | values)


async def make_offer(
    session: AsyncSession, ticket: Ticket, worker: User, text: str = "Tomorrow at ten", **values: Any
) -> Offer:
    """Save a worker's offer with its first message."""
    offer = Offer(ticket_id=ticket.id, worker_id=worker.id, **values)
    session.add(offer)
    await session.flush()
    session.add(OfferMessage(response_id=offer.id, author_id=worker.id, text=text))
    await session.flush()
    return offer


async def make_attachment(session: AsyncSession, ticket: Ticket, **values: Any) -> Attachment:
    """Save the row of a file; nothing lies in the store."""
    key = f"{next(_serial):02}/none"
    fields = {"filename": "a.txt", "content_type": "text/plain", "size": 5, "sha256": "", "key": key} | values
    attachment = Attachment(ticket_id=ticket.id, **fields)
    session.add(attachment)
    await session.flush()
    return attachment
