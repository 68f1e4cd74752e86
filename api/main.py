"""Builds the application: ``uvicorn api.main:app``."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from sqlalchemy.exc import SQLAlchemyError

from api.auth import accounts
from api.auth.router import router as auth
from api.clients.router import router as clients
from api.core import log, operation, problems
from api.core.db import Database
from api.core.limits import Limiter
from api.core.metrics import Metrics
from api.core.middleware import (
    PREFIX,
    AccessLog,
    Aliases,
    BodyLimit,
    ClientAddress,
    SecurityHeaders,
    sane_request_id,
)
from api.core.openapi import DESCRIPTION, complete, known_query
from api.core.pubsub import PubSub
from api.core.security import PasswordHasher
from api.core.storage import Storage
from api.public.conversation import router as public_conversation
from api.public.router import router as public
from api.settings import Settings, get_settings
from api.tickets.attachments.router import router as attachments
from api.tickets.comments.router import router as comments
from api.tickets.live.router import router as live
from api.tickets.responses.router import router as responses
from api.tickets.router import router as tickets
from api.users.router import router as users

logger = structlog.get_logger()

RETRY_SECONDS: Final = 1.0
STARTUP_SECONDS: Final = 10.0
"""How long a start waits for the first accounts; without a database it answers 503 after that."""
DOCS_ASSETS: Final = "/docs-assets"


def create_app(settings: Settings | None = None) -> FastAPI:
    """Assemble the API; tests pass their own settings."""
    settings = settings or get_settings()
    database = Database.connect(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        log.configure(settings)
        making = asyncio.create_task(_make_first_accounts(app))
        await asyncio.wait([making], timeout=STARTUP_SECONDS)
        yield
        making.cancel()
        with suppress(asyncio.CancelledError):
            await making
        await app.state.pubsub.close()
        await app.state.database.engine.dispose()

    app = FastAPIOffline(  # Swagger and ReDoc from here, not from somebody else's servers
        static_url=DOCS_ASSETS,
        title="Mini-CRM Repair Requests",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        dependencies=[Depends(known_query)],
        swagger_ui_parameters={"persistAuthorization": True},
    )
    app.state.settings = settings
    app.state.database = database
    app.state.limiter = Limiter(database)
    app.state.pubsub = PubSub(settings)
    app.state.storage = Storage(settings)
    app.state.metrics = Metrics()
    app.state.hasher = PasswordHasher(settings.password_hash_rounds)
    problems.install(app)
    # The public router first: /tickets/public must not be read as a ticket's id. Then what is asked
    # most: routes are tried one after the other.
    conversation = (comments, responses, attachments, live)
    for router in (
        public,
        tickets,
        public_conversation,
        auth,
        users,
        clients,
        *conversation,
        operation.router,
    ):
        # Straight into the application: each floor between costs a list a tenth of its time.
        app.include_router(router, prefix=PREFIX)
    complete(app)
    _wrap(app, settings)
    return app


def _wrap(app: FastAPI, settings: Settings) -> None:
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, limit=settings.max_body_size, file_limit=settings.attachment_max_size)
    app.add_middleware(AccessLog, metrics=app.state.metrics)
    app.add_middleware(SecurityHeaders)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "X-Request-ID"],
            expose_headers=["ETag", "X-Request-ID", "Idempotent-Replayed", "Retry-After"],
        )
    app.add_middleware(
        CorrelationIdMiddleware,
        validator=sane_request_id,
    )
    app.add_middleware(ClientAddress, proxies=settings.proxy_networks)
    app.add_middleware(Aliases)


def _operation_id(route: APIRoute) -> str:
    return route.name


async def _make_first_accounts(app: FastAPI) -> None:
    """Make the first accounts, however late the database comes up."""
    while True:
        try:
            async with app.state.database.sessions.begin() as session:
                made = await accounts.create_first_accounts(
                    session, hasher=app.state.hasher, settings=app.state.settings
                )
        except (SQLAlchemyError, OSError) as error:
            logger.warning("waiting for the database", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            if made:
                logger.info("first accounts made", count=made)
            return


def __getattr__(name: str) -> Any:
    # Built when uvicorn asks for it, not when a test imports this module: nothing reads the
    # environment at import.
    if name == "app":
        globals()["app"] = create_app()
        return globals()["app"]
    raise AttributeError(name)


__all__ = ["create_app"]
