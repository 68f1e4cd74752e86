"""Statements that are made once and sent many times.

Making a statement of twenty columns, and looking for it among those compiled before, takes
SQLAlchemy longer than PostgreSQL takes to answer it. What is asked most is kept as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import BindParameter, ColumnElement, Row, Select, bindparam
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session as SyncSession
from sqlalchemy.types import TypeEngine

_DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own


def written(value: Any, kind: type[TypeEngine[Any]] | TypeEngine[Any]) -> ColumnElement[Any]:
    """Return ``value`` as it stands in the statement's text, not as a parameter.

    A plan that serves any parameter cannot use an index on part of the rows, nor know how few are
    wanted (measured at 2-3 times the cost). Only for values of the program: each makes a statement.
    """
    return bindparam(None, value, kind, literal_execute=True)


def parameter(name: str, kind: type[TypeEngine[Any]] | TypeEngine[Any]) -> BindParameter[Any]:
    """Return a place in a statement for a value that is given when it is sent."""
    return bindparam(name, None, kind, required=False)


@dataclass(frozen=True, slots=True)
class Ready:
    """A statement as PostgreSQL reads it, with the names of its parameters in their order."""

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]

    @classmethod
    def made(cls, statement: Select[*tuple[Any, ...]]) -> Self:
        """Compile ``statement``; each :func:`parameter` in it is given its value when it is sent."""
        compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        names = tuple(compiled.positiontup or ())
        return cls(
            compiled.string,
            names,
            {name: value for name in names if (value := compiled.params[name]) is not None},
        )

    async def ask(self, session: AsyncSession, values: Mapping[str, Any]) -> Sequence[Row[*tuple[Any, ...]]]:
        """Send it, and return its rows as the driver reads them: enums are text."""
        known = {**self.constants, **values}
        given = tuple(known[name] for name in self.names)

        def send(session: SyncSession) -> Sequence[Row[*tuple[Any, ...]]]:
            return session.connection().exec_driver_sql(self.text, given).all()

        # In one go: each call of the asynchronous session changes to SQLAlchemy's own stack and back.
        return await session.run_sync(send)
