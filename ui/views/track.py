"""Following a request by its code, without an account."""

import streamlit as st

from ui.client import ApiError, Json
from ui.forms import Form
from ui.session import api
from ui.talk import Reader, conversation
from ui.timeline import steps
from ui.widgets import failed, guarded, heading, prose, status_badge, t, when

NOT_THERE = (404, 422)


def page() -> None:
    """Draw the page."""
    _, middle, _ = st.columns([1, 2.2, 1])
    with middle:
        code = str(st.query_params.get("code", "")).strip()
        if not code:
            st.title(t("page_track"))
            _ask(code)
            return
        try:
            found = api().track(code)
        except ApiError as error:
            st.title(t("page_track"))
            if error.status in NOT_THERE:
                st.warning(t("code_unknown"), icon=":material/search_off:")
                _ask(code)
            else:
                failed(error, "track")
            return
        _show(found)
        st.button(t("other_code"), icon=":material/search:", type="tertiary", on_click=st.query_params.clear)


def _ask(code: str) -> None:
    with st.form("track", border=True):
        st.text_input(t("code"), value=code, key="track:code", max_chars=64, placeholder=t("code_example"))
        st.form_submit_button(t("track"), type="primary", icon=":material/search:", on_click=_look)


def _look() -> None:
    st.query_params["code"] = st.session_state["track:code"].strip()


def _show(found: Json) -> None:
    heading(found["title"], f"{t('code')} {found['code']}")
    status = found["status"]
    status_badge(status)
    st.markdown(t(f"status_{status}_means"))
    if found.get("scheduled_at"):
        st.markdown(f"{t('scheduled')}: **{when(found['scheduled_at'])}**")
    if found.get("resolution"):
        with st.container(border=True):
            st.caption(t("resolution"))
            prose(found["resolution"])
    if status == "done" and "in_progress" in found.get("allowed_statuses", []):
        _still_wrong(found["code"])
    with st.container(border=True):
        steps(
            [(t(f"milestone_{step['status']}"), when(step["at"]), "") for step in found.get("milestones", [])]
        )
    if "canceled" in found.get("allowed_statuses", []) and st.button(
        t("cancel_request"), icon=":material/close:"
    ):
        Form("public-cancel").reset()
        st.dialog(t("cancel_request"))(_cancel)(found["code"])
    st.subheader(t("conversation"))
    guarded(lambda: conversation(f"public/{found['code']}", Reader(None)))()


def _still_wrong(code: str) -> None:
    """Offer to send the work back: an answer alone moves nothing."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="still-wrong"):
        st.markdown(f"**{t('still_wrong')}**  \n{t('still_wrong_hint')}")
        if st.button(t("move_reopen"), key="public-reopen", icon=":material/undo:"):
            Form("public-reopen").reset()
            st.dialog(t("move_reopen"))(_reopen)(code)


def _reopen(code: str) -> None:
    form = Form("public-reopen")
    st.caption(t("move_reopen_hint"))
    with st.form(form.name, border=False):
        form.area("reason", t("reason_label"), longest=2000, height=110)
        form.button(
            t("move_reopen"),
            lambda values, _: api().reopen_by_code(code, values.get("reason", "")),
            icon=":material/undo:",
        )
    if form.result():
        form.reset()
        st.toast(t("move_reopen_done"), icon=":material/check:")
        st.rerun()


def _cancel(code: str) -> None:
    form = Form("public-cancel")
    st.caption(t("move_cancel_hint"))
    with st.form(form.name, border=False):
        form.area("reason", t("reason_label"), longest=2000, height=110)
        form.button(
            t("cancel_request"),
            lambda values, _: api().cancel_by_code(code, values.get("reason", "")),
            icon=":material/close:",
        )
    if form.result():
        form.reset()
        st.rerun()
