"""Fixtures for files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role
from api.core.storage import Storage
from api.settings import Settings
from api.tickets.attachments import service
from api.tickets.states import Status
from tests.api.desk import Desk, Queue
from tests.api.live import with_values
from tests.factories import make_ticket, make_user


@pytest.fixture
def store(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """Settings of a place for files, and the folder where that keeps them; a module may have another."""
    folder = tmp_path / "files"
    return {"storage_url": str(folder)}, folder


@pytest.fixture
def limits(app: FastAPI, settings: Settings, store: tuple[dict[str, Any], Path]) -> Iterator[Settings]:
    """Settings with a store of the test's own; the application has them."""
    kept = app.state.storage
    changed = with_values(settings, **store[0])
    app.state.settings, app.state.storage = changed, Storage(changed)
    yield changed
    app.state.storage = kept


@pytest.fixture
async def desk(
    session: AsyncSession, app: FastAPI, limits: Settings, store: tuple[dict[str, Any], Path]
) -> Desk:
    """A ticket and its people."""
    assert app.state.settings is limits
    users = {
        "worker": await make_user(session, name="Anna"),
        "manager": await make_user(session, Role.MANAGER),
        "admin": await make_user(session, Role.ADMIN),
        "customer": await make_user(session, Role.CLIENT),
        "stranger": await make_user(session, Role.CLIENT),
        "other_worker": await make_user(session),
    }
    ticket = await make_ticket(
        session, status=Status.ASSIGNED, worker=users["worker"], account_id=users["customer"].id
    )
    await session.commit()
    return Desk(ticket, users, store[1], app)


@pytest.fixture
def queue(session: AsyncSession, limits: Settings, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """The queue; what its jobs read as settings are those of the test."""
    monkeypatch.setattr(service, "get_settings", lambda: limits)
    return Queue(session)
