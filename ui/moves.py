"""What can be done to a ticket: one button for each move the API allows, with the question it needs.

Which moves there are is never decided here: ``allowed_statuses`` of the ticket says it. Here each target gets
its words, its icon and its endpoint.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import streamlit as st

from ui.client import ApiError, Json
from ui.forms import Form
from ui.session import STAFF, api, me
from ui.widgets import guarded, t, tell, tn

Question = Literal["", "reason", "resolution", "worker"]


@dataclass(frozen=True)
class Move:
    """A button: the API's action, and what to ask first. It is called ``move_NAME``."""

    name: str
    action: str
    icon: str
    question: Question = ""
    main: bool = False
    """The natural next step; drawn as the primary button."""


TO: Final[dict[str, Move]] = {
    "assigned": Move("assign", "assign", ":material/person_add:", "worker"),
    "in_progress": Move("start", "status", ":material/play_arrow:", main=True),
    "on_hold": Move("hold", "hold", ":material/pause:", "reason"),
    "done": Move("complete", "complete", ":material/check:", "resolution", main=True),
    "closed": Move("close", "close", ":material/done_all:", main=True),
    "canceled": Move("cancel", "cancel", ":material/close:", "reason"),
    "new": Move("unassign", "assign", ":material/person_remove:"),
}
TAKE: Final = Move("take", "take", ":material/play_arrow:", main=True)
RESUME: Final = Move("resume", "resume", ":material/play_arrow:", main=True)
REOPEN: Final = Move("reopen", "reopen", ":material/undo:", "reason")
ORDER: Final = ("in_progress", "done", "closed", "assigned", "on_hold", "new", "canceled")


def moves(ticket: Json, role: str) -> list[Move]:
    """Return the moves that the API allows this reader now, the natural next step first."""
    found: list[Move] = []
    for target in sorted(ticket.get("allowed_statuses", []), key=_rank):
        if target == "in_progress" and ticket["status"] == "on_hold":
            found.append(RESUME)
        elif target == "in_progress" and ticket["status"] in ("done", "closed"):
            found.append(REOPEN)
        elif target == "in_progress" and role not in STAFF:
            found.append(TAKE)
        elif target == "assigned" and ticket["status"] == "new":
            found.append(Move("assign", "assign", TO["assigned"].icon, "worker", main=True))
        elif target == "assigned":
            found.append(Move("reassign", "assign", ":material/swap_horiz:", "worker"))
        elif target in TO:
            found.append(TO[target])
    return sorted(found, key=lambda move: not move.main)


ASKED = "asked"


def buttons(ticket: Json, place: str, *, but: tuple[str, ...] = (), wide: bool = False) -> None:
    """Draw the buttons of a ticket in one row, ``but`` some moves; ``place`` keeps keys apart."""
    chosen = [move for move in moves(ticket, str(me()["role"])) if move.name not in but]
    with st.container(horizontal=True, gap="small", key=f"moves-{place}-{ticket['id']}"):
        for move in chosen:
            _button(ticket, move, place, wide=wide)


def still_wrong(ticket: Json) -> None:
    """Offer a client to send work back that is said to be done: an answer alone moves nothing."""
    if me()["role"] in STAFF or REOPEN not in moves(ticket, str(me()["role"])):
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="still-wrong"):
        st.markdown(f"**{t('still_wrong')}**  \n{t('still_wrong_hint')}")
        _button(ticket, REOPEN, "wrong", wide=False)


def _button(ticket: Json, move: Move, place: str, *, wide: bool) -> None:
    key = f"{place}-{move.name}-{ticket['id']}"
    label = t(f"move_{move.name}")
    width: Literal["stretch", "content"] = "stretch" if wide else "content"
    kind: Literal["primary", "secondary"] = "primary" if move.main else "secondary"
    if not move.question:
        st.button(label, key=key, icon=move.icon, type=kind, width=width, on_click=_do, args=(ticket, move))
        return
    st.button(
        label, key=key, icon=move.icon, type=kind, width=width, on_click=_press, args=(ticket, move, key)
    )
    if st.session_state.get(ASKED) == key:
        _ask(ticket, move)


