"""A screen reader, a weak eye, a phone and the dark: axe-core finds nothing grave on any part of the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import findings
from tests.browser.crowded import Crowded
from tests.browser.signing import ask_to_sign_in, sign_in
from tests.browser.watch import Watch

WIDTHS = (360, 1280)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def inside(crowded: Crowded, browser: Browser) -> Iterator[Page]:
    """The page of somebody who is signed in, with all that can be opened in place open."""
    watch = Watch(browser)
    watch.page.goto(f"http://127.0.0.1:{crowded.port}/")
    sign_in(watch.page)
    watch.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    expect(watch.page.locator("[data-rule=attic] .why")).to_contain_text("never seen")
    yield watch.page
    watch.context.close()
    assert watch.complaints == []


def looked_at(page: Page, within: str) -> list[str]:
    """Return what is found in a part of the page, narrow and wide, light and dark."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            graves = findings(page, within, are_colours_all=scheme != SCHEMES[0])
            found += [f"{scheme}, {width} px: {each}" for each in graves]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    return found


def test_the_page_with_all_of_it_open(inside: Page) -> None:
    assert looked_at(inside, "html") == []


def test_a_plot(inside: Page) -> None:
    inside.get_by_role("link", name="Temperature").first.click()
    expect(inside.locator("#plot .u-over")).to_be_visible()
    inside.locator("#plot select").select_option("door")
    expect(inside.locator("#plot .u-over")).to_have_count(2)
    assert looked_at(inside, "#plot") == []
    inside.keyboard.press("Escape")


def test_the_page_of_a_stranger_and_what_asks_for_a_key(crowded: Crowded, watch: Watch, page: Page) -> None:
    watch.expected += ["status of 401 .*/api/session"]
    page.goto(f"http://127.0.0.1:{crowded.port}/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    assert findings(page, "html") == []
    ask_to_sign_in(page)
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("not known here")
    assert looked_at(page, "#sign-in") == []
