"""The job that learns the words of tickets."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from api.core.db import now
from api.settings import Settings
from api.tickets import vocabulary
from api.tickets.vocabulary import KnownWord, WordsRead
from tests.api.live import database_of, running, with_values
from tests.factories import make_client, make_ticket


async def test_the_job_learns_words_once_batch_by_batch_and_leaves_the_last_minute(
    settings: Settings, committed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = with_values(settings, database_url=committed)
    monkeypatch.setattr(vocabulary, "get_settings", lambda: here)
    monkeypatch.setattr(vocabulary, "BATCH", 2)
    async with running(here) as app, database_of(app).sessions() as session:
        client = await make_client(session, name="Иван Сёмин", email="secret@mail.example")
        hour_ago = now() - timedelta(hours=1)
        for title in ("Чайник F21", "Чайники", "Чайник и на"):
            await make_ticket(session, title=title, description=None, client=client, created_at=hour_ago)
        last = await make_ticket(
            session, title="Kettle 4815162342", description=None, client=client, created_at=hour_ago
        )
        await make_ticket(session, title="Fresh", client=client)
        await session.commit()

        for _ in range(2):
            await vocabulary.read_words(timestamp=0)

        known = {row.word: (row.stem, row.tickets) for row in await session.scalars(select(KnownWord))}
        assert known == {
            "чайник": ("чайник", 2),
            "чайники": ("чайник", 1),
            "kettle": ("kettl", 1),
            "иван": ("ива", 4),
            "семин": ("семин", 4),
        }
        assert (await session.scalars(select(WordsRead.ticket_id))).all() == [last.id]
