"""The conversation of a ticket, for those who work on it and for its client.

The browser draws it and sends what is written and dropped there straight to the UI's own routes. What this
module does is fetch what the reader may see, in the reader's words and zone, whenever the live socket says
that something happened.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import streamlit as st

from ui import texts
from ui.client import ApiError, Json
from ui.session import STAFF, SessionEnded, api
from ui.widgets import local, now, t, when

STEP: Final = 20
LARGEST_PAGE: Final = 100
LONG: Final = 8
EDITABLE_FOR: Final = timedelta(minutes=15)
MOST_FILES: Final = 5
"""At once; a ticket holds more."""
TEAM: Final = (*STAFF, "worker")
QUIET: Final = {
    "comment",
    "comment_edited",
    "comment_withdrawn",
    "attachment",
    "attachment_deleted",
    "viewed",
}
"""What changes nothing on the page but the conversation."""
_PARTS = Path(__file__).parent / "parts"

_component = st.components.v2.component(
    "crm_talk",
    html="<div class='talk'></div>",
    css=(_PARTS / "talk.css").read_text(encoding="utf-8"),
    js="\n".join(
        (_PARTS / f"{name}.js").read_text(encoding="utf-8") for name in ("files", "live", "message", "talk")
    ),
)


@dataclass(frozen=True)
class Reader:
    """Who reads: a signed-in user, or whoever has the code. ``client`` is how the client is called."""

    user: Json | None
    client: str = ""

    @property
    def team(self) -> bool:
        """Tell whether the reader works here, and so reads and writes internal notes."""
        return self.user is not None and self.user["role"] in TEAM

    def wrote(self, author: Json | None) -> bool:
        """Tell whether a text or file is the reader's own."""
        if author is None:
            return not self.team  # by code: only the client has it
        return self.user is not None and author["id"] == self.user["id"]


def conversation(place: str, reader: Reader) -> None:
    """Draw the conversation at ``place``: ``tickets/7`` or ``public/CODE``."""
    # Here runs the whole page, so it shows what happened up to the event it was asked to run for.
    st.session_state[_drawn(place)] = st.session_state.get(_wanted(place), 0)
    st.fragment(_draw)(place, reader)


def _draw(place: str, reader: Reader) -> None:
    data = _data(place, reader)
    mounted = _component(
        key=f"talk-{place}",
        data=data,
        on_heard_change=lambda: None,
        on_older_change=_loader(place),
    )
    _mark_read(place, reader, data)
    heard = mounted.heard or {}
    if heard.get("over") or int(heard.get("page", 0)) > data["drawn"]:
        # The status, the worker or the offers: they stand all over the page.
        st.session_state[_wanted(place)] = max(int(heard.get("page", 0)), data["drawn"])
        st.rerun()


def _wanted(place: str) -> str:
    return f"talk-wanted-{place}"


def _drawn(place: str) -> str:
    return f"talk-drawn-{place}"


def _loader(place: str) -> Callable[[], None]:
    def load_older() -> None:
        st.session_state[f"talk-size-{place}"] = _size(place) + STEP

    return load_older


def _size(place: str) -> int:
    return int(st.session_state.get(f"talk-size-{place}", STEP))


def _data(place: str, reader: Reader) -> Json:
    """Return what the component draws; while the API is away, what was there before."""
    kept = f"talk-kept-{place}"
    try:
        data = _fetched(place, reader)
    except SessionEnded:
        raise
    except ApiError:
        before: Json | None = st.session_state.get(kept)
        if before is None:
            raise
        return before | {"failed": True, "drawn": st.session_state[_drawn(place)]}
    st.session_state[kept] = data
    return data


def _fetched(place: str, reader: Reader) -> Json:
    comments, more = _comments(place)
    files = api().attachments(place, size=LARGEST_PAGE)["items"]
    said = {one["id"]: one for one in comments}
    messages = [(local(one["created_at"]), one["id"], _message(one, said, reader)) for one in comments]
    oldest = messages[-1][0] if messages and more else None
    for one in files:
        at = local(one["created_at"])
        if one["comment_id"] is None and (oldest is None or at >= oldest):
            messages.append((at, one["id"], _file_message(one, reader)))
    return {
        "place": place,
        "by_code": reader.user is None,
        "me": reader.user["id"] if reader.user else None,
        "staff": reader.team,
        "quiet": sorted(QUIET),
        "drawn": st.session_state[_drawn(place)],
        "writable": True,
        "failed": False,
        "messages": [message for _, _, message in sorted(messages, key=lambda one: one[:2])],
        "more": more,
        # On top of a long conversation, where they would have to be looked for.
        "files": [_file(one, reader) for one in files] if more or len(messages) > LONG else [],
        "words": talk_words(),
        **limits(),
    }


