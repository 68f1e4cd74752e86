"""The cookie route: sets what no script reads, for the UI's own page only."""

import httpx
import pytest
from starlette.applications import Starlette

from ui.client import Tokens
from ui.routes import cookie_name, routes
from ui.vault import Vault

OWN = {"Origin": "http://crm.test", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def browser() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Starlette(routes=routes))
    return httpx.AsyncClient(transport=transport, base_url="http://crm.test")


async def test_a_code_is_exchanged_for_a_cookie_no_script_can_read(
    browser: httpx.AsyncClient, vault: Vault
) -> None:
    cookie = vault.keep(Tokens("a", "r", 4e9))

    answer = await browser.post("/session", content=vault.hand_over(cookie), headers=OWN)

    assert answer.status_code == 204
    given = answer.headers["set-cookie"]
    assert given.startswith(f"crm_session={cookie};")
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age="):
        assert attribute in given
    assert "Secure" not in given


async def test_behind_tls_the_cookie_is_secure(browser: httpx.AsyncClient, vault: Vault) -> None:
    code = vault.hand_over(vault.keep(Tokens("a", "r", 4e9)))

    answer = await browser.post("/session", content=code, headers={"Origin": "https://crm.test"})

    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.test"},
        {"Origin": "http://crm.test.evil.test"},
        {"Origin": "http://crm.test:8080"},
        {"Origin": "http://crm.test", "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_another_site_can_neither_sign_in_nor_out(
    browser: httpx.AsyncClient, vault: Vault, headers: dict[str, str], method: str
) -> None:
    cookie = vault.keep(Tokens("a", "r", 4e9))
    browser.cookies.set("crm_session", cookie)

    answer = await browser.request(method, "/session", content=vault.hand_over(cookie), headers=headers)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert vault.read(cookie) is not None


@pytest.mark.parametrize("code", [b"", b"wrong", b"x" * 10_000, b"\xff\x00"])
async def test_a_wrong_code_sets_nothing(browser: httpx.AsyncClient, code: bytes) -> None:
    answer = await browser.post("/session", content=code, headers=OWN)

    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers


async def test_signing_out_takes_the_cookie_and_ends_the_sign_in(
    browser: httpx.AsyncClient, vault: Vault
) -> None:
    cookie = vault.keep(Tokens("a", "r", 4e9))
    browser.cookies.set("crm_session", cookie)

    answer = await browser.delete("/session", headers=OWN)

    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert vault.read(cookie) is None


@pytest.mark.parametrize(
    ("host", "name"),
    [("crm.test", "crm_session"), ("127.0.0.1:8501", "crm_session_8501"), (None, "crm_session")],
)
def test_two_copies_on_one_machine_have_two_cookies(host: str | None, name: str) -> None:
    assert cookie_name(host) == name
