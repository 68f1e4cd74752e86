"""The desk's list of tickets: search, filters, order and page come from the address."""

import streamlit as st

from ui import places
from ui.address import Address
from ui.client import Json
from ui.listing import PAGE_SIZE, Cell, Column, Row, listing, pager
from ui.moves import person, workers
from ui.session import api
from ui.views.new_ticket import new_ticket_button
from ui.widgets import (
    PRIORITIES,
    PRIORITY_TONES,
    STATUS_TONES,
    STATUSES,
    empty,
    guarded,
    late,
    plain,
    t,
    when,
)

UNASSIGNED = "none"


def page() -> None:
    """Draw the page."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(t("page_tickets"))
        st.space("stretch")
        new_ticket_button()
    guarded(found)()


def found() -> None:
    """Draw the filters and what they find."""
    people = {str(worker["id"]): person(worker) for worker in workers()}
    address = Address(
        "tickets",
        {
            "q": "text",
            "status": "many",
            "priority": "many",
            "worker": "one",
            "overdue": "flag",
            "sort": "text",
            "page": "number",
        },
        {
            "status": list(STATUSES),
            "priority": list(PRIORITIES),
            "worker": [UNASSIGNED, *people],
            "sort": [sign + name for name in SORTS for sign in ("", "-")],
        },
    )
    _filters(address, people)
    query: Json = {
        "search": address.get("q").strip() or None,
        "status": address.get("status"),
        "priority": address.get("priority"),
        "worker_id": address.get("worker"),
        "overdue": address.get("overdue") or None,
        "sort": address.get("sort") or "-created_at",
    }
    answer = api().tickets(**query, page=address.get("page"), size=PAGE_SIZE)
    address.write()
    if not answer["items"] and answer.get("total") == 0:
        _nothing(address, answer)
        return
    listing(
        "tickets-list",
        t("page_tickets"),
        columns(),
        [row(ticket) for ticket in answer["items"]],
        lambda id_: places.go("ticket", id=id_),
        address=address,
    )
    pager(address, answer)


def _nothing(address: Address, answer: Json) -> None:
    """Say that nothing was found, and offer what may have been meant."""
    if offer := answer.get("did_you_mean"):
        st.button(
            t("did_you_mean", offer=plain(offer)),
            key="tickets-meant",
            icon=":material/spellcheck:",
            type="tertiary",
            on_click=_search_for,
            args=(address, offer),
        )
    if not address.active():
        empty("no_tickets")
    else:
        empty("no_match" if answer.get("total_is_exact", True) else "no_match_newest")


def _search_for(address: Address, words: str) -> None:
    address.set("q", words)
    address.restart()


SORTS = ("created_at", "updated_at", "priority", "scheduled_at", "due_at", "status")


def _filters(address: Address, people: dict[str, str]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            t("search"),
            key=address.key("q"),
            type="search",
            live="300ms",
            icon=":material/search:",
            placeholder=t("search_tickets"),
            on_change=address.restart,
            max_chars=200,
            label_visibility="collapsed",
            width=360,
        )
        st.selectbox(
            t("worker"),
            [UNASSIGNED, *people],
            key=address.key("worker"),
            index=None,
            format_func=lambda id_: people.get(id_, t("unassigned")),
            placeholder=t("any_worker"),
            on_change=address.restart,
            label_visibility="collapsed",
            width=230,
        )
        st.toggle(t("overdue_only"), key=address.key("overdue"), on_change=address.restart)
        if address.active():
            st.button(
                t("clear_filters"), icon=":material/filter_alt_off:", type="tertiary", on_click=address.clear
            )
    with st.container(horizontal=True, gap="medium"):
        st.pills(
            t("status"),
            STATUSES,
            selection_mode="multi",
            key=address.key("status"),
            format_func=lambda one: t(f"status_{one}"),
            on_change=address.restart,
            label_visibility="collapsed",
        )
        st.pills(
            t("priority"),
            PRIORITIES,
            selection_mode="multi",
            key=address.key("priority"),
            format_func=lambda one: t(f"priority_{one}"),
            on_change=address.restart,
            label_visibility="collapsed",
        )


def columns() -> list[Column]:
    """Return the headings of a list of tickets."""
    return [
        Column(t("ticket")),
        Column(t("client")),
        Column(t("status"), "status", tight=True),
        Column(t("priority"), "priority", tight=True),
        Column(t("worker")),
        Column(t("scheduled"), "scheduled_at", tight=True),
        Column(t("created"), "created_at", tight=True),
    ]


def row(ticket: Json) -> Row:
    """Return the line of a ticket."""
    client, priority = ticket.get("client") or {}, ticket["priority"]
    due = t("due_at", at=when(ticket["due_at"])) if ticket.get("due_at") else ""
    tone = "" if priority in ("low", "normal") else PRIORITY_TONES[priority]
    return Row(
        ticket["id"],
        [
            Cell(ticket["title"], _matching(ticket) or ticket.get("address") or ""),
            Cell(client.get("name") or "", client.get("phone") or client.get("email") or ""),
            Cell(t(f"status_{ticket['status']}"), tone=STATUS_TONES.get(ticket["status"], "gray")),
            Cell(t(f"priority_{priority}"), tone=tone),
            Cell(person(ticket["worker"]) if ticket.get("worker") else t("unassigned")),
            Cell(when(ticket["scheduled_at"]) if ticket.get("scheduled_at") else "", due, alarm=late(ticket)),
            Cell(when(ticket["created_at"])),
        ],
        places.url("ticket", id=ticket["id"]),
        unread=ticket["status"] == "new" or bool(ticket.get("unread_comments")),
    )


def _matching(ticket: Json) -> str:
    """Return the part of the description that was searched for: what else matches is in the line."""
    found = [one["text"] for one in ticket.get("highlight") or [] if one["field"] == "description"]
    return " ".join(found)
