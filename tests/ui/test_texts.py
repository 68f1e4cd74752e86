"""Words: complete in both languages, used, and right in number, time and place."""

import ast
import re
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ui import texts
from ui.texts import WORDS

UI = Path(texts.__file__).parent
RUSSIAN = re.compile("[\u0400-\u04ff]")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", WORDS)
def test_words_say_the_same_in_both_languages(key: str) -> None:
    english, russian = WORDS[key]

    assert english.strip(), "no English words"
    assert russian.strip(), "no Russian words"
    assert not RUSSIAN.search(english)
    for form in english.split("|") + russian.split("|"):
        assert placeholders(form) == placeholders(english.split("|")[0])
    if "|" in english:
        assert (len(english.split("|")), len(russian.split("|"))) == (2, 3)


def calls() -> list[tuple[str, ast.expr]]:
    found = []
    for path in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in ("t", "tn", "empty") and node.args:
                found.append((node.func.id, node.args[0]))
    return found


def test_every_key_the_pages_name_has_words() -> None:
    for function, argument in calls():
        if isinstance(argument, ast.Constant):
            assert argument.value in WORDS, f"no words for {argument.value!r}"
            if function == "empty":
                assert f"{argument.value}_hint" in WORDS


def test_every_word_is_used() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in UI.rglob("*.py") if "words" not in path.parts
    ).replace("'", '"')
    browser = "\n".join(path.read_text(encoding="utf-8") for path in UI.rglob("*.js"))
    source += "".join(f'"talk_{name}"' for name in re.findall(r"\bwords\.(\w+)", browser))
    prefixes = {
        str(part.values[0].value)
        for _, part in calls()
        if isinstance(part, ast.JoinedStr) and isinstance(part.values[0], ast.Constant)
    }
    prefixes |= {"role_", "problem_", "field_", "of_", "event_", "milestone_", "priority_", "page_"}
    unused = [
        key
        for key in WORDS
        if f'"{key}"' not in source
        and not key.endswith(("_hint", "_label"))
        and not any(key.startswith(prefix) for prefix in prefixes)
    ]

    assert unused == []


@pytest.mark.parametrize(
    ("number", "english", "russian"),
    [
        (0, "0 open", "0 открытых"),
        (1, "1 open", "1 открытая"),
        (3, "3 open", "3 открытые"),
        (5, "5 open", "5 открытых"),
        (11, "11 open", "11 открытых"),
        (21, "21 open", "21 открытая"),
        (112, "112 open", "112 открытых"),
    ],
)
def test_numbers_have_their_plural(number: int, english: str, russian: str) -> None:
    assert texts.plural("en", "open_tickets", number) == english
    assert texts.plural("ru", "open_tickets", number) == russian


def test_times_are_said_as_people_do() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)

    assert texts.moment("en", now.replace(hour=9, minute=5), now) == "today, 09:05"
    assert texts.moment("ru", now.replace(day=20), now) == "вчера, 12:00"
    assert texts.moment("en", now.replace(day=22), now) == "tomorrow, 12:00"
    assert texts.moment("ru", now.replace(day=3), now) == "3 ноя, 12:00"
    assert texts.moment("en", now.replace(year=2025), now) == "21 Nov 2025, 12:00"


def test_durations_name_their_two_largest_units() -> None:
    assert texts.duration("en", None) == "—"
    assert texts.duration("en", 20) == "1 min"
    assert texts.duration("ru", 2 * 3600 + 1800) == "2 ч 30 мин"
    assert texts.duration("en", 3 * 86400 + 3600 + 60) == "3 d 1 h"


def test_large_numbers_are_grouped() -> None:
    assert texts.thousands(1234567) == "1\u202f234\u202f567"
