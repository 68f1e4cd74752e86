"""Rules of the whole API: what the document says, and what every answer has."""

import keyword
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role
from api.clients import service as clients_service
from api.core.problems import MEDIA_TYPE
from api.settings import Settings
from tests.api.live import caller, database_of, running
from tests.conftest import SignIn
from tests.factories import make_client, make_offer, make_ticket, make_user
from tests.logs import lines_of, logged

SHOP = "https://shop.example"


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    return app.openapi()


@pytest.fixture
def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Method and path of each operation, and what the document says of it."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def _examples(document: dict[str, Any], media: dict[str, Any]) -> list[Any]:
    schema = media["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    given = [media["example"]] if "example" in media else list(media.get("examples", {}).values())
    given += schema.get("examples", [])
    properties = schema.get("properties", {}).values()
    return given or [field["examples"] for field in properties if "examples" in field]


# The document


def test_every_path_is_under_the_prefix(document: dict[str, Any]) -> None:
    assert {path for path in document["paths"] if not path.startswith("/api/v1/")} == set()


def test_operation_ids_are_unique_names(operations: dict[str, dict[str, Any]]) -> None:
    names = [operation["operationId"] for operation in operations.values()]

    assert len(set(names)) == len(names)
    assert [name for name in names if not name.isidentifier() or keyword.iskeyword(name)] == []


def test_every_operation_is_described(operations: dict[str, dict[str, Any]]) -> None:
    for name, operation in operations.items():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name


def test_every_body_has_an_example_that_the_schema_knows(
    document: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    for name, operation in operations.items():
        for media in operation.get("requestBody", {}).get("content", {}).values():
            assert _examples(document, media), name


def test_every_error_is_a_problem_with_an_example(operations: dict[str, dict[str, Any]]) -> None:
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            if status < "4":
                continue
            assert list(response["content"]) == [MEDIA_TYPE], (name, status)
            media = response["content"][MEDIA_TYPE]
            assert media["schema"] == {"$ref": "#/components/schemas/Problem"}, (name, status)
            examples = [e["value"] for e in media.get("examples", {}).values()]
            examples += [media["example"]] if "example" in media else []
            assert examples, (name, status)
            for example in examples:
                assert example["status"] == int(status), (name, status)
                assert f"`{example['code']}`" in response["description"], (name, status)


def test_every_operation_tells_of_the_errors_it_always_may_have(
    operations: dict[str, dict[str, Any]],
) -> None:
    for name, operation in operations.items():
        assert {"422", "500", "503"} <= set(operation["responses"]), name
        assert ("413" in operation["responses"]) == ("requestBody" in operation), name
        assert ("401" in operation["responses"]) >= bool(operation.get("security")), name
        assert ("404" in operation["responses"]) >= ("{" in name), name


def test_every_answer_is_said_to_carry_a_request_id(operations: dict[str, dict[str, Any]]) -> None:
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            assert "X-Request-ID" in response["headers"], (name, status)
            assert ("Retry-After" in response["headers"]) == (status in ("429", "503")), (name, status)


def test_what_creates_takes_an_idempotency_key(operations: dict[str, dict[str, Any]]) -> None:
    for name, operation in operations.items():
        headers = {p["name"].lower() for p in operation.get("parameters", []) if p["in"] == "header"}
        assert ("idempotency-key" in headers) == ("201" in operation["responses"]), name


def test_what_changes_a_resource_takes_if_match(operations: dict[str, dict[str, Any]]) -> None:
    for name, operation in operations.items():
        method, path = name.split(" ", 1)
        # What cannot be read by itself (a comment) or never changes (a file) has no version to match.
        shown = operations.get(f"GET {path}", {}).get("responses", {}).get("200", {}).get("content", {})
        if method in ("PATCH", "DELETE") and "application/json" in shown:
            headers = {p["name"].lower() for p in operation.get("parameters", []) if p["in"] == "header"}
            assert "if-match" in headers, name
            assert "412" in operation["responses"], name


def test_lists_take_the_same_parameters(operations: dict[str, dict[str, Any]]) -> None:
    lists = {
        name: {p["name"]: p["schema"] for p in operation["parameters"]}
        for name, operation in operations.items()
        if "cursor" in {p["name"] for p in operation.get("parameters", [])}
    }

    assert len(lists) == 11
    for name, parameters in lists.items():
        assert {"page", "size", "cursor"} <= set(parameters), name
        assert parameters["page"]["minimum"] == 1, name
        assert (parameters["size"]["minimum"], parameters["size"]["maximum"]) == (1, 100), name
        if name in {f"GET /api/v1/{plain}" for plain in ("users", "clients", "tickets", "responses")}:
            assert parameters["size"]["default"] == 10, name
            assert all(sort.lstrip("-") for sort in parameters["sort"]["enum"]), name


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/redoc", "/docs/oauth2-redirect"])
async def test_the_document_can_be_read_in_a_browser(path: str, client: AsyncClient) -> None:
    page = await client.get(f"http://api{path}")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


async def test_authorize_signs_in_where_the_document_says(
    client: AsyncClient, document: dict[str, Any]
) -> None:
    answer = await client.get("http://api/openapi.json")

    assert answer.json() == document
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == "/api/v1/auth/token"
    assert "POST /api/v1/auth/token" in {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
    }


# Aliases


@pytest.fixture
async def places(client: AsyncClient, session: AsyncSession, sign_in: SignIn) -> dict[str, object]:
    """What to put into the paths of GET operations; an admin is signed in."""
    admin = await make_user(session, Role.ADMIN)
    ticket = await make_ticket(session)
    offer = await make_offer(session, ticket, await make_user(session))
    await sign_in(admin)
    upload = {"file": ("a.txt", b"Hello")}
    file = (await client.post(f"/tickets/{ticket.id}/attachments", files=upload)).json()
    return {
        "user_id": admin.id,
        "client_id": ticket.client_id,
        "ticket_id": ticket.id,
        "code": ticket.code,
        "response_id": offer.id,
        "attachment_id": file["id"],
    }


async def test_the_prefix_and_a_trailing_slash_make_no_difference(
    client: AsyncClient, places: dict[str, object], operations: dict[str, dict[str, Any]]
) -> None:
    reads = [name.removeprefix("GET ") for name in operations if name.startswith("GET ")]

    for read in reads:
        path = read.format(**places)
        short = path.removeprefix("/api/v1")
        whole = await client.get(f"http://api{path}")
        assert whole.status_code == 200, read
        for alias in (f"{path}/", short, f"{short}/", f"{short}//"):
            answer = await client.get(f"http://api{alias}")
            assert answer.status_code == 200, alias
            if read != "/api/v1/metrics":
                assert answer.content == whole.content, alias


async def test_writes_answer_without_the_prefix_too(client: AsyncClient, session: AsyncSession) -> None:
    await make_user(session)

    answer = await client.post("http://api/auth/login/", json={"username": "nobody", "password": "x"})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    "path", ["/", "", "/api/v1", "/api/v1/", "/nothing", "/tickets/1/nothing", "//", "/api"]
)
async def test_an_unknown_path_is_a_problem(path: str, client: AsyncClient) -> None:
    answer = await client.get(f"http://api{path}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["code"] == "not_found"


async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client: AsyncClient) -> None:
    answer = await client.put("/auth/login")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"
    assert answer.headers["content-type"] == MEDIA_TYPE


# Problems


async def test_a_problem_has_all_its_members(client: AsyncClient) -> None:
    answer = await client.post("/auth/login", json={"username": "a", "password": 5, "x\ny": 1})

    assert answer.headers["content-type"] == MEDIA_TYPE
    problem = answer.json()
    assert problem.pop("request_id") == answer.headers["X-Request-ID"]
    errors = problem.pop("errors")
    assert problem == {
        "type": "urn:problem:validation_error",
        "title": "Validation error",
        "status": 422,
        "detail": "password: Input should be a valid string",
        "code": "validation_error",
    }
    assert [set(error) for error in errors] == [{"loc", "msg", "type"}] * 2
    assert [error["loc"] for error in errors] == [["body", "password"], ["body", "x\ny"]]


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b'{"username": NaN}', b"[" * 100_000])
async def test_a_body_that_is_no_json_is_a_problem(body: bytes, client: AsyncClient) -> None:
    answer = await client.post("/auth/login", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.headers["content-type"] == MEDIA_TYPE


@pytest.mark.parametrize("sent", ["abc-123_x.Y", "a", "0" * 128])
async def test_a_sane_request_id_is_the_callers(sent: str, client: AsyncClient) -> None:
    answer = await client.get("/auth/me", headers={"X-Request-ID": sent})

    assert answer.headers.get_list("X-Request-ID") == [sent]
    assert answer.json()["request_id"] == sent


@pytest.mark.parametrize(
    "sent", [b"", b"0" * 129, b"a b", b"a\nb", b"a\r\nSet-Cookie: x=1", b"\xff", b"<script>", b"a\n", b'"']
)
async def test_any_other_request_id_is_replaced(sent: bytes, client: AsyncClient) -> None:
    answer = await client.get("/auth/me", headers=[(b"X-Request-ID", sent)])

    (given,) = answer.headers.get_list("X-Request-ID")
    assert re.fullmatch(r"[0-9a-f]{32}", given)
    assert answer.json()["request_id"] == given


@pytest.mark.parametrize(
    "path", ["/health/live", "/auth/me", "/nothing", "/metrics", "http://api/openapi.json"]
)
async def test_every_answer_keeps_browsers_from_doing_more_than_showing_it(
    path: str, client: AsyncClient
) -> None:
    answer = await client.get(path)

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert len(answer.headers["X-Request-ID"]) == 32


async def test_pages_for_people_may_run_their_own_scripts(client: AsyncClient) -> None:
    page = await client.get("http://api/docs")

    assert page.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" not in page.headers.get("Content-Security-Policy", "")


# Other sites

PREFLIGHT = {
    "Origin": SHOP,
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization,idempotency-key,if-match",
}


async def test_other_sites_may_not_call_by_default(client: AsyncClient) -> None:
    preflight = await client.options("/auth/me", headers=PREFLIGHT)
    answer = await client.get("/health/live", headers={"Origin": SHOP})

    assert preflight.status_code == 405
    assert [name for name in (*preflight.headers, *answer.headers) if name.startswith("access-control")] == []


async def test_configured_sites_may_call_and_no_others(settings: Settings) -> None:
    async with running(settings, cors_origins=[SHOP]) as app, caller(app) as client:
        preflight = await client.options("/auth/me", headers=PREFLIGHT)
        answer = await client.get("/health/live", headers={"Origin": SHOP})
        refused = await client.options("/auth/me", headers=PREFLIGHT | {"Origin": "https://evil.example"})
        plain = await client.get("/health/live", headers={"Origin": "https://evil.example"})

    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == SHOP
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert {"ETag", "X-Request-ID", "Retry-After"} <= set(
        answer.headers["Access-Control-Expose-Headers"].split(", ")
    )
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert refused.status_code == 400
    assert "Access-Control-Allow-Origin" not in plain.headers


# Faults


class _Undefined(Exception):
    """A stand-in for asyncpg's."""

    sqlstate = "42703"


@dataclass(frozen=True)
class Desk:
    """Where an admin is signed in, and where the log is written."""

    session: AsyncSession
    log: Path


@pytest.fixture
async def desk(
    session: AsyncSession, sign_in: SignIn, settings: Settings, tmp_path: Path
) -> AsyncIterator[Desk]:
    """An admin who is signed in, and a log that can be read."""
    await sign_in(await make_user(session, Role.ADMIN))
    with logged(settings, log_file=tmp_path / "api.log"):
        yield Desk(session, tmp_path / "api.log")


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("SECRET in /srv/app/code.py"),
        KeyError("SECRET"),
        AssertionError("SECRET"),
        DBAPIError("SELECT SECRET", {}, _Undefined("SECRET")),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_fault_of_ours_tells_nothing_but_where_the_log_has_it(
    fault: Exception, client: AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(clients_service, "create", fail)

    answer = await client.post("/clients", json={"name": "Ann", "phone": "+79123456789"})

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for word in ("SECRET", "Traceback", "/srv", "SELECT", "INSERT"):
        assert word not in answer.text
    told, _access = lines_of(desk.log)
    assert told["request_id"] == answer.headers["X-Request-ID"]
    assert told["event"] == "unexpected error"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users", {"username": "odd", "password": "long enough", "role": "worker", "name": "odd"}),
        ("PATCH", "/users/{user}", {"name": "odd"}),
        ("PATCH", "/clients/{client}", {"name": "odd"}),
        ("DELETE", "/clients/{client}", None),
        ("POST", "/tickets", {"title": "odd", "client": {"name": "Ann", "email": "ann@mail.example"}}),
    ],
)
async def test_a_rule_of_the_database_that_nobody_expects_is_a_fault_of_ours(
    method: str, path: str, body: Any, client: AsyncClient, desk: Desk
) -> None:
    session = desk.session
    user, known = await make_user(session), await make_client(session)
    await session.commit()
    for rule in (
        "ALTER TABLE users ADD CONSTRAINT odd CHECK (name <> 'odd')",
        "ALTER TABLE clients ADD CONSTRAINT odd CHECK (name <> 'odd')",
        "ALTER TABLE tickets ADD CONSTRAINT odd CHECK (title <> 'odd')",
        "CREATE TABLE odd (client_id bigint REFERENCES clients)",
        "INSERT INTO odd SELECT max(id) FROM clients",
    ):
        await session.execute(text(rule))
    await session.commit()

    answer = await client.request(method, path.format(user=user.id, client=known.id), json=body)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


