"""What happened to an imported ticket, step by step. Nothing here asks the database."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from api.tickets.imports.people import seeded
from api.tickets.imports.rows import Row
from api.tickets.states import TRANSITIONS, Priority, Status

FIRST_HOUR, LAST_HOUR = 7, 17
"""The sample shop works at these hours, UTC: it opens in Europe's morning."""
EVENTS: Final = {
    Status.ASSIGNED: "assigned",
    Status.IN_PROGRESS: "started",
    Status.ON_HOLD: "held",
    Status.DONE: "completed",
    Status.CLOSED: "closed",
    Status.CANCELED: "canceled",
}
NOT_SAID: Final = "imported"
HOLD_REASONS: Final = (
    "Waiting for a spare part",
    "Waiting for the client's answer",
    "Needs a second opinion",
)
CANCEL_REASONS: Final = ("Beyond repair", "Repair would cost more than a new one", "No spare parts to be had")
REOPEN_REASONS: Final = ("It failed again after a day", "The client came back: the same fault")
RESOLUTIONS: Final = (
    "Repaired and tested",
    "Cleaned, tested, works",
    "Part replaced",
    "Loose contact soldered",
    "Adjusted and shown to the client",
)
SPAN: Final = timedelta(days=240)
"""From the oldest sample ticket to now."""
GROWTH: Final = 1.25
"""Above 1 the shop gets more requests lately than at first."""


