"""Signing in and out, and what an ended session looks like, against a stand-in for the API."""

from typing import Any

from tests.ui.conftest import FakeApi, Screens, a_page, a_user, words
from ui import routes


def test_a_visitor_meets_the_sign_in_form_at_a_deep_link_and_then_the_page(
    full: FakeApi, screen: Screens
) -> None:
    tab = screen(None)
    page = tab.open("ticket", id="7")
    assert "Sign in" in words(page)
    full.on("POST /auth/login", {"access_token": "a", "refresh_token": "r", "expires_in": 900})
    full.on("GET /auth/me", a_user("admin"))

    page.text_input(key="login:0:username").input("admin")
    page.text_input(key="login:0:password").input(" admin123 ")
    page = page.button(key="login:0:send").click().run()

    assert full.asked("POST /auth/login")[0]["body"] == {"username": "admin", "password": " admin123 "}
    assert "Tap leaks" in words(page)
    assert page.session_state["browser_call"]["method"] == "POST"


def test_wrong_password_is_said_at_the_form(api: FakeApi, screen: Screens) -> None:
    api.refuse("POST /auth/login", 401, "invalid_credentials")
    page = screen(None).open("login")

    page.text_input(key="login:0:username").input("admin")
    page = page.button(key="login:0:send").click().run()

    assert "Wrong user name or password." in words(page)


def test_an_ended_session_leads_to_the_sign_in_form_with_a_word(full: FakeApi, screen: Screens) -> None:
    tab = screen("admin")
    assert "Tickets" in words(tab.open("tickets"))
    full.refuse("GET /users", 401, "invalid_token")
    full.refuse("POST /auth/refresh", 401, "token_reused")

    page = tab.driver.run()

    assert "Your session has ended" in words(page)
    assert routes.vault().read(page.session_state["cookie"] or "") is None


def test_a_refused_access_token_is_renewed_once_and_the_page_goes_on(full: FakeApi, screen: Screens) -> None:
    def users(call: dict[str, Any]) -> tuple[int, Any]:
        fresh = call["headers"]["Authorization"] == "Bearer access-2"
        return (200, a_page(a_user("worker", id=2))) if fresh else (401, {"code": "invalid_token"})

    full.on("GET /users", users)
    full.on(
        "POST /auth/refresh", {"access_token": "access-2", "refresh_token": "refresh-2", "expires_in": 900}
    )

    page = screen("admin").open("tickets")

    assert not page.exception
    assert [call["body"] for call in full.asked("POST /auth/refresh")] == [{"refresh_token": "refresh-1"}]
    assert full.asked("GET /tickets")[0]["headers"]["Authorization"] == "Bearer access-2"


def test_signing_out_ends_it_here_and_in_the_api(full: FakeApi, screen: Screens) -> None:
    full.on("POST /auth/logout", None, 204)
    tab = screen("admin")
    page = tab.open("account")
    cookie = page.session_state["cookie"]

    page = page.button(key="sign-out").click().run()

    assert full.asked("POST /auth/logout")
    assert routes.vault().read(cookie) is None
    assert "You are signed out." in words(page)
    assert page.session_state["browser_call"]["method"] == "DELETE"


def test_the_language_is_the_readers_choice(full: FakeApi, screen: Screens) -> None:
    full.on("PATCH /auth/me", a_user("admin", language="ru"))
    page = screen("admin").open("account")

    page = page.button_group(key="language-en").set_value("ru").run()

    assert page.title[0].value == "Мой профиль"
    assert full.asked("PATCH /auth/me")[0]["body"] == {"language": "ru"}
