"""How figures are written down: one table, the tables behind it, and JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    what: str
    goal: str
    figure: str
    floor: str
    met: str
    """``yes``, ``no``, ``partly`` (some of several), or ``not measured``."""


def block_ratios(small: Figures, large: Figures) -> dict[str, float]:
    """Return how many times more blocks each kind of list touches; infinite for what was not answered."""
    return {
        name: (found["blocks"] / max(1, small["blocks"][name]["blocks"]))
        if found["status"] == 200
        else float("inf")
        for name, found in large["blocks"].items()
    }


def pace(found: Figures) -> str:
    """Return how many a second, and how long each took."""
    return f"{found['rate']:.0f}/s, p50 {ms(found['p50'])}, p99 {ms(found['p99'])}"


def kb(wal: Figures, part: str = "total") -> str:
    """Return the bytes of WAL that one part wrote."""
    return f"{wal.get(part, 0) / 1000:.1f} kB"


def ms(milliseconds: float) -> str:
    """Return a time as people read it."""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def markdown(table: list[Line]) -> str:
    """Return the table."""
    rows = [("what", "goal", "figure", "floor", "met?")]
    rows += [(line.what, line.goal, line.figure, line.floor, line.met) for line in table]
    return grid(rows)


def grid(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as a Markdown table; the first is its head."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [cells[0], ["---"] * len(cells[0]), *cells[1:]])


def details(results: Figures) -> str:
    """Return the tables behind the table: every search and every kind of list."""
    sizes = results["sizes"]
    small, large = sizes[min(sizes, key=int)], sizes[max(sizes, key=int)]
    ratios = block_ratios(small, large)
    parts: list[tuple[str, tuple[str, ...], Figures, Callable[[str, Any], tuple[str, ...]]]] = [
        (
            "Searches",
            ("search", "p50", "longest", "in the database", "blocks", "total"),
            large.get("search", {}),
            lambda name, one: (
                name,
                ms(one["p50"]) if one["answered"] else "not answered",
                ms(one["worst"]),
                ms(one["database_ms"]),
                f"{one['blocks']:,}",
                str(one["total"]),
            ),
        ),
        (
            "Lists",
            ("list", "blocks, smallest", "blocks, largest", "ratio", "in the database"),
            large["blocks"],
            lambda name, one: (
                name,
                f"{small['blocks'][name]['blocks']:,}",
                f"{one['blocks']:,}" if one["status"] == 200 else f"status {one['status']}",
                f"{ratios[name]:.2f}",
                ms(one["database_ms"]),
            ),
        ),
        (
            "Beside the ordinary way",
            ("list", "product", "ordinary", "ratio", "ratio in the database"),
            large.get("ordinary", {}),
            lambda name, one: (
                name,
                ms(one["product_ms"]),
                ms(one["ordinary_ms"]),
                f"{one['ratio']:,.0f}",
                f"{one['ratio_in_database']:,.0f}",
            ),
        ),
    ]
    return "\n\n".join(
        f"## {title}\n\n{grid([head, *[row(name, one) for name, one in found.items()]])}"
        for title, head, found, row in parts
        if found
    )


def as_json(results: Figures, table: list[Line]) -> str:
    """Return the table and every figure behind it."""
    return json.dumps(
        {"lines": [asdict(line) for line in table], **results}, indent=2, ensure_ascii=False, default=str
    )
