"""One ticket on its own address ``?id=``: facts, contact, what can be done, what happened."""

import streamlit as st

from ui import places
from ui.client import ApiError, Json
from ui.moves import buttons, moves, person, still_wrong
from ui.offers import offers, own_offer
from ui.session import api, me
from ui.talk import Reader, conversation
from ui.timeline import history
from ui.views.new_ticket import edit_button
from ui.widgets import address_link, badges, empty, facts, guarded, heading, phone_link, prose, t, tell, when

GONE = (404, 422)


def page() -> None:
    """Draw the page."""
    asked = str(st.query_params.get("id", ""))
    places.link(
        places.home_of(me()["role"]) if not _desk() else "tickets",
        t("back_to_list"),
        icon=":material/arrow_back:",
    )
    if not asked.isdecimal():
        empty("no_such_ticket")
        return
    try:
        ticket, etag = api().ticket(int(asked))
    except ApiError as error:
        if error.status not in GONE:
            raise
        empty("no_such_ticket")
        return
    _head(ticket, etag)
    if _only_offered(ticket):
        _what(ticket)
        guarded(lambda: own_offer(ticket))()
        return
    left, right = st.columns([1.6, 1], gap="medium")
    with left:
        _what(ticket)
        guarded(lambda: offers(ticket))()
        still_wrong(ticket)
        st.subheader(t("conversation"))
        client = (ticket.get("client") or {}).get("name") or ""
        guarded(lambda: conversation(f"tickets/{ticket['id']}", Reader(me(), client)))()
    with right:
        _contact(ticket)
        _times(ticket)
        with st.container(border=True):
            st.subheader(t("history"))
            guarded(lambda: _history(ticket))()


def _only_offered(ticket: Json) -> bool:
    """Tell whether a worker sees no more of a ticket than the pool shows."""
    return bool(me()["role"] == "worker" and (ticket.get("worker") or {}).get("id") != me()["id"])


def _head(ticket: Json, etag: str) -> None:
    code = f" · {t('code')} {ticket['code']}" if ticket.get("code") else ""
    heading(ticket["title"], f"№ {ticket['id']}{code}")
    badges(ticket)
    with st.container(horizontal=True, gap="small"):
        # A client's way back stands beside the conversation, with words that explain it.
        buttons(ticket, "ticket", but=() if _desk() else ("reopen",))
        if _may_edit(ticket):
            edit_button(ticket, etag)
        if me()["role"] == "admin" and st.button(t("delete"), key="delete-ticket", icon=":material/delete:"):
            st.dialog(t("delete_ticket"))(guarded(lambda: _delete(ticket)))()
    if not moves(ticket, me()["role"]) and me()["role"] == "worker" and not _only_offered(ticket):
        st.caption(t("nothing_to_do"))


def _desk() -> bool:
    return me()["role"] in ("admin", "manager")


def _may_edit(ticket: Json) -> bool:
    return _desk() or (ticket["status"] == "new" and ticket.get("created_by") == me()["id"])


def _what(ticket: Json) -> None:
    with st.container(border=True):
        st.subheader(t("what_to_do"))
        if ticket.get("description"):
            prose(ticket["description"])
        else:
            st.caption(t("no_description"))
        facts(
            [
                (t("address"), ticket.get("address"), address_link(ticket.get("address"))),
                (t("priority"), t(f"priority_{ticket['priority']}")),
                (t("worker"), person(ticket["worker"]) if ticket.get("worker") else t("unassigned")),
                (t("scheduled"), _at(ticket, "scheduled_at")),
                (t("due"), _at(ticket, "due_at")),
                (t("resolution"), ticket.get("resolution")),
                (t("hold_reason"), ticket.get("hold_reason")),
                (t("cancel_reason"), ticket.get("cancel_reason")),
            ]
        )


def _contact(ticket: Json) -> None:
    client = ticket.get("client") or {}
    with st.container(border=True):
        st.subheader(t("contact"))
        facts(
            [
                (t("client"), client.get("name")),
                (t("phone"), client.get("phone"), phone_link(client.get("phone"))),
                (t("email"), client.get("email"), f"mailto:{client['email']}" if client.get("email") else ""),
            ]
        )
        if _desk() and client.get("id"):
            places.link("clients", t("client_card"), icon=":material/contacts:", id=client["id"])


def _times(ticket: Json) -> None:
    with st.container(border=True):
        st.subheader(t("times"))
        facts(
            [
                (t("created"), _at(ticket, "created_at")),
                (t("milestone_assigned"), _at(ticket, "assigned_at")),
                (t("milestone_in_progress"), _at(ticket, "in_progress_at")),
                (t("milestone_done"), _at(ticket, "done_at")),
                (t("milestone_closed"), _at(ticket, "closed_at")),
                (t("milestone_canceled"), _at(ticket, "canceled_at")),
                (t("updated"), _at(ticket, "updated_at")),
                (t("viewed_by_worker"), _viewed(ticket)),
                (t("from_address"), ticket.get("requester_ip")),
                (t("from_browser"), ticket.get("requester_ua")),
            ]
        )


def _viewed(ticket: Json) -> str:
    if not (_desk() and ticket.get("worker")):
        return ""
    return t("yes") if ticket.get("viewed") else t("not_yet")


def _at(ticket: Json, field: str) -> str:
    return when(ticket[field]) if ticket.get(field) else ""


def _history(ticket: Json) -> None:
    first = api().history(ticket["id"], size=100)
    events = first["items"]
    for number in range(2, min(first.get("pages") or 1, 10) + 1):
        events += api().history(ticket["id"], size=100, page=number)["items"]
    worker = ticket.get("worker")
    names = {worker["id"]: person(worker)} if worker else {}
    if _desk():
        names |= {one["id"]: person(one) for one in api().users(role="worker", size=100)["items"]}
    history(events, names)


def _delete(ticket: Json) -> None:
    st.markdown(t("delete_ticket_means"))
    with st.container(horizontal=True):
        gone = st.button(t("delete"), key="delete-yes", type="primary", icon=":material/delete:")
        if st.button(t("keep"), key="delete-no"):
            st.rerun()
    if gone:
        try:
            api().delete_ticket(ticket["id"])
        except ApiError as error:
            tell(error)
            return
        st.toast(t("ticket_deleted"), icon=":material/check:")
        places.go("tickets")
