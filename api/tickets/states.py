"""The life of a ticket, as data. Pure: nothing but the standard library."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a ticket is in its life."""

    NEW = "new"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    DONE = "done"
    CLOSED = "closed"
    CANCELED = "canceled"


class Priority(StrEnum):
    """How soon a ticket wants attention."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Party(StrEnum):
    """What somebody is to one ticket."""

    STAFF = "staff"
    ITS_WORKER = "its_worker"
    ITS_CLIENT = "its_client"


_S: Final = frozenset({Party.STAFF})
_SW: Final = frozenset({Party.STAFF, Party.ITS_WORKER})
_SC: Final = frozenset({Party.STAFF, Party.ITS_CLIENT})

TRANSITIONS: Final[Mapping[Status, Mapping[Status, frozenset[Party]]]] = {
    Status.NEW: {Status.ASSIGNED: _S, Status.CANCELED: _SC},
    Status.ASSIGNED: {
        Status.ASSIGNED: _S,
        Status.NEW: _S,
        Status.IN_PROGRESS: _SW,
        Status.CANCELED: _SC,
    },
    Status.IN_PROGRESS: {
        Status.ASSIGNED: _S,
        Status.NEW: _S,
        Status.ON_HOLD: _SW,
        Status.DONE: _SW,
        Status.CANCELED: _S,
    },
    Status.ON_HOLD: {
        Status.ASSIGNED: _S,
        Status.NEW: _S,
        Status.IN_PROGRESS: _SW,
        Status.CANCELED: _S,
    },
    Status.DONE: {Status.CLOSED: _S, Status.IN_PROGRESS: _SC},
    Status.CLOSED: {Status.IN_PROGRESS: _S},
    Status.CANCELED: {},
}
"""From a status to each next one, and to who may move the ticket there."""

OPEN: Final = (Status.NEW, Status.ASSIGNED, Status.IN_PROGRESS, Status.ON_HOLD)
"""Work is still to be done."""
WITH_WORKER: Final = (Status.ASSIGNED, Status.IN_PROGRESS, Status.ON_HOLD)
"""Somebody is responsible."""
FINISHED: Final = (Status.DONE, Status.CLOSED)


def allowed(status: Status, parties: Iterable[Party]) -> list[Status]:
    """Return where ``parties`` may move a ticket that is ``status``."""
    mine = frozenset(parties)
    return [target for target, who in TRANSITIONS[status].items() if who & mine]


def may_ever(target: Status, parties: Iterable[Party], only_from: Iterable[Status] = Status) -> bool:
    """Tell whether ``parties`` may move any ticket to ``target``, from any of ``only_from``."""
    mine = frozenset(parties)
    return any(TRANSITIONS[status].get(target, frozenset()) & mine for status in only_from)


def needs_reason(status: Status, target: Status) -> bool:
    """Tell whether whoever moves a ticket so has to say why: hold, cancel, reopen."""
    return target in (Status.ON_HOLD, Status.CANCELED) or (
        target is Status.IN_PROGRESS and status in FINISHED
    )
