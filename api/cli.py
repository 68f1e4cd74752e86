"""``python -m api.cli``: what an operator does to the shop's database by hand."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TypeVar

from alembic import command
from alembic.config import Config
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from api.auth import accounts
from api.auth.models import Role
from api.core.db import Database
from api.core.errors import AppError
from api.core.operation import newest_revision
from api.core.processes import CannotRun
from api.core.security import PasswordHasher
from api.settings import Environment, Settings
from api.tickets import counters
from api.tickets.imports import loader, reader
from api.tickets.imports.loader import Known
from api.tickets.imports.reader import Content
from api.users import service as users
from api.users.schemas import UserCreate

ROOT: Final = Path(__file__).resolve().parent.parent
SAMPLE: Final = ROOT / "api" / "demo" / "open_repair_tickets.jsonl"
DONE, FAILED, BAD_LINES = 0, 1, 3
"""Exit codes; 2 is argparse's own, for a command it does not understand."""
BAD_LINES_SHOWN: Final = 50
UNDEFINED_TABLE: Final = "42P01"

T = TypeVar("T")


class _Given(BaseSettings):
    """Whether a database is named; read from where ``Settings`` reads."""

    model_config = Settings.model_config

    database_url: str = ""


def _settings(database_url: str) -> Settings:
    try:
        return Settings(database_url=database_url)
    except ValidationError as error:
        problems = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise CannotRun(f"The settings are not right: {problems}.") from error


@contextmanager
def _database(options: argparse.Namespace) -> Iterator[Settings]:
    """Yield the settings, with the database of ``DATABASE_URL``, else that of ``make run``."""
    with ExitStack() as stack:
        url = _Given().database_url
        if not url:
            try:
                from api.core.embedded import borrowed  # noqa: PLC0415  containers have no embedded server
            except ImportError as error:
                raise CannotRun("Set DATABASE_URL to the database.") from error
            url = stack.enter_context(borrowed(options.data_dir / "postgres"))
            config = Config(ROOT / "alembic.ini")
            config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
            command.upgrade(config, "head")
        yield _settings(url)


