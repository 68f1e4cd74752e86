"""Search of tickets: what people type finds what they mean, and no character has a power of its own."""

import json
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role
from api.core.db import now
from api.tickets.models import Ticket
from api.tickets.states import Status
from api.tickets.vocabulary import read_batch
from tests.conftest import ROOT, SignIn
from tests.factories import make_client, make_pooled, make_ticket, make_user

SAMPLE: Path = ROOT / "api" / "demo" / "open_repair_tickets.jsonl"

PEOPLE: dict[str, dict[str, Any]] = {
    "washer": {"name": "Иван Петров", "phone": "+7 912 345-67-89", "email": "ivan.petrov@mail.example"},
    "machine": {"name": "Ann O'Neill", "phone": "+44 20 7946 0958", "email": "ann@mail.example"},
    "kettle": {"name": "Фёдор Сёмин", "phone": None, "email": "semin@post.example"},
    "sensor": {"name": "«Ромашка»", "phone": "8 800 555-35-35", "email": None},
}
TICKETS: dict[str, dict[str, Any]] = {
    "washer": {
        "title": "Стиральная машина не сливает воду",
        "description": "Гудит насос, на дисплее ошибка F21",
        "address": "ул. Ленина, 12",
        "code": "7KQ2-M9TD-3XWB-A5RP",
    },
    "machine": {
        "title": "Washing machine leaks",
        "description": "Water on the floor after every spin",
        "code": "0000-0000-0000-0001",
    },
    "kettle": {
        "title": "Чайник под ёлочкой",
        "description": "Trips its fuse; kettle of 1998, неисправность",
        "code": "0000-0000-0000-0002",
    },
    "sensor": {
        "title": "Humidity sensor shows 100%",
        "description": 'Log in C:\\temp\\a_b.txt says "don\'t"',
        "code": "0000-0000-0000-0003",
    },
}
FOUND = [
    # words in other forms, Russian and English
    ("стиральные машины", "washer"),
    ("СТИРАЛЬНУЮ МАШИНУ", "washer"),
    ("насоса", "washer"),
    ("сливать", "washer"),
    ("leaking", "machine"),
    ("washed machines", "machine"),
    ("чайником", "kettle"),
    # beginnings of words
    ("стирал маш", "washer"),
    ("wash mach", "machine"),
    ("humid", "sensor"),
    ("f2", "washer"),
    ("неисправнос", "kettle"),
    ("неисправности", "kettle"),
    ("humidit", "sensor"),
    # several words, across ticket, address and client
    ("петров стиральная", "washer"),
    ("ленина 12 насос", "washer"),
    ("o'neill floor", "machine"),
    ("ромашка humidity", "sensor"),
    # a phone in any writing
    ("+7 912 345-67-89", "washer"),
    ("+79123456789", "washer"),
    ("8 (912) 345-67-89", "washer"),
    ("89123456789", "washer"),
    ("912 345 67 89", "washer"),
    ("8912345", "washer"),
    ("912.345", "washer"),
    ("8 800 555-35-35", "sensor"),
    ("+44 20 7946 0958", "machine"),
    ("020 7946 0958", "machine"),
    # an e-mail
    ("ivan.petrov@mail.example", "washer"),
    ("IVAN.PETROV@MAIL.EXAMPLE", "washer"),
    ("ann@mail", "machine"),
    # the code
    ("7KQ2-M9TD-3XWB-A5RP", "washer"),
    ("7kq2m9td3xwba5rp", "washer"),
    ("7kq2-m9td", "washer"),
    ("7KQ2M9", "washer"),
    # ё is written e
    ("елочка", "kettle"),
    ("ЁЛОЧКА", "kettle"),
    ("федор семин", "kettle"),
    # words without weight count for nothing among others
    ("машина не сливает на дисплее", "washer"),
    ("the water on the floor", "machine"),
    # signs are no operators and no wildcards
    ("100%", "sensor"),
    ("a_b", "sensor"),
    ("c:\\temp\\a_b.txt", "sensor"),
    ('"humidity sensor"', "sensor"),
    ("kettle:*", "kettle"),
    ("!kettle", "kettle"),
    ("kettle & fuse", "kettle"),
    ("<kettle>", "kettle"),
    ("  kettle\n", "kettle"),
]
NOT_FOUND = [
    "kettle | washing",
    "kettle washing",
    "ket_le",
    "k%ttle",
    "k*ttle",
    "ettle",
    "7KQ2-M9TD-3XWB-A5RQ",
    "+7 912 345-67-80",
    "bob@mail.example",
    "';DROP TABLE tickets;--",
    "%",
    "_",
    "\\",
    "'",
    '"',
    ":*",
    "&|!",
    "()",
    "<->",
    "💥",
    "\u200b",
    "x" * 5_000,
    "kettle " * 700,
    "9" * 5_000,
    "%" * 5_000,
    "'" * 9_999,
]


