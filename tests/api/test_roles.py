"""Who may do what: every operation, every role, one's own things and other people's."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.clients.models import Client
from api.core.db import now
from api.tickets.models import Ticket
from api.tickets.states import Status
from tests.api.accounts import OTHER_PASSWORD, PASSWORD, bearer, make_account, tokens
from tests.factories import make_client, make_comment, make_offer, make_ticket

TABLE: Final = """
operation         | given               | nobody its_client other_client its_worker other_worker manager admin

login             |                     |    200        200          200        200          200     200   200
login_with_form   |                     |    200        200          200        200          200     200   200
refresh           | a refresh token     |    200        200          200        200          200     200   200
register          |                     |    201        201          201        201          201     201   201
logout            |                     |    401        204          204        204          204     204   204
logout_everywhere |                     |    401        204          204        204          204     204   204
show_me           |                     |    401        200          200        200          200     200   200
update_me         |                     |    401        200          200        200          200     200   200
change_password   |                     |    401        204          204        204          204     204   204

list_users        |                     |    401        403          403        403          403     200   200
create_user       |                     |    401        403          403        403          403     403   201
get_user          | the worker          |    401        403          403        403          403     200   200
get_user          | another admin       |    401        403          403        403          403     404   200
update_user       | a worker            |    401        403          403        403          403     403   200
delete_user       | a worker            |    401        403          403        403          403     403   204

list_clients      |                     |    401        403          403        403          403     200   200
create_client     |                     |    401        403          403        403          403     201   201
get_client        | the client          |    401        403          403        403          403     200   200
update_client     | the client          |    401        403          403        403          403     200   200
delete_client     | without tickets     |    401        403          403        403          403     204   204

submit_ticket     |                     |    201        201          201        201          201     201   201
follow_ticket     | a code              |    200        200          200        200          200     200   200
cancel_own_ticket | a code              |    200        200          200        200          200     200   200

list_tickets      |                     |    401        200          200        200          200     200   200
create_ticket     | for oneself         |    401        201          201        403          403     422   422
create_ticket     | for a client        |    401        403          403        403          403     201   201
ticket_stats      |                     |    401        403          403        200          200     200   200
get_ticket        | assigned            |    401        200          404        200          404     200   200
update_ticket     | new                 |    401        200          404        404          404     200   200
update_ticket     | assigned            |    401        403          404        403          404     200   200
delete_ticket     | new                 |    401        403          403        403          403     403   204
ticket_history    | assigned            |    401        200          404        200          404     200   200
assign_ticket     | new                 |    401        403          403        403          403     200   200
assign_ticket     | in_progress         |    401        403          403        403          403     200   200
take_ticket       | assigned            |    401        403          403        200          404     403   403
move_ticket       | in_progress to done |    401        403          404        200          404     200   200
complete_ticket   | in_progress         |    401        403          404        200          404     200   200
cancel_ticket     | new                 |    401        200          404        404          404     200   200
cancel_ticket     | assigned            |    401        200          404        403          404     200   200
close_ticket      | done                |    401        403          404        403          404     200   200
reopen_ticket     | done                |    401        200          404        403          404     200   200
hold_ticket       | in_progress         |    401        403          404        200          404     200   200
resume_ticket     | on_hold             |    401        403          404        200          404     200   200
claim_ticket      | new, of no account  |    401        200          200        403          403     403   403

list_comments     | assigned            |    401        200          404        200          404     200   200
create_comment    | assigned            |    401        201          404        201          404     201   201
create_comment    | assigned, internal  |    401        403          404        201          404     201   201
mark_read         | assigned            |    401        204          404        204          404     204   204
update_comment    | assigned            |    401        200          404        403          404     403   403
withdraw_comment  | assigned            |    401        204          404        403          404     403   403
upload_attachment | assigned            |    401        201          404        201          404     201   201
list_attachments  | assigned            |    401        200          404        200          404     200   200
download_attachment | assigned, file    |    401        200          404        200          404     200   200
delete_attachment | assigned, file      |    401        403          404        204          404     403   204
list_public_comments | a code           |    200        200          200        200          200     200   200
create_public_comment | a code          |    201        201          201        201          201     201   201
upload_public_attachment | a code       |    201        201          201        201          201     201   201
list_public_attachments | a code        |    200        200          200        200          200     200   200
download_public_attachment | assigned, file | 200       200          200        200          200     200   200
delete_public_attachment | assigned, file | 403         403          403        403          403     403   403
delete_public_attachment | assigned, file by code | 204 204          204        204          204     204   204
reopen_own_ticket | done                |    200        200          200        200          200     200   200

