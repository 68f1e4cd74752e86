"""Workers and users: admins manage them, managers read the workers."""

import streamlit as st

from ui import places
from ui.address import Address
from ui.client import ApiError, Json
from ui.forms import Form, changed
from ui.listing import PAGE_SIZE, Cell, Column, Row, listing, pager
from ui.moves import person, worker_words, workers
from ui.session import api, me
from ui.widgets import empty, facts, guarded, heading, phone_link, t, tn, when, words_for

ROLES = ("worker", "manager", "admin", "client")
FIELDS = ("username", "name", "email", "phone", "department", "role", "is_active")
SORTS = ("username", "name", "role", "created_at")
ACTIVE = {"active": True, "inactive": False, "any": None}
GONE = (404, 422)


def page() -> None:
    """Draw the list, or the card of the user the address names."""
    asked = str(st.query_params.get("id", ""))
    if asked:
        _card(asked)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(t("page_users") if _admin() else t("workers"))
        st.space("stretch")
        if _admin() and st.button(
            t("new_user"), key="new-user", type="primary", icon=":material/person_add:", shortcut="n"
        ):
            Form("new-user").reset()
            st.dialog(t("new_user"))(guarded(_create))()
    guarded(_list)()


def _admin() -> bool:
    return bool(me()["role"] == "admin")


