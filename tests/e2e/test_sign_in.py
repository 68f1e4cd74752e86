"""Signing in is kept by F5, a new tab, a deep link and a restart; signing out ends it everywhere."""

# ruff: noqa: RUF001 - what the Russian pages say

import pytest
import requests

from tests.e2e.conftest import Api, Json, Open, Ui

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_sign_in_survives_reload_new_tab_deep_link_and_restart(
    people: Json, open_tab: Open, ui: Ui
) -> None:
    ticket = people["tickets"][1]
    first = open_tab().open(f"ticket?id={ticket['id']}")
    first.sees("Вход")
    first.sign_in("boss")
    first.sees(ticket["title"])

    first.page.reload()
    first.settle().sees(ticket["title"])
    second = open_tab(beside=first).open(f"ticket?id={ticket['id']}")
    second.sees(ticket["title"])
    ui.stop()
    ui.start()
    # The old tab reconnects by itself and still works.
    second.page.get_by_role("link", name="Заявки").first.click()
    second.page.get_by_placeholder("Слова, клиент").wait_for()
    first.open("statistics").sees("Создано и выполнено")


def test_signing_out_ends_the_other_tab_too_and_the_cookie_is_worthless(
    people: Json, open_tab: Open, ui: Ui
) -> None:
    assert people
    first = open_tab().sign_in("boss")
    kept = next(c for c in first.page.context.cookies() if c["name"].startswith("crm_session"))
    second = open_tab(beside=first).open("tickets")
    second.sees("Новая заявка")

    first.click("Выйти")
    first.sees("Вы вышли.")

    second.sees("Сеанс завершён")
    assert not [c for c in first.page.context.cookies() if c["name"].startswith("crm_session")]
    thief = open_tab()
    thief.page.context.add_cookies([{"name": kept["name"], "value": kept["value"], "url": ui.url}])
    thief.open("tickets").sees("Вход")


def test_no_script_can_read_the_sign_in_and_no_address_holds_it(people: Json, open_tab: Open) -> None:
    assert people
    tab = open_tab().sign_in("boss")
    kept = next(c for c in tab.page.context.cookies() if c["name"].startswith("crm_session"))

    assert kept["httpOnly"]
    assert kept["sameSite"] == "Strict"
    stores = (
        "() => document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location"
    )
    assert kept["value"] not in tab.page.evaluate(stores)


def test_signing_out_everywhere_ends_another_browser(people: Json, open_tab: Open) -> None:
    assert people
    phone, desk = open_tab(width=390).sign_in("petr"), open_tab().sign_in("petr")

    desk.open("account").click("Выйти на всех устройствах")
    desk.sees("Вы вышли.")

    phone.open("requests").sees("Вход")


def test_a_deactivated_user_is_out_and_comes_back_to_the_same_page(
    api: Api, people: Json, open_tab: Open
) -> None:
    assert people
    made = api.call("POST", "/users", username="short", password="password1", role="worker", name="Краткий")
    tab = open_tab().sign_in("short").open("work")
    api.call("DELETE", f"/users/{made['id']}")

    tab.page.reload()
    tab.sees("Вход")
    api.call("PATCH", f"/users/{made['id']}", is_active=True)
    tab.sign_in("short")

    tab.sees("Дел нет")
    assert tab.page.url.endswith("/work")


def test_a_wrong_password_and_another_role_are_said_in_words(people: Json, open_tab: Open) -> None:
    assert people
    tab = open_tab().open("login")
    tab.fill("Имя пользователя или эл. почта", "boss")
    tab.fill("Пароль", "wrong")
    tab.click("Войти")
    tab.sees("Неверное имя пользователя или пароль.")

    tab.sign_in("oleg").open("users")
    tab.sees("Эта страница не для вашей роли")


def test_a_client_registers_and_follows_an_own_request(people: Json, open_tab: Open) -> None:
    assert people
    tab = open_tab(width=390).open("register")
    tab.fill("Имя пользователя", "nina")
    tab.fill("Пароль", "password1")
    tab.fill("Имя", "Нина")
    tab.fill("Эл. почта", "nina@example.org")
    tab.click("Зарегистрироваться")
    tab.sees("У вас пока нет заявок")
    tab.click("Новая заявка")
    tab.fill("Что сломалось", "Не греет батарея")
    tab.click("Создать")
    tab.sees("Заявка принята")
    tab.click("Отменить")
    tab.fill("Причина", "Уже тепло")
    tab.click("Отменить", tab.page.get_by_role("dialog"))
    tab.sees("Уже тепло")


def test_the_cookie_route_refuses_other_sites(ui: Ui) -> None:
    answer = requests.post(
        f"{ui.url}/session", data="code", headers={"Origin": "http://evil.test"}, timeout=5
    )

    assert answer.status_code == 403
