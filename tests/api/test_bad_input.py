"""Bad input to every operation of the document: refused with a clear problem, and nothing changes."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from httpx import AsyncClient, Response
from sqlalchemy import column, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import override

from api.auth.models import Role, User
from api.main import create_app
from api.models import Base
from api.settings import Settings
from api.tickets.responses.models import OfferStatus
from api.tickets.states import Status
from tests.api.accounts import make_account
from tests.conftest import SignIn
from tests.factories import make_attachment, make_client, make_comment, make_offer, make_ticket, make_user

MEGABYTE = 1_100_000
DIGITS = "9" * 5_000
Schema = dict[str, Any]
Ids = dict[str, str]


def _document() -> Schema:
    return create_app(
        Settings(_env_file=None, database_url="postgresql+asyncpg://nobody@127.0.0.1:1/none")
    ).openapi()


DOCUMENT = _document()


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    name: str
    method: str
    path: str
    parameters: tuple[Schema, ...]
    body: Schema | None
    media_type: str

    @override
    def __str__(self) -> str:
        return self.name

    def named(self, place: str) -> list[Schema]:
        """Return the parameters of one kind: path, query or header."""
        return [parameter for parameter in self.parameters if parameter["in"] == place]

    def url(self, ids: Ids) -> str:
        """Return the path with its parameters filled in."""
        path = self.path.removeprefix("/api/v1")
        return path.format_map(ids)


def _operations() -> Iterator[Operation]:
    for path, methods in DOCUMENT["paths"].items():
        for method, found in methods.items():
            content = found.get("requestBody", {}).get("content", {})
            media_type = next(iter(content), "")
            yield Operation(
                found["operationId"],
                method.upper(),
                path,
                tuple(found.get("parameters", [])),
                resolved(content[media_type]["schema"]) if content else None,
                media_type,
            )


def resolved(schema: Schema) -> Schema:
    """Return a schema with its reference followed, and of alternatives the one that is not null."""
    if "$ref" in schema:
        return resolved(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return resolved(next(one for one in schema[several] if one.get("type") != "null"))
    return schema


OPERATIONS = list(_operations())
WITH_JSON = [operation for operation in OPERATIONS if operation.media_type == "application/json"]
WORKERS_OWN = {"take_ticket", "create_response"}
"""Called by the ticket's worker; all others by an admin."""
NOT_BAD = {("mark_read", b""), ("mark_read", str(2**63 - 1))}
"""All that there is, in two ways: nobody has read further than what stands there."""


@pytest.fixture
async def ids(session: AsyncSession) -> Ids:
    """What path parameters may be, so that a refusal is about what is tried and not about them."""
    user, known = await make_user(session), await make_client(session)
    ticket = await make_ticket(session, status=Status.CANCELED, worker=user)
    found = {
        "ticket_id": str(ticket.id),
        "user_id": str(user.id),
        "client_id": str(known.id),
        "code": ticket.code,
        "comment_id": str((await make_comment(session, ticket)).id),
        "response_id": str((await make_offer(session, ticket, user, status=OfferStatus.DECLINED)).id),
        "attachment_id": str((await make_attachment(session, ticket)).id),
    }
    await session.commit()
    return found


async def contents(session: AsyncSession) -> dict[str, Any]:
    """Return a digest of each table: a refused request leaves all of them as they were."""
    digests = [
        select(
            func.md5(
                func.string_agg(literal_column(f"t.*::{table.name}::text"), literal_column("'' ORDER BY t.*"))
            )
        )
        .select_from(table.alias("t"))
        .scalar_subquery()
        .label(table.name)
        for table in Base.metadata.sorted_tables
        if table.name != "sessions"  # signing in is part of the test
    ]
    return dict(
        (await session.execute(select(column("x"), *digests).select_from(func.now().alias("x"))))
        .one()
        ._mapping
    )


async def sign_in_for(operation: Operation, session: AsyncSession, sign_in: SignIn, ids: Ids) -> None:
    worker = await session.get_one(User, int(ids["user_id"]))
    await sign_in(worker if operation.name in WORKERS_OWN else await make_account(session, Role.ADMIN))


