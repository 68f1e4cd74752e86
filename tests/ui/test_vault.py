"""The store of sign-ins: survives a restart, rotates once for all tabs, is useless without the cookie."""

import multiprocessing
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ui.client import ApiError, Tokens
from ui.vault import Vault


def tokens(number: int = 1) -> Tokens:
    return Tokens(f"access-{number}", f"refresh-{number}", time.time() + 60)


def test_a_sign_in_survives_a_restart(tmp_path: Path) -> None:
    cookie = Vault(tmp_path / "s.db").keep(tokens())

    assert Vault(tmp_path / "s.db").read(cookie) == tokens_like(1, Vault(tmp_path / "s.db").read(cookie))


def tokens_like(number: int, found: Tokens | None) -> Tokens:
    assert found is not None
    return Tokens(f"access-{number}", f"refresh-{number}", found.expires_at)


def test_a_foreign_or_tampered_cookie_opens_nothing(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "s.db")
    cookie = vault.keep(tokens())

    for other in ("", "x", cookie[:-1], cookie + "a", cookie.swapcase(), "\ud800", "к" * 50):
        assert vault.read(other) is None


def test_the_file_alone_gives_no_token_away(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "s.db")
    cookie = vault.keep(tokens())
    code = vault.hand_over(cookie)

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert (tmp_path / "s.db").stat().st_mode & 0o077 == 0
    for secret in (cookie, code, "access-1", "refresh-1"):
        assert secret.encode() not in stored


def test_a_row_moved_to_another_cookie_does_not_open(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "s.db")
    mine, theirs = vault.keep(tokens(1)), vault.keep(tokens(2))
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as db:
        rows = db.execute("SELECT id, sealed FROM sessions").fetchall()
        db.execute("UPDATE sessions SET sealed = ? WHERE id = ?", (rows[0][1], rows[1][0]))
        db.execute("UPDATE sessions SET sealed = ? WHERE id = ?", (rows[1][1], rows[0][0]))

    assert vault.read(mine) is None
    assert vault.read(theirs) is None


def test_a_forgotten_sign_in_is_over(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "s.db")
    cookie = vault.keep(tokens())
    vault.forget(cookie)

    assert vault.read(cookie) is None
    assert vault.renew(cookie, "access-1", lambda _: tokens(2)) is None


def test_an_old_sign_in_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(tmp_path / "s.db")
    cookie = vault.keep(tokens())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 91 * 24 * 3600)

    assert vault.read(cookie) is None


def test_a_hand_over_code_works_once_and_for_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault(tmp_path / "s.db")
    cookie = vault.keep(tokens())
    code, late = vault.hand_over(cookie), vault.hand_over(cookie)

    assert vault.redeem(code) == cookie
    assert vault.redeem(code) is None
    assert vault.redeem("never given") is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert vault.redeem(late) is None


def test_a_refused_refresh_ends_the_sign_in_an_unanswered_one_does_not(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "s.db")
    cookie = vault.keep(tokens())

    with pytest.raises(ApiError):
        vault.renew(cookie, "access-1", failing(503))
    assert vault.read(cookie) is not None
    assert vault.renew(cookie, "access-1", failing(401)) is None
    assert vault.read(cookie) is None


def failing(status: int) -> Callable[[str], Tokens]:
    def refresh(_: str) -> Tokens:
        raise ApiError(status, "code", "words")

    return refresh


def test_many_threads_use_a_refresh_token_once(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "s.db")
    cookie = vault.keep(tokens(1))
    used: list[str] = []
    found: list[str] = []

    def refresh(token: str) -> Tokens:
        used.append(token)
        time.sleep(0.05)
        return tokens(2)

    def tab() -> None:
        renewed = vault.renew(cookie, "access-1", refresh)
        found.append(renewed.access if renewed else "ended")

    threads = [threading.Thread(target=tab) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert used == ["refresh-1"]
    assert found == ["access-2"] * 12


def _process(path: Path, cookie: str, log: Path, start: float) -> None:
    """Renew ten times in a row, as a process of the UI whose tabs all find their token refused."""

    def refresh(token: str) -> Tokens:
        with log.open("a", encoding="utf-8") as used:
            used.write(f"{token}\n")
        time.sleep(0.01)
        return tokens(int(token.removeprefix("refresh-")) + 1)

    vault = Vault(path)
    time.sleep(max(0.0, start - time.time()))
    for number in range(1, 11):
        assert vault.renew(cookie, f"access-{number}", refresh) is not None


def test_two_processes_use_each_refresh_token_once(tmp_path: Path) -> None:
    path, log = tmp_path / "s.db", tmp_path / "used"
    cookie = Vault(path).keep(tokens(1))
    context = multiprocessing.get_context("spawn")
    arguments = (path, cookie, log, time.time() + 2)
    both = [context.Process(target=_process, args=arguments) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)

    assert [process.exitcode for process in both] == [0, 0]
    assert log.read_text(encoding="utf-8").split() == [f"refresh-{number}" for number in range(1, 11)]
