"""Passwords, tokens and codes, by themselves."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest

from api.core.security import (
    CODE_ALPHABET,
    BadToken,
    Claims,
    PasswordHasher,
    digest,
    issue_access_token,
    random_code,
    random_token,
    read_access_token,
    read_code,
)

KEY = "a-secret-for-tests-of-more-than-32-bytes"


async def test_a_password_fits_its_own_hash_and_no_other() -> None:
    hasher = PasswordHasher(rounds=4)

    stored = await hasher.hash("correct horse")

    assert await hasher.verify("correct horse", stored)
    assert not await hasher.verify("correct horse ", stored)
    assert stored != await hasher.hash("correct horse")
    assert "correct" not in stored


async def test_a_hash_keeps_the_whole_password_and_its_cost() -> None:
    stored = await PasswordHasher(rounds=5).hash("п" * 100)

    assert stored.startswith("$bcrypt-sha256$")
    assert "r=5" in stored
    assert not await PasswordHasher(rounds=5).verify("п" * 99 + "q", stored)


async def test_nobodys_password_is_right_for_an_unknown_account() -> None:
    assert not await PasswordHasher(rounds=4).verify("anything", None)


async def test_nothing_is_hashed_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = PasswordHasher(rounds=4)
    original = hasher._scheme._calc_checksum
    threads: list[int] = []

    def noted(self: object, secret: str) -> str:
        threads.append(threading.get_ident())
        checksum: str = original(self, secret)
        return checksum

    monkeypatch.setattr(hasher._scheme, "_calc_checksum", noted)

    await hasher.verify("x", None)  # makes the hash of nobody first
    await hasher.verify("x", await hasher.hash("x"))

    assert len(threads) == 4
    assert threading.get_ident() not in threads


async def test_hashes_leave_a_core_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    many = PasswordHasher(rounds=4)
    monkeypatch.setattr("os.cpu_count", lambda: None)
    unknown = PasswordHasher(rounds=4)

    assert many._threads._max_workers == 3
    assert unknown._threads._max_workers == 1


async def test_who_gives_up_waiting_leaves_the_place_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    hasher, at_once, most, lock = PasswordHasher(rounds=4), 0, 0, threading.Lock()
    original = hasher._scheme.hash

    def counted(password: str) -> str:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1
        return str(original(password))

    monkeypatch.setattr(hasher._scheme, "hash", counted)
    impatient = [asyncio.create_task(hasher.hash("x")) for _ in range(3)]
    await asyncio.sleep(0.01)
    for task in impatient:
        task.cancel()

    await asyncio.gather(*(hasher.hash("y") for _ in range(3)))

    assert most == 1


def test_a_token_says_who_and_which_session() -> None:
    token = issue_access_token(Claims(7, 9), key=KEY, ttl=timedelta(minutes=1))

    assert read_access_token(token, key=KEY) == Claims(7, 9)


@pytest.mark.parametrize("ttl", [timedelta(seconds=-1), timedelta(days=-365)])
def test_a_token_ends_with_its_time(ttl: timedelta) -> None:
    token = issue_access_token(Claims(7, 9), key=KEY, ttl=ttl)

    with pytest.raises(BadToken):
        read_access_token(token, key=KEY)


def test_random_tokens_are_long_and_differ() -> None:
    tokens = {random_token() for _ in range(100)}

    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {43}  # 256 bits in Base64
    assert len({digest(token) for token in tokens}) == 100


def test_codes_are_unguessable_and_fit_to_be_read_out() -> None:
    codes = {random_code() for _ in range(200)}

    assert len(codes) == 200
    assert {len(code.replace("-", "")) for code in codes} == {16}  # of 5 bits each: 80
    assert set("".join(codes)) == {*CODE_ALPHABET, "-"}
    assert not set("ILOU") & set("".join(codes))


@pytest.mark.parametrize(
    "typed",
    [
        "7KQ2-M9TD-3XWB-A510",
        "7kq2m9td3xwba510",
        " 7KQ2 M9TD 3XWB A510 ",
        "7KQ2-M9TD-3XWB-A5IO",
        "7kq2-m9td-3xwb-a5lo",
        "7KQ2M9TD-3XWBA510",
        "7KQ2\tM9TD\n3XWB A510",
    ],
)
def test_a_code_is_read_however_it_is_typed(typed: str) -> None:
    assert read_code(typed) == "7KQ2-M9TD-3XWB-A510"


@pytest.mark.parametrize(
    "typed",
    ["", "-", "7KQ2-M9TD-3XWB-A51", "7KQ2-M9TD-3XWB-A5100", "7KQ2-M9TD-3XWB-A51U", "7KQ2_M9TD_3XWB_A510"],
)
def test_what_cannot_be_a_code_is_none(typed: str) -> None:
    assert read_code(typed) is None


def test_a_token_that_was_good_before_is_refused_once_it_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue_access_token(Claims(7, 9), key=KEY, ttl=timedelta(minutes=1))
    assert read_access_token(token, key=KEY) == Claims(7, 9)  # and is remembered
    later = time.time() + 62

    monkeypatch.setattr("api.core.security.time.time", lambda: later)

    with pytest.raises(BadToken):
        read_access_token(token, key=KEY)


def test_a_token_that_was_good_before_is_refused_with_another_key() -> None:
    token = issue_access_token(Claims(7, 9), key=KEY, ttl=timedelta(minutes=1))
    read_access_token(token, key=KEY)

    with pytest.raises(BadToken):
        read_access_token(token, key=KEY[::-1] + "x")


def test_the_role_in_a_token_is_read_as_it_was_written() -> None:
    for role in (None, "admin", "anything"):
        token = issue_access_token(Claims(7, 9, role), key=KEY, ttl=timedelta(minutes=1))

        assert read_access_token(token, key=KEY) == Claims(7, 9, role)
