"""Every page of every role, wide and on a phone: nothing raw, nothing cut off, nobody else asked."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Api, Json, Open, Ui, free_port
from tests.e2e.tab import Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = {
    "": ["submit", "track", "track?code=NOPE-NOPE", "login", "register", "tickets"],
    "admin": ["overview", "tickets", "ticket?id={ticket}", "clients", "clients?id={client}", "users",
              "users?id={oleg}", "statistics", "account", "tickets?q=nothing-like-this", "ticket?id=999999"],
    "boss": ["overview", "users", "users?id={oleg}"],
    "oleg": ["work", "work?show=done", "ticket?id={ticket}", "pool",
             "pool?show=mine", "account", "overview"],
    "petr": ["requests", "account"],
}  # fmt: skip
HOSTILE = "<script>alert(1)</script> **bold** [x](javascript:alert(1)) $x$ :red[x] :smile: <b>b</b>"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("username", PAGES)
def test_every_page_is_readable(people: Json, open_tab: Open, username: str, width: int) -> None:
    ticket = people["tickets"][4]
    known = {"ticket": ticket["id"], "client": ticket["client"]["id"], "oleg": people["oleg"]["id"]}
    tab = open_tab(width=width)
    if username:
        tab.sign_in(username, "admin123" if username == "admin" else "")

    for path in PAGES[username]:
        tab.open(path.format(**known))
        tab.page.wait_for_timeout(250)
        tab.shoot(f"{username or 'visitor'}-{path.format(**known)}-{width}")
        _is_clean(tab)


def _is_clean(tab: Tab) -> None:
    text = tab.text()
    for raw in ("None", "undefined", "Traceback", "{'", '{"', "NaN"):
        assert raw not in text, f"{raw} on {tab.page.url}"
    assert tab.page.locator('[data-testid="stException"]').count() == 0
    wide: Any = tab.page.evaluate(
        """() => [document.documentElement, document.querySelector('[data-testid="stMain"]')]
            .some(part => part.scrollWidth > part.clientWidth + 1)"""
    )
    assert not wide, f"{tab.page.url} scrolls sideways"


def test_text_from_people_is_shown_as_they_wrote_it(api: Api, people: Json, open_tab: Open) -> None:
    made = api.ticket(
        HOSTILE, description=HOSTILE, address=HOSTILE, client={"name": HOSTILE, "phone": "+79110001122"}
    )
    api.move(made, "assign", worker_id=people["oleg"]["id"])
    api.call("POST", f"/tickets/{made['id']}/comments", text=HOSTILE)
    dialogs: list[str] = []

    desk = open_tab().sign_in("admin", "admin123")
    desk.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    for path in ("tickets", f"ticket?id={made['id']}", "clients", f"clients?id={made['client']['id']}",
                 f"track?code={made['code']}"):  # fmt: skip
        desk.open(path).sees(HOSTILE)
        if path.startswith(("ticket?", "track?")):
            said = desk.page.locator(".talk article .text")
            expect(said).to_have_text(HOSTILE)
            assert said.locator("*").count() == 0
    worker = open_tab(width=390).sign_in("oleg").open("work")
    card = worker.page.locator(f".st-key-card-{made['id']}")
    # Streamlit fetches the code of link buttons when the first one is drawn.
    card.locator("a[href^='tel:']").wait_for()
    # A label has invisible joiners after what could be read as a code.
    assert card.inner_text().replace("\u2060", "").count(HOSTILE) == 3
    assert card.locator("a[href^=javascript], script, b, img").count() == 0
    assert dialogs == []


def test_without_an_api_the_pages_say_so(open_tab: Open, tmp_path: Path) -> None:
    alone = Ui(tmp_path, f"http://127.0.0.1:{free_port()}")
    try:
        tab = open_tab(base=alone.url).open("submit")
        tab.fill("Что сломалось", "Кран")
        tab.click("Отправить заявку")
        tab.sees("Сервис сейчас не отвечает")
        tab.open("track?code=ABCD").sees("Сервис сейчас не отвечает")
        tab.sees("Повторить")
        tab.open("login")
        tab.fill("Имя пользователя или эл. почта", "boss")
        tab.fill("Пароль", "password1")
        tab.click("Войти")
        tab.sees("Сервис сейчас не отвечает")
    finally:
        alone.stop()
