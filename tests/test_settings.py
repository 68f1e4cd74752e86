"""Settings: what is refused, what is hidden, and .env.example against the class."""

import asyncio
import re
from collections.abc import Iterator, MutableMapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI
from pydantic import SecretStr, ValidationError
from sqlalchemy import select

from api import main
from api.auth.models import Role, User
from api.core.security import PasswordHasher
from api.main import create_app
from api.settings import (
    LOCAL_ADMIN_PASSWORD,
    LOCAL_SECRET_KEY,
    LOCAL_WORKER_PASSWORD,
    Environment,
    Settings,
    get_settings,
)
from tests.api.accounts import make_account
from tests.api.live import database_of, running, with_values
from tests.logs import log_as_before

ROOT: Final = Path(__file__).parent.parent
EXAMPLE: Final = ROOT / ".env.example"
URL: Final = "postgresql+asyncpg://repair:dbpassword@db.example:5432/repair"
STRONG: Final = "k7Jq-3vXz_9Lm2Rt-8Wy4Bn6Pd1Fs5Gh"
PASSWORD: Final = "a long password"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def _made(**values: Any) -> Settings:
    return Settings(**{"_env_file": None, "database_url": URL} | values)


def _in_production(**values: Any) -> Settings:
    return _made(**{"env": "production", "secret_key": STRONG, "admin_password": PASSWORD} | values)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    with log_as_before():  # what starts an application configures the log of the whole process
        yield


# .env.example


def _assignments() -> dict[str, str]:
    return dict(re.findall(r"(?m)^([A-Z_]+)=(.*)$", EXAMPLE.read_text()))


def _read_by_the_ui() -> set[str]:
    sources = [path.read_text() for path in (ROOT / "ui").rglob("*.py")]
    return {name for source in sources for name in re.findall(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"", source)}


def _read_by_compose() -> set[str]:
    return set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))


def test_the_example_has_every_setting_and_no_other() -> None:
    of_the_api = {name.upper() for name in Settings.model_fields}

    assert _read_by_the_ui() >= {"API_URL", "UI_DATA_DIR"}
    assert set(_assignments()) == of_the_api | _read_by_the_ui() | _read_by_compose()


def test_the_example_names_each_setting_once() -> None:
    names = re.findall(r"(?m)^([A-Z_]+)=", EXAMPLE.read_text())

    assert len(names) == len(set(names))


def test_the_example_shows_the_defaults() -> None:
    shown = Settings(_env_file=EXAMPLE, database_url=URL)

    assert shown == _made()
    assert _assignments()["DATABASE_URL"] == ""


def test_the_example_explains_what_its_names_do_not_say() -> None:
    lines = EXAMPLE.read_text().splitlines()
    plain = {"ADMIN_USERNAME", "WORKER_USERNAME", "LOG_FILE_COUNT"}  # told by the lines around them

    unexplained = {
        line.partition("=")[0]
        for before, line in pairwise(lines)
        if re.match(r"[A-Z_]+=", line) and not before.startswith("# ")
    }

    assert unexplained <= plain


# Reading


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("REGISTRATION_OPEN", "false")
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1,")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example,https://b.example")
    monkeypatch.setenv("MAX_BODY_SIZE", "2MB")
    monkeypatch.setenv("LOG_FILE", "")
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    get_settings.cache_clear()

    try:
        settings = get_settings()
    finally:
        get_settings.cache_clear()

    assert settings.database_url == URL
    assert settings.registration_open is False
    assert [str(network) for network in settings.proxy_networks] == ["10.0.0.0/8", "192.0.2.1/32"]
    assert settings.cors_origins == ["https://a.example", "https://b.example"]
    assert settings.max_body_size == 2_000_000
    assert settings.log_file is None


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    get_settings.cache_clear()

    try:
        assert get_settings() is get_settings()
    finally:
        get_settings.cache_clear()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgresql://repair:dbpassword@db.example/repair",
        "postgres://repair:dbpassword@db.example/repair",
        "sqlite:///dbpassword.db",
        "repair:dbpassword",
        "://dbpassword",
    ],
)
def test_a_database_url_of_another_kind_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _made(database_url=url)

    told = str(refused.value)
    assert "database_url" in told
    assert "dbpassword" not in told
    if url:
        assert "must look like postgresql+asyncpg://user:password@host:port/database" in told


