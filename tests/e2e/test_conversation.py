"""The conversation of client and worker: live, with pictures, on two processes of the API and the UI."""

# ruff: noqa: RUF001 - Russian letters are meant here

import re
from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Locator, expect

from tests.e2e import second
from tests.e2e.conftest import Api, Json, Open, Ui
from tests.e2e.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SECRET = "Клиент уже скандалил"


def picture(name: str) -> FilePayload:
    kept = BytesIO()
    Image.new("RGB", (900, 600), (60, 120, 170)).save(kept, "JPEG")
    return {"name": name, "mimeType": "image/jpeg", "buffer": kept.getvalue()}


BAD: list[FilePayload] = [
    {"name": "program.jpg", "mimeType": "image/jpeg", "buffer": b"MZ" + bytes(3000)},
    {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": bytes(10_500_000)},
    {"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""},
]


def talk(tab: Tab) -> Locator:
    return tab.page.locator(".talk")


def say(tab: Tab, text: str) -> None:
    field = talk(tab).locator("textarea")
    field.fill(text)
    field.press("Enter")


def hears(tab: Tab, text: str) -> None:
    """Wait, without a reload, for a text in the conversation; how fast is for the benchmark to tell."""
    expect(talk(tab).locator(".list p").get_by_text(text, exact=True)).to_be_visible(timeout=20_000)


def was_said_once(tab: Tab, *texts: str) -> None:
    for text in texts:
        expect(talk(tab).get_by_text(text, exact=True)).to_have_count(1)


def connected(tab: Tab) -> Tab:
    """Wait until the conversation is there and its socket open."""
    expect(talk(tab).locator("textarea")).to_be_visible()
    expect(talk(tab).locator(".around")).not_to_have_class(re.compile("away"))
    tab.page.wait_for_timeout(500)
    return tab


@pytest.fixture(scope="module")
def other_ui(api: Api, people: Json, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """A UI in front of a second process of the API."""
    assert people
    folder = tmp_path_factory.mktemp("second")
    process, url = second.beside(api, folder)
    running = Ui(folder, url)
    yield running
    running.stop()
    process.stop()


def sent_with_files(client: Tab) -> tuple[Tab, str]:
    """Send a request with a picture and files that are refused; return its code, too."""
    client.open("submit")
    client.fill("Что сломалось", "Котёл не греет")
    client.fill("Ваше имя", "Светлана")
    client.fill("Телефон", "+7 911 777-00-11")
    chooser = client.page.locator(".picker .attach input")
    chooser.set_input_files([picture("котёл.jpg"), *BAD])
    client.sees("large.jpg: больше 10 МБ")
    client.sees("empty.jpg: файл пуст")
    client.page.locator(".picker").scroll_into_view_if_needed()
    client.shoot("talk-submit-390")
    client.click("Отправить заявку")
    client.sees("отправлен")
    client.sees("такой файл не принимается")
    client.shoot("talk-sent-390")
    return client, client.page.locator(".crm-code").inner_text()


def test_client_and_worker_talk_live_with_pictures(
    api: Api, people: Json, other_ui: Ui, open_tab: Open
) -> None:
    client, code = sent_with_files(open_tab(width=390, base=other_ui.url))
    found = api.call("GET", f"/tickets?search={code}")["items"][0]
    worker = open_tab(width=390).sign_in("oleg")
    api.move(found, "assign", worker_id=people["oleg"]["id"])
    connected(worker.open(f"ticket?id={found['id']}"))
    desk = connected(open_tab().sign_in("admin", "admin123").open(f"ticket?id={found['id']}"))
    connected(client.open(f"track?code={code}"))
    expect(talk(worker).locator(".file img")).to_be_visible()
    assert talk(worker).locator(".file img").evaluate("one => one.complete && one.naturalWidth > 0")
    talk(desk).get_by_text("Сейчас смотрят: Олег").wait_for()

    say(worker, "Какая модель котла?")
    hears(client, "Какая модель котла?")
    talk(client).locator("textarea").press_sequentially("Бак", delay=20)
    talk(worker).get_by_text("печатает").wait_for()
    talk(worker).get_by_role("button", name="Внутреннее").click()
    say(worker, SECRET)
    hears(desk, SECRET)
    talk(worker).get_by_role("button", name="Всем").click()
    talk(worker).locator("textarea").fill("Черновик, который")  # must outlive what happens around it
    assert talk(client).locator("textarea").input_value() == "Бак"
    talk(client).locator(".attach input").set_input_files([picture("шильдик.jpg")])
    say(client, "Бакси, 2015 года")
    hears(worker, "Бакси, 2015 года")
    expect(talk(worker).locator(".list .file img")).to_have_count(2)
    assert talk(worker).locator("textarea").input_value() == "Черновик, который"
    for tab, width in ((worker, 390), (client, 390), (desk, 1280)):
        talk(tab).scroll_into_view_if_needed()
        tab.shoot(f"talk-{'client' if tab is client else 'team'}-{width}")

    worker.page.reload()
    connected(worker)
    was_said_once(worker, "Какая модель котла?", SECRET, "Бакси, 2015 года")
    assert talk(worker).locator("textarea").input_value() == "Черновик, который"
    client.page.reload()
    connected(client)
    was_said_once(client, "Бакси, 2015 года")
    assert SECRET not in client.text()
    assert SECRET not in client.page.content()


def test_work_that_is_said_to_be_done_can_be_sent_back(api: Api, people: Json, open_tab: Open) -> None:
    found = api.ticket("Котёл не греет снова")
    api.move(found, "assign", worker_id=people["oleg"]["id"])
    client = connected(open_tab(width=390).open(f"track?code={found['code']}"))
    api.move(found, "status", new_status="in_progress")
    api.move(found, "complete", resolution="Заменили насос")
    client.sees("Работа выполнена.")  # without a reload
    client.sees("Что-то всё ещё не так?")
    client.click("Вернуть в работу")
    client.fill("Причина", "Снова не греет")
    client.click("Вернуть в работу", client.page.get_by_role("dialog"))
    client.sees("Мастер работает.")


def test_a_killed_api_loses_and_doubles_nothing(api: Api, people: Json, other_ui: Ui, open_tab: Open) -> None:
    ticket = api.ticket("Шумит насос")
    api.move(ticket, "assign", worker_id=people["oleg"]["id"])
    worker = connected(open_tab().sign_in("oleg").open(f"ticket?id={ticket['id']}"))
    client = connected(open_tab(width=390, base=other_ui.url).open(f"track?code={ticket['code']}"))
    say(worker, "до сбоя")
    hears(client, "до сбоя")

    second.kill(api)
    say(worker, "во время сбоя")
    say(client, "а я на связи")
    say(worker, "и ещё раз")
    hears(client, "и ещё раз")
    hears(worker, "а я на связи")

    said = ("до сбоя", "во время сбоя", "а я на связи", "и ещё раз")
    for tab in (worker, client):
        connected(tab)
        was_said_once(tab, *said)
        tab.page.reload()
        connected(tab)
        was_said_once(tab, *said)
    say(client, "после сбоя")
    hears(worker, "после сбоя")


def test_own_words_are_changed_answered_and_taken_back(api: Api, people: Json, open_tab: Open) -> None:
    ticket = api.ticket("Скрипит дверь")
    api.move(ticket, "assign", worker_id=people["oleg"]["id"])
    desk = connected(open_tab().sign_in("admin", "admin123").open(f"ticket?id={ticket['id']}"))
    worker = connected(open_tab(width=390).sign_in("oleg").open(f"ticket?id={ticket['id']}"))
    say(desk, "Приедете в пять?")
    hears(worker, "Приедете в пять?")
    talk(worker).get_by_role("button", name="Ответить").click()
    say(worker, "Да, в пять")
    hears(desk, "Да, в пять")
    expect(talk(desk).locator("blockquote")).to_have_text(re.compile("Приедете в пять"))

    talk(desk).get_by_role("button", name="Изменить").click()
    talk(desk).locator("textarea").fill("Приедете в шесть?")
    talk(desk).get_by_role("button", name="Сохранить").click()
    hears(worker, "Приедете в шесть?")
    desk.page.on("dialog", lambda dialog: dialog.accept())
    talk(desk).get_by_role("button", name="Удалить", exact=True).click()
    hears(worker, "Сообщение удалено.")
    expect(talk(worker).get_by_text("Приедете в шесть?", exact=True)).to_have_count(0)


def test_a_restarted_ui_brings_the_tab_back_with_its_draft(
    api: Api, people: Json, other_ui: Ui, open_tab: Open
) -> None:
    ticket = api.ticket("Гудит счётчик")
    assert people
    tab = connected(open_tab(base=other_ui.url).open(f"track?code={ticket['code']}"))
    talk(tab).locator("textarea").fill("Не дописал")

    other_ui.stop()
    other_ui.start()

    expect(talk(tab).locator("textarea")).to_have_value("Не дописал", timeout=30_000)
    connected(tab)
    api.call("POST", f"/tickets/{ticket['id']}/comments", text="Слышно?")
    hears(tab, "Слышно?")
