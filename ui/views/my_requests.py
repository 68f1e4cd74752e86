"""A registered client's own requests."""

import streamlit as st

from ui import places
from ui.address import Address
from ui.client import Json
from ui.forms import Form
from ui.listing import PAGE_SIZE, Cell, Column, Row, listing, pager
from ui.moves import person
from ui.session import api
from ui.views.new_ticket import new_ticket_button
from ui.widgets import OPEN, STATUS_TONES, empty, guarded, t, when

SHOWN = ("all", "open", "finished")
STATUS_OF = {"all": [], "open": list(OPEN), "finished": ["done", "closed", "canceled"]}


def page() -> None:
    """Draw the page."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(t("page_requests"))
        st.space("stretch")
        if st.button(t("claim"), key="claim", icon=":material/key:"):
            Form("claim").reset()
            st.dialog(t("claim"))(guarded(_claim))()
        new_ticket_button()
    guarded(found)()


def _claim() -> None:
    """Tie a request that was sent without an account to this one."""
    form = Form("claim")
    st.caption(t("claim_hint"))
    with st.form(form.name, border=False):
        form.text("code", t("code"), longest=64, placeholder=t("code_example"))
        form.button(
            t("claim_add"), lambda values, _: api().claim(values.get("code", "")), icon=":material/key:"
        )
    if found := form.result():
        form.reset()
        st.toast(t("claimed"), icon=":material/check:")
        places.go("ticket", id=found["id"])


def found() -> None:
    """Draw the list."""
    address = Address(
        "requests",
        {"show": "one", "page": "number", "sort": "text"},
        {"show": list(SHOWN)},
        {"show": SHOWN[0]},
    )
    st.segmented_control(
        t("status"),
        SHOWN,
        key=address.key("show"),
        required=True,
        label_visibility="collapsed",
        format_func=lambda one: t(f"requests_{one}"),
        on_change=address.restart,
    )
    shown = address.get("show")
    answer = api().tickets(
        status=STATUS_OF[shown],
        sort=address.get("sort") or "-created_at",
        page=address.get("page"),
        size=PAGE_SIZE,
    )
    address.write()
    if not answer["items"] and answer.get("total") == 0:
        empty("no_requests" if shown == "all" else "no_match")
        return
    headings = [
        Column(t("ticket")),
        Column(t("status"), "status", tight=True),
        Column(t("worker")),
        Column(t("scheduled"), "scheduled_at", tight=True),
        Column(t("created"), "created_at", tight=True),
    ]
    listing(
        "requests-list",
        t("page_requests"),
        headings,
        [_row(ticket) for ticket in answer["items"]],
        lambda id_: places.go("ticket", id=id_),
        address=address,
    )
    pager(address, answer)


def _row(ticket: Json) -> Row:
    return Row(
        ticket["id"],
        [
            Cell(ticket["title"], ticket.get("address") or ""),
            Cell(t(f"status_{ticket['status']}"), tone=STATUS_TONES.get(ticket["status"], "gray")),
            Cell(person(ticket["worker"]) if ticket.get("worker") else ""),
            Cell(when(ticket["scheduled_at"]) if ticket.get("scheduled_at") else ""),
            Cell(when(ticket["created_at"])),
        ],
        places.url("ticket", id=ticket["id"]),
        unread=bool(ticket.get("unread_comments")),
    )
