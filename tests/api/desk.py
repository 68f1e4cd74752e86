"""What tests of files begin with: somebody's desk, how files are sent, and the jobs that delete them."""

import json
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import User
from api.tickets.attachments import service
from api.tickets.models import Ticket


class Desk:
    """A ticket, everybody who may send files to it, and the folder where they are kept in the end."""

    def __init__(self, ticket: Ticket, users: dict[str, User], folder: Path, app: FastAPI) -> None:
        self.ticket, self.users, self.folder, self.app = ticket, users, folder, app
        self.path = f"/tickets/{ticket.id}/attachments"
        self.public = f"/public/tickets/{ticket.code}/attachments"

    def files(self) -> list[Path]:
        """Return what lies in the store."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file() and path.name != "health")


class Queue:
    """The jobs that were asked for."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def run(self) -> int:
        """Run those that delete files; return how many there were."""
        found = await self._session.scalars(
            text("DELETE FROM procrastinate_jobs WHERE task_name = 'delete_files' RETURNING args::text")
        )
        jobs = [json.loads(arguments) for arguments in found]
        await self._session.commit()
        for arguments in jobs:
            for _ in range(2):  # it may run twice
                await service.delete_files(**arguments)
        return len(jobs)


async def send(
    client: AsyncClient, path: str, content: bytes = b"Hello", name: str = "a.txt", **form: Any
) -> httpx.Response:
    """Send a file."""
    return await client.post(path, files={"file": (name, content)}, data=form)


async def sent(client: AsyncClient, path: str, *what: Any, **form: Any) -> dict[str, Any]:
    """Send a file that is taken; return what the API tells of it."""
    response = await send(client, path, *what, **form)
    assert response.status_code == 201, response.text
    file: dict[str, Any] = response.json()
    return file
