"""Every environment variable of the API, typed, read once (see .env.example)."""

from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from annotated_types import Ge, Gt, Le, MinLen
from limits import RateLimitItem, parse
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

LOCAL_SECRET_KEY: Final = "local-only-secret-key-never-use-it-in-production"  # noqa: S105  refused outside local
LOCAL_ADMIN_PASSWORD: Final = "admin123"  # noqa: S105  refused outside local
LOCAL_WORKER_PASSWORD: Final = "worker123"  # noqa: S105  refused outside local
MIN_SECRET_BYTES: Final = 32
"""RFC 7518 §3.2: a key for HS256 must be at least as long as its hash."""
KNOWN_SECRETS: Final = frozenset({LOCAL_SECRET_KEY})
DEMO_PASSWORDS: Final = frozenset(
    {LOCAL_ADMIN_PASSWORD, LOCAL_WORKER_PASSWORD, "changeme", "password", "admin"}
)
MIN_DISTINCT_SECRET_BYTES: Final = 8
MIN_PASSWORD_LENGTH: Final = 8
MAX_PASSWORD_LENGTH: Final = 128
MIN_ROUNDS: Final = 10


class Environment(StrEnum):
    """Where the program runs; everything but ``local`` insists on real secrets."""

    LOCAL = "local"
    PRODUCTION = "production"


def _rate(value: str) -> str:
    if value:
        parse(value)  # ValueError names what is wrong
    return value


def _comma_separated(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


Rate = Annotated[str, AfterValidator(_rate)]
"""How often something may happen, like ``30/minute``; empty is no limit."""
CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_comma_separated)]


class WeakSecret(ValueError):
    """A secret that everybody knows, or could guess, where it must protect real data."""


