"""For how long what was said can be changed: enough for a slip, too short to rewrite what was agreed."""

from datetime import datetime, timedelta
from typing import Final

from api.core.db import now
from api.core.errors import AppError

EDITABLE_FOR: Final = timedelta(minutes=15)


class NoLongerEditable(AppError):
    """A comment can be changed or taken back for 15 minutes, and only once taken back."""

    status = 409
    code = "no_longer_editable"


def is_recent(moment: datetime) -> bool:
    """Tell whether what was said then can still be changed."""
    return now() - moment <= EDITABLE_FOR
