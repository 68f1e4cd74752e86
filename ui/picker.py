"""Files beside a form: the browser keeps them until the request exists, and sends them under its code."""

from pathlib import Path

import streamlit as st

from ui.talk import limits, talk_words

_PARTS = Path(__file__).parent / "parts"

_component = st.components.v2.component(
    "crm_picker",
    html="<div class='picker'></div>",
    css=(_PARTS / "talk.css").read_text(encoding="utf-8"),
    js="\n".join((_PARTS / f"{name}.js").read_text(encoding="utf-8") for name in ("files", "picker")),
)


def choose_files(key: str) -> None:
    """Draw the place to choose files, before there is anything they could hang on."""
    _component(key=key, data={"place": "", "words": talk_words(), **limits()})


def send_files(key: str, place: str) -> None:
    """Send what was chosen to ``place``, and say of each file what became of it."""
    _component(key=key, data={"place": place, "words": talk_words(), **limits()})
