"""The ordinary way, to compare with: the same list as a tutorial would write it.

ORM objects with their relations, a ``response_model`` over them, ``ILIKE`` for the search,
``count(*)`` for the total, ``OFFSET`` for the pages. It reads the product's own tables and takes the
product's tokens, so it even has the product's indexes to its use.
"""

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer
from jose import JWTError, jwt
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from api.settings import LOCAL_SECRET_KEY

PAGE: Final = 10

engine = create_async_engine(os.environ.get("DATABASE_URL", "postgresql+asyncpg://"), pool_size=20)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """Declarative base."""


class Client(Base):
    """A client."""

    __tablename__ = "clients"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    phone: Mapped[str | None]
    email: Mapped[str | None]


class User(Base):
    """A user."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    name: Mapped[str | None]
    role: Mapped[str]
    is_active: Mapped[bool]


class Ticket(Base):
    """A ticket."""

    __tablename__ = "tickets"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    title: Mapped[str]
    description: Mapped[str | None]
    address: Mapped[str | None]
    status: Mapped[str]
    priority: Mapped[str]
    viewed: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    scheduled_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    assigned_at: Mapped[datetime | None]
    in_progress_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]
    client_id: Mapped[int] = mapped_column(ForeignKey("clients.id"))
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    client: Mapped[Client] = relationship()
    worker: Mapped[User | None] = relationship()


class Out(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(from_attributes=True)


class ClientOut(Out):
    """A client."""

    id: int
    name: str
    phone: str | None
    email: str | None


class WorkerOut(Out):
    """A worker."""

    id: int
    username: str
    name: str | None


class TicketOut(Out):
    """A ticket."""

    id: int
    code: str
    title: str
    address: str | None
    status: str
    priority: str
    viewed: bool
    created_at: datetime
    updated_at: datetime
    scheduled_at: datetime | None
    due_at: datetime | None
    assigned_at: datetime | None
    in_progress_at: datetime | None
    done_at: datetime | None
    closed_at: datetime | None
    canceled_at: datetime | None
    client: ClientOut
    worker: WorkerOut | None


class Page(Out):
    """A page of tickets."""

    items: list[TicketOut]
    total: int
    page: int
    size: int


async def get_session() -> AsyncIterator[AsyncSession]:
    """Yield a session."""
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
Token = Annotated[str, Depends(OAuth2PasswordBearer(tokenUrl="/auth/token"))]


async def get_user(session: Session, token: Token) -> User:
    """Return the caller."""
    try:
        claims = jwt.decode(token, os.environ.get("SECRET_KEY") or LOCAL_SECRET_KEY, algorithms=["HS256"])
    except JWTError as error:
        raise HTTPException(401, "bad token") from error
    user = await session.get(User, int(claims["sub"]))
    if user is None or not user.is_active:
        raise HTTPException(401, "no such user")
    return user


application = FastAPI()


@application.get("/tickets", response_model=Page)
async def list_tickets(  # noqa: PLR0917  as tutorials write it
    session: Session,
    user: Annotated[User, Depends(get_user)],
    page: int = 1,
    size: int = PAGE,
    status: str | None = None,
    search: str | None = None,
) -> dict[str, object]:
    """List tickets, newest first."""
    found: Select[Ticket] = select(Ticket)
    if user.role == "worker":
        found = found.where(Ticket.worker_id == user.id)
    if status:
        found = found.where(Ticket.status == status)
    if search:
        like = f"%{search}%"
        found = found.where(
            or_(Ticket.title.ilike(like), Ticket.description.ilike(like), Ticket.address.ilike(like))
        )
    total = await session.scalar(select(func.count()).select_from(found.subquery()))
    rows = await session.scalars(
        found.options(selectinload(Ticket.client), selectinload(Ticket.worker))
        .order_by(Ticket.created_at.desc())
        .offset((page - 1) * size)
        .limit(size)
    )
    return {"items": rows.all(), "total": total, "page": page, "size": size}


@application.get("/")
async def ready() -> dict[str, str]:
    """Say that it runs."""
    return {"status": "ok"}