@pytest.mark.parametrize("rate", ["", "30/minute", "5 per hour", "1/second", "100/day"])
def test_rates_are_read(rate: str) -> None:
    settings = _made(public_rate_limit=rate, login_rate_limit=rate)

    for limit in (settings.public_limit, settings.login_limit):
        assert (limit is None) == (rate == "")
    if rate == "30/minute":
        assert settings.public_limit is not None
        assert (settings.public_limit.amount, settings.public_limit.get_expiry()) == (30, 60)


@pytest.mark.parametrize(
    "wrong",
    [
        {"public_rate_limit": "often"},
        {"login_rate_limit": "10"},
        {"env": "test"},
        {"database_pool_size": 0},
        {"database_pool_timeout": 0},
        {"access_token_expire_minutes": 0},
        {"refresh_token_expire_days": 0},
        {"password_hash_rounds": 3},
        {"password_hash_rounds": 17},
        {"admin_username": "ab"},
        {"trusted_proxies": "proxy.example"},
        {"phone_region": "Russia"},
        {"log_level": "LOUD"},
        {"log_format": "xml"},
        {"log_file_count": 0},
        {"max_body_size": "much"},
    ],
)
def test_an_unfit_setting_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        _made(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"worker_username": "Admin"}, {"admin_password": "x" * 129}, {"worker_password": "x" * 129}]
)
def test_first_accounts_that_could_not_be_made_or_used_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong)).upper()):
        _made(**wrong)


def test_times_are_durations() -> None:
    settings = _made(access_token_expire_minutes=5, refresh_token_expire_days=2)

    assert settings.access_token_ttl.total_seconds() == 5 * 60
    assert settings.refresh_token_ttl.total_seconds() == 2 * 24 * 3600


# Secrets


@pytest.mark.parametrize("env", ["local", "production"])
@pytest.mark.parametrize("key", ["short", "k" * 31, "ю" * 15])
def test_a_key_shorter_than_its_hash_is_refused_everywhere(key: str, env: str) -> None:
    with pytest.raises(ValidationError, match="SECRET_KEY must be at least 32 bytes long"):
        _in_production(env=env, secret_key=key)


@pytest.mark.parametrize("key", ["", LOCAL_SECRET_KEY, "a" * 64, "ab" * 32, "0123456" * 8])
def test_production_refuses_a_key_that_is_known_or_simple(key: str) -> None:
    with pytest.raises(ValidationError, match="SECRET_KEY"):
        _in_production(secret_key=key)


def test_production_refuses_to_start_without_a_key() -> None:
    with pytest.raises(ValidationError, match="SECRET_KEY"):
        _made(env="production", admin_password=PASSWORD)


@pytest.mark.parametrize(
    "password",
    ["", "short", "1234567", LOCAL_ADMIN_PASSWORD, "ADMIN123", LOCAL_WORKER_PASSWORD, "ChangeMe", "password"],
)
def test_production_refuses_a_demo_or_short_admin_password(password: str) -> None:
    with pytest.raises(ValidationError, match="ADMIN_PASSWORD"):
        _in_production(admin_password=password)


@pytest.mark.parametrize("password", ["short", LOCAL_WORKER_PASSWORD, "password"])
def test_production_refuses_a_demo_or_short_worker_password(password: str) -> None:
    with pytest.raises(ValidationError, match="WORKER_PASSWORD"):
        _in_production(worker_password=password)


def test_production_refuses_cheap_hashes() -> None:
    with pytest.raises(ValidationError, match="PASSWORD_HASH_ROUNDS must be at least 10"):
        _in_production(password_hash_rounds=9)


def test_production_starts_with_secrets_of_its_own() -> None:
    settings = _in_production()

    assert settings.env is Environment.PRODUCTION
    assert settings.first_accounts == [("admin", PASSWORD, "admin")]