def _press(ticket: Json, move: Move, key: str) -> None:
    # Kept until the page has been drawn to its end: what happens live may draw it anew half-way,
    # and a press that was seen in the first half only would be lost.
    Form(_form_name(ticket, move)).reset()
    st.session_state[ASKED] = key


def asked() -> None:
    """Note that the page is drawn to its end, and the question with it."""
    st.session_state.pop(ASKED, None)


def _do(ticket: Json, move: Move) -> None:
    body: Json = {}
    if move.name == "unassign":
        body = {"worker_id": None}
    if move.action == "status":
        body = {"new_status": "in_progress"}
    try:
        api().move(ticket["id"], move.action, **body)
    except ApiError as error:
        tell(error)
    else:
        st.toast(t(f"move_{move.name}_done"), icon=":material/check:")


def _ask(ticket: Json, move: Move) -> None:
    """Open the dialog with the question of a move."""

    def draw() -> None:
        guarded(lambda: QUESTIONS[move.question](ticket, move))()

    st.dialog(t(f"move_{move.name}"), icon=move.icon)(draw)()


def _ask_words(ticket: Json, move: Move) -> None:
    """Ask for a reason, or for what was done."""
    form = Form(_form_name(ticket, move))
    st.caption(t(f"move_{move.name}_hint"))
    with st.form(form.name, border=False):
        form.area(move.question, t(f"{move.question}_label"), longest=2000, height=110)
        form.button(
            t(f"move_{move.name}"),
            lambda values, _: api().move(ticket["id"], move.action, **values),
            icon=move.icon,
        )
    _finish(form, move)


def _ask_worker(ticket: Json, move: Move) -> None:
    """Ask who shall do it, with what each worker has to do already."""
    form = Form(_form_name(ticket, move))
    people = {worker["id"]: worker for worker in workers()}
    if not people:
        st.info(t("no_workers"))
        return
    present = (ticket.get("worker") or {}).get("id")
    options = sorted(
        (id_ for id_ in people if id_ != present), key=lambda id_: people[id_].get("open_tickets") or 0
    )
    if not options:
        st.info(t("no_other_worker"))
        return
    with st.form(form.name, border=False):
        form.choice(
            "worker_id",
            t("worker"),
            options,
            lambda id_: worker_words(people[id_]),
            index=None,
            placeholder=t("choose_worker"),
        )
        form.button(t(f"move_{move.name}"), _assigner(ticket, form), icon=move.icon)
    _finish(form, move)


def _assigner(ticket: Json, form: Form) -> Callable[[Json, str], Json | None]:
    def assign(values: Json, _: str) -> Json | None:
        if "worker_id" not in values:
            form.refuse("worker_id", t("choose_worker"))
            return None
        return api().move(ticket["id"], "assign", worker_id=values["worker_id"])

    return assign


QUESTIONS: Final[dict[str, Callable[[Json, Move], None]]] = {
    "reason": _ask_words,
    "resolution": _ask_words,
    "worker": _ask_worker,
}


def workers() -> list[Json]:
    """Return all active workers."""
    found: list[Json] = []
    page, pages = 1, 1
    while page <= pages:
        answer = api().users(role="worker", is_active=True, size=100, page=page)
        found += answer["items"]
        page, pages = page + 1, answer.get("pages") or 1
    return found


def person(user: Json | None) -> str:
    """Return how a user is called: the name, else the sign-in name."""
    return str(user.get("name") or user.get("username")) if user else t("nothing")


def worker_words(worker: Json) -> str:
    """Return a worker with the number of open tickets, for a choice."""
    return f"{person(worker)} · {tn('open_tickets', worker.get('open_tickets') or 0)}"


def _finish(form: Form, move: Move) -> None:
    """Close the dialog once the API has accepted."""
    if form.result():
        form.reset()
        st.toast(t(f"move_{move.name}_done"), icon=":material/check:")
        st.rerun()


def _form_name(ticket: Json, move: Move) -> str:
    return f"{move.name}-{ticket['id']}"


def _rank(target: str) -> int:
    return ORDER.index(target) if target in ORDER else len(ORDER)
