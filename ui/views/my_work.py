"""A worker's day as cards: what is late, what is today, the rest; one click for the next step."""

import streamlit as st

from ui import places
from ui.address import Address
from ui.client import Json
from ui.moves import buttons
from ui.session import api
from ui.widgets import address_link, badges, empty, guarded, late, local, now, phone_link, plain, t, tn, when

SHOWN = ("now", "on_hold", "done")
STATUS_OF = {
    "now": ["assigned", "in_progress", "on_hold"],
    "on_hold": ["on_hold"],
    "done": ["done", "closed"],
}
MOST = 100


def page() -> None:
    """Draw the page."""
    st.title(t("page_work"))
    guarded(cards)()


def cards() -> None:
    """Draw the cards of the chosen kind."""
    address = Address("work", {"show": "one"}, {"show": list(SHOWN)}, {"show": SHOWN[0]})
    st.segmented_control(
        t("status"),
        SHOWN,
        key=address.key("show"),
        required=True,
        label_visibility="collapsed",
        format_func=lambda one: t(f"show_{one}"),
    )
    shown = address.get("show")
    address.write()
    finished = shown == "done"
    sort = "-updated_at" if finished else "due_at"
    answer = api().tickets(status=STATUS_OF[shown], sort=sort, size=30 if finished else MOST)
    tickets = answer["items"]
    if not tickets:
        empty(f"no_work_{shown}")
        return
    if finished:
        _group("", tickets)
        return
    overdue = [ticket for ticket in tickets if late(ticket) or _missed(ticket)]
    today = [ticket for ticket in tickets if ticket not in overdue and _today(ticket)]
    rest = [ticket for ticket in tickets if ticket not in overdue and ticket not in today]
    _group("work_late", overdue)
    _group("work_today", today)
    _group("work_rest", rest)
    if answer.get("total", 0) > len(tickets):
        st.caption(tn("more_tickets", answer["total"] - len(tickets)))


def _missed(ticket: Json) -> bool:
    """Tell whether the visit was for an earlier day and nobody went."""
    at: str | None = ticket.get("scheduled_at")
    return at is not None and ticket["status"] == "assigned" and local(at).date() < now().date()


def _today(ticket: Json) -> bool:
    times = [local(ticket[field]).date() for field in ("scheduled_at", "due_at") if ticket.get(field)]
    return ticket["status"] == "in_progress" or now().date() in times


def _group(title: str, tickets: list[Json]) -> None:
    if not tickets:
        return
    if title:
        st.subheader(f"{t(title)} · {len(tickets)}")
    with st.grid(min_column_width=320, gap="small"):
        for ticket in tickets:
            _card(ticket)


def _card(ticket: Json) -> None:
    client = ticket.get("client") or {}
    with st.container(border=True, key=f"card-{ticket['id']}", gap="xsmall"):
        badges(ticket, unread=not ticket.get("viewed"))
        places.link("ticket", f"**{plain(ticket['title'])}**", id=ticket["id"])
        if times := _times(ticket):
            st.caption(times)
        if ticket.get("address"):
            st.link_button(
                plain(ticket["address"]),
                address_link(ticket["address"]),
                key=f"map-{ticket['id']}",
                icon=":material/location_on:",
                type="tertiary",
                wrap=True,
            )
        if phone := client.get("phone"):
            st.link_button(
                f"{plain(client.get('name') or '')} {plain(phone)}",
                phone_link(phone),
                key=f"call-{ticket['id']}",
                icon=":material/call:",
                type="tertiary",
                wrap=True,
            )
        elif client.get("name"):
            st.caption(plain(client["name"]))
        if ticket.get("hold_reason") and ticket["status"] == "on_hold":
            st.caption(f"{t('hold_reason')}: {plain(ticket['hold_reason'])}")
        buttons(ticket, "card", wide=True)


def _times(ticket: Json) -> str:
    found = []
    if ticket.get("scheduled_at"):
        found.append(f"{t('scheduled')}: {when(ticket['scheduled_at'])}")
    if ticket.get("due_at"):
        found.append(t("due_at", at=when(ticket["due_at"])))
    return "  \n".join(found)
