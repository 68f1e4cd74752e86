"""What a person does in a tab of the browser."""

import re
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Locator, Page, expect

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
expect.set_options(timeout=15_000)
PASSWORD = "password1"
BLANK = "about:blank"
READY = '[data-testid="stApp"][data-test-script-state="notRunning"]'


class Tab:
    """One tab, from the words on the screen; no test knows how a page is made."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base

    def open(self, path: str) -> "Tab":
        """Go to an address and wait until the page is drawn."""
        self.page.goto(f"{self.base}/{path}")
        return self.settle()

    def settle(self) -> "Tab":
        """Wait until the page is drawn."""
        # In this order: before its first run a page counts as not running, too.
        self.page.wait_for_selector(
            '[data-testid="stMain"] :is(h1, [data-testid="stAlert"], [class*="st-key-empty"])'
        )
        self.page.wait_for_selector(READY)
        # Fields come with scripts of their own, which may still be on their way.
        expect(self.page.get_by_test_id("stSkeleton")).to_have_count(0)
        return self

    def sign_in(self, username: str, password: str = "") -> "Tab":
        """Sign in at the form on the screen, or at the sign-in page; most share one password."""
        if self.page.url == BLANK or not self.settle().page.get_by_role("heading", name="Вход").count():
            self.open("login")
        self.fill("Имя пользователя или эл. почта", username)
        self.fill("Пароль", password or PASSWORD)
        self.click("Войти")
        # On a phone the menu is folded away, but there.
        self.page.locator(".st-key-sign-out").wait_for(state="attached")
        for _ in range(50):
            if any(cookie["name"].startswith("crm_session") for cookie in self.page.context.cookies()):
                return self
            self.page.wait_for_timeout(100)
        raise AssertionError("the browser got no cookie")

    def fill(self, label: str, text: str) -> None:
        """Type into a field."""
        self.page.get_by_label(label, exact=True).last.fill(text)

    def click(self, label: str, within: Locator | None = None) -> None:
        """Press the button with these words; in an open dialog the dialog's one."""
        place = within or self.page
        place.get_by_role("button", name=re.compile(rf"(^|\s){re.escape(label)}( Shortcut .)?$")).last.click()

    def choose(self, label: str, words: str) -> None:
        """Pick an option of a choice."""
        self.page.get_by_label(label).last.click()
        self.page.get_by_role("option", name=re.compile(words)).first.click()

    def sees(self, words: str) -> None:
        """Expect words somewhere on the screen."""
        expect(self.page.get_by_text(words, exact=False).locator("visible=true").first).to_be_visible()

    def sees_not(self, words: str) -> None:
        """Expect that words are nowhere."""
        expect(self.page.get_by_text(words, exact=False)).to_have_count(0)

    def text(self) -> str:
        """Return everything that can be read."""
        return self.page.locator("body").inner_text()

    def shoot(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{quote(name, safe='')}.png")
