"""The words that tickets have: read by a job as tickets come, looked into when a search finds nothing."""

from typing import Final

from sqlalchemy import Text, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from api.core.db import Base, Database
from api.core.jobs import jobs
from api.settings import get_settings

BATCH: Final = 2_000


class KnownWord(Base):
    """A word of some ticket or of its client's name; whose it is, nobody can tell from here.

    It stays when its tickets go. Whatever is offered of it is first looked for in what the one who
    asks may see.
    """

    __tablename__ = "known_words"

    word: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    stem: Mapped[str] = mapped_column(Text(collation="C"), index=True)
    tickets: Mapped[int]
    """In how many tickets it was met."""


class WordsRead(Base):
    """One row: the last ticket whose words are known."""

    __tablename__ = "words_read"

    ticket_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


# Names of numbers and codes are not words. The last minute is left for the next time: a ticket with
# a smaller id may be committed after one with a greater.
_READ: Final = text(
    """
    WITH unread AS MATERIALIZED (
      SELECT t.id, search_words(concat_ws(' ', t.title, t.description, t.address, c.name)) AS words
      FROM tickets t JOIN clients c ON c.id = t.client_id
      WHERE t.id > (SELECT coalesce(max(ticket_id), 0) FROM words_read)
        AND t.created_at < now() - interval '1 minute'
      ORDER BY t.id LIMIT :batch
    ), met AS (
      SELECT word, count(DISTINCT id) AS tickets
      FROM unread, unnest(string_to_array(words, ' ')) AS word
      WHERE length(word) BETWEEN 3 AND 32 AND word COLLATE "pg_c_utf8" ~ '^[[:alpha:]]+$'
      GROUP BY word
    ), kept AS (
      INSERT INTO known_words AS known (word, stem, tickets)
      SELECT word, stem, tickets
      FROM met, unnest(tsvector_to_array(to_tsvector('pg_catalog.russian', word))) AS stem
      ORDER BY word
      ON CONFLICT (word) DO UPDATE SET tickets = known.tickets + excluded.tickets
    ), forgotten AS (
      DELETE FROM words_read WHERE EXISTS (SELECT FROM unread)
    ), marked AS (
      INSERT INTO words_read SELECT max(id) FROM unread HAVING max(id) IS NOT NULL
    )
    SELECT count(*) FROM unread
    """
)


async def read_batch(session: AsyncSession, batch: int | None = None) -> int:
    """Learn the words of the next tickets; return how many tickets that were."""
    return int(await session.scalar(_READ, {"batch": batch or BATCH}) or 0)


@jobs.periodic(cron="*/5 * * * *")
@jobs.task(name="read_words", queueing_lock="read_words", lock="read_words")
async def read_words(timestamp: int) -> None:  # noqa: ARG001  the library passes when it was due
    """Learn the words of what came since the last time, a short transaction for each batch."""
    database = Database.connect(get_settings())
    try:
        read = BATCH
        while read == BATCH:
            async with database.sessions.begin() as session:
                read = await read_batch(session)
    finally:
        await database.engine.dispose()