@pytest.fixture
async def shop(session: AsyncSession, sign_in: SignIn) -> dict[int, str]:
    """Save the tickets above; return their names by id."""
    names = {}
    for name, fields in TICKETS.items():
        client = await make_client(session, **PEOPLE[name])
        names[(await make_ticket(session, client=client, **fields)).id] = name
    await sign_in(await make_user(session, Role.ADMIN))
    return names


async def found(client: AsyncClient, shop: dict[int, str], text: str) -> list[str]:
    response = await client.get("/tickets", params={"search": text})
    assert response.status_code == 200, (text[:50], response.text)
    assert response.json()["total"] == len(response.json()["items"])
    return [shop[item["id"]] for item in response.json()["items"]]


async def test_what_people_type_finds_what_they_mean(client: AsyncClient, shop: dict[int, str]) -> None:
    wrong = [(text, names) for text, name in FOUND if (names := await found(client, shop, text)) != [name]]

    assert wrong == []


async def test_what_is_not_there_is_not_found_whatever_signs_it_has(
    client: AsyncClient, shop: dict[int, str]
) -> None:
    wrong = [(text[:50], names) for text in NOT_FOUND if (names := await found(client, shop, text))]

    assert wrong == []


async def test_words_without_weight_alone_find_themselves_and_what_they_begin(
    client: AsyncClient, shop: dict[int, str]
) -> None:
    assert sorted(await found(client, shop, "на")) == ["washer"]  # насос, and на
    assert await found(client, shop, "the") == ["machine"]
    assert await found(client, shop, "don't") == ["sensor"]
    assert await found(client, shop, "not") == []


@pytest.mark.parametrize("nothing", ["", "   ", "\n"])
async def test_nothing_asked_is_everything_found(
    nothing: str, client: AsyncClient, shop: dict[int, str]
) -> None:
    assert sorted(await found(client, shop, nothing)) == sorted(shop.values())


async def test_search_goes_together_with_filters(client: AsyncClient, shop: dict[int, str]) -> None:
    response = await client.get("/tickets", params={"search": "machine", "status": "done"})

    assert shop
    assert response.json()["items"] == []


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        ({"name": "Мария Кузнецова"}, "петров", "кузнецова"),
        ({"email": "masha@post.example"}, "ivan.petrov@mail.example", "masha@post.example"),
        ({"phone": "+7 999 000-11-22"}, "89123456789", "89990001122"),
    ],
)
async def test_what_is_new_of_a_client_is_found_at_once_and_the_old_no_more(
    change: dict[str, str], old: str, new: str, client: AsyncClient, shop: dict[int, str]
) -> None:
    [ticket_id] = [ticket_id for ticket_id, name in shop.items() if name == "washer"]
    contact = (await client.get(f"/tickets/{ticket_id}")).json()["client"]
    if "name" in change:
        await client.patch(f"/clients/{contact['id']}", json={"email": "someone@post.example"})
    assert await found(client, shop, old) == ["washer"]

    changed = await client.patch(f"/clients/{contact['id']}", json=change)

    assert changed.status_code == 200, changed.text
    assert await found(client, shop, old) == []
    assert await found(client, shop, new) == ["washer"]