def refusal(response: Response, tried: object) -> dict[str, Any]:
    """Return the problem; whatever was tried must have been told as one."""
    assert 400 <= response.status_code < 500, (tried, response.status_code, response.text[:500])
    assert response.headers["content-type"] == "application/problem+json", tried
    body: dict[str, Any] = response.json()
    assert body["detail"], tried
    assert body["code"], tried
    for told in ("Traceback", "SELECT", "asyncpg", "sqlalchemy"):
        assert told not in response.text, tried
    return body


RAW_BODIES = [
    b"",
    b"{",
    b"[]",
    b'[{"title": "Kettle"}]',
    b'"text"',
    b"null",
    b"7",
    b"true",
    b"NaN",
    b"-Infinity",
    b"1e400",
    DIGITS.encode(),
    b"\x00",
    b"\xff\xfe\x00",
    b'{"title": "\xc3\x28"}',
    b'{"title": "\xed\xa0\x80"}',
    b'{"nobody_knows": 1}',
    b'{"\\ud800": 1}',
    b'{"\\u0000": 1}',
    b'{"title": NaN, "reason": Infinity, "name": -Infinity}',
    b'{"": {"": {"": ""}}}',
    b"[" * 100_000,
    b'{"title":' * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
]


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
async def test_a_body_that_is_no_such_object_is_refused(
    operation: Operation, client: AsyncClient, session: AsyncSession, sign_in: SignIn, ids: Ids
) -> None:
    await sign_in_for(operation, session, sign_in, ids)
    before = await contents(session)

    for raw in RAW_BODIES:
        if (operation.name, raw) in NOT_BAD:
            continue
        response = await client.request(
            operation.method, operation.url(ids), content=raw, headers={"Content-Type": "application/json"}
        )
        refusal(response, raw[:80])
    for media_type in (
        "text/plain",
        "application/xml",
        "multipart/form-data",
        "application/json; charset=x",
        "",
    ):
        response = await client.request(
            operation.method, operation.url(ids), content=b"{]", headers={"Content-Type": media_type}
        )
        refusal(response, media_type)

    assert await contents(session) == before


async def pieces(size: int) -> AsyncIterator[bytes]:
    yield b'{"title": "'
    for _ in range(size // 10_000):
        yield b"x" * 10_000
    yield b'"}'


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.body], ids=str)
async def test_a_body_over_a_megabyte_is_too_large_whether_or_not_it_says_so(
    operation: Operation, client: AsyncClient, session: AsyncSession, sign_in: SignIn, ids: Ids
) -> None:
    await sign_in_for(operation, session, sign_in, ids)
    headers = {"Content-Type": operation.media_type}
    size = MEGABYTE * 10 if operation.path.endswith("/attachments") else MEGABYTE
    before = await contents(session)

    declared = await client.request(
        operation.method, operation.url(ids), content=b"x" * size, headers=headers
    )
    chunked = await client.request(
        operation.method, operation.url(ids), content=pieces(size), headers=headers
    )

    multipart = operation.media_type.startswith("multipart")  # in pieces: tests of the uploads
    for response in (declared,) if multipart else (declared, chunked):
        assert (response.status_code, refusal(response, "a megabyte")["code"]) == (413, "too_large")
    assert await contents(session) == before


TEXTS = {"date-time": "2026-12-01T10:00:00Z", "email": "ann@mail.example"}


def sample(schema: Schema, name: str = "") -> Any:
    """Return a value that ``schema`` takes."""
    schema = resolved(schema)
    if schema.get("type") == "object":
        wanted = {*schema.get("required", []), "phone"} & set(schema["properties"])
        return {key: sample(schema["properties"][key], key) for key in wanted}
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    text = "+7 912 345-67-89" if name == "phone" else "Kettle kettle"[: schema.get("maxLength", 13)]
    simple = {"integer": 1, "boolean": True, "array": []}
    return simple.get(schema.get("type", ""), TEXTS.get(schema.get("format", ""), text))