def test_local_needs_no_secrets() -> None:
    settings = _made(secret_key="")

    assert settings.secret_key == SecretStr(LOCAL_SECRET_KEY)
    assert settings.first_accounts == [
        ("admin", LOCAL_ADMIN_PASSWORD, "admin"),
        ("worker", LOCAL_WORKER_PASSWORD, "worker"),
    ]


def test_production_may_have_a_first_worker() -> None:
    settings = _in_production(worker_username="anna", worker_password="another long one")

    assert settings.first_accounts[1] == ("anna", "another long one", "worker")


def test_settings_print_no_secret() -> None:
    settings = _in_production(worker_password="another long one")

    for printed in (repr(settings), str(settings)):
        for secret in (STRONG, PASSWORD, "another long one", "dbpassword"):
            assert secret not in printed


@pytest.mark.parametrize(
    "wrong", [{"password_hash_rounds": 9}, {"log_level": "LOUD"}, {"secret_key": "a-short-secret"}]
)
def test_a_refusal_prints_no_secret(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        _in_production(**wrong)

    for secret in (STRONG, PASSWORD, "dbpassword", "a-short-secret"):
        assert secret not in str(refused.value)


# First accounts


async def _start(settings: Settings, app: FastAPI | None = None) -> None:
    """Start an application and end it, as a server does."""
    told = iter(["lifespan.startup", "lifespan.shutdown"])
    said: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": next(told)}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message["type"])

    app = app or create_app(settings)
    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def _accounts(settings: Settings) -> list[tuple[str, Role]]:
    async with running(settings) as app, database_of(app).reads() as session:
        rows = await session.execute(select(User.username, User.role).order_by(User.id))
        return [(username, role) for username, role in rows]


@pytest.fixture
def here(settings: Settings, committed: str) -> Settings:
    """Settings of a database that is emptied after the test."""
    return with_values(settings, database_url=committed)


async def test_first_accounts_are_made_once_however_many_processes_start(here: Settings) -> None:
    await asyncio.gather(*(_start(here) for _ in range(4)))
    await _start(here)

    assert await _accounts(here) == [("admin", Role.ADMIN), ("worker", Role.WORKER)]


async def test_first_accounts_are_made_however_late_the_database_comes_up(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "RETRY_SECONDS", 0.01)
    async with running(here) as ready:
        app = create_app(with_values(here, database_url="postgresql+asyncpg://nobody@127.0.0.1:1/none"))
        starting = asyncio.create_task(_start(here, app))
        await asyncio.sleep(0.2)
        app.state.database = database_of(ready)
        await starting

    assert await _accounts(here) == [("admin", Role.ADMIN), ("worker", Role.WORKER)]


async def test_a_server_that_ends_does_not_wait_for_a_database_that_is_away(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "STARTUP_SECONDS", 0.05)
    away = with_values(here, database_url="postgresql+asyncpg://nobody@127.0.0.1:1/none")

    await asyncio.wait_for(_start(away), 5)


async def test_first_accounts_can_sign_in(here: Settings) -> None:
    await _start(here)

    async with running(here) as app, database_of(app).reads() as session:
        admin = (await session.scalars(select(User).where(User.role == Role.ADMIN))).one()
    hasher = PasswordHasher(rounds=4)
    assert await hasher.verify(LOCAL_ADMIN_PASSWORD, admin.password_hash)
    assert not await hasher.verify(LOCAL_WORKER_PASSWORD, admin.password_hash)
    assert (admin.name, admin.is_active) == ("Admin", True)


async def test_no_accounts_are_made_where_a_user_exists(here: Settings) -> None:
    async with running(here) as app, database_of(app).sessions() as session:
        await make_account(session, Role.CLIENT, username="anna")

    await _start(here)

    assert await _accounts(here) == [("anna", Role.CLIENT)]


async def test_production_has_no_demo_worker(here: Settings) -> None:
    production = {"env": "production", "secret_key": STRONG, "password_hash_rounds": 10}

    await _start(with_values(here, **production, admin_username="Chief", admin_password=PASSWORD))

    assert await _accounts(here) == [("Chief", Role.ADMIN)]