publish_ticket    | new                 |    401        200          404        404          404     200   200
publish_ticket    | assigned            |    401        409          404        403          404     409   409
unpublish_ticket  | new, pool           |    401        200          404        404          404     200   200
unpublish_ticket  | assigned            |    401        200          404        403          404     200   200
get_ticket        | new, pool           |    401        200          404        200          200     200   200
get_ticket        | new                 |    401        200          404        404          404     200   200
ticket_history    | new, pool           |    401        200          404        404          404     200   200
list_comments     | new, pool           |    401        200          404        404          404     200   200
create_comment    | new, pool           |    401        201          404        404          404     201   201
list_attachments  | new, pool           |    401        200          404        404          404     200   200
create_response   | new                 |    401        403          403        404          404     403   403
create_response   | new, pool           |    401        403          403        201          201     403   403
list_ticket_responses | new, pool       |    401        200          404        200          200     200   200
list_ticket_responses | new             |    401        200          404        404          404     200   200
list_responses    |                     |    401        200          200        200          200     200   200
list_response_messages | new, offer     |    401        404          404        200          404     200   200
create_response_message | new, offer    |    401        404          404        201          404     201   201
accept_response   | new, offer          |    401        404          404        403          404     200   200

live              |                     |    200        200          200        200          200     200   200
ready             |                     |    200        200          200        200          200     200   200
metrics           |                     |    200        200          200        200          200     200   200
"""

Row = tuple[str, str, dict[str, int]]


@dataclass(frozen=True)
class Case:
    """One cell of the table."""

    operation: str
    given: str
    caller: str
    status: int


def _rows() -> list[Row]:
    head, *lines = [line for line in TABLE.splitlines() if line]
    callers = head.split("|")[2].split()
    rows = []
    for line in lines:
        operation, given, statuses = (cell.strip() for cell in line.split("|"))
        rows.append((operation, given, dict(zip(callers, map(int, statuses.split()), strict=True))))
    return rows


ROWS: Final = _rows()
CASES: Final = [
    pytest.param(Case(operation, given, caller, status), id=f"{operation}, {given or 'as it is'}, {caller}")
    for operation, given, statuses in ROWS
    for caller, status in statuses.items()
]


@dataclass
class Shop:
    """Everybody and everything a case may be about."""

    users: dict[str, User]
    client: Client
    newcomer: Client
    ticket: Ticket
    refresh_token: str
    admin: User
    spare: User
    comment_id: int
    offer_id: int
    file_id: int


@dataclass(frozen=True)
class Ask:
    """A request that is good in all but, perhaps, who sends it."""

    path: dict[str, Callable[[Shop], object]] = field(default_factory=dict)
    json: Any = None
    form: Any = None
    files: Any = None


NEW_CLIENT = {"name": "Vera", "email": "vera@mail.example"}
NEW_TICKET = {"title": "Kettle", "description": "Cold"}
SIGN_IN = {"username": "its_client", "password": PASSWORD}
WHY = {"reason": "It is so"}
TICKET: dict[str, Callable[[Shop], object]] = {"ticket_id": lambda shop: shop.ticket.id}
CODE: dict[str, Callable[[Shop], object]] = {"code": lambda shop: shop.ticket.code}
CLIENT: dict[str, Callable[[Shop], object]] = {"client_id": lambda shop: shop.client.id}
SPARE: dict[str, Callable[[Shop], object]] = {"user_id": lambda shop: shop.spare.id}
COMMENT: dict[str, Callable[[Shop], object]] = {"comment_id": lambda shop: shop.comment_id}
OFFER: dict[str, Callable[[Shop], object]] = {"response_id": lambda shop: shop.offer_id}
FILE: dict[str, Callable[[Shop], object]] = {"attachment_id": lambda shop: shop.file_id}
HELLO = {"text": "Hello"}
UPLOAD = {"file": ("a.txt", b"Hello")}

ASKS: Final[dict[tuple[str, str] | str, Ask]] = {
    "login": Ask(json=SIGN_IN),
    "login_with_form": Ask(form=SIGN_IN),
    "refresh": Ask(json=lambda shop: {"refresh_token": shop.refresh_token}),
    "register": Ask(json={"username": "newcomer", "password": PASSWORD}),
    "update_me": Ask(json={"name": "New"}),
    "change_password": Ask(json={"current_password": PASSWORD, "new_password": OTHER_PASSWORD}),
    "create_user": Ask(json={"username": "newcomer", "password": PASSWORD, "role": "worker"}),
    ("get_user", "the worker"): Ask({"user_id": lambda shop: shop.users["its_worker"].id}),
    ("get_user", "another admin"): Ask({"user_id": lambda shop: shop.admin.id}),
    "update_user": Ask(SPARE, json={"name": "New"}),
    "delete_user": Ask(SPARE),
    "create_client": Ask(json=NEW_CLIENT),
    "get_client": Ask(CLIENT),
    "update_client": Ask(CLIENT, json={"comment": "New"}),
    "delete_client": Ask({"client_id": lambda shop: shop.newcomer.id}),
    "submit_ticket": Ask(json=NEW_TICKET | {"client": NEW_CLIENT}),
    "follow_ticket": Ask(CODE),
    "cancel_own_ticket": Ask(CODE, json=WHY),
    ("create_ticket", "for oneself"): Ask(json=NEW_TICKET),
    ("create_ticket", "for a client"): Ask(
        json=lambda shop: NEW_TICKET | {"client_id": shop.client.id, "worker_id": shop.spare.id}
    ),
    "get_ticket": Ask(TICKET),
    "update_ticket": Ask(TICKET, json={"title": "New"}),
    "delete_ticket": Ask(TICKET),
    "ticket_history": Ask(TICKET),
    "assign_ticket": Ask(TICKET, json=lambda shop: {"worker_id": shop.spare.id}),
    "take_ticket": Ask(TICKET),
    "move_ticket": Ask(TICKET, json={"new_status": "done"}),
    "complete_ticket": Ask(TICKET, json={"resolution": "Descaled"}),
    "cancel_ticket": Ask(TICKET, json=WHY),
    "close_ticket": Ask(TICKET),
    "reopen_ticket": Ask(TICKET, json=WHY),
    "hold_ticket": Ask(TICKET, json=WHY),
    "resume_ticket": Ask(TICKET),
    "claim_ticket": Ask(json=lambda shop: {"code": shop.ticket.code}),
    "list_comments": Ask(TICKET),
    "create_comment": Ask(TICKET, json=HELLO),
    ("create_comment", "assigned, internal"): Ask(TICKET, json=HELLO | {"visibility": "internal"}),
    "mark_read": Ask(TICKET),
    "update_comment": Ask(COMMENT, json=HELLO),
    "withdraw_comment": Ask(COMMENT),
    "upload_attachment": Ask(TICKET, files=UPLOAD),
    "list_attachments": Ask(TICKET),
    "download_attachment": Ask(FILE),
    "delete_attachment": Ask(FILE),
    "list_public_comments": Ask(CODE),
    "create_public_comment": Ask(CODE, json=HELLO),
    "upload_public_attachment": Ask(CODE, files=UPLOAD),
    "list_public_attachments": Ask(CODE),
    "download_public_attachment": Ask(CODE | FILE),
    "delete_public_attachment": Ask(CODE | FILE),
    "reopen_own_ticket": Ask(CODE, json=WHY),
    "publish_ticket": Ask(TICKET),
    "unpublish_ticket": Ask(TICKET),
    "create_response": Ask(TICKET, json=HELLO),
    "list_ticket_responses": Ask(TICKET),
    "list_response_messages": Ask(OFFER),
    "create_response_message": Ask(OFFER, json=HELLO),
    "accept_response": Ask(OFFER),
}


async def _open_shop(client: AsyncClient, session: AsyncSession, given: str) -> Shop:
    roles = {
        "its_client": Role.CLIENT,
        "other_client": Role.CLIENT,
        "its_worker": Role.WORKER,
        "other_worker": Role.WORKER,
        "manager": Role.MANAGER,
        "admin": Role.ADMIN,
    }
    users = {name: await make_account(session, role, username=name) for name, role in roles.items()}
    own = users["its_client"]
    card = await make_client(session, user_id=own.id)
    word, _, more = given.partition(", ")
    word = word.partition(" ")[0]
    pooled = more in ("pool", "offer")
    status = Status(word) if word in list(Status) else Status.NEW
    ticket = await make_ticket(
        session,
        status=status,
        client=card,
        account_id=None if more == "of no account" else own.id,
        created_by=own.id,
        worker=None if status is Status.NEW else users["its_worker"],
        published_at=now() if pooled else None,
        published_by=users["manager"].id if pooled else None,
    )
    comment = await make_comment(session, ticket, own)
    offer = await make_offer(session, ticket, users["its_worker"]) if more == "offer" else None
    shop = Shop(
        users,
        card,
        await make_client(session),
        ticket,
        (await tokens(client, own))["refresh_token"],
        await make_account(session, Role.ADMIN),
        await make_account(session),
        comment.id,
        offer.id if offer else 1,
        1,
    )
    await session.commit()
    if more == "file":
        header = bearer((await tokens(client, users["its_worker"]))["access_token"])
        file = await client.post(f"/tickets/{ticket.id}/attachments", files=UPLOAD, headers=header)
        shop.file_id = file.json()["id"]
    elif more == "file by code":
        file = await client.post(f"/public/tickets/{ticket.code}/attachments", files=UPLOAD)
        shop.file_id = file.json()["id"]
    return shop


def _operations(app: FastAPI) -> dict[str, tuple[str, str, dict[str, Any]]]:
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    }


@pytest.mark.parametrize("case", CASES)
async def test_each_operation_answers_each_role_as_the_table_says(
    case: Case, app: FastAPI, client: AsyncClient, session: AsyncSession
) -> None:
    shop = await _open_shop(client, session, case.given)
    if case.caller != "nobody":
        pair = await tokens(client, shop.users[case.caller])
        client.headers.update(bearer(pair["access_token"]))
    method, path, _ = _operations(app)[case.operation]
    ask = ASKS.get((case.operation, case.given)) or ASKS.get(case.operation) or Ask()
    body = ask.json(shop) if callable(ask.json) else ask.json

    answer = await client.request(
        method,
        "http://api" + path.format(**{name: value(shop) for name, value in ask.path.items()}),
        json=body,
        data=ask.form,
        files=ask.files,
    )

    assert answer.status_code == case.status, answer.text
    if case.status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    if case.status in (401, 403, 404):
        codes = {401: "unauthenticated", 403: "forbidden", 404: "not_found"}
        assert answer.json()["code"] == codes[case.status]


def test_the_table_has_a_row_for_every_operation_and_no_other(app: FastAPI) -> None:
    assert {operation for operation, _given, _statuses in ROWS} == set(_operations(app))


def test_the_document_tells_of_the_table_s_answers(app: FastAPI) -> None:
    for operation, (_method, _path, documented) in _operations(app).items():
        seen = {status for name, _, statuses in ROWS if name == operation for status in statuses.values()}
        told = {int(status) for status in documented["responses"]}
        assert seen <= told, operation


def test_the_document_asks_for_a_token_exactly_where_nobody_is_refused(app: FastAPI) -> None:
    with_token = {name for name, (_, _, documented) in _operations(app).items() if documented.get("security")}

    assert with_token == {name for name, _given, statuses in ROWS if statuses["nobody"] == 401}


def test_the_document_tells_of_403_exactly_where_a_role_is_refused(app: FastAPI) -> None:
    forbidden = {name for name, (_, _, told) in _operations(app).items() if "403" in told["responses"]}

    refused = {name for name, _given, statuses in ROWS if 403 in statuses.values()}
    assert forbidden == refused | {"register"}  # registration_closed


@pytest.mark.parametrize(
    ("caller", "sees"),
    [
        ("its_client", 1),
        ("other_client", 0),
        ("its_worker", 1),
        ("other_worker", 0),
        ("manager", 1),
        ("admin", 1),
    ],
)
async def test_lists_hold_what_may_be_seen_and_nothing_else(
    caller: str,
    sees: int,
    client: AsyncClient,
    session: AsyncSession,
) -> None:
    shop = await _open_shop(client, session, "assigned")
    pair = await tokens(client, shop.users[caller])
    client.headers.update(bearer(pair["access_token"]))

    listed = (await client.get("/tickets")).json()
    stats = await client.get("/tickets/stats")

    assert [ticket["id"] for ticket in listed["items"]] == [shop.ticket.id] * sees
    assert listed["total"] == sees
    if stats.status_code == 200:
        assert stats.json()["open"] == sees


async def test_what_is_refused_changes_nothing(
    app: FastAPI, client: AsyncClient, session: AsyncSession
) -> None:
    shop = await _open_shop(client, session, "in_progress")
    admin = bearer((await tokens(client, shop.users["admin"]))["access_token"])
    stranger = bearer((await tokens(client, shop.users["other_worker"]))["access_token"])
    objects = [f"/tickets/{shop.ticket.id}", f"/clients/{shop.client.id}", f"/users/{shop.spare.id}"]
    before = [(await client.get(path, headers=admin)).json() for path in objects]

    for operation, (method, path, _) in _operations(app).items():
        if method == "GET" or path.startswith(("/api/v1/auth", "/api/v1/public")):
            continue
        ask = next(ask for name, ask in ASKS.items() if operation in (name, name[0]))
        body = ask.json(shop) if callable(ask.json) else ask.json
        url = "http://api" + path.format(**{name: value(shop) for name, value in ask.path.items()})
        answer = await client.request(method, url, json=body, files=ask.files, headers=stranger)
        assert answer.status_code in (403, 404), operation

    assert [(await client.get(path, headers=admin)).json() for path in objects] == before