BAD_TIMES = [
    '"2026-12-01T10:00:00"',
    '"2026-12-01"',
    '"2026-02-30T10:00:00Z"',
    '"0001-01-01T00:00:00+10:00"',
    '"0001-01-01T00:00:00Z"',
    '"9999-12-31T23:59:59-10:00"',
    '"10000-01-01T00:00:00Z"',
    '"-2026-12-01T10:00:00Z"',
    '"2026-12-01T25:00:00Z"',
    '"2026-12-01T10:00:00+99:99"',
    '"1764583200"',
    '"1764583200.5"',
    '"1e9"',
    '"now"',
    '"infinity"',
    '""',
    "1764583200",
    "-1",
    "1.5",
]
BAD_FOR_ALL = [
    "NaN",
    "Infinity",
    "1e400",
    DIGITS,
    "{}",
    "[]",
    '[["x"]]',
    '{"$ne": null}',
    '"long enough \\u0000 text"',
    '"long enough \\ud800 text"',
    '"long enough \\udfff\\ud800 text"',
]
BAD_IDS = ["-1", "0", "9223372036854775807", "9223372036854775808", "1.5", '"abc"', '""', "true", "1e30"]


def bad_values(schema: Schema) -> list[str]:
    """Return JSON that a field of this schema must not take."""
    found = list(BAD_FOR_ALL)
    if schema.get("format") == "date-time":
        return found + BAD_TIMES
    if schema.get("type") == "integer":
        return found + BAD_IDS
    if schema.get("type") == "boolean":
        return [*found, "2", '"perhaps"', '""', "-1"]
    found += ["7", "true", "1.5"]
    if "enum" in schema:
        return [*found, '"nonsense"', '""', '"NEW"', '" "']
    if "maxLength" in schema:
        found.append(json.dumps("x" * (schema["maxLength"] + 1)))
    if schema.get("minLength"):
        found += ['""', '"   "']
    return found


