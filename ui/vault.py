"""Where the tokens of signed-in browsers live: a small SQLite file that survives a restart of the UI.

The browser holds a random cookie and nothing else. Rows are found by the cookie's hash and sealed with a key
made from the cookie, so the file alone signs nobody in. Every tab and every process of the UI goes through
here, because a refresh token works once: the API ends the whole session when one is used again.
"""

import base64
import hashlib
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ui.client import SIGNED_OUT, ApiError, Tokens

KEPT = timedelta(days=90)
"""How long an unused sign-in is kept; the API's refresh token usually ends earlier."""
HAND_OVER = timedelta(seconds=60)
LOCK_WAIT = timedelta(seconds=30)
"""Longer than one refresh may take, so that a waiting tab gets its result, not an error."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, sealed BLOB NOT NULL, expires_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS hand_overs (id TEXT PRIMARY KEY, sealed BLOB NOT NULL, expires_at REAL NOT NULL);
"""


class Vault:
    """The sign-ins of this UI, shared by its tabs, threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made before SQLite opens it, so that no other account can read it even for a moment.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        with self._open() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)

    def keep(self, tokens: Tokens) -> str:
        """Store a new sign-in and return the cookie that opens it."""
        cookie = secrets.token_urlsafe(32)
        now = time.time()
        with self._open() as db:
            for table in ("sessions", "hand_overs"):
                db.execute(f"DELETE FROM {table} WHERE expires_at < ?", (now,))  # noqa: S608 - two literals
            _write(db, cookie, tokens)
        return cookie

    def read(self, cookie: str) -> Tokens | None:
        """Return the tokens of a sign-in, None when it ended or never was."""
        with self._open() as db:
            return _read(db, cookie)

    def renew(self, cookie: str, refused: str, refresh: Callable[[str], Tokens]) -> Tokens | None:
        """Replace the access token ``refused``, once for all tabs; None when the sign-in is over.

        Holds the write lock of the file while ``refresh`` asks the API: whoever comes second waits, reads
        again, and finds the new tokens instead of using the old refresh token a second time.

        Raises:
            ApiError: the API could not be asked; the sign-in is kept.
        """
        with self._open() as db, _locked(db):
            tokens = _read(db, cookie)
            if tokens is None or tokens.access != refused:
                return tokens
            try:
                tokens = refresh(tokens.refresh)
            except ApiError as error:
                if error.status != SIGNED_OUT:
                    raise
                db.execute("DELETE FROM sessions WHERE id = ?", (_id(cookie),))
                return None
            _write(db, cookie, tokens)
            return tokens

    def forget(self, cookie: str) -> None:
        """End a sign-in."""
        with self._open() as db:
            db.execute("DELETE FROM sessions WHERE id = ?", (_id(cookie),))

    def hand_over(self, cookie: str) -> str:
        """Return a code that can be exchanged for the cookie once, within a minute."""
        code = secrets.token_urlsafe(32)
        sealed = _cipher(code).encrypt(cookie.encode())
        with self._open() as db:
            db.execute(
                "INSERT INTO hand_overs VALUES (?, ?, ?)",
                (_id(code), sealed, time.time() + HAND_OVER.total_seconds()),
            )
        return code

    def redeem(self, code: str) -> str | None:
        """Exchange a code for its cookie; None when it was used, ran out or was never given."""
        query = "DELETE FROM hand_overs WHERE id = ? RETURNING sealed, expires_at"
        with self._open() as db:
            row = db.execute(query, (_id(code),)).fetchone()
        if row is None or row[1] < time.time():
            return None
        return _unseal(code, row[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one short piece of work; SQLite's connections don't like to change threads."""
        db = sqlite3.connect(self._path, timeout=LOCK_WAIT.total_seconds(), isolation_level=None)
        try:
            yield db
        finally:
            db.close()


@contextmanager
def _locked(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _read(db: sqlite3.Connection, cookie: str) -> Tokens | None:
    query = "SELECT sealed FROM sessions WHERE id = ? AND expires_at > ?"
    row = db.execute(query, (_id(cookie), time.time())).fetchone()
    text = _unseal(cookie, row[0]) if row else None
    return Tokens(**json.loads(text)) if text else None


def _write(db: sqlite3.Connection, cookie: str, tokens: Tokens) -> None:
    sealed = _cipher(cookie).encrypt(json.dumps(asdict(tokens)).encode())
    query = "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)"
    db.execute(query, (_id(cookie), sealed, time.time() + KEPT.total_seconds()))


def _id(secret: str) -> str:
    return hashlib.sha256(b"id:" + secret.encode(errors="replace")).hexdigest()


def _cipher(secret: str) -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"mini-crm ui vault")
    return Fernet(base64.urlsafe_b64encode(key.derive(secret.encode(errors="replace"))))


def _unseal(secret: str, sealed: bytes) -> str | None:
    try:
        return _cipher(secret).decrypt(sealed).decode()
    except InvalidToken:
        return None
