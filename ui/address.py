"""Filters of a list, kept in the address: a reload, a bookmark and a link to a colleague show the same list.

Streamlit's ``bind="query-params"`` writes the words of an option, which differ by language; here the address
holds the API's own codes.
"""

from typing import Any, Final, Literal

import streamlit as st

Kind = Literal["text", "one", "many", "flag", "number"]
EMPTY: Final[dict[Kind, Any]] = {"text": "", "one": None, "many": [], "flag": False, "number": 1}


class Address:
    """The filters of one page: ``allowed`` values of a choice, and what a filter is at the ``start``."""

    def __init__(
        self,
        page: str,
        kinds: dict[str, Kind],
        allowed: dict[str, list[Any]] | None = None,
        start: dict[str, Any] | None = None,
    ) -> None:
        """Take the filters from the address when the page opens and whenever the address was changed."""
        self._page = page
        self._kinds = kinds
        self._allowed = allowed or {}
        self._start = {**{name: EMPTY[kind] for name, kind in kinds.items()}, **(start or {})}
        current = self._current()
        new = st.session_state.get(self.key("address")) != current
        if new or any(self.key(name) not in st.session_state for name in kinds):
            for name, kind in kinds.items():
                st.session_state[self.key(name)] = self._read(name, kind, current.get(name, []))
            st.session_state[self.key("address")] = current

    def key(self, name: str) -> str:
        """Return the key of the widget that holds a filter."""
        return f"{self._page}.{name}"

    def get(self, name: str) -> Any:
        """Return a filter; None, an empty list or text where it is not set."""
        return st.session_state[self.key(name)]

    def set(self, name: str, value: Any) -> None:
        """Set a filter from a callback."""
        st.session_state[self.key(name)] = value

    def restart(self) -> None:
        """Go back to the first page; for the ``on_change`` of every filter."""
        if "page" in self._kinds:
            self.set("page", 1)

    def clear(self) -> None:
        """Take every filter away; a callback."""
        for name in self._kinds:
            self.set(name, self._start[name])

    def write(self) -> None:
        """Put the filters into the address."""
        written = {name: self._written(name, kind) for name, kind in self._kinds.items()}
        written = {name: values for name, values in written.items() if values}
        st.session_state[self.key("address")] = written
        if written != self._current():
            st.query_params.from_dict(written)

    def active(self) -> bool:
        """Tell whether any filter is set, the page's number aside."""
        return any(
            self._written(name, kind) for name, kind in self._kinds.items() if name not in ("page", "sort")
        )

    def _current(self) -> dict[str, list[str]]:
        return {name: found for name in self._kinds if (found := st.query_params.get_all(name))}

    def _read(self, name: str, kind: Kind, values: list[str]) -> Any:
        values = [value for value in values if name not in self._allowed or value in self._allowed[name]]
        if kind == "many" and values:
            return values
        if not values:
            return self._start[name]
        if kind == "flag":
            return values[0] == "yes"
        if kind == "number":
            return int(values[0]) if values[0].isdecimal() and 0 < int(values[0]) < 10**6 else 1
        return values[0]

    def _written(self, name: str, kind: Kind) -> list[str]:
        value = st.session_state.get(self.key(name))
        if value in (None, "", False, [], self._start[name]):
            return []
        if kind == "many":
            return [str(one) for one in value]
        return ["yes"] if kind == "flag" else [str(value)]
