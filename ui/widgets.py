"""Small parts that pages share: words, text from people, badges, dates, empty and failed states."""

import functools
import html
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from ui import session, texts
from ui.client import ApiError, Json

Tone = Literal["blue", "violet", "orange", "gray", "green", "red"]
STATUS_TONES: Final[dict[str, Tone]] = {
    "new": "blue",
    "assigned": "violet",
    "in_progress": "orange",
    "on_hold": "gray",
    "done": "green",
    "closed": "gray",
    "canceled": "red",
}
STATUSES: Final = tuple(STATUS_TONES)
OPEN: Final = ("new", "assigned", "in_progress", "on_hold")
PRIORITIES: Final = ("low", "normal", "high", "urgent")
PRIORITY_TONES: Final[dict[str, Tone]] = {"low": "gray", "normal": "gray", "high": "orange", "urgent": "red"}

SERVER_FAILED = 500
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def t(key: str, **values: object) -> str:
    """Return the words for ``key`` in the reader's language."""
    return texts.translate(session.language(), key, **values)


def tn(key: str, number: int) -> str:
    """Return the words for ``key`` and a number, in the right plural."""
    return texts.plural(session.language(), key, number)


# --- text from people


def plain(text: object) -> str:
    """Make a person's text safe for a label: no formatting, no link, no picture, no emoji code.

    Emoji codes and bare addresses are recognised after the escapes are read, so a word joiner, which is not
    seen, breaks them. Use ``prose`` or ``facts`` where the text may be copied.
    """
    joined = re.sub(r"(:(?=\S)|@|www(?=\.))", "\\1\u2060", " ".join(str(text).split()), flags=re.IGNORECASE)
    return _PUNCTUATION.sub(r"\\\1", joined)


def heading(text: object, note: str = "") -> None:
    """Draw a person's words as the page's heading."""
    below = f"<p class='crm-note'>{html.escape(note)}</p>" if note else ""
    st.html(f"<h1 class='crm-title'>{html.escape(str(text))}</h1>{below}")


def prose(text: object) -> None:
    """Draw a person's longer text as it was written."""
    st.html(f"<p class='crm-prose'>{html.escape(str(text))}</p>")


def facts(rows: Iterable[tuple[str, object] | tuple[str, object, str]]) -> None:
    """Draw labels with values, one under the other; a third part is a link. Empty values are left out."""
    drawn = []
    for label, value, *link in rows:
        if value in (None, ""):
            continue
        shown = html.escape(str(value))
        if link and link[0]:
            shown = f"<a href='{html.escape(link[0])}' target='_blank' rel='noopener noreferrer'>{shown}</a>"
        drawn.append(f"<div><dt>{html.escape(label)}</dt><dd>{shown}</dd></div>")
    st.html(f"<dl class='crm-facts'>{''.join(drawn)}</dl>")


# --- dates


def zone() -> ZoneInfo:
    """Return the reader's time zone."""
    name = st.context.timezone
    try:
        return ZoneInfo(name if isinstance(name, str) else "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def local(value: str) -> datetime:
    """Return a time of the API in the reader's zone."""
    return datetime.fromisoformat(value).astimezone(zone())


def now() -> datetime:
    """Return this moment in the reader's zone."""
    return datetime.now(UTC).astimezone(zone())


def midnight(days_ago: int = 0) -> datetime:
    """Return the start of the reader's day."""
    return datetime.combine(now().date() - timedelta(days=days_ago), time(), tzinfo=zone())


def when(value: str | None) -> str:
    """Say a time of the API in the reader's zone and language; a dash for none."""
    return texts.moment(session.language(), local(value), now()) if value else t("nothing")


def took(seconds: float | None) -> str:
    """Say how long something took."""
    return texts.duration(session.language(), seconds)


def late(ticket: Json) -> bool:
    """Tell whether a ticket's time ran out while it is open."""
    due: str | None = ticket.get("due_at")
    return due is not None and ticket["status"] in OPEN and local(due) < now()


# --- badges


def status_badge(status: str) -> None:
    """Draw a ticket's status."""
    st.badge(t(f"status_{status}"), color=STATUS_TONES.get(status, "gray"))


def badges(ticket: Json, *, unread: bool = False) -> None:
    """Draw what stands out about a ticket in one row; ``unread`` adds that its worker has not opened it."""
    with st.container(horizontal=True, gap="small"):
        status_badge(ticket["status"])
        if ticket.get("priority") in ("high", "urgent"):
            priority = ticket["priority"]
            st.badge(
                t(f"priority_{priority}"), color=PRIORITY_TONES[priority], icon=":material/priority_high:"
            )
        if late(ticket):
            st.badge(t("overdue"), color="red", icon=":material/schedule:")
        if unread:
            st.badge(t("unread"), color="blue")
        if said := ticket.get("unread_comments"):
            st.badge(tn("unread_messages", said), color="blue", icon=":material/chat:")


def address_link(address: str | None) -> str:
    """Return where a map shows an address; nothing is asked of the map until somebody clicks."""
    query = " ".join((address or "").split())
    return f"https://www.openstreetmap.org/search?query={quote(query, safe='')}" if query else ""


def phone_link(phone: str | None) -> str:
    """Return a link that calls."""
    digits = re.sub(r"[^+\d]", "", phone or "")
    return f"tel:{digits}" if digits else ""


# --- empty, failed, ended


def empty(key: str) -> None:
    """Say that there is nothing, and what to do about it: the words ``key`` and ``key_hint``."""
    with st.container(border=True, horizontal_alignment="center", key=f"empty-{key}"):
        st.markdown(f"**{t(key)}**", text_alignment="center")
        st.caption(t(f"{key}_hint"), text_alignment="center")


def words_for(error: ApiError) -> str:
    """Return what an error of the API means to the reader, ready for Markdown."""
    key = f"problem_{error.code}"
    if key in texts.WORDS:
        return t(key, **{name: plain(value) for name, value in _numbers(error).items()})
    # What the API says of its own failures is for its log.
    return t("problem_error") if error.status >= SERVER_FAILED else plain(str(error)) or t("problem_error")


def failed(error: ApiError, key: str = "retry") -> None:
    """Say that something could not be read, with a button that tries again."""
    with st.container(border=True, key=f"failed-{key}"):
        st.error(
            words_for(error),
            icon=":material/cloud_off:" if error.status >= SERVER_FAILED else ":material/error:",
        )
        st.button(t("retry"), key=f"{key}-again", icon=":material/refresh:")


def tell(error: ApiError) -> None:
    """Say in passing that an action was refused."""
    if not isinstance(error, session.SessionEnded):
        st.toast(words_for(error), icon=":material/error:", duration="long")


def guarded(draw: Callable[[], None]) -> Callable[[], None]:
    """Wrap a page or fragment: an ended session leads to the sign-in form, a failure says so with a retry."""

    @functools.wraps(draw)
    def page() -> None:
        try:
            draw()
        except session.SessionEnded:
            st.rerun()
        except ApiError as error:
            failed(error, draw.__module__.rsplit(".", 1)[-1])

    return page


def _numbers(error: ApiError) -> dict[str, object]:
    """Return what an error's words may name."""
    return {"seconds": error.problem.get("retry_after", 60), "count": error.problem.get("count", 1)}