async def test_a_failed_request_leaves_nothing_behind(
    client: AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = clients_service.create

    async def create_and_fail(*args: Any, **kwargs: Any) -> None:
        await create(*args, **kwargs)
        raise RuntimeError

    monkeypatch.setattr(clients_service, "create", create_and_fail)

    answer = await client.post("/clients", json={"name": "Ann", "phone": "+79123456789"})

    assert answer.status_code == 500
    assert lines_of(desk.log)[0]["event"] == "unexpected error"
    assert (await client.get("/clients")).json()["total"] == 0


async def test_a_value_the_database_refuses_is_the_callers_fault(settings: Settings, committed: str) -> None:
    async with running(settings, database_url=committed) as app:

        async def divide() -> object:
            async with database_of(app).reads() as session:
                return await session.scalar(text("SELECT 1 / 0"))

        app.add_api_route("/api/v1/divide", divide)
        async with caller(app) as client:
            answer = await client.get("/divide")

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert "zero" not in answer.text


async def test_a_database_that_is_away_is_503_with_retry_after(settings: Settings) -> None:
    away = "postgresql+asyncpg://nobody:SECRET@127.0.0.1:1/none"
    async with running(settings, database_url=away) as app, caller(app) as client:
        answers = [
            await client.post("/auth/login", json={"username": "a", "password": "b"}),
            await client.post(
                "/public/tickets", json={"title": "a", "client": {"name": "a", "email": "a@b.example"}}
            ),
            await client.get("/public/tickets/AAAA-AAAA-AAAA-AAAA"),
        ]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert "SECRET" not in answer.text


async def test_a_pool_that_is_used_up_is_503(settings: Settings, committed: str) -> None:
    tight = {"database_pool_size": 1, "database_pool_timeout": 0.05}
    async with running(settings, database_url=committed, **tight) as app, caller(app) as client:
        async with database_of(app).engine.connect():
            busy = await client.get("/public/tickets/AAAA-AAAA-AAAA-AAAA")
        free = await client.get("/public/tickets/AAAA-AAAA-AAAA-AAAA")

    assert (busy.status_code, busy.json()["code"]) == (503, "unavailable")
    assert free.status_code == 404


async def test_service_comes_back_by_itself_when_connections_were_cut(
    settings: Settings, committed: str
) -> None:
    cut = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'repair-api' AND pid <> pg_backend_pid()"
    )
    async with running(settings, database_url=committed) as app, caller(app) as client:
        path = "/public/tickets/AAAA-AAAA-AAAA-AAAA"
        assert (await client.get(path)).status_code == 404
        async with (
            running(settings, database_url=committed) as other,
            database_of(other).reads() as session,
        ):
            await session.execute(cut)

        answers = [(await client.get(path)).status_code for _ in range(4)]

    assert 500 not in answers
    assert set(answers) <= {404, 503}
    assert answers[-1] == 404