class Settings(BaseSettings):
    """Names map to environment variables: ``secret_key`` is ``SECRET_KEY``."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        # A refused value may be a secret, and it is printed where the program is started.
        hide_input_in_errors=True,
    )

    env: Environment = Environment.LOCAL
    """``local`` has demo accounts and known secrets and is for loopback only."""

    database_url: Annotated[str, MinLen(1), Field(repr=False)]
    """``postgresql+asyncpg://user:password@host:port/database``."""
    database_pool_size: Annotated[int, Ge(1)] = 20
    """Connections each API process may hold open."""
    database_pool_timeout: Annotated[float, Gt(0)] = 5.0
    """Seconds a request waits for a free connection before it is answered 503."""
    database_statement_timeout: Annotated[float, Gt(0)] = 15.0
    """Seconds after which PostgreSQL stops a statement of the API."""

    secret_key: SecretStr = SecretStr(LOCAL_SECRET_KEY)
    """Signs access tokens (HS256); 32 random bytes or more."""
    access_token_expire_minutes: Annotated[int, Ge(1)] = 30
    refresh_token_expire_days: Annotated[int, Ge(1)] = 30
    password_hash_rounds: Annotated[int, Ge(4), Le(16)] = 12
    """bcrypt's cost: each step doubles the time of a sign-in. 10 at least where data is real."""

    admin_username: Annotated[str, MinLen(3)] = "admin"
    admin_password: SecretStr = SecretStr("")
    """Password of the first admin; empty means ``admin123``, in ``ENV=local`` only."""
    worker_username: str = "worker"
    worker_password: SecretStr = SecretStr("")
    """Password of a first worker; empty: ``worker123`` in ``ENV=local``, no such account elsewhere."""

    registration_open: bool = True
    """Whether customers may make an account of their own."""
    public_rate_limit: Rate = "30/minute"
    """Requests without a token that write (submit, cancel, register), for each address."""
    login_rate_limit: Rate = "10/minute"
    """Failed sign-ins, for each account and for each address."""
    trusted_proxies: CommaSeparated = []
    """Addresses or networks whose ``X-Forwarded-For`` is believed, separated by commas."""
    cors_origins: CommaSeparated = []
    """Origins of other sites whose scripts may call the API, separated by commas."""
    max_body_size: ByteSize = ByteSize(1_000_000)
    """Largest request body."""

    storage_url: str = ".data/files"
    """Where files are kept: a folder, or a bucket like ``s3://name``."""
    storage_endpoint: str = ""
    """Address of an S3 service that is not Amazon's; ``http://`` only where it may be read on the way."""
    storage_region: str = ""
    storage_access_key_id: str = ""
    storage_secret_access_key: SecretStr = SecretStr("")
    """Empty, as the three before: the environment's ``AWS_…``, else the role of the machine."""
    storage_path_style: bool = True
    """Off where the endpoint's address names the bucket already, like ``https://name.s3.example.com``."""
    attachment_max_size: ByteSize = ByteSize(10_000_000)
    """Largest file."""
    attachments_per_ticket: Annotated[int, Ge(1)] = 50
    attachments_size_per_ticket: ByteSize = ByteSize(200_000_000)
    """Largest sum of a ticket's files."""

    phone_region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "RU"
    """Country (ISO 3166-1) of phone numbers that are written without one."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"
    log_file: Annotated[Path | None, BeforeValidator(_empty_is_none)] = None
    """A copy of the log in JSON lines; turned over at ``LOG_FILE_SIZE``. Empty is none."""
    log_file_size: ByteSize = ByteSize(10_000_000)
    log_file_count: Annotated[int, Ge(1)] = 5
    """How many turned-over files are kept."""

    @field_validator("database_url")
    @classmethod
    def _asyncpg(cls, value: str) -> str:
        try:
            driver = make_url(value).drivername
        except ArgumentError:
            driver = ""
        if driver != "postgresql+asyncpg":
            msg = "DATABASE_URL must look like postgresql+asyncpg://user:password@host:port/database"
            raise ValueError(msg)
        return value

    @field_validator("secret_key", mode="before")
    @classmethod
    def _empty_is_local(cls, value: object) -> object:
        return value or LOCAL_SECRET_KEY  # refused below where it must not be

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for network in value:
            ip_network(network, strict=False)
        return value

    @model_validator(mode="after")
    def _usable_first_accounts(self) -> Self:
        if self.admin_username.casefold() == self.worker_username.casefold():
            msg = "ADMIN_USERNAME and WORKER_USERNAME must differ"
            raise ValueError(msg)
        for name in ("admin_password", "worker_password"):
            if len(getattr(self, name).get_secret_value()) > MAX_PASSWORD_LENGTH:
                msg = f"{name.upper()} must have at most {MAX_PASSWORD_LENGTH} characters"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _no_weak_secrets(self) -> Self:
        key = self.secret_key.get_secret_value()
        if len(key.encode()) < MIN_SECRET_BYTES:
            msg = f"SECRET_KEY must be at least {MIN_SECRET_BYTES} bytes long"
            raise WeakSecret(msg)
        if self.env is Environment.LOCAL:
            return self
        if key in KNOWN_SECRETS or len(set(key.encode())) < MIN_DISTINCT_SECRET_BYTES:
            msg = f"SECRET_KEY is a known default or too simple for ENV={self.env.value}"
            raise WeakSecret(msg)
        if self.password_hash_rounds < MIN_ROUNDS:
            msg = f"PASSWORD_HASH_ROUNDS must be at least {MIN_ROUNDS} for ENV={self.env.value}"
            raise WeakSecret(msg)
        if len(self.admin_password.get_secret_value()) < MIN_PASSWORD_LENGTH:
            msg = f"ENV={self.env.value} needs an ADMIN_PASSWORD of {MIN_PASSWORD_LENGTH} characters or more"
            raise WeakSecret(msg)
        for name in ("admin_password", "worker_password"):
            password = getattr(self, name).get_secret_value()
            if password.casefold() in DEMO_PASSWORDS:
                msg = f"{name.upper()} is a demo password, which ENV={self.env.value} refuses"
                raise WeakSecret(msg)
            if password and len(password) < MIN_PASSWORD_LENGTH:
                msg = f"{name.upper()} must have at least {MIN_PASSWORD_LENGTH} characters"
                raise WeakSecret(msg)
        return self

    @property
    def first_accounts(self) -> list[tuple[str, str, str]]:
        """Username, password and role of the accounts made where no user exists."""
        local = self.env is Environment.LOCAL
        admin = self.admin_password.get_secret_value() or (LOCAL_ADMIN_PASSWORD if local else "")
        worker = self.worker_password.get_secret_value() or (LOCAL_WORKER_PASSWORD if local else "")
        accounts = [(self.admin_username, admin, "admin"), (self.worker_username, worker, "worker")]
        return [account for account in accounts if account[0] and account[1]]

    @property
    def access_token_ttl(self) -> timedelta:
        """How long an access token is good for."""
        return timedelta(minutes=self.access_token_expire_minutes)

    @property
    def refresh_token_ttl(self) -> timedelta:
        """How long a session may rest before its refresh token dies."""
        return timedelta(days=self.refresh_token_expire_days)

    @property
    def public_limit(self) -> RateLimitItem | None:
        """``public_rate_limit``, parsed."""
        return parse(self.public_rate_limit) if self.public_rate_limit else None

    @property
    def login_limit(self) -> RateLimitItem | None:
        """``login_rate_limit``, parsed."""
        return parse(self.login_rate_limit) if self.login_rate_limit else None

    @property
    def proxy_networks(self) -> list[IPv4Network | IPv6Network]:
        """``trusted_proxies``, parsed."""
        return [ip_network(network, strict=False) for network in self.trusted_proxies]


@lru_cache
def get_settings() -> Settings:
    """Return the settings of this process; tests build ``Settings(...)`` themselves."""
    return Settings()
