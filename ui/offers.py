"""Offers of workers for published tickets: made from the pool, talked over, accepted by the publisher."""

from typing import Final

import streamlit as st

from ui.client import ApiError, Json
from ui.forms import Form
from ui.moves import person
from ui.session import api, me, staff
from ui.widgets import Tone, guarded, plain, prose, t, tell, when

TONES: Final[dict[str, Tone]] = {"open": "blue", "accepted": "green", "declined": "gray"}
MOST = 100
DIALOG_SECONDS: Final = 3


def offers(ticket: Json) -> None:
    """Draw, for the one who may publish a ticket, the button to do so and the offers that came."""
    if me()["role"] == "worker" or not (staff() or ticket.get("created_by") == me()["id"]):
        return
    published = ticket.get("published_at") is not None
    found = api().offers(ticket["id"], size=MOST)["items"]
    if ticket["status"] != "new" and not found:
        return
    with st.container(border=True, key="offers"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(t("offers"))
            st.space("stretch")
            if ticket["status"] == "new":
                _publish_button(ticket, published=published)
        if not published and not found:
            st.caption(t("publish_hint"))
        elif not found:
            st.caption(t("offers_none"))
        for offer in found:
            _offer(offer, accept=ticket["status"] == "new" and offer["status"] == "open")


def _publish_button(ticket: Json, *, published: bool) -> None:
    st.button(
        t("unpublish") if published else t("publish"),
        key="publish",
        icon=":material/undo:" if published else ":material/campaign:",
        on_click=_move,
        args=(ticket, "unpublish" if published else "publish"),
    )


def _move(ticket: Json, action: str) -> None:
    try:
        api().move(ticket["id"], action)
    except ApiError as error:
        tell(error)
    else:
        st.toast(t(f"move_{action}_done"), icon=":material/check:")


def _offer(offer: Json, *, accept: bool) -> None:
    """Draw one offer as the publisher sees it."""
    with st.container(border=True, key=f"offer-{offer['id']}", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(person(offer['worker']))}**", width="content")
            st.badge(t(f"offer_{offer['status']}"), color=TONES.get(offer["status"], "gray"))
            st.caption(when(offer["last_message_at"]), width="content")
        prose(offer["last_message"])
        with st.container(horizontal=True, gap="small"):
            dialog_button(offer)
            if accept and st.button(
                t("accept"), key=f"accept-{offer['id']}", type="primary", icon=":material/check:"
            ):
                st.dialog(t("accept"))(guarded(lambda: _accept(offer)))()


def _accept(offer: Json) -> None:
    st.markdown(t("accept_means", who=plain(person(offer["worker"]))))
    with st.container(horizontal=True):
        sure = st.button(t("accept"), key="accept-yes", type="primary", icon=":material/check:")
        if st.button(t("never_mind"), key="accept-no"):
            st.rerun()
    if sure:
        try:
            api().accept_offer(offer["id"])
        except ApiError as error:
            tell(error)
            return
        st.toast(t("accepted"), icon=":material/check:")
        st.rerun()


def own_offer(ticket: Json) -> None:
    """Draw, for a worker, the own offer for a ticket of the pool, or the button that makes one."""
    found = api().offers(ticket["id"], size=1)["items"]
    if found and found[0]["status"] == "open":
        with st.container(border=True, key=f"own-offer-{ticket['id']}", gap="small"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{t('offer_made')}**", width="content")
                st.badge(t(f"offer_{found[0]['status']}"), color=TONES[found[0]["status"]])
            prose(found[0]["last_message"])
            dialog_button(found[0])
    else:
        offer_button(ticket)


def offer_button(ticket: Json) -> None:
    """Draw the button that opens the form of an offer."""
    if st.button(t("offer"), key=f"offer-on-{ticket['id']}", type="primary", icon=":material/front_hand:"):
        Form(f"offer-{ticket['id']}").reset()
        st.dialog(t("offer"))(guarded(lambda: _make(ticket)))()


def _make(ticket: Json) -> None:
    form = Form(f"offer-{ticket['id']}")
    st.caption(t("offer_hint"))
    with st.form(form.name, border=False):
        form.area("text", t("offer_text"), longest=2000, height=130)
        form.button(
            t("offer"),
            lambda values, key: api().make_offer(ticket["id"], values.get("text", ""), key),
            icon=":material/send:",
        )
    if form.result():
        form.reset()
        st.toast(t("offer_sent"), icon=":material/check:")
        st.rerun()


def dialog_button(offer: Json) -> None:
    """Draw the button that opens what was said about an offer."""
    count = f" · {offer['messages_total']}" if offer["messages_total"] > 1 else ""
    if st.button(t("offer_dialog") + count, key=f"dialog-{offer['id']}", icon=":material/forum:"):
        Form(f"say-{offer['id']}").reset()
        name = plain(person(offer["worker"]))
        st.dialog(f"{t('offer_dialog')}: {name}")(guarded(lambda: _dialog(offer)))()


def _dialog(offer: Json) -> None:
    form = Form(f"say-{offer['id']}")
    if form.result():
        form.reset()
    st.fragment(run_every=DIALOG_SECONDS)(guarded(lambda: _said(offer)))()
    if offer["status"] == "declined":
        st.caption(t("problem_response_closed"))
        return
    with st.form(form.name, border=False):
        form.area("text", t("offer_say"), longest=2000, height=90)
        form.button(
            t("offer_send"),
            lambda values, key: api().say_about_offer(offer["id"], values.get("text", ""), key),
            icon=":material/send:",
        )


def _said(offer: Json) -> None:
    """Draw what was said, again and again while the dialog is open: the other side may be there, too."""
    messages = api().offer_messages(offer["id"], size=MOST, sort="-id")["items"]
    with st.container(key=f"said-{offer['id']}", gap="small"):
        for message in reversed(messages):
            author = message["author"] or {}
            mine = author.get("id") == me()["id"]
            name = t("talk_you") if mine else plain(author.get("name") or t("role_client"))
            with st.container(border=True, gap="xsmall"):
                st.caption(f"**{name}** · {when(message['created_at'])}")
                prose(message["text"])
