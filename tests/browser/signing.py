"""What one does to sign in, by keyboard alone."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.running import KEY


def ask_to_sign_in(page: Page) -> None:
    page.get_by_role("button", name="Sign in", exact=True).press("Enter")


def sign_in(page: Page) -> None:
    """The dialog has the focus in its one field."""
    ask_to_sign_in(page)
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Signed in as")).to_be_visible()
