"""The reader's own name, language, password and sign-ins."""

import streamlit as st

from ui import session
from ui.client import ApiError, Json
from ui.forms import Form, changed
from ui.texts import LANGUAGES
from ui.widgets import facts, t, tell

FIELDS = ("name", "phone", "language")


def page() -> None:
    """Draw the page."""
    reader = session.me()
    st.title(t("page_account"))
    left, right = st.columns(2, gap="large")
    with left:
        _profile(reader)
    with right:
        _password()
    with st.container(border=True):
        st.subheader(t("sessions"))
        st.caption(t("sessions_hint"))
        with st.container(horizontal=True):
            st.button(t("sign_out"), key="account-out", icon=":material/logout:", on_click=session.sign_out)
            st.button(
                t("sign_out_everywhere"),
                key="account-out-all",
                icon=":material/devices:",
                on_click=_out_everywhere,
            )


def _profile(reader: Json) -> None:
    with st.container(border=True):
        st.subheader(t("profile"))
        role = t(f"role_{reader['role']}")
        facts([(t("username"), reader["username"]), (t("email"), reader.get("email")), (t("role"), role)])
        form = Form("profile", reader)
        with st.form(form.name, border=False):
            form.text("name", t("name"), autocomplete="name")
            form.text("phone", t("phone"), kind="phone", autocomplete="tel", longest=32)
            form.choice("language", t("language"), list(LANGUAGES), lambda code: LANGUAGES[code])
            form.button(t("save"), lambda values, _: _save(values, reader), icon=":material/check:")
        if form.result():
            form.reset()
            st.toast(t("saved"), icon=":material/check:")
            st.rerun()


def _save(values: Json, reader: Json) -> None:
    changes = changed(values, reader, FIELDS)
    if changes:
        session.remember_user(session.api().update_me(changes))
    if "language" in changes:
        session.choose_language(changes["language"])


def _password() -> None:
    with st.container(border=True):
        st.subheader(t("change_password"))
        form = Form("password")
        if form.result():
            form.reset()
            st.success(t("password_changed"), icon=":material/check:")
        with st.form(form.name, border=False):
            form.text(
                "current_password",
                t("current_password"),
                kind="password",
                longest=128,
                autocomplete="current-password",
            )
            form.text(
                "new_password",
                t("new_password"),
                kind="password",
                longest=128,
                help=t("password_hint"),
                autocomplete="new-password",
            )
            form.text(
                "repeated_password",
                t("repeated_password"),
                kind="password",
                longest=128,
                autocomplete="new-password",
            )
            form.button(t("change_password"), lambda values, _: _change(form, values), icon=":material/key:")


def _change(form: Form, values: Json) -> None:
    if values.get("new_password") != values.get("repeated_password"):
        form.refuse("repeated_password", t("passwords_differ"))
        return
    session.api().change_password(values.get("current_password", ""), values.get("new_password", ""))


def _out_everywhere() -> None:
    try:
        session.sign_out(everywhere=True)
    except ApiError as error:
        tell(error)
