"""Words of the pages in English and Russian, their plurals, dates. Knows nothing of Streamlit."""

from datetime import datetime
from typing import Final, Literal

from ui.words import common, people, problems, talk, tickets

Language = Literal["en", "ru"]
LANGUAGES: Final = {"en": "English", "ru": "Русский"}
WORDS: Final[dict[str, tuple[str, str]]] = {
    **common.WORDS,
    **people.WORDS,
    **problems.WORDS,
    **talk.WORDS,
    **tickets.WORDS,
}

MONTHS: Final = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "ru": ("янв", "фев", "мар", "апр", "мая", "июн", "июл", "авг", "сен", "окт", "ноя", "дек"),
}


def translate(language: str, key: str, **values: object) -> str:
    """Return the words for ``key``."""
    return _words(language, key).format(**values)


def plural(language: str, key: str, number: int) -> str:
    """Return the words for ``key`` in the form that ``number`` asks for; forms stand apart by ``|``."""
    forms = _words(language, key).split("|")
    return forms[_form(language, number)].format(n=thousands(number))


def thousands(number: int) -> str:
    """Group digits by a narrow space, which both languages read."""
    return f"{number:,}".replace(",", "\u202f")


def moment(language: str, at: datetime, now: datetime) -> str:
    """Say a time as people do: ``today, 14:05``, ``21 Nov, 14:05``; both times in the reader's zone."""
    clock = f"{at:%H:%M}"
    days = (at.date() - now.date()).days
    near = {-1: "yesterday_at", 0: "today_at", 1: "tomorrow_at"}.get(days)
    if near:
        return translate(language, near, clock=clock)
    return f"{date(language, at, now)}, {clock}"


def date(language: str, at: datetime, now: datetime) -> str:
    """Say a day; the year only where it is another one."""
    year = "" if at.year == now.year else f" {at.year}"
    return f"{at.day} {MONTHS[language][at.month - 1]}{year}"


def duration(language: str, seconds: float | None) -> str:
    """Say how long something took, in its two largest units."""
    if seconds is None:
        return translate(language, "nothing")
    minutes = max(1, round(seconds / 60))
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    parts = [("days_short", days), ("hours_short", hours), ("minutes_short", minutes)]
    shown = [translate(language, key, n=n) for key, n in parts if n][:2]
    return " ".join(shown)


def _words(language: str, key: str) -> str:
    english, russian = WORDS[key]
    return russian if language == "ru" else english


def _form(language: str, number: int) -> int:
    """Return which plural form a number takes: one|many in English, one|few|many in Russian."""
    if language != "ru":
        return 0 if number == 1 else 1
    tens, ones = number % 100, number % 10
    if 11 <= tens <= 14:  # noqa: PLR2004 - the rule of the language, not a setting
        return 2
    return 0 if ones == 1 else 1 if 2 <= ones <= 4 else 2  # noqa: PLR2004
