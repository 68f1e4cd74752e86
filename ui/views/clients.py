"""Clients: the list, and the card of one with its tickets (``?id=``)."""

import streamlit as st

from ui import places
from ui.address import Address
from ui.client import ApiError, Json
from ui.forms import Form, changed
from ui.listing import PAGE_SIZE, Cell, Column, Row, listing, pager
from ui.session import api
from ui.views.tickets import columns, row
from ui.widgets import empty, facts, guarded, heading, phone_link, t, when, words_for

FIELDS = ("name", "phone", "email", "comment")
SORTS = ("name", "created_at")
GONE = (404, 422)


def page() -> None:
    """Draw the list, or the card of the client the address names."""
    asked = str(st.query_params.get("id", ""))
    if asked:
        _card(asked)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(t("page_clients"))
        st.space("stretch")
        if st.button(
            t("new_client"), key="new-client", type="primary", icon=":material/person_add:", shortcut="n"
        ):
            Form("new-client").reset()
            st.dialog(t("new_client"))(guarded(_create))()
    guarded(_list)()


def _list() -> None:
    allowed = {"sort": [sign + name for name in SORTS for sign in ("", "-")]}
    address = Address("clients", {"q": "text", "sort": "text", "page": "number"}, allowed)
    st.text_input(
        t("search"),
        key=address.key("q"),
        type="search",
        live="300ms",
        icon=":material/search:",
        placeholder=t("search_clients"),
        on_change=address.restart,
        max_chars=200,
        label_visibility="collapsed",
        width=360,
    )
    answer = api().clients(
        search=address.get("q").strip() or None,
        sort=address.get("sort") or None,
        page=address.get("page"),
        size=PAGE_SIZE,
    )
    address.write()
    if not answer["items"] and answer.get("total") == 0:
        empty("no_match" if address.active() else "no_clients")
        return
    headings = [
        Column(t("name"), "name"),
        Column(t("contact")),
        Column(t("tickets_open_all"), tight=True),
        Column(t("last_ticket"), tight=True),
        Column(t("user_since"), "created_at", tight=True),
    ]
    listing(
        "clients-list",
        t("page_clients"),
        headings,
        [_row(client) for client in answer["items"]],
        lambda id_: places.go("clients", id=id_),
        address=address,
    )
    pager(address, answer)


def _row(client: Json) -> Row:
    contacts = [client[field] for field in ("phone", "email") if client.get(field)]
    return Row(
        client["id"],
        [
            Cell(client["name"], client.get("comment") or ""),
            Cell(contacts[0] if contacts else "", contacts[1] if len(contacts) > 1 else ""),
            Cell(f"{client.get('open_tickets') or 0} / {client.get('tickets_total') or 0}"),
            Cell(when(client["last_ticket_at"]) if client.get("last_ticket_at") else ""),
            Cell(when(client["created_at"])),
        ],
        places.url("clients", id=client["id"]),
    )


def _card(asked: str) -> None:
    places.link("clients", t("back_to_clients"), icon=":material/arrow_back:")
    try:
        client, etag = api().client(int(asked)) if asked.isdecimal() else ({}, "")
    except ApiError as error:
        if error.status not in GONE:
            raise
        client, etag = {}, ""
    if not client:
        empty("no_such_client")
        return
    heading(client["name"])
    with st.container(horizontal=True):
        if st.button(t("edit"), key="edit-client", icon=":material/edit:"):
            Form(f"edit-client-{client['id']}").reset()
            st.dialog(t("edit_client"))(guarded(lambda: _edit(client, etag)))()
        if st.button(t("delete"), key="delete-client", icon=":material/delete:"):
            st.dialog(t("delete_client"))(guarded(lambda: _delete(client)))()
    with st.container(border=True):
        facts(
            [
                (t("phone"), client.get("phone"), phone_link(client.get("phone"))),
                (t("email"), client.get("email"), f"mailto:{client['email']}" if client.get("email") else ""),
                (t("comment"), client.get("comment")),
                (t("open_now"), client.get("open_tickets") or 0),
                (t("tickets_total"), client.get("tickets_total") or 0),
                (t("last_ticket"), when(client["last_ticket_at"]) if client.get("last_ticket_at") else ""),
                (t("user_since"), when(client["created_at"])),
            ]
        )
    st.subheader(t("page_tickets"))
    guarded(lambda: _tickets(client))()


def _tickets(client: Json) -> None:
    address = Address("client", {"page": "number"})
    answer = api().tickets(
        client_id=client["id"], sort="-created_at", page=address.get("page"), size=PAGE_SIZE
    )
    if not answer["items"]:
        empty("no_tickets")
        return
    plain_columns = [Column(column.label, tight=column.tight) for column in columns()]
    listing(
        "client-tickets",
        t("page_tickets"),
        plain_columns,
        [row(ticket) for ticket in answer["items"]],
        lambda id_: places.go("ticket", id=id_),
    )
    pager(address, answer)


def _fields(form: Form) -> None:
    form.text("name", t("name"))
    form.text("phone", t("phone"), kind="phone", longest=32)
    form.text("email", t("email"), kind="email")
    form.area("comment", t("comment"), longest=2000, height=100)


def _create() -> None:
    form = Form("new-client")
    if made := form.result():
        form.reset()
        places.go("clients", id=made["id"])
    with st.form(form.name, border=False):
        _fields(form)
        form.button(
            t("create"), lambda values, key: api().create_client(values, key), icon=":material/person_add:"
        )


def _edit(client: Json, etag: str) -> None:
    form = Form(f"edit-client-{client['id']}", client)
    with st.form(form.name, border=False):
        _fields(form)
        form.button(t("save"), lambda values, _: _save(client, etag, values), icon=":material/check:")
    if form.result():
        form.reset()
        st.toast(t("saved"), icon=":material/check:")
        st.rerun()


def _save(client: Json, etag: str, values: Json) -> None:
    if changes := changed(values, client, FIELDS):
        api().update_client(client["id"], changes, etag)


def _delete(client: Json) -> None:
    st.markdown(t("delete_client_means"))
    if st.button(t("delete"), key="delete-client-yes", type="primary", icon=":material/delete:"):
        try:
            api().delete_client(client["id"])
        except ApiError as error:
            st.error(words_for(error), icon=":material/error:")
            return
        st.toast(t("client_deleted"), icon=":material/check:")
        places.go("clients")
