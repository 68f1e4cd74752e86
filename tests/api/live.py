"""An application on its own connection pool, for what only shows when things really commit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from api.core.db import Database
from api.main import create_app
from api.settings import Settings

PEER = ("198.51.100.7", 40000)
"""Where the callers of these tests come from, unless a test says otherwise."""


def with_values(settings: Settings, **values: Any) -> Settings:
    """Return ``settings`` with some of them changed, checked like any others."""
    kept = {name: getattr(settings, name) for name in settings.model_fields_set}
    return Settings(**{"_env_file": None} | kept | values)


def caller(app: FastAPI, peer: tuple[str, int] = PEER, **headers: str) -> AsyncClient:
    """Return an HTTP client that calls ``app`` from the address ``peer``."""
    transport = ASGITransport(app, raise_app_exceptions=False, client=peer)
    return AsyncClient(transport=transport, base_url="http://api/api/v1", headers=headers)


@asynccontextmanager
async def running(settings: Settings, **values: Any) -> AsyncIterator[FastAPI]:
    """Run an application of ``settings`` without its lifespan; its connections end with the block."""
    app = create_app(with_values(settings, **values))
    try:
        yield app
    finally:
        await database_of(app).engine.dispose()


def database_of(app: FastAPI) -> Database:
    """Return how ``app`` reaches PostgreSQL."""
    database: Database = app.state.database
    return database