async def test_a_statement_that_takes_too_long_is_stopped(settings: Settings, committed: str) -> None:
    async with running(settings, database_url=committed, database_statement_timeout=0.05) as app:

        async def sleep() -> object:
            async with database_of(app).reads() as session:
                return await session.scalar(text("SELECT pg_sleep(30)"))

        app.add_api_route("/api/v1/sleep", sleep)
        async with caller(app) as client:
            answer = await client.get("/sleep")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_what_a_request_changed_is_committed_before_it_is_answered(
    settings: Settings, committed: str
) -> None:
    body = {"title": "Kettle", "client": {"name": "Ann", "phone": "+79123456789"}}
    async with running(settings, database_url=committed) as app, caller(app) as client:
        async with database_of(app).sessions.begin() as session:
            await session.execute(
                text(
                    "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$"
                )
            )
            await session.execute(
                text(
                    "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON tickets DEFERRABLE INITIALLY DEFERRED "
                    "FOR EACH ROW EXECUTE FUNCTION fail()"
                )
            )
        try:
            answer = await client.post("/public/tickets", json=body)
        finally:
            async with database_of(app).sessions.begin() as session:
                await session.execute(text("DROP FUNCTION fail CASCADE"))

    assert answer.status_code == 503  # the commit failed, and nobody was told 201


def test_the_application_is_built_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from api import main  # noqa: PLC0415
    from api.settings import get_settings  # noqa: PLC0415

    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://nobody@127.0.0.1:1/none")
    monkeypatch.delitem(main.__dict__, "app", raising=False)
    get_settings.cache_clear()

    try:
        assert main.app is main.app
        assert isinstance(main.app, FastAPI)
        with pytest.raises(AttributeError):
            main.nothing  # noqa: B018  asked for is what is tried
    finally:
        monkeypatch.delitem(main.__dict__, "app", raising=False)
        get_settings.cache_clear()


async def test_an_answer_with_a_body_is_valid_json_and_tagged(
    client: AsyncClient, session: AsyncSession, places: dict[str, object]
) -> None:
    await make_client(session)

    for path in ("/tickets/{ticket_id}", "/clients/{client_id}", "/users/{user_id}", "/auth/me"):
        answer = await client.get(path.format(**places))
        assert answer.headers["ETag"] == '"1"', path
        assert answer.headers["content-type"] == "application/json", path
