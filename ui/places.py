"""Ways between pages. ``ui.app`` says once per run which there are; the others name them by address."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode

import streamlit as st

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage


HOMES = {"admin": "overview", "manager": "overview", "worker": "work", "client": "requests"}


def remember(pages: Mapping[str, "StreamlitPage"]) -> None:
    """Take over the pages of this run."""
    st.session_state["places"] = dict(pages)


def home_of(role: str | None) -> str:
    """Return where a role begins; a visitor begins with the request form."""
    return HOMES.get(role or "", "submit")


def go(path: str, **params: Any) -> NoReturn:
    """Leave for another page."""
    st.switch_page(_page(path), query_params=_texts(params))
    raise AssertionError  # switch_page ends the run; its type does not say so


def link(path: str, label: str, *, icon: str | None = None, **params: Any) -> None:
    """Draw a link to another page."""
    st.page_link(_page(path), label=label, icon=icon, query_params=_texts(params) or None)


def url(path: str, **params: Any) -> str:
    """Return the address of another page, for the browser to open."""
    return f"{path}?{urlencode(_texts(params), doseq=True)}" if params else path


def _page(path: str) -> "StreamlitPage":
    found: StreamlitPage = st.session_state["places"][path]
    return found


def _texts(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, list) else str(value) for name, value in params.items()}
