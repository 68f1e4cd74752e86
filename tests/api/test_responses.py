"""The pool: publishing, offering, the dialogs, and who is chosen."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from httpx import AsyncClient
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.models import Role, User
from api.settings import LOCAL_SECRET_KEY, Settings
from api.tickets.models import Ticket
from api.tickets.responses.models import OfferMessage, OfferStatus
from api.tickets.states import Status
from tests.api.live import caller, running
from tests.conftest import SignIn
from tests.evidence import history, problem, rows, stored
from tests.factories import make_client, make_comment, make_offer, make_pooled, make_ticket, make_user
from tests.processes import Books, books


@dataclass
class Pool:
    """A manager, two workers, a customer, and a ticket that the manager published."""

    manager: User
    worker: User
    rival: User
    customer: User
    ticket: Ticket


@pytest.fixture
async def pool(session: AsyncSession) -> Pool:
    manager = await make_user(session, Role.MANAGER)
    customer = await make_user(session, Role.CLIENT)
    card = await make_client(session, name="Zinaida", phone="+7 912 345-67-89", email="zina@mail.example")
    ticket = await make_pooled(
        session,
        manager,
        title="Kettle",
        description="Does not boil",
        address="12 Lenin street",
        client=card,
        account_id=customer.id,
        created_by=customer.id,
    )
    made = Pool(manager, await make_user(session), await make_user(session), customer, ticket)
    await session.commit()
    return made


async def publish(client: AsyncClient, ticket: Ticket, how: str = "publish") -> httpx.Response:
    return await client.post(f"/tickets/{ticket.id}/{how}")


async def offer(client: AsyncClient, ticket: Ticket, text: str = "Tomorrow at ten") -> httpx.Response:
    return await client.post(f"/tickets/{ticket.id}/responses", json={"text": text})


async def ids(client: AsyncClient, path: str) -> list[int]:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return [row["id"] for row in response.json()["items"]]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER, Role.CLIENT])
async def test_a_new_ticket_is_put_into_the_pool_and_taken_out_again(
    role: Role, client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    publisher = await make_user(session, role)
    ticket = await make_ticket(session, account_id=publisher.id, created_by=publisher.id)
    await sign_in(publisher)

    published = await publish(client, ticket)
    again = await publish(client, ticket)
    await sign_in(pool.worker)
    offered = await ids(client, "/tickets?pool=true&sort=id")
    await sign_in(publisher)
    taken_out = await publish(client, ticket, "unpublish")
    once_more = await publish(client, ticket, "unpublish")

    assert published.status_code == 200, published.text
    assert published.json()["published_at"]
    assert published.headers["ETag"] == again.headers["ETag"] == '"2"'
    assert offered == [pool.ticket.id, ticket.id]
    assert taken_out.json()["published_at"] is None
    assert once_more.headers["ETag"] == taken_out.headers["ETag"] == '"3"'
    assert [line.event for line in await history(session, ticket.id)] == ["published", "unpublished"]
    await sign_in(pool.worker)
    assert await ids(client, "/tickets?pool=true") == [pool.ticket.id]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.NEW])
async def test_only_a_new_ticket_is_published(
    status: Status, client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    ticket = await make_ticket(session, status=status)
    await sign_in(pool.manager)

    problem(await publish(client, ticket), 409, "not_publishable")

    assert (await stored(session, ticket.id)).published_at is None


async def test_who_may_not_publish(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    made_by_staff = await make_ticket(session, account_id=pool.customer.id, created_by=pool.manager.id)
    given = await make_ticket(session, status=Status.ASSIGNED, worker=pool.worker)
    for how in ("publish", "unpublish"):
        await sign_in(pool.customer)
        problem(await publish(client, made_by_staff, how), 403, "forbidden")
        await sign_in(await make_user(session, Role.CLIENT))
        problem(await publish(client, pool.ticket, how), 404, "not_found")
        await sign_in(pool.worker)
        problem(await publish(client, given, how), 403, "forbidden")
        problem(await publish(client, pool.ticket, how), 404, "not_found")


async def test_the_pool_tells_what_is_broken_and_not_whose_it_is(
    client: AsyncClient, sign_in: SignIn, pool: Pool
) -> None:
    await sign_in(pool.worker)

    listed = await client.get("/tickets?pool=true")
    whole = await client.get(f"/tickets/{pool.ticket.id}")

    [row] = listed.json()["items"]
    assert (row["title"], whole.json()["description"]) == ("Kettle", "Does not boil")
    for shown in (row, whole.json()):
        assert [shown[key] for key in ("client", "address", "code", "created_by", "requester_ip")] == [
            *(None, None, None, None, None)
        ]
        assert (shown["unread_comments"], shown["allowed_statuses"], shown["viewed"]) == (0, [], False)
    for secret in ("Zinaida", "345", "zina", "Lenin", pool.ticket.code):
        assert secret not in listed.text + whole.text


async def test_looking_into_the_pool_does_not_count_as_viewed(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    await sign_in(pool.worker)

    await client.get(f"/tickets/{pool.ticket.id}")

    assert (await stored(session, pool.ticket.id)).viewed is False
    assert await history(session, pool.ticket.id) == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("search=kettle", 1),
        ("search=boil", 1),
        ("search=Zinaida", 0),
        ("search=zina@mail.example", 0),
        ("search=79123456789", 0),
        ("search=9123456789", 0),
        ("search=Lenin", 0),
        ("search={code}", 0),
        ("client_id={client}", 0),
    ],
)
async def test_a_worker_cannot_guess_at_whose_it_is(
    filters: str, found: int, client: AsyncClient, sign_in: SignIn, pool: Pool
) -> None:
    query = filters.format(code=pool.ticket.code, client=pool.ticket.client_id)

    await sign_in(pool.manager)
    assert await ids(client, f"/tickets?pool=true&{query}") == [pool.ticket.id]
    await sign_in(pool.worker)
    assert await ids(client, f"/tickets?pool=true&{query}") == [pool.ticket.id] * found


async def test_pool_false_leaves_the_published_out(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    hidden = await make_ticket(session)
    given = await make_pooled(session, pool.manager, status=Status.ASSIGNED, worker=pool.worker)
    await sign_in(pool.manager)

    assert await ids(client, "/tickets?pool=false&sort=id") == [hidden.id, given.id]
    assert await ids(client, "/tickets?pool=true") == [pool.ticket.id]
    await sign_in(pool.worker)
    assert await ids(client, "/tickets?pool=false") == [given.id]
    await sign_in(pool.customer)
    assert await ids(client, "/tickets?pool=true") == [pool.ticket.id]
    await sign_in(await make_user(session, Role.CLIENT))
    assert await ids(client, "/tickets?pool=true") == []


async def test_a_worker_sees_no_more_than_the_ticket_of_what_is_in_the_pool(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    await make_comment(session, pool.ticket)
    await sign_in(pool.worker)
    path = f"/tickets/{pool.ticket.id}"

    for hidden in ("comments", "history", "attachments"):
        problem(await client.get(f"{path}/{hidden}"), 404, "not_found")
    problem(await client.post(f"{path}/comments", json={"text": "Hello"}), 404, "not_found")
    problem(await client.post(f"{path}/read"), 404, "not_found")
    problem(await client.post(f"{path}/attachments", files={"file": ("a.txt", b"A")}), 404, "not_found")
    problem(await client.post(f"{path}/take"), 404, "not_found")
    problem(await client.patch(path, json={"title": "Mine"}), 404, "not_found")


async def test_a_worker_offers_once(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    await sign_in(pool.worker)

    made = await offer(client, pool.ticket, " Tomorrow at ten ")
    before = await rows(session)
    again = await offer(client, pool.ticket)

    assert made.status_code == 201, made.text
    body = made.json()
    assert body["ticket"] == {"id": pool.ticket.id, "title": "Kettle", "status": "new"}
    assert (body["worker"]["id"], body["status"], body["messages_total"]) == (pool.worker.id, "open", 1)
    assert body["last_message"] == "Tomorrow at ten"
    assert problem(again, 409, "already_responded")["id"] == body["id"]
    assert await rows(session) == before
    [line] = await history(session, pool.ticket.id)
    assert (line.event, line.actor_id, line.subject_id) == ("offered", pool.worker.id, body["id"])


async def test_the_same_key_offers_once(client: AsyncClient, sign_in: SignIn, pool: Pool) -> None:
    await sign_in(pool.worker)
    send: dict[str, Any] = {"json": {"text": "Mine"}, "headers": {"Idempotency-Key": "k1"}}

    answers = [await client.post(f"/tickets/{pool.ticket.id}/responses", **send) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    dialog = f"/responses/{answers[0].json()['id']}/messages"
    said = [await client.post(dialog, **send) for _ in range(2)]
    assert said[0].json() == said[1].json()
    assert len(await ids(client, dialog)) == 2


async def test_what_takes_no_offers(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    hidden = await make_ticket(session)
    own = await make_ticket(session, status=Status.ASSIGNED, worker=pool.worker)
    await sign_in(pool.worker)

    problem(await offer(client, hidden), 404, "not_found")
    problem(await client.get(f"/tickets/{hidden.id}/responses"), 404, "not_found")
    problem(await offer(client, own), 409, "not_in_pool")
    for role in (Role.CLIENT, Role.MANAGER, Role.ADMIN):
        await sign_in(await make_user(session, role))
        problem(await offer(client, pool.ticket), 403, "forbidden")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/tickets/{ticket}/responses"),
        ("GET", "/tickets/{ticket}/responses"),
        ("GET", "/responses"),
        ("GET", "/responses/1/messages"),
        ("POST", "/responses/1/messages"),
        ("POST", "/responses/1/accept"),
        ("POST", "/tickets/{ticket}/publish"),
        ("GET", "/tickets?pool=true"),
    ],
)
async def test_without_a_token_one_is_told_to_sign_in(
    method: str, path: str, client: AsyncClient, pool: Pool
) -> None:
    body = {"text": "Mine"} if "messages" in path or path.endswith("responses") else None
    answer = await client.request(
        method, path.format(ticket=pool.ticket.id), json=body if method == "POST" else None
    )

    assert "sign in" in problem(answer, 401, "unauthenticated")["detail"]
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_each_dialog_is_between_its_worker_and_the_one_who_published(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    mine = await make_offer(session, pool.ticket, pool.worker, "My price is 100")
    theirs = await make_offer(session, pool.ticket, pool.rival, "My price is 90")
    path = f"/tickets/{pool.ticket.id}/responses"

    await sign_in(pool.worker)
    for listing in (path, "/responses"):
        assert await ids(client, listing) == [mine.id]
    assert "My price is 90" not in (await client.get(path)).text
    problem(await client.get(f"/responses/{theirs.id}/messages"), 404, "not_found")
    refused = await client.post(f"/responses/{theirs.id}/messages", json={"text": "Take less"})
    problem(refused, 404, "not_found")
    problem(await client.post(f"/responses/{theirs.id}/accept"), 404, "not_found")
    problem(await client.post(f"/responses/{mine.id}/accept"), 403, "forbidden")
    said = await client.post(f"/responses/{mine.id}/messages", json={"text": "Or 95"})
    assert said.status_code == 201, said.text
    assert (said.json()["text"], said.json()["author"]["id"]) == ("Or 95", pool.worker.id)

    await sign_in(pool.manager)
    assert await ids(client, path) == await ids(client, "/responses") == [theirs.id, mine.id]
    await client.post(f"/responses/{mine.id}/messages", json={"text": "Agreed"})
    dialog = (await client.get(f"/responses/{mine.id}/messages")).json()["items"]
    assert [(message["text"], message["author"]["role"]) for message in dialog] == [
        ("My price is 100", "worker"),
        ("Or 95", "worker"),
        ("Agreed", "manager"),
    ]
    newer = (await client.get(f"/responses/{mine.id}/messages?after={dialog[1]['id']}")).json()["items"]
    assert [message["text"] for message in newer] == ["Agreed"]
    shown = (await client.get(path)).json()["items"][1]
    assert (shown["messages_total"], shown["last_message"]) == (3, "Agreed")

    await sign_in(pool.customer)  # whose ticket it is, but who did not publish it
    assert await ids(client, path) == await ids(client, "/responses") == []
    problem(await client.get(f"/responses/{mine.id}/messages"), 404, "not_found")
    problem(await client.post(f"/responses/{mine.id}/accept"), 404, "not_found")
    for secret in ("offer", "100"):
        assert secret not in (await client.get(f"/tickets/{pool.ticket.id}/history")).text


async def test_the_history_tells_a_worker_of_their_own_offer_only(
    client: AsyncClient, sign_in: SignIn, pool: Pool
) -> None:
    for worker in (pool.worker, pool.rival):
        await sign_in(worker)
        assert (await offer(client, pool.ticket)).status_code == 201
    await sign_in(pool.manager)
    [first, _] = (await client.get("/responses?sort=id")).json()["items"]
    await client.post(f"/responses/{first['id']}/accept")

    await sign_in(pool.worker)
    seen = (await client.get(f"/tickets/{pool.ticket.id}/history")).json()["items"]

    assert [line["event"] for line in seen] == ["offered", "assigned", "offer_accepted"]
    assert {line["subject_id"] for line in seen if "offer" in line["event"]} == {first["id"]}


async def test_a_message_outlives_its_author(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    made = await make_offer(session, pool.ticket, pool.worker, "Mine")
    await session.execute(update(OfferMessage).values(author_id=None))
    await sign_in(pool.manager)

    [message] = (await client.get(f"/responses/{made.id}/messages")).json()["items"]

    assert (message["text"], message["author"]) == ("Mine", None)


async def test_offers_can_be_listed_by_what_became_of_them(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    made = {}
    for status in OfferStatus:
        ticket = await make_pooled(session, pool.manager)
        made[status] = (await make_offer(session, ticket, pool.worker, status=status)).id
    await sign_in(pool.worker)

    for status, offer_id in made.items():
        assert await ids(client, f"/responses?status={status.value}") == [offer_id]
    assert await ids(client, "/responses?status=open&status=declined&sort=id") == sorted(
        [made[OfferStatus.OPEN], made[OfferStatus.DECLINED]]
    )
    assert len(await ids(client, "/responses?size=2")) == 2


async def test_the_customer_who_published_has_the_dialogs_and_chooses(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    ticket = await make_ticket(session, account_id=pool.customer.id, created_by=pool.customer.id)
    await make_comment(session, ticket, pool.manager)
    await sign_in(pool.customer)
    await publish(client, ticket)
    await sign_in(pool.worker)
    offer_id = (await offer(client, ticket)).json()["id"]
    await sign_in(pool.customer)

    assert await ids(client, f"/tickets/{ticket.id}/responses") == await ids(client, "/responses")
    assert (await client.post(f"/responses/{offer_id}/messages", json={"text": "Good"})).status_code == 201
    accepted = await client.post(f"/responses/{offer_id}/accept")

    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["unread_comments"] == 1
    assert (accepted.json()["status"], accepted.json()["worker"]["id"]) == ("assigned", pool.worker.id)
    seen = (await client.get(f"/tickets/{ticket.id}/history")).json()["items"]
    assert [line["event"] for line in seen] == [
        *("published", "offered", "offer_message", "assigned", "offer_accepted")
    ]


async def test_accepting_gives_the_ticket_to_its_worker_and_tells_the_others(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    chosen = await make_offer(session, pool.ticket, pool.worker)
    other = await make_offer(session, pool.ticket, pool.rival)
    await sign_in(pool.manager)

    accepted = await client.post(f"/responses/{chosen.id}/accept")

    assert accepted.status_code == 200, accepted.text
    assert accepted.headers["ETag"] == '"2"'
    ticket = await stored(session, pool.ticket.id)
    assert (ticket.status, ticket.worker_id, ticket.published_at) == (Status.ASSIGNED, pool.worker.id, None)
    lines = [(line.event, line.subject_id, line.worker_id) for line in await history(session, ticket.id)]
    assert lines == [
        ("assigned", None, None),
        ("offer_accepted", chosen.id, pool.worker.id),
        ("offer_declined", other.id, pool.rival.id),
    ]
    second = problem(await client.post(f"/responses/{other.id}/accept"), 409, "invalid_transition")
    assert second["ticket_status"] == "assigned"
    await sign_in(pool.rival)
    assert (await client.get("/responses")).json()["items"][0]["status"] == "declined"
    assert await ids(client, "/tickets?pool=true") == []
    problem(await client.get(f"/tickets/{ticket.id}"), 404, "not_found")
    said = await client.post(f"/responses/{other.id}/messages", json={"text": "Why?"})
    problem(said, 409, "response_closed")
    await sign_in(pool.worker)
    assert (await client.get(f"/tickets/{ticket.id}")).json()["client"]["name"] == "Zinaida"
    assert (await client.post(f"/responses/{chosen.id}/messages", json={"text": "Ok"})).status_code == 201


async def test_a_worker_who_has_left_is_not_chosen(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    made = await make_offer(session, pool.ticket, pool.worker)
    pool.worker.is_active = False
    await sign_in(pool.manager)

    problem(await client.post(f"/responses/{made.id}/accept"), 422, "not_a_worker")

    assert (await stored(session, pool.ticket.id)).status is Status.NEW


async def test_a_ticket_that_comes_back_is_offered_again_only_when_published_again(
    client: AsyncClient, session: AsyncSession, sign_in: SignIn, pool: Pool
) -> None:
    first = await make_offer(session, pool.ticket, pool.worker)
    second = await make_offer(session, pool.ticket, pool.rival)
    await sign_in(pool.manager)
    await client.post(f"/responses/{first.id}/accept")
    await client.post(f"/tickets/{pool.ticket.id}/assign", json={"worker_id": None})

    await sign_in(pool.rival)
    assert await ids(client, "/tickets?pool=true") == []
    problem(await offer(client, pool.ticket), 404, "not_found")
    await sign_in(pool.manager)
    for old in (first, second):  # nobody is chosen by what they said before
        problem(await client.post(f"/responses/{old.id}/accept"), 409, "response_closed")
    await publish(client, pool.ticket)
    await sign_in(pool.rival)
    anew = await offer(client, pool.ticket, "I still can")
    assert anew.status_code == 201, anew.text
    assert (anew.json()["id"], anew.json()["status"], anew.json()["messages_total"]) == (second.id, "open", 2)
    await sign_in(pool.manager)
    assert (await client.post(f"/responses/{second.id}/accept")).json()["worker"]["id"] == pool.rival.id


@pytest.fixture
async def two(committed: str, settings: Settings) -> AsyncIterator[tuple[AsyncClient, Books]]:
    async with running(settings, secret_key=LOCAL_SECRET_KEY) as app, books(committed) as shop:
        yield caller(app), shop


async def together(*calls: Any) -> list[httpx.Response]:
    return list(await asyncio.gather(*calls))


async def test_of_many_offers_of_one_worker_at_once_one_is_made(two: tuple[AsyncClient, Books]) -> None:
    api, shop = two
    async with shop.sessions.begin() as session:
        ticket = await make_pooled(session, await make_user(session, Role.MANAGER))
        worker = await make_user(session)
    headers = await shop.headers(worker)
    path = f"/tickets/{ticket.id}/responses"

    answers = await together(
        *[api.post(path, json={"text": f"Offer {n}"}, headers=headers) for n in range(8)]
    )

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"already_responded"}
    async with shop.sessions() as session:
        counts = await rows(session)
        assert (counts["responses"], counts["response_messages"], counts["ticket_events"]) == (1, 1, 1)


async def test_of_accepts_of_different_offers_at_once_one_wins(two: tuple[AsyncClient, Books]) -> None:
    api, shop = two
    for _ in range(3):
        async with shop.sessions.begin() as session:
            manager = await make_user(session, Role.MANAGER)
            ticket = await make_pooled(session, manager)
            offers = [await make_offer(session, ticket, await make_user(session)) for _ in range(4)]
        headers = await shop.headers(manager)

        answers = await together(
            *[api.post(f"/responses/{made.id}/accept", headers=headers) for made in offers]
        )

        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        async with shop.sessions() as session:
            became = [
                (await session.get_one(type(made), made.id, populate_existing=True)).status.value
                for made in offers
            ]
            assert sorted(became) == ["accepted", "declined", "declined", "declined"]
            winner = offers[became.index("accepted")]
            assert (await stored(session, ticket.id)).worker_id == winner.worker_id
            events = [line.event for line in await history(session, ticket.id)]
            assert events == ["assigned", "offer_accepted", *["offer_declined"] * 3]
