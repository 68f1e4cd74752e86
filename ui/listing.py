"""The list that every table of the UI is drawn with: rows open, headings sort, a phone shows cards."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from ui.address import Address
from ui.client import Json
from ui.texts import thousands
from ui.widgets import t, tn

PAGE_SIZE = 25
_PARTS = Path(__file__).parent / "parts"

_component = st.components.v2.component(
    "crm_listing",
    html="<div class='listing'></div>",
    css=(_PARTS / "listing.css").read_text(encoding="utf-8"),
    js=(_PARTS / "listing.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Column:
    """A heading; ``sort`` is the API's field, ``tight`` takes no more room than its words."""

    label: str
    sort: str = ""
    tight: bool = False


@dataclass(frozen=True)
class Cell:
    """One value, drawn as text; ``tone`` makes a badge of it, ``note`` stands small below."""

    text: str
    note: str = ""
    tone: str = ""
    alarm: bool = False


@dataclass(frozen=True)
class Row:
    """One line. ``id`` is given to ``on_open``; ``href`` lets it be opened in another tab."""

    id: int
    cells: Sequence[Cell]
    href: str = ""
    unread: bool = False


def listing(
    key: str,
    label: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    on_open: Callable[[int], Any],
    *,
    address: Address | None = None,
) -> None:
    """Draw rows; a click on one calls ``on_open`` with its id.

    That happens while the page is drawn, so that it may switch pages. A click on a heading sets the
    filter ``sort`` of ``address``.
    """
    mounted = _component(
        key=key,
        data={
            "label": label,
            "sort": address.get("sort") if address else "",
            "columns": [asdict(column) for column in columns],
            "rows": [asdict(row) for row in rows],
        },
        on_opened_change=lambda: None,
        on_sorted_change=lambda: None,
    )
    if mounted.opened is not None:
        on_open(int(mounted.opened))
    chosen = str(mounted.sorted or "")
    if address and chosen.removeprefix("-") in [column.sort for column in columns if column.sort]:
        address.set("sort", chosen)
        address.restart()
        st.rerun()


def pager(address: Address, found: Json) -> None:
    """Draw how many there are and the page numbers."""
    total = found.get("total", 0)
    shown = tn("found", total) if found.get("total_is_exact", True) else t("found_over", n=thousands(total))
    pages = found.get("pages") or -(-total // PAGE_SIZE)
    if pages and address.get("page") > pages:
        # Somebody's filter or deletion made the list shorter than the address says.
        address.set("page", pages)
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(shown, width="content")
        if pages > 1:
            # Its own key for each page: the widget takes no value from the session beside its default.
            current = address.get("page")
            key = f"{address.key('page')}-{current}-of-{pages}"
            st.pagination(
                pages, default=current, key=key, max_visible_pages=5, on_change=_turn, args=(address, key)
            )


def _turn(address: Address, key: str) -> None:
    address.set("page", st.session_state[key])
