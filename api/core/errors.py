"""Errors a caller can cause. Raise them anywhere; ``problems`` turns them into HTTP."""

from collections.abc import Mapping
from typing import Any, ClassVar


class AppError(Exception):
    """An expected refusal, told to the caller as an RFC 9457 problem.

    Subclasses live next to the rule they protect. ``code`` is part of the public API:
    callers branch on it, so it never changes once released. Keyword arguments become
    members of the problem beside ``detail``.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    headers: ClassVar[Mapping[str, str]] = {}
    keeps_changes: ClassVar[bool] = False
    """Whether what the request changed before it was refused is committed all the same."""

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members


class NotFound(AppError):
    """The object does not exist, or the caller may not know that it does."""

    status = 404
    code = "not_found"

    def __init__(self, what: str = "resource") -> None:
        super().__init__(f"{what} not found")


class Unauthenticated(AppError):
    """No access token came with the request."""

    status = 401
    code = "unauthenticated"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(AppError):
    """The caller is known and may see the object, but may not do this to it."""

    status = 403
    code = "forbidden"


class Invalid(AppError):
    """The request is malformed; ``errors`` tells where and why."""

    status = 422
    code = "validation_error"

    def __init__(self, detail: str, *errors: Mapping[str, Any]) -> None:
        super().__init__(detail, **({"errors": list(errors)} if errors else {}))


class TooLarge(AppError):
    """The request's body is larger than the API accepts."""

    status = 413
    code = "too_large"


class Unavailable(AppError):
    """The database, or something else that is needed, is away for the moment."""

    status = 503
    code = "unavailable"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


def invalid_field(loc: list[str | int], message: str, kind: str = "value_error") -> Invalid:
    """Return the refusal of one field, shaped like those that schemas raise."""
    return Invalid(message, {"loc": loc, "msg": message, "type": kind})
