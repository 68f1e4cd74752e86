"""Signing in. Stands on its own page, and in place of any page that asks for it."""

import streamlit as st

from ui import places, session
from ui.client import Json
from ui.forms import Form
from ui.widgets import t

NOTICES = {"session_ended": st.warning, "signed_out": st.success}


def page() -> None:
    """Draw the page."""
    if reader := session.user():
        places.go(places.home_of(reader["role"]))
    form()


def form() -> None:
    """Draw the form; whoever succeeds sees the page at this address, or home from the sign-in page."""
    _, middle, _ = st.columns([1, 2, 1])
    with middle:
        st.title(t("page_login"))
        if (notice := session.take_notice()) in NOTICES:
            NOTICES[notice](t(f"notice_{notice}"))
        sign_in = Form("login")
        with st.form(sign_in.name):
            sign_in.text("username", t("username_or_email"), autocomplete="username")
            sign_in.text("password", t("password"), kind="password", autocomplete="current-password")
            sign_in.button(t("sign_in"), _send, icon=":material/login:")
        with st.container(horizontal=True, gap="medium"):
            places.link("register", t("no_account"), icon=":material/person_add:")
            places.link("submit", t("submit_without"), icon=":material/add_circle:")
        if sign_in.result():
            sign_in.reset()


def _send(values: Json, _: str) -> None:
    session.sign_in(values.get("username", ""), values.get("password", ""))
