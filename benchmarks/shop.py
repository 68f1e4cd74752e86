"""A shop of any size as lines for COPY: users, clients, tickets. The same seed makes the same shop."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final

from api.core.security import CODE_ALPHABET, CODE_LENGTH
from benchmarks.words import Skewed, Text, Words

NULL: Final = r"\N"
BLOCK: Final = 5_000
WORKERS: Final = 50
MANAGERS: Final = 5
CLIENTS_SHARE: Final = 0.2
SPAN: Final = timedelta(days=3 * 365)
FRESH: Final = timedelta(days=21)
"""Open tickets are mostly younger than this."""
HOUR: Final = 3600.0

USER_COLUMNS: Final = (
    "id",
    "username",
    "username_key",
    "name",
    "role",
    "language",
    "password_hash",
    "updated_at",
)
CLIENT_COLUMNS: Final = ("id", "created_at", "name", "phone", "phone_key", "email", "email_key", "updated_at")
TICKET_COLUMNS: Final = (
    "id",
    "created_at",
    "code",
    "title",
    "description",
    "address",
    "status",
    "priority",
    "viewed",
    "client_id",
    "worker_id",
    "created_by",
    "scheduled_at",
    "due_at",
    "assigned_at",
    "in_progress_at",
    "done_at",
    "closed_at",
    "canceled_at",
    "published_at",
    "requester_ip",
    "fingerprint",
    "updated_at",
)

_STATUSES: Final = ("new", "assigned", "in_progress", "on_hold", "done", "closed", "canceled")
OPEN: Final = frozenset(_STATUSES[:4])
_FRESH_WEIGHTS: Final = tuple(accumulate((30, 15, 15, 5, 15, 15, 5)))
_OLD_WEIGHTS: Final = tuple(accumulate((0.1, 0.1, 0.1, 0.05, 2.65, 90, 7)))
_PRIORITIES: Final = ("low", "normal", "high", "urgent")
_PRIORITY_WEIGHTS: Final = tuple(accumulate((20, 60, 15, 5)))
_FIRST: Final = [
    "Анна",
    "Иван",
    "Мария",
    "Пётр",
    "Елена",
    "Сергей",
    "Ольга",
    "Дмитрий",
    "Alice",
    "Ben",
    "Chloe",
    "Jürgen",
    "Sophie",
    "Marta",
    "Lars",
    "Nina",
]
_LAST: Final = [
    "Иваненко",
    "Петрова",
    "Смирнова",
    "Кузнецова",
    "Соколов",
    "Лебедева",
    "Новиков",
    "Морозова",
    "Волков",
    "Зайцева",
    "Adams",
    "Baker",
    "Müller",
    "Schmidt",
    "Dubois",
    "Rossi",
    "Jansen",
    "Larsen",
    "Novak",
    "Garcia",
]
_COMPANIES: Final = (
    "ООО Ромашка",
    "Школа",
    "Отель Север",
    "Кафе Уют",
    "Bakery",
    "Clinic",
    "ТСЖ Берег",
    "Library",
)
_STREETS: Final = (
    "ул. Ленина",
    "пр. Мира",
    "ул. Садовая",
    "Невский пр.",
    "High Street",
    "Gartenweg",
    "Rue du Moulin",
)
_PHONE_STEP: Final = 48_271
_PHONES: Final = 10**9


@dataclass(frozen=True, slots=True)
class Shop:
    """``count`` tickets over three years up to ``until``, more of them lately."""

    count: int
    until: datetime
    seed: int = 1

    @property
    def clients(self) -> int:
        """How many clients there are."""
        return max(10, int(self.count * CLIENTS_SHARE))

    @property
    def blocks(self) -> int:
        """How many blocks the tickets come in."""
        return -(-self.count // BLOCK)

    def users(self) -> Iterator[str]:
        """Yield the workers, then the managers; nobody can sign in as one of them."""
        for number in range(1, WORKERS + MANAGERS + 1):
            role = "worker" if number <= WORKERS else "manager"
            name = f"{_FIRST[number % len(_FIRST)]} {_LAST[number % len(_LAST)]}"
            username = f"{role}{number:02d}"
            yield _line(number, username, username, name, role, "ru", "!", _at(self.until - SPAN))

    def client_lines(self) -> Iterator[str]:
        """Yield the clients: a fifth are companies, all have a phone or an e-mail, most have both."""
        dice = random.Random(f"{self.seed}/clients")  # noqa: S311  plausible, not secret
        since = _at(self.until - SPAN)
        for number in range(1, self.clients + 1):
            first, last = dice.choice(_FIRST), dice.choice(_LAST)
            name = f"{dice.choice(_COMPANIES)} {number}" if dice.random() < 0.2 else f"{first} {last}"
            digits = phone(number)
            has_phone, has_mail = (roll := dice.random()) < 0.85, roll > 0.3
            written = _written(digits, number) if has_phone else NULL
            mail = f"client{number}@mail{number % 7}.example" if has_mail else NULL
            yield _line(number, since, name, written, f"+7{digits}" if has_phone else NULL, mail, mail, since)

    def ticket_block(self, block: int, words: Words) -> str:
        """Return one block of tickets; any order and any process makes the same."""
        dice = random.Random(f"{self.seed}/{block}")  # noqa: S311
        first = block * BLOCK
        count = min(BLOCK, self.count - first)
        texts = words.texts(dice, first, count, of=self.count)
        busy = Skewed.over(WORKERS, flat=10).draw(dice, count)
        return "".join(self._ticket(first + n, texts[n], busy[n], dice) for n in range(count))

    def created_at(self, index: int, jitter: float = 0.5) -> datetime:
        """Return when ticket number ``index`` came in."""
        past: float = ((index + jitter) / self.count) ** 0.8
        return self.until - SPAN + SPAN * past

    def _ticket(self, index: int, text: Text, busy: int, dice: random.Random) -> str:
        created = self.created_at(index, dice.random())
        fresh = created > self.until - FRESH
        status = dice.choices(_STATUSES, cum_weights=_FRESH_WEIGHTS if fresh else _OLD_WEIGHTS)[0]
        unassigned = status == "new" or (status == "canceled" and dice.random() < 0.5)
        # Whoever repairs washing machines gets washing machines: worker and device go together.
        worker = NULL if unassigned else str((text.device * 7 + busy) % WORKERS + 1)
        moments = self._moments(created, status, dice, unassigned=unassigned)
        scheduled = _at(created + timedelta(days=14 * dice.random())) if dice.random() < 0.3 else NULL
        due = _at(created + timedelta(days=3 + 18 * dice.random())) if dice.random() < 0.5 else NULL
        by_manager = dice.random() < 0.2
        return _line(
            index + 1,
            _at(created),
            code(dice),
            _escape(text.title),
            _escape(text.description),
            f"{dice.choice(_STREETS)}, {dice.randrange(1, 200)}",
            status,
            dice.choices(_PRIORITIES, cum_weights=_PRIORITY_WEIGHTS)[0],
            "f" if unassigned or status == "assigned" else "t",
            int(self.clients * dice.random() ** 3) + 1,  # few clients have many tickets
            worker,
            WORKERS + dice.randrange(1, MANAGERS + 1) if by_manager else NULL,
            scheduled,
            due,
            *moments,
            _at(created) if status == "new" and dice.random() < 0.1 else NULL,
            NULL if by_manager else f"192.0.2.{dice.randrange(256)}",
            rf"\\x{dice.randbytes(32).hex()}" if status in OPEN else NULL,
            max((moment for moment in moments if moment != NULL), default=_at(created)),
        )

    def _moments(self, created: datetime, status: str, dice: random.Random, *, unassigned: bool) -> list[str]:
        """Return when it was assigned, started, done, closed and canceled, as far as it came."""
        steps = {
            "new": 0,
            "assigned": 1,
            "in_progress": 2,
            "on_hold": 2,
            "done": 3,
            "closed": 4,
            "canceled": 1,
        }
        moments, at = [], created
        for step in range(4):
            at = min(at + timedelta(seconds=dice.lognormvariate(0.5 + step / 2, 1) * HOUR), self.until)
            moments.append(_at(at) if step < steps[status] and not unassigned else NULL)
        return [*moments, _at(at) if status == "canceled" else NULL]


def phone(number: int) -> str:
    """Return the ten digits of a client's phone; no two clients have the same."""
    return f"9{number * _PHONE_STEP % _PHONES:09d}"


def _written(digits: str, number: int) -> str:
    code, rest = digits[:3], digits[3:]
    return (
        f"+7 ({code}) {rest[:3]}-{rest[3:5]}-{rest[5:]}",
        f"8 {code} {rest[:3]} {rest[3:5]} {rest[5:]}",
        f"+7{digits}",
        f"8({code}){rest}",
    )[number % 4]


def code(dice: random.Random) -> str:
    """Return a tracking code, as the application writes them."""
    drawn = "".join(dice.choices(CODE_ALPHABET, k=CODE_LENGTH))
    return f"{drawn[:4]}-{drawn[4:8]}-{drawn[8:12]}-{drawn[12:]}"


def today() -> datetime:
    """Return the moment shops end at: now, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def _at(moment: datetime) -> str:
    return moment.isoformat()


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", " ").replace("\n", " ").replace("\r", " ")


def _line(*fields: object) -> str:
    return "\t".join(map(str, fields)) + "\n"
