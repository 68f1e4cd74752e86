"""Sending a request without an account."""

import html

import streamlit as st

from ui import places, session
from ui.client import Json
from ui.forms import Form
from ui.picker import choose_files, send_files
from ui.widgets import t

PRIORITIES = ("normal", "low", "high")


def page() -> None:
    """Draw the page."""
    _, middle, _ = st.columns([1, 2.2, 1])
    with middle:
        form = Form("submit")
        if sent := form.result():
            form.reset()
            st.session_state["sent_code"] = sent["code"]
        if code := st.session_state.get("sent_code"):
            _thanks(code)
            return
        st.title(t("page_submit"))
        st.caption(t("submit_hint"))
        with st.form(form.name):
            request_fields(form)
            choose_files("submit-files")
            st.markdown(f"**{t('contact')}**")
            form.text("client.name", t("your_name"), autocomplete="name")
            left, right = st.columns(2)
            with left:
                form.text("client.phone", t("phone"), kind="phone", autocomplete="tel", longest=32)
            with right:
                form.text("client.email", t("email"), kind="email", autocomplete="email")
            st.caption(t("contact_hint"))
            form.button(t("send_request"), _send, icon=":material/send:")
        places.link("track", t("have_code"), icon=":material/travel_explore:")


def request_fields(form: Form) -> None:
    """Draw what every request says, whoever makes it."""
    form.text("title", t("what_is_broken"), placeholder=t("what_is_broken_example"))
    form.area("description", t("description"), height=120, placeholder=t("description_example"))
    form.text(
        "address", t("address"), longest=500, autocomplete="street-address", placeholder=t("address_example")
    )
    left, right = st.columns(2)
    with left:
        form.moment("scheduled_at", t("wished_time"))
    with right:
        form.choice("priority", t("urgency"), PRIORITIES, lambda one: t(f"urgency_{one}"))


def _send(values: Json, key: str) -> Json:
    values.setdefault("client", {})
    return session.api().submit(values, key)


def _thanks(code: str) -> None:
    """Show the code so that nobody misses it."""
    with st.container(border=True):
        st.success(t("request_sent"), icon=":material/check_circle:")
        st.caption(t("your_code"))
        st.html(f"<p class='crm-code'>{html.escape(code)}</p>")
        st.caption(t("keep_code"))
        send_files(f"sent-files-{code}", f"public/{code}")
        st.caption(t("copy_hint"))
        st.code(_link(code), language=None, wrap_lines=True)
        with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
            places.link("track", t("follow_request"), icon=":material/travel_explore:", code=code)
            st.button(t("another_request"), icon=":material/add:", on_click=_again)


def _link(code: str) -> str:
    """Return the address to give away: this page's, with the other path."""
    here = st.context.url
    base = here.rsplit("/", 1)[0] if isinstance(here, str) and here.count("/") > 2 else ""  # noqa: PLR2004 - scheme
    return f"{base}/{places.url('track', code=code)}"


def _again() -> None:
    st.session_state.pop("sent_code", None)