def leaves(schema: Schema, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Yield every field of a body, those of objects in it too."""
    for name, field in schema["properties"].items():
        inner = resolved(field)
        if inner.get("type") == "object":
            yield from leaves(inner, (*path, name))
            yield (*path, name), {"type": "object"}
        else:
            yield (*path, name), inner


def with_value(body: Any, path: tuple[str, ...], value: str, schema: Schema) -> str:
    """Return ``body`` as JSON, with raw JSON in the place of one field."""
    place = body = json.loads(json.dumps(body))
    for name in path[:-1]:
        schema = resolved(schema["properties"][name])
        place = place.setdefault(name, sample(schema, name))
    place[path[-1]] = "@@@"
    return json.dumps(body).replace('"@@@"', value)


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
async def test_a_field_that_is_not_what_it_should_be_is_refused(
    operation: Operation, client: AsyncClient, session: AsyncSession, sign_in: SignIn, ids: Ids
) -> None:
    assert operation.body
    await sign_in_for(operation, session, sign_in, ids)
    before = await contents(session)
    tried = 0

    for path, schema in leaves(operation.body):
        for value in bad_values(schema):
            if schema.get("type") == "object" and value == "{}" and not operation.body.get("required"):
                continue
            if (operation.name, value) in NOT_BAD:
                continue
            body = with_value(sample(operation.body), path, value, operation.body)
            response = await client.request(
                operation.method,
                operation.url(ids),
                content=body.encode(),
                headers={"Content-Type": "application/json"},
            )
            refusal(response, (path, value[:100]))
            tried += 1

    assert tried >= 10
    assert await contents(session) == before


BAD_PATH_IDS = [
    "-1",
    "0",
    "9223372036854775807",
    "9223372036854775808",
    "abc",
    "%00",
    "1%00",
    "1e400",
    "1.5",
    "%ED%A0%80",
    "%FF",
    "1;select",
    "null",
    "%F0%9F%92%A5",
    "٣",
    DIGITS,
]


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.named("path")], ids=str)
async def test_an_id_that_cannot_be_is_not_found_or_refused(
    operation: Operation, client: AsyncClient, session: AsyncSession, sign_in: SignIn, ids: Ids
) -> None:
    await sign_in_for(operation, session, sign_in, ids)
    before = await contents(session)
    body = sample(operation.body) if operation.body else None

    for parameter in operation.named("path"):
        for bad in BAD_PATH_IDS:
            response = await client.request(
                operation.method, operation.url(ids | {parameter["name"]: bad}), json=body
            )
            refusal(response, bad[:80])
            assert response.status_code in (404, 422), bad[:80]

    assert await contents(session) == before


def bad_query_values(schema: Schema) -> list[str]:
    if schema.get("type") == "array":
        schema = resolved(schema["items"])
    if schema.get("format") == "date-time":
        return [json.loads(value) for value in BAD_TIMES if value.startswith('"')] + [
            "\x00",
            "1764583200",
            DIGITS,
        ]
    found = ["\x00"]
    if schema.get("type") in ("integer", "boolean") or "enum" in schema:
        found += [
            "",
            "-1",
            "1.5",
            "1e400",
            "NaN",
            "abc",
            "null",
            DIGITS,
            "💥",
            "1\x00",
            "9223372036854775808",
        ]
    if "enum" in schema:
        found.append(f"{schema['enum'][0]} desc")
        found.append(f"{schema['enum'][0]},(select 1)")
    if "maxLength" in schema:
        found.append("x" * (schema["maxLength"] + 1))
    return found


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.named("query")], ids=str)
async def test_a_query_that_cannot_be_is_refused(
    operation: Operation, client: AsyncClient, session: AsyncSession, sign_in: SignIn, ids: Ids
) -> None:
    await sign_in_for(operation, session, sign_in, ids)
    before = await contents(session)

    for parameter in operation.named("query"):
        for bad in bad_query_values(resolved(parameter["schema"])):
            response = await client.request(
                operation.method, operation.url(ids), params={parameter["name"]: bad}
            )
            body = refusal(response, (parameter["name"], bad[:80]))
            assert body["code"] in ("validation_error", "invalid_cursor"), (parameter["name"], bad[:80])

    assert await contents(session) == before


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_no_operation_ignores_a_query_it_does_not_know(
    operation: Operation, client: AsyncClient, session: AsyncSession, sign_in: SignIn, ids: Ids
) -> None:
    await sign_in_for(operation, session, sign_in, ids)
    before = await contents(session)
    body = sample(operation.body) if operation.body else None

    for query in ("nobody_knows=1", "%00=1", "%ED%A0%80=1", "x" * 5_000, "Page=1", "=1"):
        response = await client.request(operation.method, f"{operation.url(ids)}?{query}", json=body)
        refusal(response, query[:80])

    assert await contents(session) == before


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.named("header")], ids=str)
async def test_a_header_that_cannot_be_is_refused(
    operation: Operation, client: AsyncClient, session: AsyncSession, sign_in: SignIn, ids: Ids
) -> None:
    await sign_in_for(operation, session, sign_in, ids)
    before = await contents(session)
    body = sample(operation.body) if operation.body else None

    for parameter in operation.named("header"):
        longest = resolved(parameter["schema"])["maxLength"]
        response = await client.request(
            operation.method, operation.url(ids), json=body, headers={parameter["name"]: "x" * (longest + 1)}
        )
        assert refusal(response, parameter["name"])["errors"][0]["loc"][0] == "header"

    assert await contents(session) == before


@pytest.mark.parametrize(
    "path", ["/nowhere", "/tickets/1/nowhere", "/%00", "/tickets/%2e%2e/users", "//", "/%ED%A0%80", "/../etc"]
)
async def test_a_path_that_is_not_there_is_not_found(path: str, client: AsyncClient) -> None:
    response = await client.get(path)

    assert refusal(response, path)["code"] in ("not_found", "unauthenticated", "validation_error")


async def test_a_method_that_is_not_there_is_not_allowed(client: AsyncClient) -> None:
    response = await client.put("/tickets")

    assert (response.status_code, refusal(response, "PUT")["code"]) == (405, "method_not_allowed")
