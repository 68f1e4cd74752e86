"""Where a ticket has what was searched for: plain text with places in it, nothing that formats."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import func

from api.clients.models import Client
from api.core.paging import AnyRow, AnySelect
from api.core.search import WORD, Question, folded, words_of
from api.tickets.models import Ticket

TOLD: Final = ("title", "description")
"""Fields that everybody who sees the ticket reads."""
OF_TICKET: Final = ("address", "code")
OF_CLIENT: Final = ("client_name", "client_phone", "client_email")

SPELLED: Final = ("code", "client_phone")

HEAD: Final = 4_000
"""Characters of a description that are looked at: a hundred long ones cost no more than 50 ms."""
LONGEST: Final = 160
BEFORE: Final = 40
CUT: Final = "…"
_FOUND: Final = re.compile("\ue000(.*?)\ue001", re.DOTALL)
_SIGNS: Final = re.compile(r"[\W_]+")
FEWEST_DIGITS: Final = 4

Span = tuple[int, int]


def marked(shown: AnySelect, question: Question) -> AnySelect:
    """Add to a list of tickets what :func:`highlights` needs."""
    description = func.left(Ticket.description, HEAD)
    fields = {
        "title": Ticket.title,
        "description": description,
        "address": Ticket.address,
        "client_name": Client.name,
        "client_email": Client.email,
    }
    marks = [
        func.search_marked(field, question.full).label(f"marked_{name}") for name, field in fields.items()
    ]
    return shown.add_columns(description.label("description"), *marks)


def highlights(row: AnyRow, words: str, *, fields: Iterable[str]) -> list[dict[str, Any]]:
    """Return what of a row that :func:`marked` made matches ``words``: a ``Highlight`` for each field."""
    typed = words_of(words)
    found = []
    for field in fields:
        text = getattr(row, field)
        if not text:
            continue
        spans = list(_through_signs(text, words)) if field in SPELLED else []
        spans = spans or [*_marks(getattr(row, f"marked_{field}", None)), *_beginnings(text, typed)]
        if spans:
            found.append(_cut(field, text, spans))
    return found


def _marks(marked_text: str | None) -> Iterator[Span]:
    for before, mark in enumerate(_FOUND.finditer(marked_text or "")):
        yield mark.start() - 2 * before, len(mark[1])  # two marks around each match before


def _beginnings(text: str, typed: list[str]) -> Iterator[Span]:
    """Yield the words that begin with a typed one: stems alone miss some that are not typed to their end."""
    for word in WORD.finditer(folded(text)):
        if any(word[0].startswith(one) for one in typed):
            yield word.start(), len(word[0])


def _through_signs(text: str, words: str) -> Iterator[Span]:
    """Yield where a code or a phone number has what was typed, whatever signs stand between."""
    places = [place for place, char in enumerate(text) if char.isalnum()]
    written = "".join(folded(text[place]) for place in places)
    typed = _SIGNS.sub("", folded(words))
    inland = typed[1:] if typed[:1] in ("0", "8") else typed
    for one in dict.fromkeys((typed, inland)):
        start = written.find(one) if len(one) >= FEWEST_DIGITS else -1
        if start >= 0:
            first, last = places[start], places[start + len(one) - 1]
            yield first, last - first + 1


def _cut(field: str, text: str, spans: Iterable[Span]) -> dict[str, Any]:
    apart = list(_merged(sorted(spans)))
    start, end = 0, len(text)
    if end > LONGEST:
        # From where most of what was found stands together.
        begin = max(
            apart, key=lambda span: sum(span[0] <= one[0] < span[0] + LONGEST - BEFORE for one in apart)
        )
        start = _border(text, max(0, begin[0] - BEFORE), begin[0])
        end = min(len(text), max(start + LONGEST, begin[0] + begin[1]))
    before, after = CUT if start else "", CUT if end < len(text) else ""
    shift = len(before) - start
    return {
        "field": field,
        "text": before + text[start:end] + after,
        "spans": [[at + shift, length] for at, length in apart if start <= at and at + length <= end],
    }


def _border(text: str, start: int, latest: int) -> int:
    """Return where the first whole word begins."""
    space = text.find(" ", start, latest) if start else -1
    return space + 1 if space >= 0 else start


def _merged(spans: list[Span]) -> Iterator[Span]:
    """Join what overlaps."""
    start = end = -1
    for at, length in spans:
        if at > end:
            if end > start:
                yield start, end - start
            start, end = at, at + length
        end = max(end, at + length)
    if end > start:
        yield start, end - start