async def _with(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do ``work`` on a database that answers and has today's tables."""
    database = Database.connect(settings)
    where = database.engine.url.render_as_string(hide_password=True)
    try:
        async with database.reads() as session:
            revision = await session.scalar(text("SELECT version_num FROM alembic_version"))
        if revision != newest_revision():
            raise CannotRun("The database has older tables: run `alembic upgrade head` first.")
        return await work(database)
    except SQLAlchemyError as error:
        if getattr(getattr(error, "orig", None), "sqlstate", None) == UNDEFINED_TABLE:
            raise CannotRun("The database has no tables: run `alembic upgrade head` first.") from error
        reason = str(getattr(error, "orig", error)).rpartition(">: ")[2].splitlines()[0]
        raise CannotRun(f"The database {where} refuses: {reason}.") from error
    except OSError as error:
        raise CannotRun(f"The database {where} cannot be reached: {error}.") from error
    finally:
        await database.engine.dispose()


def _import(options: argparse.Namespace) -> int:
    """Load tickets from a file."""
    path: Path = options.file
    if not path.is_file():
        raise CannotRun(f"{path} is not a file.")
    nothing_yet = not _Given().database_url and not (options.data_dir / "postgres" / "cluster").exists()
    if options.dry_run and nothing_yet:
        # A dry run makes nothing, also no database.
        content = reader.read(path, region=_settings("postgresql+asyncpg://").phone_region)
        return _report(path, content, Known(fresh=content.entries), written=None)
    with _database(options) as settings:
        content = reader.read(path, region=settings.phone_region)
        known, written = asyncio.run(_with(settings, lambda db: _load(db, settings, content, options)))
        return _report(path, content, known, written=written)


def _demo(options: argparse.Namespace) -> int:
    """Load the sample that comes with the program."""
    with _database(options) as settings:
        if settings.env is not Environment.LOCAL:
            raise CannotRun(f"Sample data does not belong into ENV={settings.env.value}.")
    options.file, options.dry_run = SAMPLE, False
    return _import(options)


async def _load(
    database: Database, settings: Settings, content: Content, options: argparse.Namespace
) -> tuple[Known, int | None]:
    async with database.reads() as session:
        known = await loader.look_up(session, content.entries)
    if options.dry_run:
        return known, None
    if not known.fresh:
        return known, 0
    hasher = PasswordHasher(settings.password_hash_rounds)
    async with database.sessions.begin() as session:
        # Made where no user exists, so before the sample's workers do.
        await accounts.create_first_accounts(session, hasher=hasher, settings=settings)
    with tqdm(total=len(known.fresh), unit=" tickets", disable=None) as bar:
        written = await loader.load(
            database, known, hasher=hasher, colleague=settings.worker_username, progress=bar.update
        )
    return known, written


def _report(path: Path, content: Content, known: Known, *, written: int | None) -> int:
    """Tell what became of each line; return the exit code."""
    bad = sorted([*content.bad, *known.bad], key=lambda line: line.number)
    shown = bad if written is None else bad[:BAD_LINES_SHOWN]
    for line in shown:
        print(f"line {line.number}: {line.reason}", file=sys.stderr)
    if len(shown) < len(bad):
        print(f"… and {len(bad) - len(shown)} more; --dry-run lists them all", file=sys.stderr)
    if content.unread:
        print(f"Columns that are not read: {', '.join(sorted(map(str, content.unread)))}")
    new = f"{len(known.fresh)} would be new" if written is None else f"{written} imported"
    print(f"{path.name}: {content.lines} lines, {new}, {known.known} known already, {len(bad)} bad")
    if written is None:
        print("Nothing was written.")
    elif not written:
        print("Nothing changed.")
    return BAD_LINES if bad else DONE


def _rebuild_stats(options: argparse.Namespace) -> int:
    """Count all tickets anew; others go on writing meanwhile."""
    with _database(options) as settings:
        print(f"{asyncio.run(_with(settings, counters.rebuild))} tickets were counted.")
    return DONE


def _create_admin(options: argparse.Namespace) -> int:
    """Make an account that may do everything."""
    password = _password(from_stdin=options.password_stdin)
    try:
        new = UserCreate(username=options.username, password=password, role=Role.ADMIN)
    except ValidationError as error:
        wrong = {problem["loc"][0] for problem in error.errors(include_input=False)}
        if "username" in wrong:
            raise CannotRun("A username has 3 to 64 letters, digits and . _ - between them.") from error
        raise CannotRun("A password has 8 to 128 characters.") from error
    with _database(options) as settings:
        hasher = PasswordHasher(settings.password_hash_rounds)

        async def create(database: Database) -> None:
            async with database.sessions.begin() as session:
                await users.create(session, new, hasher=hasher, region=settings.phone_region)

        try:
            asyncio.run(_with(settings, create))
        except AppError as error:
            raise CannotRun(f"Admin {options.username} was not made: {error.detail}.") from error
    print(f"Admin {options.username} was made.")
    return DONE


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise CannotRun("The two passwords differ.")
    return first


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api.cli", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        added.set_defaults(run=run)
        added.add_argument(
            "--data-dir",
            type=Path,
            default=ROOT / ".data",
            help="where `make run` keeps its database, used when DATABASE_URL is not set (default .data)",
        )
        return added

    importing = add("import", _import)
    importing.add_argument("file", type=Path, metavar="FILE", help="JSON lines, or CSV with a header; UTF-8")
    importing.add_argument("--dry-run", action="store_true", help="list every bad line and write nothing")
    add("demo", _demo)
    add("rebuild-stats", _rebuild_stats)
    admin = add("create-admin", _create_admin)
    admin.add_argument("username", metavar="USERNAME")
    admin.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (CannotRun, reader.Unreadable) as error:
        print(error, file=sys.stderr)
        return FAILED
    return code


if __name__ == "__main__":
    sys.exit(main())
