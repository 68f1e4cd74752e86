"""Full-text search: what people type into a search box, against documents in PostgreSQL.

Both sides are SQL functions of the migrations, so that they cut text into words alike:
``search_document`` and ``phone_document`` build what is stored, ``search_query`` what is asked.
All of them turn whatever is neither letter nor digit into a space, so no character has a
meaning of its own and `100%`, `a_b` or `'` are plain text; only a pair of quotes makes a phrase.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import ColumnElement, Subquery, func, select, true
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import InstrumentedAttribute

Document = ColumnElement[Any] | InstrumentedAttribute[Any]

WORD: Final = re.compile(r"[^\W_]+")


def matches(document: Document, text: str) -> ColumnElement[bool]:
    """Return the condition that ``document`` has every word of ``text``: a form or a beginning of it.

    A phrase between quotes is found as it stands, word by word in any form. A phone number is
    found in any writing, with or without the country's prefix.
    """
    return document.op("@@")(func.search_query(text))


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, cut into words once for a whole statement and not known to its planner.

    What that would do with it is not always wise: for a word that it thinks common it walks the
    table in the hope to come across it soon (measured at 5 million: 2.5 s for one that is not there).
    """

    full: ColumnElement[Any]
    """All of it."""
    terms: Subquery
    """Its words, one ``term`` a row, and phrases word by word."""

    @classmethod
    def of(cls, text: ColumnElement[str]) -> Self:
        """Return what ``text`` asks."""
        asked = select(
            func.search_query(text).label("full"),
            func.search_terms(text, true()).label("terms"),
        ).cte("asked")
        asked = asked.prefix_with("MATERIALIZED", dialect="postgresql")
        terms = select(func.unnest(asked.c.terms, type_=TSQUERY).label("term")).subquery("terms")
        return cls(select(asked.c.full).scalar_subquery(), terms)


def is_match(document: Document, question: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that ``document`` answers ``question``, for which no index is looked into."""
    return func.ts_match_vq(document, question)


def folded(text: str) -> str:
    """Return ``text`` as ``search_words`` compares it; every character keeps its place."""
    lowered = "".join(low if len(low := char.lower()) == 1 else char for char in text)
    return lowered.replace("ё", "е")  # noqa: RUF001  the Cyrillic letter is meant


def words_of(text: str) -> list[str]:
    """Return the words of ``text`` as ``search_words`` cuts it."""
    return WORD.findall(folded(text))
