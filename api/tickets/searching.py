"""What ``GET /tickets?search=`` finds, without a slow case whatever the words.

An index of words knows which tickets have a word, but not which are the newest of them: for a word
that a million tickets have it is of no use. The newest tickets, read one by one, answer such a word
at once, but never come to the end of one that hardly any ticket has. So one statement has both:

1. The newest tickets of the caller's scope are looked through. Where these are all there are, or
   where they fill the page, that was it.
2. Where they let expect that few enough tickets have the words, the index is asked, and the total is exact.

Only for what lies between is there a second statement, which looks through more of the newest.
Where even that ends before the page is full, the answer says that it is partial.
"""

from collections.abc import Awaitable
from typing import Protocol

from api.core.cut import MAX_TOTAL
from api.core.paging import AnyRow, PageQuery, Slice, encode
from api.tickets import looking
from api.tickets.questions import Outcome, is_by_date


class Look(Protocol):
    """Sends the statement of a page that looks through ``limit`` of the newest tickets."""

    def __call__(self, limit: int, *, index: bool) -> Awaitable[Outcome | None]:
        """Return what it finds; with ``index``, that of words may be asked as well."""


async def find(query: PageQuery, sort: str, look: Look) -> tuple[AnyRow, Slice[AnyRow]] | None:
    """Return the row that says who asks, and one page; None where nobody may ask."""
    outcome = await look(looking.NEWEST, index=True)
    if outcome is None:
        return None
    skipped = skip(query)
    if not outcome.ended and not (is_by_date(sort) and len(outcome.rows) > query.size):
        limit = _farther(skipped + query.size + 1, outcome) if is_by_date(sort) else looking.CANDIDATES
        farther = await look(limit, index=False)
        if farther is None:
            return None
        outcome = farther if farther.rows or not outcome.rows else outcome
    return outcome.caller, _slice(outcome, query, sort, skipped)


def skip(query: PageQuery) -> int:
    """Return how many rows are before the page."""
    return 0 if query.cursor is not None else (query.page - 1) * query.size


def _slice(outcome: Outcome, query: PageQuery, sort: str, skipped: int) -> Slice[AnyRow]:
    rows, more = outcome.rows[: query.size], len(outcome.rows) > query.size
    matched = max(outcome.matched, skipped + len(outcome.rows) if rows else 0)
    return Slice(
        rows,
        min(matched, MAX_TOTAL),
        outcome.is_all and matched <= MAX_TOTAL,
        query.page,
        query.size,
        encode(sort, rows[-1].sort_key, rows[-1].id) if more else None,
    )


def _farther(wanted: int, outcome: Outcome) -> int:
    """Return among how many rows the page probably is, as far as it is worth the time.

    In whole steps: each number is a statement that is made and kept.
    """
    step = looking.CANDIDATES
    expected = 2 * wanted * outcome.looked // outcome.fitting if outcome.fitting else step
    return max(step, min(looking.FARTHEST, -(-expected // step) * step))
