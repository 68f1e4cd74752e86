"""Reads a file of tickets, JSON lines or CSV, into good and bad lines."""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from api.tickets.imports.rows import COLUMNS, BadLine, Entry, understood

DELIMITERS: Final = ",;\t"
BOM: Final = "\ufeff"


class Unreadable(Exception):
    """The file as a whole cannot be read; the message is one sentence."""


@dataclass
class Content:
    """What a file holds."""

    entries: list[Entry] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    """Columns that mean nothing here."""

    @property
    def lines(self) -> int:
        """How many lines were looked at."""
        return len(self.entries) + len(self.bad)


def read(path: Path, *, region: str) -> Content:
    """Read a whole file; phones without a country are read as dialled in ``region``.

    Raises:
        Unreadable: it is not there, not UTF-8, or no table of tickets.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from error
    content = Content()
    seen: dict[str, int] = {}
    for number, given in _lines(path, raw):
        if isinstance(given, str):
            content.bad.append(BadLine(number, given))
            continue
        content.unread |= given.keys() - COLUMNS
        external_id = str(given.get("external_id") or _derived_id(given)).strip()
        line = understood(number, given, external_id, region=region)
        if isinstance(line, Entry) and (first := seen.setdefault(external_id, number)) != number:
            named = f"external_id {external_id}" if given.get("external_id") else "the same"
            line = BadLine(number, f"{named} is in line {first} already")
        (content.entries if isinstance(line, Entry) else content.bad).append(line)  # type: ignore[arg-type]
    return content


def _derived_id(given: dict[str, Any]) -> str:
    """Return what makes a line without an ``external_id`` known again when it comes a second time."""
    same = json.dumps({name: value for name, value in given.items() if value}, sort_keys=True, default=str)
    return f"line-{hashlib.sha256(same.encode(errors='surrogatepass')).hexdigest()[:32]}"


def _lines(path: Path, raw: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield each line's number, and its fields or what is wrong with it."""
    is_csv = path.suffix.lower() in (".csv", ".tsv")
    is_json = (
        path.suffix.lower() in (".jsonl", ".ndjson", ".json") or raw.lstrip(b"\xef\xbb\xbf \r\n")[:1] == b"{"
    )
    return _csv_lines(path, raw) if is_csv or not is_json else _json_lines(raw)


def _json_lines(raw: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(raw.split(b"\n"), start=1):
        try:
            text = line.decode().removeprefix(BOM).strip()
            if not text:
                continue
            found = json.loads(text)
        except UnicodeDecodeError:
            yield number, "is not UTF-8"
        except (ValueError, RecursionError):
            yield number, "is not JSON"
        else:
            yield number, found if isinstance(found, dict) else "is not a JSON object"


def _csv_lines(path: Path, raw: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Unreadable(f"{path} is not UTF-8 (line {line}): save it as “CSV UTF-8”.") from error
    header_line = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header_line.count)
    # Strict: a quote that is never closed is a bad line, not a cell that swallows the rest unseen.
    rows = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    header = ["_".join(name.casefold().split()) for name in next(rows, [])]
    if "title" not in header:
        raise Unreadable(f"{path} has no column “title”: its first line must name the columns.")
    if len(set(header)) < len(header):
        raise Unreadable(f"{path} has two columns of one name.")
    while True:
        number = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"is not CSV: {error}"
            continue
        if len(cells) > len(header):
            yield number, f"has {len(cells)} cells for {len(header)} columns"
        elif any(cell.strip() for cell in cells):
            yield number, dict(zip(header, (cell.strip() for cell in cells), strict=False))
