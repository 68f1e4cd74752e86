"""The main job, as the people do it: a request comes in, is handed out, worked on and finished."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Api, Json, Open

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_request_travels_from_the_public_form_to_done(people: Json, open_tab: Open) -> None:
    assert people
    visitor = open_tab(width=390).open("submit")
    visitor.fill("Что сломалось", "Течёт кран в ванной")
    visitor.fill("Описание", "Капает всю ночь")
    visitor.fill("Адрес", "пр. Мира, 1")
    visitor.fill("Ваше имя", "Светлана")
    visitor.fill("Телефон", "+7 911 555-44-33")
    visitor.click("Отправить заявку")
    visitor.sees("Заявка принята")
    code = visitor.page.locator(".crm-code").inner_text()
    visitor.shoot("sent-390")

    desk = open_tab().sign_in("admin", "admin123").open("tickets")
    desk.page.get_by_placeholder("Слова, клиент").fill("ванной")
    desk.page.get_by_role("link", name="Течёт кран в ванной").click()
    desk.sees("Светлана")
    desk.click("Назначить")
    desk.choose("Мастер", "Олег")
    desk.click("Назначить", desk.page.get_by_role("dialog"))
    desk.sees("Мастер назначен")
    desk.shoot("assigned-1280")

    worker = open_tab(width=390).sign_in("oleg").open("work")
    card = worker.page.locator('[class*="st-key-card-"]').filter(has_text="Течёт кран в ванной")
    expect(card.locator('a[href="tel:+79115554433"]')).to_have_count(1)
    expect(card.locator('a[href*="openstreetmap.org/search?query="]')).to_have_count(1)
    worker.click("Взять в работу", card)
    card.get_by_role("button", name="Выполнено").click()
    worker.fill("Что сделано", "Заменили прокладку")
    worker.click("Выполнено", worker.page.get_by_role("dialog"))
    worker.page.get_by_role("dialog").wait_for(state="detached")

    visitor.page.get_by_role("link", name="Следить за заявкой").click()
    visitor.sees("Работа выполнена.")
    visitor.sees("Заменили прокладку")
    assert code in visitor.text()
    visitor.shoot("tracked-390")


def test_a_visitor_calls_a_request_off(people: Json, open_tab: Open) -> None:
    assert people
    visitor = open_tab().open("submit")
    visitor.click("Отправить заявку")
    visitor.sees("Заполните это поле.")
    visitor.fill("Что сломалось", "Сломался стул")
    visitor.fill("Ваше имя", "Анна")
    visitor.fill("Эл. почта", "anna@example.org")
    visitor.click("Отправить заявку")
    visitor.sees("Заявка принята")
    visitor.page.get_by_role("link", name="Следить за заявкой").click()
    visitor.click("Отменить заявку")
    visitor.fill("Причина", "Починил сам")
    visitor.click("Отменить заявку", visitor.page.get_by_role("dialog"))
    visitor.sees("Заявка отменена.")


def test_a_worker_holds_and_resumes_and_the_desk_reads_why(people: Json, open_tab: Open) -> None:
    ticket = people["tickets"][2]
    worker = open_tab(width=390).sign_in("oleg").open(f"ticket?id={ticket['id']}")
    worker.click("Отложить")
    worker.click("Отложить", worker.page.get_by_role("dialog"))
    worker.sees("Заполните это поле.")
    worker.fill("Причина", "Нет ключа")
    worker.click("Отложить", worker.page.get_by_role("dialog"))
    worker.sees("Отложена")
    worker.click("Продолжить")
    worker.sees("Работа продолжена")

    desk = open_tab().sign_in("boss").open(f"ticket?id={ticket['id']}")
    desk.sees("Нет ключа")


def test_two_edits_of_one_ticket_do_not_overwrite_each_other(people: Json, open_tab: Open) -> None:
    ticket = people["tickets"][0]
    first = open_tab().sign_in("admin", "admin123").open(f"ticket?id={ticket['id']}")
    second = open_tab().sign_in("boss").open(f"ticket?id={ticket['id']}")
    first.click("Изменить")
    first.fill("Адрес", "ул. Новая, 1")
    second.click("Изменить")
    second.fill("Адрес", "ул. Другая, 2")
    first.click("Сохранить")
    first.page.get_by_role("dialog").wait_for(state="detached")
    second.click("Сохранить")

    second.sees("изменил кто-то другой")
    first.sees("ул. Новая, 1")


def test_the_desk_makes_a_ticket_a_client_and_a_user(people: Json, open_tab: Open) -> None:
    assert people
    desk = open_tab().sign_in("admin", "admin123").open("overview")
    desk.click("Новая заявка")
    desk.fill("Что сломалось", "Гудит лифт")
    desk.fill("Имя клиента", "ТСЖ Восток")
    desk.fill("Телефон", "+7 911 777-66-55")
    desk.click("Создать")
    desk.sees("Гудит лифт")
    desk.sees("Карточка клиента")
    desk.open("clients").click("Новый клиент")
    desk.fill("Имя", "Ольга")
    desk.click("Создать")
    desk.sees("Укажите телефон или почту.")
    desk.fill("Эл. почта", "olga@example.org")
    desk.click("Создать")
    desk.sees("olga@example.org")
    desk.open("users").click("Новый пользователь")
    desk.fill("Имя пользователя", "fedor")
    desk.fill("Пароль", "password1")
    desk.fill("Имя", "Фёдор")
    desk.click("Создать")
    desk.sees("Фёдор")


def test_a_worker_with_open_tickets_is_deactivated_by_handing_them_on(
    api: Api, people: Json, open_tab: Open
) -> None:
    assert people
    leaver = api.call(
        "POST", "/users", username="leaver", password="password1", role="worker", name="Уходящий"
    )
    ticket = api.ticket("Передать другому")
    api.move(ticket, "assign", worker_id=leaver["id"])
    desk = open_tab().sign_in("admin", "admin123").open(f"users?id={leaver['id']}")

    desk.click("Отключить")
    desk.click("Отключить", desk.page.get_by_role("dialog"))
    desk.sees("1 открытая заявка")
    desk.choose("Кому передать", "Олег")
    desk.click("Отключить", desk.page.get_by_role("dialog"))

    desk.page.get_by_role("dialog").wait_for(state="detached")
    assert api.call("GET", f"/tickets/{ticket['id']}")["worker"]["name"] == "Олег"