def _comments(place: str) -> tuple[list[Json], bool]:
    """Return the newest comments, newest first, and whether there are older ones."""
    wanted, found, page = _size(place), [], 1
    size = min(wanted, LARGEST_PAGE)
    while True:
        answer = api().comments(place, size=size, page=page)
        found += answer["items"]
        more = len(found) < answer.get("total", 0)
        if not more or len(found) >= wanted or not answer["items"]:
            return found, more
        page += 1


def _message(comment: Json, said: dict[int, Json], reader: Reader) -> Json:
    mine = reader.wrote(comment["author"])
    withdrawn = comment["withdrawn_at"] is not None
    own = mine and comment["author"] is not None
    return {
        "id": f"c{comment['id']}",
        "number": comment["id"],
        "mine": mine,
        "internal": comment["visibility"] == "internal",
        **_author(comment["author"], reader),
        "at": when(comment["created_at"]),
        "text": comment["text"],
        "withdrawn": withdrawn,
        "edited": comment["edited_at"] is not None,
        "editable": own and not withdrawn and now() - local(comment["created_at"]) < EDITABLE_FOR,
        "parent": _parent(comment, said, reader),
        "files": [_file(one, reader) for one in comment["attachments"]],
    }


def _parent(comment: Json, said: dict[int, Json], reader: Reader) -> Json | None:
    if comment["parent_id"] is None:
        return None
    parent = said.get(comment["parent_id"])
    if parent is None:
        return {"author": "", "text": t("talk_earlier")}
    text = t("talk_taken_back") if parent["text"] is None else " ".join(parent["text"].split())
    return {"author": _author(parent["author"], reader)["author"], "text": text[:120]}


def _file_message(file: Json, reader: Reader) -> Json:
    return {
        "id": f"f{file['id']}",
        "number": None,
        "mine": reader.wrote(file["author"]),
        "internal": False,
        **_author(file["author"], reader),
        "at": when(file["created_at"]),
        "text": None,
        "withdrawn": False,
        "edited": False,
        "editable": False,
        "parent": None,
        "files": [_file(file, reader)],
    }


def _author(author: Json | None, reader: Reader) -> Json:
    if reader.wrote(author):
        return {"author": t("talk_you"), "role": ""}
    if author is None:
        return {
            "author": reader.client or t("role_client"),
            "role": t("role_client") if reader.client else "",
        }
    return {"author": author["name"], "role": t(f"role_{author['role']}")}


def _file(file: Json, reader: Reader) -> Json:
    return {
        "id": file["id"],
        "name": file["filename"],
        "size": file["size"],
        "thumb": file["has_thumbnail"],
        "mine": _is_removable(file, reader),
    }


def _is_removable(file: Json, reader: Reader) -> bool:
    """Tell whether the API would let the reader delete a file."""
    if reader.user is None:  # by code, and only while texts could be changed too
        return file["author"] is None and now() - local(file["created_at"]) < EDITABLE_FOR
    return reader.user["role"] == "admin" or (file["author"] is not None and reader.wrote(file["author"]))


def _mark_read(place: str, reader: Reader, data: Json) -> None:
    newest = max((message["number"] or 0 for message in data["messages"]), default=0)
    key = f"talk-read-{place}"
    if reader.user is None or data["failed"] or newest <= st.session_state.get(key, 0):
        return
    with suppress(ApiError):  # a dot too many is no reason to disturb
        api().mark_read(int(place.rpartition("/")[2]), newest)
        st.session_state[key] = newest


# --- words and limits for the browser


def limits() -> Json:
    """Return how large and how many files may be, as the browser checks before it sends."""
    megabytes = int(st.get_option("server.maxUploadSize"))
    return {"largest": megabytes * 1_000_000, "most": MOST_FILES}


def talk_words() -> Json:
    """Return the words that the browser's part needs, in the reader's language."""
    prefix = "talk_"
    words: dict[str, Any] = {
        key.removeprefix(prefix): t(key, who="{who}") for key in texts.WORDS if key.startswith(prefix)
    }
    words["roles"] = {role: t(f"role_{role}") for role in ("admin", "manager", "worker", "client")}
    words["problems"] = {
        key.removeprefix("problem_"): t(key, seconds=60, count=1, mb=limits()["largest"] // 1_000_000)
        for key in texts.WORDS
        if key.startswith("problem_")
    }
    return words