class Person(Protocol):
    """Somebody with an account."""

    id: int
    username: str


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a history to be."""

    at: datetime
    event: str
    target: Status | None = None
    actor: Person | None = None
    worker: Person | None = None
    """Who is responsible from here on; with ``assigned`` and ``unassigned`` only."""
    note: str | None = None
    resolution: str | None = None


@dataclass(frozen=True, slots=True)
class Shop:
    """Who works here."""

    crew: Sequence[Person]
    desk: Person | None
    """Who hands out and closes."""


def moved(rank: int, count: int, *, now: datetime) -> datetime:
    """Return when the sample ticket of this ``rank`` by age comes in: the newest of ``count`` just now.

    The records are of 2013 to 2025, and a shop whose last request is years old looks dead. Their
    order stays; only the distances shrink.
    """
    share: float = ((count - rank) / (count + 1)) ** GROWTH
    return now - SPAN * share


def told(row: Row, created: datetime, worker: Person | None) -> Iterator[Step]:
    """Yield the shortest way to the status that a file gives a ticket.

    Nothing is known of when: all of it is told as of the moment the ticket was made, so that the
    figures of a shop are not filled with invented times.
    """
    for target in path_to(row.status):
        needs_words = target is row.status and target in (Status.ON_HOLD, Status.CANCELED)
        yield Step(
            created,
            EVENTS[target],
            target,
            worker=worker if target is Status.ASSIGNED else None,
            note=(row.reason or NOT_SAID) if needs_words else NOT_SAID,
            resolution=row.resolution if target is Status.DONE else None,
        )


def path_to(target: Status) -> list[Status]:
    """Return the shortest way from new to ``target`` by the transition table."""
    paths: dict[Status, list[Status]] = {Status.NEW: []}
    for status in (reached := [Status.NEW]):
        for following in TRANSITIONS[status]:
            if following not in paths:
                paths[following] = [*paths[status], following]
                reached.append(following)
    return paths[target]


def lived(row: Row, created: datetime, shop: Shop, *, now: datetime) -> list[Step]:
    """Return the life of a sample record up to ``now``.

    The record says how a repair ended. Its whole way there is told, and what would lie in the
    future has not happened yet: so old tickets are finished and fresh ones are open, as in a shop.
    """
    draw = seeded(row.external_id, "life")
    return [step for step in _Life(row, created, shop, draw).steps() if step.at <= now]


def plans(
    row: Row, created: datetime, steps: Sequence[Step], *, now: datetime
) -> tuple[datetime | None, ...]:
    """Return when a sample ticket is scheduled and when it is due."""
    draw = seeded(row.external_id, "plans")
    open_still = not any(step.target in (Status.DONE, Status.CANCELED) for step in steps)
    scheduled = due = None
    if open_still and draw.random() < 0.6:  # noqa: PLR2004  more than half, so that the calendar looks alive
        day = now + timedelta(days=draw.choice((-1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6)))
        scheduled = max(_on_the_hour(day, draw), created)
    elif not open_still and draw.random() < 0.3:  # noqa: PLR2004
        scheduled = _on_the_hour(created + timedelta(days=draw.randint(1, 4)), draw)
    if draw.random() < 0.5:  # noqa: PLR2004
        due = _on_the_hour(created + timedelta(days=draw.randint(2, 14)), draw)
    return scheduled, due


def priority_of(row: Row) -> Priority:
    """Return how urgent a sample ticket is."""
    draw = seeded(row.external_id, "priority")
    return draw.choices(list(Priority), weights=(12, 64, 18, 6))[0]


def _on_the_hour(day: datetime, draw: random.Random) -> datetime:
    return day.replace(hour=draw.randint(FIRST_HOUR + 1, LAST_HOUR - 1), minute=0, second=0, microsecond=0)


class _Life:
    """Tells the life of one record, with a clock that only goes forward."""

    def __init__(self, row: Row, created: datetime, shop: Shop, draw: random.Random) -> None:
        self._row, self._at, self._shop, self._draw = row, created, shop, draw
        self._worker = draw.choice(shop.crew)

    def steps(self) -> Iterator[Step]:
        """Yield all that ever happens."""
        ends, chance = self._row.status, self._draw.random
        # Nobody knew what to do with these at first.
        self._wait(70 if ends is Status.NEW else 5)
        if ends is Status.CANCELED and chance() < 0.15:  # noqa: PLR2004  shares of a made-up shop, here and below
            yield self._step("canceled", Status.CANCELED, note="The client found help elsewhere")
            return
        yield from self._hand_out()
        yield self._step("viewed", actor=self._worker)
        self._wait(3)
        yield self._step("started", Status.IN_PROGRESS, actor=self._worker)
        self._wait(3)
        pauses = {Status.IN_PROGRESS: 0.75, Status.CANCELED: 0.3}.get(ends, 0.15)
        if chance() < pauses:
            yield self._step("held", Status.ON_HOLD, actor=self._worker, note=self._why(HOLD_REASONS))
            self._wait(160 if ends is Status.IN_PROGRESS else 50)
            yield self._step("resumed", Status.IN_PROGRESS, actor=self._worker)
            self._wait(4)
        if ends is Status.IN_PROGRESS:
            self._wait(110)
        if ends is Status.CANCELED or (ends is Status.NEW and chance() < 0.5):  # noqa: PLR2004
            yield self._step(
                "canceled", Status.CANCELED, actor=self._shop.desk, note=self._why(CANCEL_REASONS)
            )
            return
        yield from self._finish()

    def _hand_out(self) -> Iterator[Step]:
        yield self._assigned()
        self._wait(12)
        chance = self._draw.random()
        if chance < 0.03:  # noqa: PLR2004
            yield self._step("unassigned", Status.NEW, actor=self._shop.desk)
            self._wait(10)
        if chance < 0.09:  # noqa: PLR2004
            others = [worker for worker in self._shop.crew if worker is not self._worker]
            self._worker = self._draw.choice(others or self._shop.crew)
            if others or chance < 0.03:  # noqa: PLR2004
                yield self._assigned()
                self._wait(12)

    def _assigned(self) -> Step:
        return Step(self._at, "assigned", Status.ASSIGNED, actor=self._shop.desk, worker=self._worker)

    def _finish(self) -> Iterator[Step]:
        yield self._completed()
        if self._draw.random() < 0.03:  # noqa: PLR2004
            self._wait(30)
            why = self._draw.choice(REOPEN_REASONS)
            yield self._step("reopened", Status.IN_PROGRESS, actor=self._shop.desk, note=why)
            self._wait(20)
            yield self._completed()
        if self._draw.random() < 0.7:  # noqa: PLR2004
            self._wait(40)
            yield self._step("closed", Status.CLOSED, actor=self._shop.desk)

    def _completed(self) -> Step:
        done = self._draw.choice(RESOLUTIONS)
        return Step(self._at, "completed", Status.DONE, actor=self._worker, resolution=done)

    def _step(
        self,
        event: str,
        target: Status | None = None,
        *,
        actor: Person | None = None,
        note: str | None = None,
    ) -> Step:
        return Step(self._at, event, target, actor=actor, note=note)

    def _why(self, reasons: Sequence[str]) -> str:
        return self._row.barrier or self._draw.choice(reasons)

    def _wait(self, hours: float) -> None:
        """Let about so many hours pass, and the night with them."""
        passed = timedelta(hours=self._draw.expovariate(1 / hours), minutes=2)
        self._at = _at_work(self._at + passed)


def _at_work(moment: datetime) -> datetime:
    """Return ``moment``, or the next morning for one in the night; earlier stays earlier."""
    opening = moment.replace(hour=FIRST_HOUR, minute=0, second=0, microsecond=0)
    if moment.hour >= LAST_HOUR:
        opening += timedelta(days=1)
    elif moment.hour >= FIRST_HOUR:
        return moment
    night = timedelta(hours=24 - LAST_HOUR + FIRST_HOUR)
    return opening + timedelta(hours=1) * (1 - (opening - moment) / night)
