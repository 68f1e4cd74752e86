"""The one component every page carries: it calls the cookie route and hears when another tab signed out."""

from pathlib import Path

import streamlit as st

from ui import session
from ui.widgets import t

_component = st.components.v2.component(
    "crm_bridge", js=(Path(__file__).parent / "parts" / "bridge.js").read_text(encoding="utf-8")
)


def draw() -> None:
    """Mount the component, unseen."""
    with st.container(key="bridge"):
        mounted = _component(
            key="bridge-component",
            data={
                "call": session.browser_call(),
                "language": session.language(),
                "chosen": session.chosen_language(),
            },
            on_answered_change=lambda: None,
            on_ended_change=lambda: None,
        )
    if mounted.answered and not session.browser_answered(mounted.answered):
        st.toast(t("sign_in_not_kept"), icon=":material/warning:", duration="long")
