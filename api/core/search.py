"""Full-text search: what people type into a search box, against documents in PostgreSQL.

Both sides are SQL functions of the migrations, so that they cut text into words alike:
``search_document`` and ``phone_document`` build what is stored, ``search_query`` what is asked.
All of them turn whatever is neither letter nor digit into a space, so no character has a
meaning of its own and `100%`, `a_b` or `'` are plain text.
"""

from typing import Any

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import InstrumentedAttribute


def matches(document: ColumnElement[Any] | InstrumentedAttribute[Any], text: str) -> ColumnElement[bool]:
    """Return the condition that ``document`` has every word of ``text``: a form or a beginning of it.

    A phone number is found in any writing, with or without the country's prefix.
    """
    return document.op("@@")(func.search_query(text))
