"""Forms whose errors stand under the field they belong to, and that a second click cannot send twice."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import streamlit as st

from ui import texts
from ui.client import STALE, ApiError, Json
from ui.session import SessionEnded
from ui.widgets import local, plain, t, words_for, zone

SHORT, MEDIUM, LONG = 100, 200, 5000
Kind = Literal["default", "password", "email", "phone"]


class Form:
    """One form. ``name`` must be unique among the forms on screen; fields are named as the API names them."""

    def __init__(self, name: str, start: Json | None = None) -> None:
        """``start`` is what the fields show first."""
        self.name = name
        self._start = start or {}

    def text(
        self, field: str, label: str, *, kind: Kind = "default", longest: int = MEDIUM, **more: Any
    ) -> None:
        """Draw a line of text."""
        self._begin(field)
        st.text_input(label, key=self._key(field), type=kind, validate="", max_chars=longest, **more)
        self._error(field)

    def area(self, field: str, label: str, *, longest: int = LONG, **more: Any) -> None:
        """Draw a larger text."""
        self._begin(field)
        st.text_area(label, key=self._key(field), max_chars=longest, **more)
        self._error(field)

    def choice(
        self, field: str, label: str, options: Sequence[Any], words: Callable[[Any], str], **more: Any
    ) -> None:
        """Draw a choice of one."""
        self._begin(field)
        st.selectbox(label, options, format_func=words, key=self._key(field), **more)
        self._error(field)

    def moment(self, field: str, label: str, **more: Any) -> None:
        """Draw a date with a time in the reader's zone; may stay empty."""
        if self._key(field) not in st.session_state and (given := self._start.get(field)):
            st.session_state[self._key(field)] = local(given).replace(tzinfo=None, second=0, microsecond=0)
        st.datetime_input(label, value=None, key=self._key(field), format="DD.MM.YYYY", **more)
        self._error(field)

    def button(self, label: str, send: Callable[[Json, str], Any], *, icon: str | None = None) -> None:
        """Draw the button that sends; ``send`` gets the values and the idempotency key."""
        if trouble := self._state("trouble"):
            st.error(trouble, icon=":material/error:")
        st.form_submit_button(
            label, key=self._key("send"), type="primary", icon=icon, on_click=self._send, args=(send,)
        )

    def value(self, field: str) -> Any:
        """Return what a field holds now."""
        return st.session_state.get(self._key(field))

    def result(self) -> Any:
        """Return, once, what the API answered to the form; None while it was not accepted."""
        return st.session_state.pop(self._key("result"), None)

    def reset(self) -> None:
        """Begin anew: no values, no errors.

        The fields get new keys: the browser would send the old ones' values again.
        """
        generation = self._generation()
        for key in [key for key in st.session_state if str(key).startswith(f"{self.name}:")]:
            del st.session_state[key]
        st.session_state[f"{self.name}:generation"] = generation + 1

    def refuse(self, field: str, words: str) -> None:
        """Put an error under a field; for what only the page can know, like two passwords that differ."""
        st.session_state[self._key("errors")] = {**(self._state("errors") or {}), field: words}

    def _send(self, send: Callable[[Json, str], Any]) -> None:
        st.session_state[self._key("errors")] = {}
        st.session_state[self._key("trouble")] = None
        values = self._values()
        once = st.session_state.setdefault(self._key("once"), str(uuid.uuid4()))
        # The same values sent again are the same request; corrected ones are another.
        key = hashlib.sha256(f"{once} {json.dumps(values, sort_keys=True)}".encode()).hexdigest()
        try:
            found = send(values, key)
        except SessionEnded:
            return
        except ApiError as error:
            self._take(error)
        else:
            if not self._state("errors"):
                st.session_state[self._key("result")] = found if found is not None else True
                del st.session_state[self._key("once")]

    def _take(self, error: ApiError) -> None:
        """Put each error of the API under its field, what has no field above the button."""
        shown = self._state("shown") or {}
        if error.status == STALE:
            st.session_state[self._key("trouble")] = conflict_words(error)
            return
        found = {field: field_words(field, kind, words) for field, (kind, words) in _by_field(error).items()}
        st.session_state[self._key("errors")] = {f: words for f, words in found.items() if f in shown}
        rest = [words for field, words in found.items() if field not in shown]
        if rest or not found:
            st.session_state[self._key("trouble")] = "  \n".join(rest) or words_for(error)

    def _values(self) -> Json:
        """Return the filled fields; ``client.name`` becomes ``{"client": {"name": …}}``."""
        values: Json = {}
        for field in self._state("shown") or {}:
            value = self.value(field)
            if isinstance(value, datetime):
                value = value.replace(tzinfo=zone()).isoformat()
            if isinstance(value, str):
                # Spaces around a password belong to it.
                value = value if "password" in field else value.strip()
            if value in (None, ""):
                continue
            *outer, last = field.split(".")
            place = values
            for part in outer:
                place = place.setdefault(part, {})
            place[last] = value
        return values

    def _begin(self, field: str) -> None:
        given = self._start.get(field)
        if self._key(field) not in st.session_state and given not in (None, ""):
            st.session_state[self._key(field)] = given

    def _error(self, field: str) -> None:
        shown = {**(self._state("shown") or {}), field: True}
        st.session_state[self._key("shown")] = shown
        if words := (self._state("errors") or {}).get(field):
            st.caption(f":red[:material/error: {words}]")

    def _state(self, part: str) -> Any:
        return st.session_state.get(self._key(part))

    def _key(self, part: str) -> str:
        return f"{self.name}:{self._generation()}:{part}"

    def _generation(self) -> int:
        return int(st.session_state.get(f"{self.name}:generation", 0))


def changed(values: Mapping[str, Any], before: Mapping[str, Any], fields: Sequence[str]) -> Json:
    """Return what a form changed of a thing: emptied fields become null, untouched ones stay out."""
    found: Json = {}
    for field in fields:
        was, is_ = before.get(field), values.get(field)
        if field.endswith("_at") and was and is_:
            was, is_ = local(was).replace(second=0, microsecond=0), datetime.fromisoformat(is_)
            if was != is_:
                found[field] = is_.isoformat()
        elif (was or None) != (is_ or None):
            found[field] = is_
    return found


def field_words(field: str, kind: str, message: str) -> str:
    """Return what is wrong with a field in the reader's language; the API's own words where we have none."""
    name = field.rsplit(".", 1)[-1]
    rule = "contact" if "phone or email" in message else ""
    for known in (kind, rule, name):
        if known and f"field_{known}" in texts.WORDS:
            return t(f"field_{known}")
    return plain(message.removeprefix("Value error, "))


def conflict_words(error: ApiError) -> str:
    """Say what somebody else changed while the form was open."""
    lines = [t("problem_stale")]
    for change in error.problem.get("changed") or []:
        key = f"of_{change.get('field')}"
        if key in texts.WORDS:
            was, now = (plain(change.get(side) or t("nothing")) for side in ("was", "now"))
            lines.append(f"{t(key)}: {was} → {now}")
    return "  \n".join(lines)


def _by_field(error: ApiError) -> dict[str, tuple[str, str]]:
    if error.code in FIELD_OF_CODE:
        return {FIELD_OF_CODE[error.code]: (error.code, str(error))}
    return error.fields


FIELD_OF_CODE = {
    "username_taken": "username",
    "email_taken": "email",
    "wrong_password": "current_password",
    "reason_required": "reason",
    "not_a_worker": "worker_id",
}
"""Errors of a rule that belong to one field."""
