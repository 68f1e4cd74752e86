"""The one question of who a token belongs to."""

from sqlalchemy import Select, select

from api.auth.models import User, UserSession
from api.core.db import now
from api.core.security import Claims


def caller(claims: Claims) -> Select[User]:
    """Return the SELECT of the user whose live session a token belongs to.

    The database decides, not the token: an account that was deactivated, or whose role or
    password changed, has no live session left.
    """
    return (
        select(User)
        .join(UserSession, UserSession.user_id == User.id)
        .where(
            User.id == claims.user_id,
            User.is_active,
            UserSession.id == claims.session_id,
            UserSession.revoked_at.is_(None),
            UserSession.expires_at > now(),
        )
    )
