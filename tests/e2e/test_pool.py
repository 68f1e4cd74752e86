"""The pool: a client publishes, a worker offers, both talk it over, the client accepts; codes and dots."""

# ruff: noqa: RUF001 - Russian letters are meant here

import pytest
import requests
from playwright.sync_api import expect

from tests.e2e.conftest import Api, Json, Open
from tests.e2e.test_conversation import connected, hears, say, talk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_worker_offers_and_the_publisher_accepts(people: Json, open_tab: Open) -> None:
    assert people
    client = open_tab().sign_in("petr").open("requests")
    client.click("Новая заявка")
    client.fill("Что сломалось", "Розетка искрит")
    client.fill("Адрес", "ул. Тайная, 7")
    client.click("Создать")
    client.sees("Мастера увидят, что нужно сделать")
    client.click("Опубликовать")
    client.sees("Пока никто не откликнулся")
    connected(client)

    worker = open_tab(width=390).open("pool")  # by a link somebody sent: first the sign-in, then the page
    worker.sign_in("oleg")
    card = worker.page.locator('[class*="st-key-card-"]').filter(has_text="Розетка искрит")
    expect(card).to_be_visible()
    assert "Тайная" not in worker.text()
    worker.shoot("pool-390")
    worker.click("Откликнуться", card)
    worker.fill("Ваше предложение", "Приеду завтра в десять")
    worker.click("Откликнуться", worker.page.get_by_role("dialog"))
    worker.page.get_by_role("dialog").wait_for(state="detached")

    client.sees("Приеду завтра в десять")  # without a reload
    client.shoot("offers-1280")
    client.click("Диалог")
    client.fill("Сообщение", "Сколько будет стоить?")
    client.click("Отправить", client.page.get_by_role("dialog"))
    client.page.get_by_role("dialog").get_by_text("Сколько будет стоить?").wait_for()
    worker.click("Диалог · 2", worker.open("pool?show=mine").page.locator('[class*="st-key-card-"]').first)
    worker.page.get_by_role("dialog").get_by_text("Сколько будет стоить?").wait_for()
    worker.fill("Сообщение", "Две тысячи")
    worker.shoot("offer-dialog-390")
    worker.click("Отправить", worker.page.get_by_role("dialog"))
    client.page.get_by_role("dialog").get_by_text("Две тысячи").wait_for()  # in the open dialog
    client.page.keyboard.press("Escape")
    client.click("Принять")
    client.sees("Олег получит эту заявку")
    client.click("Принять", client.page.get_by_role("dialog"))
    client.sees("Назначена")

    worker.open("pool?show=mine").sees("принят")
    worker.page.get_by_role("link", name="Розетка искрит").click()
    worker.sees("ул. Тайная, 7")
    say(connected(worker), "Выезжаю")
    hears(client, "Выезжаю")


def test_a_request_by_code_joins_the_account_and_news_make_a_dot(
    api: Api, people: Json, open_tab: Open
) -> None:
    assert people
    sent = requests.post(
        f"{api.url}/api/v1/public/tickets",
        json={"title": "Окно дует", "client": {"name": "Пётр", "phone": "+79110009988"}},
        timeout=20,
    ).json()
    client = open_tab(width=390).sign_in("petr").open("requests")
    client.click("У меня есть код")
    client.fill("Код", "NOPE-NOPE")
    client.click("Добавить")
    client.sees("Этого больше нет, или у вас нет доступа")
    client.fill("Код", sent["code"].lower())
    client.click("Добавить")
    client.sees("Окно дует")
    connected(client)
    client.open("requests")
    api.call("POST", f"/tickets/{sent['id']}/comments", text="Когда удобно?")
    client.open("requests")
    row = client.page.locator("tr.unread").filter(has_text="Окно дует")
    expect(row).to_be_visible()
    client.shoot("unread-390")
    row.click()
    hears(client, "Когда удобно?")
    api.call("POST", f"/tickets/{sent['id']}/comments", text="Отвечать можно здесь")
    hears(client, "Отвечать можно здесь")
    expect(talk(client).locator(".list article")).to_have_count(2)
    client.page.wait_for_timeout(300)
    client.open("requests")
    expect(client.page.locator("tr").filter(has_text="Окно дует")).to_be_visible()
    expect(row).to_have_count(0)