@pytest.mark.parametrize("field", ["title", "description", "address"])
async def test_what_is_new_of_a_ticket_is_found_at_once(
    field: str, client: AsyncClient, shop: dict[int, str]
) -> None:
    ticket_id = next(iter(shop))

    await client.patch(f"/tickets/{ticket_id}", json={field: "Unobtainium"})

    assert await found(client, shop, "unobtainium") == [shop[ticket_id]]


async def test_real_requests_are_found_by_their_titles_and_by_the_beginnings_of_its_words(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    with SAMPLE.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in islice(lines, 0, None, 60)]
    clients = [await make_client(session) for _ in range(3)]
    saved = {}
    for n, record in enumerate(records):
        ticket = await make_ticket(
            session, title=record["title"], description=record["description"], client=clients[n % 3]
        )
        saved[ticket.id] = record["title"]
    await sign_in(await make_user(session, Role.ADMIN))
    missed = []

    for ticket_id, title in saved.items():
        beginnings = " ".join(word[: max(3, len(word) - 2)] for word in title.split())
        for text in (title, title.upper(), beginnings):
            items = (await client.get("/tickets", params={"search": text, "size": 100})).json()["items"]
            if ticket_id not in [item["id"] for item in items]:
                missed.append((title, text))

    assert len(saved) > 40
    assert missed == []


PHRASES = [
    ('"стиральная машина"', ["washer"]),
    ('"стиральную машину не сливают"', ["washer"]),  # in any form
    ('"машина стиральная"', []),
    ('"сливает машина"', []),
    ('"washing machine" leak', ["machine"]),
    ('"machine washing"', []),
    ('floor "washing machines"', ["machine"]),
    ('"water on the floor"', ["machine"]),
    ('"water floor"', []),  # two words stand between
    ("«стиральная машина»", ["washer"]),
    ("“washing machine”", ["machine"]),
    ('"mach"', []),  # a word in quotes is a whole word
    ('"насос"', ["washer"]),
    ('"the"', ["machine"]),
    ('"+7 912 345-67-89"', ["washer"]),
    ('"machine washing', ["machine"]),  # not closed: no phrase
    ('washing" machine', ["machine"]),
    ('"" kettle', ["kettle"]),
    ('"leaks water"', ["machine"]),  # a title ends where its description begins
]


@pytest.mark.parametrize(("text", "names"), PHRASES)
async def test_words_between_quotes_are_found_in_their_order(
    text: str, names: list[str], client: AsyncClient, shop: dict[int, str]
) -> None:
    assert await found(client, shop, text) == names


async def highlights(client: AsyncClient, text: str) -> dict[str, list[str]]:
    """Return the matching parts of the one ticket found, field by field."""
    [item] = (await client.get("/tickets", params={"search": text})).json()["items"]
    return {
        one["field"]: [one["text"][at : at + length] for at, length in one["spans"]]
        for one in item["highlight"]
    }


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("стиральную", {"title": ["Стиральная"]}),
        ("насоса дисплей", {"description": ["насос", "дисплее"]}),
        ("ленин 12", {"address": ["Ленина", "12"]}),
        ("петров", {"client_name": ["Петров"]}),
        ("елочка", {"title": ["ёлочкой"]}),
        ("washed water", {"title": ["Washing"], "description": ["Water"]}),
        ('"washing machine"', {"title": ["Washing", "machine"]}),
        ("humidit", {"title": ["Humidity"]}),
        ("8 (912) 345-67", {"client_phone": ["912 345-67"]}),
        ("+79123456789", {"client_phone": ["7 912 345-67-89"]}),
        ("7kq2m9td", {"code": ["7KQ2-M9TD"]}),
        ("7KQ2-M9TD", {"code": ["7KQ2-M9TD"]}),
        ("ann@mail", {"client_name": ["Ann"], "client_email": ["ann", "mail"]}),
        ("a_b", {"description": ["a", "b"]}),
        ("100%", {"title": ["100"]}),
    ],
)
@pytest.mark.usefixtures("shop")
async def test_the_answer_shows_what_matches(
    text: str, parts: dict[str, list[str]], client: AsyncClient
) -> None:
    assert await highlights(client, text) == parts


