"""What every public operation on one ticket begins with."""

from typing import Annotated, Final

from fastapi import Depends, Path

from api.core.errors import NotFound
from api.core.security import read_code
from api.tickets.states import Party

ITS_CLIENT: Final = frozenset({Party.ITS_CLIENT})
"""Whoever has the code is the client."""


def code_of(
    code: Annotated[
        str, Path(max_length=64, description="As given at submission; case and dashes do not matter")
    ],
) -> str:
    """Return the code of the path as it is kept.

    Raises:
        NotFound: (404) nothing has a code like that.
    """
    found = read_code(code)
    if found is None:
        raise NotFound("ticket")
    return found


Code = Annotated[str, Depends(code_of)]
