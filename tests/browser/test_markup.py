"""What sensors, boards and the configuration call things is text on every part of the page, and never markup."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.crowded import MARKUP, Crowded
from tests.browser.signing import sign_in

PAGE = {
    "[data-sensor=door] h3": "door",
    "[data-sensor='porch/note'] .value": "note",
    "[data-sensor=broken] .error": "printed",
    "[data-output=vent] h3": "vent",
    "[data-setting=vent_at] dt": "vent_at",
    "#simulated-door dt": "door",
    "[data-alert='1']": "message",
    ".log": "message",
    ".ill": "printed",
}
PLOT = {"h2": "air", ".legend": "door", "select": "vent", ".charts": "door", ".told": "message"}


@pytest.fixture
def address(crowded: Crowded) -> str:
    return f"http://127.0.0.1:{crowded.port}/"


def shows_text(page: Page, within: str, places: dict[str, str]) -> None:
    """See that what each place says stands there as it was written, and that no element came of it."""
    for place, words in places.items():
        expect(page.locator(f"{within} {place}").first).to_contain_text(f"{MARKUP}{words}")
    assert page.locator("img, [onerror]").count() == 0


def test_on_the_page(address: str, page: Page) -> None:
    page.goto(address)
    sign_in(page)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    shows_text(page, "body", PAGE)


def test_in_a_plot_and_in_its_picture(address: str, page: Page) -> None:
    page.goto(f"{address}#plot=air,door,porch/temperature&last=1h")
    shows_text(page, "#plot", PLOT)
    page.goto(f"{address}api/plot.svg?sensor=air&sensor=door&last=1h")
    assert f"{MARKUP}air" in str(page.evaluate("document.documentElement.textContent"))
    assert page.locator("img, [onerror]").count() == 0
