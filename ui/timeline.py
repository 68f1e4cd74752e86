"""What happened to a ticket, as steps one under the other."""

import html
from collections.abc import Iterable
from typing import Any

import streamlit as st

from ui import texts
from ui.client import Json
from ui.moves import person
from ui.widgets import t, when

TIMES = (
    "scheduled_at",
    "due_at",
    "assigned_at",
    "in_progress_at",
    "done_at",
    "closed_at",
    "canceled_at",
    "created_at",
)
WORKER = ("worker_id", "worker")
IN_CONVERSATION = ("commented",)
"""Events that stand, with their words, in the conversation."""
SAID_BY_EVENT = (
    "status",
    "assigned_at",
    "in_progress_at",
    "done_at",
    "closed_at",
    "canceled_at",
    "updated_at",
    "viewed",
    "published_at",
    "published_by",
    "account_id",
)
"""Changes that the step's own words tell already, or that say nothing to a person."""


def steps(rows: Iterable[tuple[str, str, str]]) -> None:
    """Draw steps of words, time (and who), and a person's note; the last one stands out."""
    drawn = [
        f"<b>{html.escape(words)}</b><small>{html.escape(at)}</small>"
        + (f"<p>{html.escape(note)}</p>" if note else "")
        for words, at, note in rows
    ]
    if not drawn:
        st.caption(t("no_history"))
        return
    items = [f"<li{' class=last' if i == len(drawn) - 1 else ''}>{row}</li>" for i, row in enumerate(drawn)]
    st.html(f"<ol class='crm-steps'>{''.join(items)}</ol>")


def history(events: Iterable[Json], names: dict[int, str]) -> None:
    """Draw the history of a ticket; ``names`` are workers by id, where the reader may know them."""
    told = (event for event in events if event.get("event") not in IN_CONVERSATION)
    steps((_title(event), _by(event), _note(event, names)) for event in told)


def _title(event: Json) -> str:
    name = str(event.get("event", "")).rsplit(".", 1)[-1]
    moved = (event.get("changes") or {}).get("status")
    for key in (f"event_{name}", f"milestone_{moved[1]}" if moved else ""):
        if key in texts.WORDS:
            return t(key)
    return t("event_other")


def _by(event: Json) -> str:
    actor = event.get("actor")
    who = person(actor) if actor else t("somebody_outside")
    return f"{when(event['at'])} · {who}"


def _note(event: Json, names: dict[int, str]) -> str:
    lines = []
    changes = event.get("changes") or {}
    # The API tells a worker by id and by user name: the id where we know the person's name.
    known = all(id_ is None or id_ in names for id_ in changes.get("worker_id", ()))
    told_twice = "worker" if known and "worker_id" in changes else "worker_id"
    for field, (was, now) in changes.items():
        if field in SAID_BY_EVENT or (field == told_twice and {"worker", "worker_id"} <= changes.keys()):
            continue
        key = f"of_{field}"
        label = t(key) if key in texts.WORDS else t("of_other")
        before, after = _value(field, was, names), _value(field, now, names)
        lines.append(f"{label}: {after}" if was in (None, "") else f"{label}: {before} → {after}")
    reasons = [now for _, now in changes.values()]
    if event.get("note") and event["note"] not in reasons:
        lines.append(str(event["note"]))
    return "\n".join(lines)


def _value(field: str, value: Any, names: dict[int, str]) -> str:
    """Say what a field held, as a person would read it."""
    if value in (None, ""):
        words = t("nothing")
    elif isinstance(value, bool):
        words = t("yes") if value else t("no")
    elif isinstance(value, dict):
        words = person(value)
    elif field in WORKER and isinstance(value, int):
        words = names.get(value) or t("worker_number", n=value)
    elif field in TIMES:
        words = when(str(value))
    else:
        key = f"{field}_{value}"
        words = t(key) if key in texts.WORDS else str(value)
    return words
