"""Making a client's account."""

import streamlit as st

from ui import places, session
from ui.client import Json
from ui.forms import Form
from ui.widgets import t


def page() -> None:
    """Draw the page."""
    if reader := session.user():
        places.go(places.home_of(reader["role"]))
    _, middle, _ = st.columns([1, 2, 1])
    with middle:
        st.title(t("page_register"))
        st.caption(t("register_hint"))
        form = Form("register")
        with st.form(form.name):
            form.text("username", t("username"), autocomplete="username", longest=64)
            form.text(
                "password",
                t("password"),
                kind="password",
                autocomplete="new-password",
                longest=128,
                help=t("password_hint"),
            )
            form.text("name", t("name"), autocomplete="name")
            form.text("email", t("email"), kind="email", autocomplete="email")
            form.text("phone", t("phone"), kind="phone", autocomplete="tel", longest=32)
            form.button(t("register"), _send, icon=":material/person_add:")
        places.link("login", t("have_account"), icon=":material/login:")


def _send(values: Json, _: str) -> None:
    session.api().register(values)
    session.sign_in(values["username"], values["password"])
