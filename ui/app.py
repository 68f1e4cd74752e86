"""Entry point: ``python -m streamlit run ui/app.py`` from the root. Decides who sees which pages.

The server imports this file for ``app``, which adds the cookie route; Streamlit runs it for each reader.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from ui import bridge, live, moves, places, relay, session
from ui.client import ApiError
from ui.routes import routes
from ui.texts import LANGUAGES
from ui.views import (
    account,
    clients,
    login,
    my_requests,
    my_work,
    overview,
    pool,
    register,
    statistics,
    submit,
    ticket,
    tickets,
    track,
    users,
)
from ui.widgets import empty, failed, guarded, plain, t

PARTS = Path(__file__).parent / "parts"
VISITOR = "visitor"
STAFF = ("admin", "manager")
SIGNED_IN = (*STAFF, "worker", "client")


@dataclass(frozen=True)
class Place:
    """A page, called ``page_PATH``; ``menu`` names who finds it in the menu, ``readers`` who may open it."""

    path: str
    draw: Callable[[], None]
    icon: str
    menu: tuple[str, ...]
    readers: tuple[str, ...]


EVERYONE = (VISITOR, *SIGNED_IN)
PLACES = [
    Place("overview", overview.page, "dashboard", STAFF, STAFF),
    Place("tickets", tickets.page, "inbox", STAFF, STAFF),
    Place("work", my_work.page, "handyman", ("worker",), ("worker",)),
    Place("pool", pool.page, "front_hand", ("worker",), ("worker",)),
    Place("requests", my_requests.page, "home_repair_service", ("client",), ("client",)),
    Place("ticket", ticket.page, "description", (), SIGNED_IN),
    Place("clients", clients.page, "contacts", STAFF, STAFF),
    Place("users", users.page, "badge", STAFF, STAFF),
    Place("statistics", statistics.page, "bar_chart", STAFF, STAFF),
    Place("submit", submit.page, "add_circle", (VISITOR,), EVERYONE),
    Place("track", track.page, "travel_explore", (VISITOR,), EVERYONE),
    Place("login", login.page, "login", (VISITOR,), EVERYONE),
    Place("register", register.page, "person_add", (VISITOR,), EVERYONE),
    Place("account", account.page, "account_circle", SIGNED_IN, SIGNED_IN),
]


def main() -> None:
    """Draw one run for one reader."""
    st.set_page_config(page_title="Mini-CRM", page_icon=str(PARTS / "icon.png"), layout="wide")
    st.logo(str(PARTS / "logo.svg"), size="large", icon_image=str(PARTS / "icon.png"))
    st.html(PARTS / "page.css")
    trouble: ApiError | None = None
    role = VISITOR
    try:
        if reader := session.user():
            role = reader["role"]
    except ApiError as error:
        trouble = error
    chosen = _navigation(role)
    bridge.draw()
    _sidebar(role)
    if trouble:
        failed(trouble, "start")
    else:
        chosen.run()
        moves.asked()


def _navigation(role: str) -> st.Page:
    home = st.Page(_go_home, title=t("page_home"), url_path="home", default=True, visibility="hidden")
    pages = {"home": home}
    for place in PLACES:
        pages[place.path] = st.Page(
            guarded(place.draw) if role in place.readers else _gate(role),
            title=t(f"page_{place.path}"),
            icon=f":material/{place.icon}:",
            url_path=place.path,
            visibility="visible" if role in place.menu else "hidden",
        )
    places.remember(pages)
    return st.navigation(list(pages.values()))


def _go_home() -> None:
    reader = session.user()
    places.go(places.home_of(reader["role"] if reader else None))


def _gate(role: str) -> Callable[[], None]:
    """Stand before a page this reader may not open; after the sign-in its address shows the page itself."""

    def gate() -> None:
        if role == VISITOR:
            login.form()
            return
        empty("not_for_you")
        places.link("home", t("to_start"), icon=":material/home:")

    return gate


def _sidebar(role: str) -> None:
    with st.sidebar:
        if role != VISITOR:
            reader = session.me()
            st.caption(f"{plain(reader.get('name') or reader['username'])} · {t('role_' + role)}")
            st.button(t("sign_out"), key="sign-out", icon=":material/logout:", on_click=session.sign_out)
        current = session.language()
        st.segmented_control(
            t("language"),
            list(LANGUAGES),
            format_func=lambda code: LANGUAGES[code],
            default=current,
            required=True,
            key=f"language-{current}",
            label_visibility="collapsed",
            on_change=_choose_language,
            args=(current,),
        )


def _choose_language(current: str) -> None:
    # Streamlit also calls back when the browser reports a newly drawn control, which is no choice.
    chosen = st.session_state.get(f"language-{current}")
    if chosen and chosen != current:
        session.choose_language(chosen)


def say_sorry(error: Exception) -> bool:
    """Show words instead of a traceback; the log has the traceback."""
    logging.getLogger(__name__).error("a page failed", exc_info=error)
    st.error(t("problem_error"), icon=":material/error:")
    return True


if __name__ == "__main__":
    main()
else:
    app = st.App(
        Path(__file__).resolve(), routes=[*routes, *relay.routes, *live.routes], on_script_error=say_sorry
    )