@pytest.mark.usefixtures("shop")
async def test_nothing_is_marked_where_nothing_is_asked(client: AsyncClient) -> None:
    page = (await client.get("/tickets")).json()

    assert {item["highlight"] for item in page["items"]} == {None}
    assert page["did_you_mean"] is None


async def test_of_a_long_text_the_part_around_the_match_is_shown(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    text = "Слово " * 300 + "<b>сломался</b> \U0001f525 холодильник ночью " + "и " * 300
    await make_ticket(session, title="Fridge", description=text)
    await make_ticket(session, title="холодильник " * 16, description=None)
    await sign_in(await make_user(session, Role.ADMIN))

    items = (await client.get("/tickets", params={"search": "холодильники"})).json()["items"]

    [title], [part] = items[0]["highlight"], items[1]["highlight"]
    assert len(title["spans"]) == 13  # as many as fit
    assert part["field"] == "description"
    assert len(part["text"]) <= 162
    assert part["text"].startswith("…")
    assert part["text"].endswith("…")
    assert "<b>сломался</b> \U0001f525 холодильник ночью" in part["text"]  # as it was written
    [[at, length]] = part["spans"]
    assert part["text"][at : at + length] == "холодильник"


async def test_what_a_caller_does_not_see_is_not_marked_either(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    customer, worker = await make_user(session, Role.CLIENT), await make_user(session)
    shops = await make_client(session, name="Lamp Debtor", email="lamp@mail.example")
    manager = await make_user(session, Role.MANAGER)
    await make_pooled(
        session, manager, title="Lamp", client=shops, account_id=customer.id, address="Lamp street"
    )
    told = {}

    for viewer, pool in ((manager, None), (customer, None), (worker, True)):
        await sign_in(viewer)
        params: dict[str, Any] = {"search": "lamp", **({"pool": True} if pool else {})}
        [item] = (await client.get("/tickets", params=params)).json()["items"]
        told[viewer.role] = [one["field"] for one in item["highlight"]]

    assert told == {
        Role.MANAGER: ["title", "address", "client_name", "client_email"],
        Role.CLIENT: ["title", "address"],
        Role.WORKER: ["title"],
    }


async def test_relevance_puts_the_better_answer_first_on_request(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    best = await make_ticket(session, title="Toaster", description="A toaster that burns every toast")
    much = await make_ticket(session, title="Kitchen", description="Toaster and kettle. The toaster smells")
    some = await make_ticket(session, title="Power cut", description="All is dark. " * 20 + "The toaster too")
    await sign_in(await make_user(session, Role.ADMIN))

    async def ids(**query: Any) -> list[int]:
        page = (await client.get("/tickets", params={"search": "toaster", **query})).json()
        return [item["id"] for item in page["items"]]

    assert await ids() == [some.id, much.id, best.id]
    assert await ids(sort="relevance") == [best.id, much.id, some.id]
    assert await ids(sort="relevance", page=2, size=2) == [some.id]
    first = (
        await client.get("/tickets", params={"search": "toaster", "sort": "relevance", "size": 2})
    ).json()
    assert await ids(sort="relevance", size=2, cursor=first["next_cursor"]) == [some.id]


async def test_relevance_to_nothing_is_refused(client: AsyncClient, shop: dict[int, str]) -> None:
    for params in ({"sort": "relevance"}, {"sort": "relevance", "search": " "}):
        assert shop
        assert (await client.get("/tickets", params=params)).status_code == 422


async def meant(client: AsyncClient, text: str, **query: Any) -> str | None:
    page = (await client.get("/tickets", params={"search": text, **query})).json()
    assert page["items"] == []
    offer: str | None = page["did_you_mean"]
    return offer


SLIPS = [
    ("стиральноя", "стиральная"),  # wrong
    ("стиралная", "стиральная"),  # missing
    ("стираальная", "стиральная"),  # too many
    ("сритальная", None),  # two slips
    ("тсиральная", "стиральная"),  # swapped
    ("kettel", "kettle"),
    ("Humdity sensor", "humidity sensor"),
    ("washing machne", "washing machine"),
    ("wahsing machne", "washing machine"),
    ("петрв стиральноя", "петров стиральная"),
    ('"washing machne"', '"washing machine"'),
    ("чайнки", "чайник"),
    ("kettle washing", None),  # each is there, not both in one
    ("kettle washng", None),
    ("zzzzzz", None),
    ("x" * 5_000, None),
    ("kettel " * 700, None),
    ("kettel " * 17, None),
    ("4815162342", None),
    ("%", None),
]


@pytest.mark.parametrize("known", [False, True])
async def test_a_slip_of_the_pen_offers_what_exists(
    known: bool,  # noqa: FBT001  whether the job has read the tickets
    client: AsyncClient,
    session: AsyncSession,
    shop: dict[int, str],
) -> None:
    if known:
        await session.execute(update(Ticket).values(created_at=now() - timedelta(hours=1)))
        assert await read_batch(session) == len(shop)
        assert await read_batch(session) == 0
        await session.commit()
    wrong = [(text[:40], was, offer) for text, offer in SLIPS if (was := await meant(client, text)) != offer]

    assert wrong == []


async def test_what_is_offered_finds_something(client: AsyncClient, shop: dict[int, str]) -> None:
    for text, offer in SLIPS:
        if offer:
            assert await found(client, shop, offer), text


async def test_a_form_of_the_word_is_offered_where_it_stands_in_no_other(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    await make_ticket(session, title="Нет холодильника", created_at=now() - timedelta(hours=1))
    await read_batch(session)
    await sign_in(await make_user(session, Role.ADMIN))

    assert await meant(client, "хлодильник") == "холодильника"


async def test_nobody_is_offered_a_word_of_tickets_they_cannot_see(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn
) -> None:
    worker, customer = await make_user(session), await make_user(session, Role.CLIENT)
    debtor = await make_client(session, name="Samovarov Debtor", email="d@mail.example")
    publisher = await make_user(session, Role.MANAGER)
    old = now() - timedelta(hours=1)
    await make_pooled(session, publisher, title="Dishwasher", client=debtor, created_at=old)
    await make_ticket(
        session, title="Fridge", client=debtor, worker=worker, status=Status.ASSIGNED, created_at=old
    )
    await make_ticket(session, title="Microwave", client=debtor, account_id=customer.id, created_at=old)
    await read_batch(session)
    typed = ("dishwahser", "frigde", "micrwave", "samovrov")
    offered = {}

    for viewer, pool in ((publisher, {}), (worker, {}), (worker, {"pool": True}), (customer, {})):
        await sign_in(viewer)
        offered[viewer.role, bool(pool)] = [await meant(client, text, **pool) for text in typed]

    assert offered == {
        (Role.MANAGER, False): ["dishwasher", "fridge", "microwave", "samovarov"],
        (Role.WORKER, False): [None, "fridge", None, "samovarov"],  # a worker calls the client by name
        (Role.WORKER, True): ["dishwasher", None, None, None],
        (Role.CLIENT, False): [None, None, "microwave", None],
    }


async def test_filters_hold_for_what_is_offered(client: AsyncClient, shop: dict[int, str]) -> None:
    assert shop
    assert await meant(client, "kettel", status="new") == "kettle"
    assert await meant(client, "kettel", status="done") is None
