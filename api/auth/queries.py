"""Who asks: the one rule of whose token is good, for statements of its own and inside of others."""

from typing import Any, Final

from sqlalchemy import CTE, BigInteger, DateTime, literal_column, select

from api.auth.models import Role, User, UserSession
from api.core.db import now
from api.core.ready import parameter
from api.core.security import Claims

CALLER: Final = parameter("caller_id", BigInteger)
"""The caller's id, in a statement that is given :func:`parameters`."""

_LIVE: Final = (
    User.id == CALLER,
    User.is_active,
    UserSession.user_id == User.id,
    UserSession.id == parameter("session_id", BigInteger),
    UserSession.revoked_at.is_(None),
    UserSession.expires_at > parameter("moment", DateTime(timezone=True)),
)

LIVE: Final = select(User).select_from(User, UserSession).where(*_LIVE)
"""The user of a live session."""


def parameters(claims: Claims) -> dict[str, Any]:
    """Return what :data:`LIVE` and :func:`me` want to know."""
    return {"caller_id": claims.user_id, "session_id": claims.session_id, "moment": now()}


def me(role: Role) -> CTE:
    """Return the caller as a table of one row, or of none if they are not signed in as a ``role``.

    For a statement that reads from this table first, and so answers nothing to anybody else.
    """
    return (
        select(User.id, User.username, User.name, User.phone, User.email)
        .select_from(User, UserSession)
        # Written out, as all that is the same whenever a statement is sent.
        .where(*_LIVE, User.role == literal_column(f"'{role.value}'"))
        .cte("me")
    )
