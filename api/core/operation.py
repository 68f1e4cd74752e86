"""``/health`` and ``/metrics``: what the one who runs the shop's server asks."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from alembic.config import Config
from alembic.script import ScriptDirectory
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.core.db import database_of
from api.core.errors import AppError
from api.core.problems import problems

ROOT = Path(__file__).parent.parent.parent

router = APIRouter(tags=["operation"])

Verdict = Literal["ok", "unreachable", "behind"]


class NotReady(AppError):
    """Requests should go elsewhere for now; `checks` tells what is missing."""

    status = 503
    code = "not_ready"
    headers = {"Retry-After": "5"}  # noqa: RUF012  as the base declares it


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The process can do its work."""

    status: Literal["ok"] = "ok"
    checks: dict[str, Verdict] = Field(examples=[{"database": "ok", "migrations": "ok", "storage": "ok"}])


@lru_cache
def newest_revision() -> str | None:
    """Return the revision the code was written for."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    return ScriptDirectory.from_config(config).get_current_head()


@router.get("/health/live", responses=problems())
async def live() -> Live:
    """Tell that the process answers."""
    return Live()


@router.get("/health/ready", responses=problems(NotReady))
async def ready(request: Request) -> Ready:
    """Tell whether the database answers and its schema is the newest, and files can be stored."""
    checks: dict[str, Verdict] = {"database": "ok", "migrations": "ok", "storage": "ok"}
    try:
        async with database_of(request).reads() as session:
            revision = await session.scalar(text("SELECT version_num FROM alembic_version"))
    except (SQLAlchemyError, OSError) as error:
        sqlstate = getattr(getattr(error, "orig", None), "sqlstate", None)
        if sqlstate == "42P01":  # the table does not exist: nothing was ever migrated
            checks["migrations"] = "behind"
        else:
            checks["database"] = "unreachable"
            del checks["migrations"]
    else:
        if revision != newest_revision():
            checks["migrations"] = "behind"
    checks["storage"] = "ok" if await request.app.state.storage.check() else "unreachable"
    if any(verdict != "ok" for verdict in checks.values()):
        msg = "not ready: " + ", ".join(f"{name} {verdict}" for name, verdict in checks.items())
        raise NotReady(msg, checks=checks)
    return Ready(checks=checks)


@router.get(
    "/metrics",
    response_class=Response,
    responses=problems() | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Publish figures for Prometheus."""
    registry = request.app.state.metrics.registry
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
