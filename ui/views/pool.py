"""The pool: published requests a worker may offer to do, and what became of the own offers."""

import streamlit as st

from ui import places
from ui.address import Address
from ui.client import Json
from ui.listing import PAGE_SIZE, pager
from ui.offers import TONES, dialog_button, offer_button
from ui.session import api
from ui.widgets import badges, empty, guarded, plain, prose, t, when

SHOWN = ("requests", "mine")


def page() -> None:
    """Draw the page."""
    st.title(t("page_pool"))
    guarded(_shown)()


def _shown() -> None:
    address = Address("pool", {"show": "one", "page": "number"}, {"show": list(SHOWN)}, {"show": SHOWN[0]})
    st.segmented_control(
        t("page_pool"),
        SHOWN,
        key=address.key("show"),
        required=True,
        label_visibility="collapsed",
        format_func=lambda one: t(f"pool_{one}"),
        on_change=address.restart,
    )
    number = address.get("page")
    if address.get("show") == "mine":
        answer = api().offers(size=PAGE_SIZE, page=number)
        address.write()
        _own(answer["items"])
    else:
        answer = api().tickets(pool=True, sort="-created_at", size=PAGE_SIZE, page=number)
        made = {offer["ticket"]["id"]: offer for offer in api().offers(status="open", size=100)["items"]}
        address.write()
        _requests(answer["items"], made)
    if answer["items"] or number > 1:
        pager(address, answer)


def _requests(tickets: list[Json], made: dict[int, Json]) -> None:
    if not tickets:
        empty("no_pool")
        return
    with st.grid(min_column_width=320, gap="small"):
        for ticket in tickets:
            with st.container(border=True, key=f"card-{ticket['id']}", gap="xsmall"):
                badges(ticket)
                places.link("ticket", f"**{plain(ticket['title'])}**", id=ticket["id"])
                wished = ticket.get("scheduled_at")
                st.caption(
                    f"{t('scheduled')}: {when(wished)}"
                    if wished
                    else f"{t('created')}: {when(ticket['created_at'])}"
                )
                if offer := made.get(ticket["id"]):
                    st.markdown(t("offer_made"))
                    dialog_button(offer)
                else:
                    offer_button(ticket)


def _own(offers: list[Json]) -> None:
    if not offers:
        empty("no_offers")
        return
    with st.grid(min_column_width=320, gap="small"):
        for offer in offers:
            with st.container(border=True, key=f"card-{offer['id']}", gap="xsmall"):
                st.badge(t(f"offer_{offer['status']}"), color=TONES.get(offer["status"], "gray"))
                ticket = offer["ticket"]
                if offer["status"] == "declined":
                    st.markdown(f"**{plain(ticket['title'])}**")
                else:
                    places.link("ticket", f"**{plain(ticket['title'])}**", id=ticket["id"])
                prose(offer["last_message"])
                st.caption(when(offer["last_message_at"]))
                dialog_button(offer)
