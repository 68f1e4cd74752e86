"""What somebody may have meant whose search finds nothing: words that are there, one slip away."""

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from sqlalchemy import ARRAY, BigInteger, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.core.search import WORD, folded

LONGEST: Final = 16
"""Words; more than a search takes."""
CORRECTED: Final = 3
TRIED: Final = 3
LETTERS: Final = range(4, 33)
"""How long a word may be; of shorter ones, too many are one slip apart."""
LATE: Final = 1_000
"""Of the tickets whose words are not yet known, how many of the newest are read on the spot."""
ALPHABETS: Final = ("abcdefghijklmnopqrstuvwxyz", "абвгдежзийклмнопрстуфхцчшщъыьэюя")

Finds = Callable[[str], Awaitable[bool]]

_KNOWN: Final = text(
    """
    SELECT coalesce((SELECT stem FROM unnest(tsvector_to_array(to_tsvector('pg_catalog.russian', word)))
                     AS stem LIMIT 1), word) AS stem,
           EXISTS (SELECT FROM known_words AS known
                   WHERE known.word >= typed.word COLLATE "C"
                     AND known.word < (typed.word || :last) COLLATE "C")
    FROM unnest(:words) WITH ORDINALITY AS typed (word, n) ORDER BY n
    """
).bindparams(bindparam("words", type_=ARRAY(Text)), bindparam("last", "\U0010ffff"))

# A word that is written nearly like the typed one, before one that only has a stem like it.
_NEAR: Final = text(
    """
    WITH late AS MATERIALIZED (
      SELECT word, count(*) AS tickets
      FROM (SELECT search_words(concat_ws(' ', t.title, t.description, t.address, c.name)) AS words
            FROM tickets t JOIN clients c ON c.id = t.client_id
            WHERE t.id > (SELECT coalesce(max(ticket_id), 0) FROM words_read)
            ORDER BY t.id DESC LIMIT :late) AS newest,
           unnest(string_to_array(words, ' ')) AS word
      WHERE length(word) BETWEEN 3 AND 32
      GROUP BY word
    ), near AS (
      SELECT asked.n, 0 AS rank, k.word, k.tickets
      FROM unnest(:places, :slips) AS asked (n, slip) JOIN known_words k ON k.word = asked.slip
      UNION ALL
      SELECT asked.n, 0, late.word, late.tickets
      FROM unnest(:places, :slips) AS asked (n, slip) JOIN late ON late.word = asked.slip
      UNION ALL
      SELECT asked.n, 1, k.word, k.tickets
      FROM unnest(:stem_places, :stem_slips) AS asked (n, slip) JOIN known_words k ON k.stem = asked.slip
    )
    SELECT n, word FROM (
      SELECT n, word, row_number() OVER (PARTITION BY n ORDER BY min(rank), sum(tickets) DESC, word) AS place
      FROM near GROUP BY n, word
    ) AS sorted
    WHERE place <= :tried ORDER BY place, n
    """
).bindparams(
    bindparam("places", type_=ARRAY(BigInteger)),
    bindparam("slips", type_=ARRAY(Text)),
    bindparam("stem_places", type_=ARRAY(BigInteger)),
    bindparam("stem_slips", type_=ARRAY(Text)),
)


def slips(word: str) -> set[str]:
    """Return what is one slip away: a letter missing, wrong or too many, or two swapped."""
    letters = "".join(alphabet for alphabet in ALPHABETS if any(char in alphabet for char in word))
    parts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    found = {before + after[1:] for before, after in parts if after}
    found |= {before + after[1] + after[0] + after[2:] for before, after in parts if len(after) > 1}
    found |= {before + letter + after[1:] for before, after in parts if after for letter in letters}
    found |= {before + letter + after for before, after in parts for letter in letters}
    return found - {word}


async def did_you_mean(session: AsyncSession, typed: str, *, finds: Finds, doubt_all: bool) -> str | None:
    """Return ``typed`` with words that exist in the place of mistyped ones, if that ``finds`` something.

    Where every word exists, each may still be the slip, if ``doubt_all``. Costs two statements and
    at most three searches, whatever was typed.
    """
    words = list(WORD.finditer(folded(typed)))
    if not 0 < len(words) <= LONGEST:
        return None
    known = (await session.execute(_KNOWN, {"words": [word[0] for word in words]})).all()
    open_to_doubt = [n for n, word in enumerate(words) if word[0].isalpha() and len(word[0]) in LETTERS]
    unknown = [n for n in open_to_doubt if not known[n][1]]
    doubtful = (unknown or (open_to_doubt if doubt_all else []))[:CORRECTED]
    if not doubtful:
        return None
    written = [(n, slip) for n in doubtful for slip in (words[n][0], *slips(words[n][0]))]
    stems = [(n, slip) for n in doubtful for slip in slips(known[n][0]) if len(slip) in LETTERS]
    near = await session.execute(
        _NEAR,
        {
            "late": LATE,
            "tried": TRIED,
            "places": [n for n, _ in written],
            "slips": [slip for _, slip in written],
            "stem_places": [n for n, _ in stems],
            "stem_slips": [slip for _, slip in stems],
        },
    )
    nearest = [(n, word) for n, word in near]
    # A word of the last minutes may be there after all.
    there = {n for n, word in nearest if unknown and word == words[n][0]}
    offers = {n: [word for at, word in nearest if at == n and word != words[n][0]] for n in doubtful}
    offers = {n: choice for n, choice in offers.items() if n not in there}
    for chosen, _ in zip(_choices(offers, together=bool(unknown)), range(TRIED), strict=False):
        offer = _with(typed, words, chosen)
        if await finds(offer):
            return offer
    return None


def _choices(offers: dict[int, list[str]], *, together: bool) -> Iterator[dict[int, str]]:
    """Yield which words to take: all that are unknown at once; of known ones, one after the other."""
    if not together:
        for n, words in offers.items():
            yield from ({n: word} for word in words[:1])
        return
    best = {n: words[0] for n, words in offers.items() if words}
    if not best or len(best) < len(offers):
        return
    yield best
    for n, words in offers.items():
        yield from (best | {n: word} for word in words[1:])


def _with(typed: str, words: list[re.Match[str]], chosen: dict[int, str]) -> str:
    """Return what was typed with the chosen words in it, and all else as it was."""
    parts, end = [], 0
    for n, word in sorted(chosen.items()):
        parts += [typed[end : words[n].start()], word]
        end = words[n].end()
    return "".join([*parts, typed[end:]])
