"""The dialogs that make and change a ticket, for the desk and for a registered client."""

import streamlit as st

from ui import places
from ui.client import Json
from ui.forms import Form, changed
from ui.moves import worker_words, workers
from ui.session import api, staff
from ui.views.submit import request_fields
from ui.widgets import PRIORITIES, guarded, t

EDITED = ("title", "description", "address", "priority", "scheduled_at", "due_at")


def new_ticket_button() -> None:
    """Draw the button that opens the dialog."""
    if st.button(t("new_ticket"), key="new-ticket", type="primary", icon=":material/add:", shortcut="n"):
        Form("new-ticket").reset()
        st.dialog(t("new_ticket"), width="medium")(guarded(_create))()


def _create() -> None:
    form = Form("new-ticket", {"priority": "normal"})
    if made := form.result():
        form.reset()
        st.toast(t("ticket_created"), icon=":material/check:")
        places.go("ticket", id=made["id"])
    with st.form(form.name, border=False):
        if staff():
            _desk_fields(form)
        else:
            request_fields(form)
        form.button(t("create"), lambda values, key: api().create_ticket(values, key), icon=":material/add:")


def _desk_fields(form: Form) -> None:
    form.text("title", t("what_is_broken"))
    form.area("description", t("description"), height=100)
    form.text("address", t("address"), longest=500)
    form.text("client.name", t("client_name"))
    left, right = st.columns(2)
    with left:
        form.text("client.phone", t("phone"), kind="phone", longest=32)
        form.moment("scheduled_at", t("scheduled"))
        form.choice("priority", t("priority"), PRIORITIES, lambda one: t(f"priority_{one}"))
    with right:
        form.text("client.email", t("email"), kind="email")
        form.moment("due_at", t("due"))
        people = {worker["id"]: worker for worker in workers()}
        form.choice(
            "worker_id",
            t("worker"),
            list(people),
            lambda id_: worker_words(people[id_]),
            index=None,
            placeholder=t("assign_later"),
        )


def edit_button(ticket: Json, etag: str) -> None:
    """Draw the button that opens the dialog for changing a ticket."""
    if st.button(t("edit"), key="edit-ticket", icon=":material/edit:"):
        Form(f"edit-ticket-{ticket['id']}").reset()
        st.dialog(t("edit_ticket"), width="medium")(guarded(lambda: _edit(ticket, etag)))()


def _edit(ticket: Json, etag: str) -> None:
    form = Form(f"edit-ticket-{ticket['id']}", ticket)
    with st.form(form.name, border=False):
        form.text("title", t("what_is_broken"))
        form.area("description", t("description"), height=140)
        form.text("address", t("address"), longest=500)
        left, right = st.columns(2)
        with left:
            form.moment("scheduled_at", t("scheduled"))
            form.choice("priority", t("priority"), PRIORITIES, lambda one: t(f"priority_{one}"))
        with right:
            form.moment("due_at", t("due"))
        form.button(t("save"), lambda values, _: _save(ticket, etag, values), icon=":material/check:")
    if form.result():
        form.reset()
        st.toast(t("saved"), icon=":material/check:")
        st.rerun()


def _save(ticket: Json, etag: str, values: Json) -> None:
    if changes := changed(values, ticket, EDITED):
        api().update_ticket(ticket["id"], changes, etag)
