"""Versions of a resource: its ETag, If-Match, and what was changed since.

Every change of a versioned object adds one to ``version`` and writes down which fields it
changed, so that a caller who worked on an old version learns what to look at again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

from fastapi import Header, Response
from sqlalchemy import ColumnElement, ForeignKey, Index, func, inspect, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from api.core.db import Base, Record, now
from api.core.errors import AppError

Changes = dict[str, list[Any]]
"""Field name to what it was and what it is now."""


class Stale(AppError):
    """Somebody else changed the resource since the version in `If-Match`."""

    status = 412
    code = "stale"


class Versioned:
    """Columns of a table whose rows have an ETag."""

    version: Mapped[int] = mapped_column(server_default="1", default=1)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Revision(Record, Base):
    """What one change did to a user or a client. Written once, never changed."""

    __tablename__ = "revisions"
    __table_args__ = (Index(None, "entity", "entity_id", "version"),)

    entity: Mapped[str]
    entity_id: Mapped[int]
    version: Mapped[int]
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    changes: Mapped[dict[str, Any]]


def pending_changes(record: object, fields: Iterable[str]) -> Changes:
    """Return which of ``fields`` were assigned a new value since ``record`` was loaded."""
    changes: Changes = {}
    for field in fields:
        history = inspect(record).attrs[field].history
        if history.has_changes():
            was = history.deleted[0] if history.deleted else None
            changes[field] = [plain(was), plain(history.added[0] if history.added else None)]
    return changes


def plain(value: Any) -> Any:
    """Return ``value`` as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.value if isinstance(value, Enum) else value


def revise(session: AsyncSession, record: Any, fields: Iterable[str], *, actor_id: int | None) -> Changes:
    """Raise the version of a user or client and write down what changed, if anything did."""
    changes = pending_changes(record, fields)
    if changes:
        record.version += 1
        record.updated_at = now()
        session.add(
            Revision(
                entity=record.__tablename__,
                entity_id=record.id,
                version=record.version,
                actor_id=actor_id,
                changes=changes,
            )
        )
    return changes


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a resource's past, whatever table it is kept in."""

    version: int
    by: str | None
    at: datetime
    changes: Changes


async def changes_of(session: AsyncSession, record: Any, usernames: Any) -> list[Change]:
    """Return the revisions of a user or client; ``usernames`` selects id and name of actors."""
    names = usernames.subquery()
    found = await session.execute(
        select(Revision.version, names.c.username, Revision.created_at, Revision.changes)
        .outerjoin(names, names.c.id == Revision.actor_id)
        .where(Revision.entity == record.__tablename__, Revision.entity_id == record.id)
        .order_by(Revision.version)
    )
    return [Change(*row) for row in found]


class IfMatch:
    """The versions a caller is willing to change (RFC 9110 §13.1.1)."""

    def __init__(
        self,
        if_match: Annotated[
            str | None,
            Header(
                max_length=1000, description="`ETag` of the version you saw; 412 when it is no longer current"
            ),
        ] = None,
    ) -> None:
        self._tags = None if if_match is None else {tag.strip() for tag in if_match.split(",")}

    def admits(self, version: int) -> bool:
        """Tell whether the caller's version is still the current one."""
        return self._tags is None or "*" in self._tags or etag(version) in self._tags

    def where(self, version: InstrumentedAttribute[int]) -> ColumnElement[bool]:
        """Return :meth:`admits` for a row that is not at hand."""
        if self._tags is None or "*" in self._tags:
            return true()
        return func.concat('"', version, '"').in_(self._tags)

    def require(self, version: int, changes: Sequence[Change]) -> None:
        """Refuse a change of anything but what the caller saw.

        Raises:
            Stale: (412) with ``changed``: each field that is different now.
        """
        if self.admits(version):
            return
        seen = [int(tag[1:-1]) for tag in self._tags or () if tag[:1] == '"' and tag[1:-1].isdecimal()]
        since = max((tag for tag in seen if tag < version), default=0)
        msg = "somebody else changed this meanwhile"
        raise Stale(msg, changed=_folded([c for c in changes if c.version > since]))


def _folded(changes: Sequence[Change]) -> list[dict[str, Any]]:
    fields: dict[str, dict[str, Any]] = {}
    for change in changes:
        for field, (was, is_now) in change.changes.items():
            known = fields.setdefault(field, {"field": field, "was": was})
            known.update({"now": is_now, "by": change.by, "at": plain(change.at)})
    return [entry for entry in fields.values() if entry["was"] != entry["now"]]


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'"{version}"'


def tagged(response: Response, version: int) -> None:
    """Tell the caller which version the answer shows."""
    response.headers["ETag"] = etag(version)
