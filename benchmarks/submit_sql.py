"""The statement of a submission, for pgbench to run without us: the product's own where it is one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.capture import Statement

SERIAL: Final = "serial"
"""pgbench's variable with a number that does not come again."""
_MOMENT: Final = re.compile(r"^\d{4}-\d\d-\d\d[ T]")
_PLACE: Final = re.compile(r"\$(\d+)")
DRAW: Final = f"\\set {SERIAL} random(1, 9000000000000000)\n"

OWN: Final = """
WITH known AS (
  SELECT id FROM clients WHERE email_key = 'c' || :serial || '@mail.example'
), made AS (
  INSERT INTO clients (name, email, email_key, version, updated_at)
  SELECT 'Анна Петрова', 'c' || :serial || '@mail.example', 'c' || :serial || '@mail.example', 1, now()
  WHERE NOT EXISTS (SELECT FROM known)
  ON CONFLICT DO NOTHING RETURNING id
), owner AS (
  SELECT id FROM known UNION ALL SELECT id FROM made
), ticket AS (
  INSERT INTO tickets (code, title, description, address, status, priority, viewed, client_id,
                       requester_ip, fingerprint, version, updated_at)
  SELECT upper(left(md5(:serial::text), 16)), 'Стиральная машина не сливает воду ' || :serial,
         'Вода остаётся в барабане после стирки. Нужен ремонт как можно скорее.', 'ул. Ленина, 12',
         'new', 'normal', false, id, '127.0.0.1', sha256(:serial::text::bytea), 1, now()
  FROM owner
  ON CONFLICT (fingerprint) DO NOTHING RETURNING id, code, status, created_at
), line AS (
  INSERT INTO ticket_events (ticket_id, event, changes, version)
  SELECT id, 'created', jsonb_build_object('status', jsonb_build_array(NULL, 'new')), 1 FROM ticket
)
SELECT id, code, status, created_at FROM ticket;
"""
"""The least that leaves the same rows: client, ticket, first line of its history."""


@dataclass(frozen=True, slots=True)
class Script:
    """What pgbench runs."""

    text: str
    variables: dict[str, str]
    whose: str
    """In words: whose statement it is."""


def own() -> Script:
    """Return a submission in one statement of the benchmark's own."""
    return Script(DRAW + OWN.strip(), {}, "one statement of the benchmark's own")


def script_of(
    first: Sequence[Statement], second: Sequence[Statement], marks: tuple[str, str]
) -> Script | None:
    """Return the product's own statement of two submissions, with what differed between them made to differ.

    ``marks`` are words of the first and of the second submission alone. None where the product needs
    more than one statement: their parameters hang on each other's results.
    """
    pair = [[statement for statement in some if statement.is_work] for some in (first, second)]
    if any(len(some) != 1 for some in pair) or pair[0][0].sql != pair[1][0].sql:
        return None
    [one], [other] = pair
    variables: dict[str, str] = {}
    places: dict[int, str] = {}
    for number, (was, then) in enumerate(zip(one.parameters, other.parameters, strict=True), start=1):
        places[number] = _place(number, was, then, marks[0], variables)
    text = _PLACE.sub(lambda match: places[int(match[1])], one.sql).replace("\n", " ").rstrip("; ")
    return Script(f"{DRAW}{text};", variables, "the product's own statement")


def _place(number: int, was: str | None, then: str | None, mark: str, variables: dict[str, str]) -> str:
    if was is None or then is None:
        return "NULL"
    if not was:  # pgbench takes no empty variable
        return "''"
    name = f"p{number}"
    if was.startswith("\\x") and was != then:
        return f"sha256(:{SERIAL}::text::bytea)"
    if mark in was:
        variables[name] = was
        return f"replace(:{name}, '{mark}', :{SERIAL}::text)"
    if was != then and not _MOMENT.match(was):
        return f"upper(left(md5(:{SERIAL}::text), 16))"
    variables[name] = was
    return f":{name}"