def _list() -> None:
    allowed = {
        "role": list(ROLES),
        "active": list(ACTIVE),
        "sort": [sign + name for name in SORTS for sign in ("", "-")],
    }
    address = Address(
        "users",
        {"q": "text", "role": "one", "active": "one", "sort": "text", "page": "number"},
        allowed,
        {"active": "active"},
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text_input(
            t("search"),
            key=address.key("q"),
            type="search",
            live="300ms",
            icon=":material/search:",
            placeholder=t("search_users"),
            on_change=address.restart,
            max_chars=200,
            label_visibility="collapsed",
            width=300,
        )
        if _admin():
            st.pills(
                t("role"),
                ROLES,
                key=address.key("role"),
                format_func=lambda one: t(f"role_{one}"),
                on_change=address.restart,
                label_visibility="collapsed",
            )
        st.segmented_control(
            t("active"),
            list(ACTIVE),
            key=address.key("active"),
            required=True,
            format_func=lambda one: t(f"users_{one}"),
            on_change=address.restart,
            label_visibility="collapsed",
        )
    answer = api().users(
        search=address.get("q").strip() or None,
        role=address.get("role") if _admin() else "worker",
        is_active=ACTIVE[address.get("active")],
        sort=address.get("sort") or None,
        page=address.get("page"),
        size=PAGE_SIZE,
    )
    address.write()
    if not answer["items"] and answer.get("total") == 0:
        empty("no_match" if address.active() else "no_users")
        return
    headings = [
        Column(t("name"), "name"),
        Column(t("role"), "role", tight=True),
        Column(t("phone"), tight=True),
        Column(t("email")),
        Column(t("open_now"), tight=True),
        Column(t("user_since"), "created_at", tight=True),
    ]
    listing(
        "users-list",
        t("page_users"),
        headings,
        [_row(user) for user in answer["items"]],
        lambda id_: places.go("users", id=id_),
        address=address,
    )
    pager(address, answer)


def _row(user: Json) -> Row:
    known = [
        user["username"],
        user.get("department") or "",
        "" if user["is_active"] else t("users_one_inactive"),
    ]
    open_tickets = user.get("open_tickets") if user["role"] == "worker" else None
    return Row(
        user["id"],
        [
            Cell(person(user), " · ".join(part for part in known if part)),
            Cell(
                t(f"role_{user['role']}"), tone="violet" if user["role"] in ("admin", "manager") else "gray"
            ),
            Cell(user.get("phone") or ""),
            Cell(user.get("email") or ""),
            Cell("" if open_tickets is None else str(open_tickets)),
            Cell(when(user["created_at"])),
        ],
        places.url("users", id=user["id"]),
    )


def _card(asked: str) -> None:
    places.link("users", t("back_to_users"), icon=":material/arrow_back:")
    try:
        user, etag = api().user(int(asked)) if asked.isdecimal() else ({}, "")
    except ApiError as error:
        if error.status not in GONE:
            raise
        user, etag = {}, ""
    if not user:
        empty("no_such_user")
        return
    heading(person(user), f"{t('role_' + user['role'])} · {user['username']}")
    if not user["is_active"]:
        st.badge(t("users_one_inactive"), color="red")
    if _admin():
        _actions(user, etag)
    with st.container(border=True):
        open_tickets = user.get("open_tickets")
        facts(
            [
                (t("phone"), user.get("phone"), phone_link(user.get("phone"))),
                (t("email"), user.get("email"), f"mailto:{user['email']}" if user.get("email") else ""),
                (t("department"), user.get("department")),
                (t("open_now"), open_tickets),
                (t("user_since"), when(user["created_at"])),
            ]
        )
    if user["role"] == "worker":
        places.link("tickets", t("tickets_of_worker"), icon=":material/inbox:", worker=user["id"])


def _actions(user: Json, etag: str) -> None:
    with st.container(horizontal=True):
        if st.button(t("edit"), key="edit-user", icon=":material/edit:"):
            Form(f"edit-user-{user['id']}").reset()
            st.dialog(t("edit_user"))(guarded(lambda: _edit(user, etag)))()
        if (
            user["is_active"]
            and user["id"] != me()["id"]
            and st.button(t("deactivate"), key="deactivate", icon=":material/person_off:")
        ):
            st.session_state.pop("reassign", None)
            st.dialog(t("deactivate"))(guarded(lambda: _deactivate(user)))()


def _fields(form: Form, *, new: bool) -> None:
    form.text("username", t("username"), longest=64, autocomplete="off")
    if new:
        form.text(
            "password",
            t("password"),
            kind="password",
            longest=128,
            help=t("password_hint"),
            autocomplete="new-password",
        )
    form.choice("role", t("role"), ROLES, lambda one: t(f"role_{one}"))
    form.text("name", t("name"))
    left, right = st.columns(2)
    with left:
        form.text("phone", t("phone"), kind="phone", longest=32)
    with right:
        form.text("email", t("email"), kind="email")
    form.text("department", t("department"))


def _create() -> None:
    form = Form("new-user")
    if made := form.result():
        form.reset()
        places.go("users", id=made["id"])
    with st.form(form.name, border=False):
        _fields(form, new=True)
        form.button(
            t("create"), lambda values, key: api().create_user(values, key), icon=":material/person_add:"
        )


def _edit(user: Json, etag: str) -> None:
    form = Form(f"edit-user-{user['id']}", user)
    with st.form(form.name, border=False):
        _fields(form, new=False)
        if not user["is_active"]:
            form.choice("is_active", t("active"), [False, True], lambda on: t("yes") if on else t("no"))
        form.button(t("save"), lambda values, _: _save(user, etag, values), icon=":material/check:")
    if form.result():
        form.reset()
        st.toast(t("saved"), icon=":material/check:")
        st.rerun()


def _save(user: Json, etag: str, values: Json) -> None:
    fields = FIELDS if not user["is_active"] else FIELDS[:-1]
    if changes := changed(values, user, fields):
        api().update_user(user["id"], changes, etag)


def _deactivate(user: Json) -> None:
    """Ask once; when open tickets hang on the worker, ask who takes them."""
    st.markdown(t("deactivate_means"))
    heir = None
    if count := st.session_state.get("reassign"):
        st.warning(tn("has_open_tickets", count), icon=":material/warning:")
        people = {worker["id"]: worker for worker in workers() if worker["id"] != user["id"]}
        if not people:
            st.info(t("no_other_worker"))
            return
        heir = st.selectbox(t("reassign_to"), list(people), format_func=lambda id_: worker_words(people[id_]))
    if st.button(t("deactivate"), key="deactivate-yes", type="primary", icon=":material/person_off:"):
        try:
            api().deactivate_user(user["id"], heir)
        except ApiError as error:
            if error.code == "has_open_tickets" and not heir:
                st.session_state["reassign"] = int(error.problem.get("count") or 1)
                st.rerun(scope="fragment")
            st.error(words_for(error), icon=":material/error:")
            return
        st.toast(t("user_deactivated"), icon=":material/check:")
        places.go("users")
