"""The API's operations as the pages use them. Sync, because Streamlit scripts are."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ui.caller import PREFIX, SIGNED_OUT, STALE, ApiError, Caller, Json

__all__ = ["PREFIX", "SIGNED_OUT", "STALE", "ApiError", "Client", "Json", "Tokens"]


@dataclass(frozen=True)
class Tokens:
    """What the API gave at sign-in."""

    access: str
    refresh: str
    expires_at: float
    """When ``access`` runs out: seconds since the epoch, by this machine's clock."""

    @classmethod
    def from_answer(cls, answer: Json) -> "Tokens":
        """Read the answer of the sign-in and of the refresh."""
        return cls(
            str(answer["access_token"]),
            str(answer["refresh_token"]),
            time.time() + float(answer["expires_in"]),
        )


class Client(Caller):
    """Asks the API on behalf of one signed-in user, or of nobody."""

    # --- signing in

    def login(self, username: str, password: str) -> Tokens:
        """Exchange a name (or e-mail) and password for tokens."""
        body = {"username": username, "password": password}
        return Tokens.from_answer(self._call("POST", "/auth/login", json=body, signed=False))

    def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token, which works once, for new tokens."""
        body = {"refresh_token": refresh_token}
        return Tokens.from_answer(self._call("POST", "/auth/refresh", json=body, signed=False))

    def register(self, form: Json) -> Json:
        """Make a client's account."""
        return self._object("POST", "/auth/register", json=form, signed=False)

    def logout(self, *, everywhere: bool = False) -> None:
        """End this session, or every session of the user."""
        self._call("POST", "/auth/logout-all" if everywhere else "/auth/logout")

    def me(self) -> Json:
        """Return the signed-in user."""
        return self._object("GET", "/auth/me")

    def update_me(self, changes: Json) -> Json:
        """Change the own name, phone or language."""
        return self._object("PATCH", "/auth/me", json=changes)

    def change_password(self, current: str, new: str) -> None:
        """Set another password; the other sessions end."""
        self._call("POST", "/auth/password", json={"current_password": current, "new_password": new})

    # --- tickets

    def tickets(self, **filters: Any) -> Json:
        """Return one page of the tickets the caller may see."""
        return self._object("GET", "/tickets", params=filters)

    def ticket(self, ticket_id: int) -> tuple[Json, str]:
        """Return a ticket and its ETag."""
        return self._single(f"/tickets/{ticket_id}")

    def create_ticket(self, form: Json, key: str) -> Json:
        """Make a ticket; ``key`` makes a second click harmless."""
        return self._object("POST", "/tickets", json=form, key=key)

    def update_ticket(self, ticket_id: int, changes: Json, etag: str) -> Json:
        """Change fields of a ticket that is still as it was read."""
        return self._object("PATCH", f"/tickets/{ticket_id}", json=changes, etag=etag)

    def delete_ticket(self, ticket_id: int) -> None:
        """Remove a ticket for good."""
        self._call("DELETE", f"/tickets/{ticket_id}")

    def move(self, ticket_id: int, action: str, **body: Any) -> Json:
        """Do ``take``, ``complete``, ``assign`` … to a ticket."""
        return self._object("POST", f"/tickets/{ticket_id}/{action}", json=body)

    def history(self, ticket_id: int, **page: Any) -> Json:
        """Return what happened to a ticket, oldest first."""
        return self._object("GET", f"/tickets/{ticket_id}/history", params=page)

    def stats(self, **filters: Any) -> Json:
        """Return the figures of a period."""
        return self._object("GET", "/tickets/stats", params=filters)

    # --- without an account

    def submit(self, form: Json, key: str) -> Json:
        """Send a request; works without signing in."""
        return self._object("POST", "/public/tickets", json=form, key=key, signed=False)

    def track(self, code: str) -> Json:
        """Return what the holder of a code may know."""
        return self._object("GET", f"/public/tickets/{quote(code, safe='')}", signed=False)

    def cancel_by_code(self, code: str, reason: str) -> Json:
        """Call a request off by its code."""
        path = f"/public/tickets/{quote(code, safe='')}/cancel"
        return self._object("POST", path, json={"reason": reason}, signed=False)

    # --- clients and users

    def clients(self, **filters: Any) -> Json:
        """Return one page of clients."""
        return self._object("GET", "/clients", params=filters)

    def client(self, client_id: int) -> tuple[Json, str]:
        """Return a client and the ETag."""
        return self._single(f"/clients/{client_id}")

    def create_client(self, form: Json, key: str) -> Json:
        """Add a client."""
        return self._object("POST", "/clients", json=form, key=key)

    def update_client(self, client_id: int, changes: Json, etag: str) -> Json:
        """Change a client that is still as it was read."""
        return self._object("PATCH", f"/clients/{client_id}", json=changes, etag=etag)

    def delete_client(self, client_id: int) -> None:
        """Remove a client without tickets."""
        self._call("DELETE", f"/clients/{client_id}")

    def users(self, **filters: Any) -> Json:
        """Return one page of users."""
        return self._object("GET", "/users", params=filters)

    def user(self, user_id: int) -> tuple[Json, str]:
        """Return a user and the ETag."""
        return self._single(f"/users/{user_id}")

    def create_user(self, form: Json, key: str) -> Json:
        """Add a user."""
        return self._object("POST", "/users", json=form, key=key)

    def update_user(self, user_id: int, changes: Json, etag: str) -> Json:
        """Change a user that is still as it was read."""
        return self._object("PATCH", f"/users/{user_id}", json=changes, etag=etag)

    def deactivate_user(self, user_id: int, reassign_to: int | None = None) -> None:
        """Shut an account; open tickets go to ``reassign_to``."""
        self._call("DELETE", f"/users/{user_id}", params={"reassign_to": reassign_to})

    # --- the conversation, of a ticket (``tickets/7``) or of whoever has its code (``public/CODE``)

    def comments(self, place: str, **page: Any) -> Json:
        """Return one page of what was said, newest first."""
        return self._object("GET", f"{_at(place)}/comments", params=page, signed=_is_signed(place))

    def attachments(self, place: str, **page: Any) -> Json:
        """Return one page of the files, oldest first."""
        return self._object("GET", f"{_at(place)}/attachments", params=page, signed=_is_signed(place))

    def mark_read(self, ticket_id: int, comment_id: int) -> None:
        """Say how far the reader has read."""
        self._call("POST", f"/tickets/{ticket_id}/read", json={"comment_id": comment_id})

    def reopen_by_code(self, code: str, reason: str) -> Json:
        """Send work back by its code."""
        path = f"/public/tickets/{quote(code, safe='')}/reopen"
        return self._object("POST", path, json={"reason": reason}, signed=False)

    def claim(self, code: str) -> Json:
        """Tie the request with this code to the reader's account."""
        return self._object("POST", "/tickets/claim", json={"code": code})

    # --- the pool: offers of workers, each with its dialog

    def offers(self, ticket_id: int | None = None, **filters: Any) -> Json:
        """Return one page of the offers the reader takes part in, on one ticket or on all."""
        path = "/responses" if ticket_id is None else f"/tickets/{ticket_id}/responses"
        return self._object("GET", path, params=filters)

    def make_offer(self, ticket_id: int, text: str, key: str) -> Json:
        """Offer to do a published ticket."""
        return self._object("POST", f"/tickets/{ticket_id}/responses", json={"text": text}, key=key)

    def offer_messages(self, offer_id: int, **page: Any) -> Json:
        """Return one page of the dialog about an offer, oldest first unless asked otherwise."""
        return self._object("GET", f"/responses/{offer_id}/messages", params=page)

    def say_about_offer(self, offer_id: int, text: str, key: str) -> Json:
        """Say something about an offer."""
        return self._object("POST", f"/responses/{offer_id}/messages", json={"text": text}, key=key)

    def accept_offer(self, offer_id: int) -> Json:
        """Give the ticket to the worker who offered."""
        return self._object("POST", f"/responses/{offer_id}/accept")


def _is_signed(place: str) -> bool:
    return not place.startswith("public/")


def _at(place: str) -> str:
    kind, _, name = place.partition("/")
    return f"/public/tickets/{quote(name, safe='')}" if kind == "public" else f"/tickets/{name}"
