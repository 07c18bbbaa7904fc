"""The demo in a browser: its greenhouse moves before one's eyes, and what the page costs on a slow line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.wire import Wire
from tests.running import Running

FIRST_VIEW = 150_000
"""Bytes over the wire: ten seconds at 120 kbit/s, what a phone at the edge of its network has."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = Path(tmp_path_factory.mktemp("demo"))
    # An hour of the recording in a second: the air must move from one look to the next.
    with Running(folder / "demo", None, "--speed", "3600", command="demo", env={"TMPDIR": str(folder)}) as running:
        yield running


def test_a_value_changes_while_one_looks_and_the_first_view_is_small(demo: Running, page: Page) -> None:
    wire = Wire(page)
    page.goto(f"http://127.0.0.1:{demo.port}/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    assert 0 < wire.total < FIRST_VIEW, wire.by_kind()
    assert not any("uPlot" in address or "/docs" in address for address in wire.addresses.values())

    page.evaluate("window.stays = true")
    value = page.locator("[data-sensor=air_temperature] .value data")
    before = value.inner_text()
    expect(value).not_to_have_text(before, timeout=15_000)
    assert page.evaluate("window.stays")


def test_with_a_plot_it_is_small_still(demo: Running, page: Page) -> None:
    wire = Wire(page)
    page.goto(f"http://127.0.0.1:{demo.port}/#plot=air_temperature&last=24h")
    expect(page.locator("#plot .u-over")).to_be_visible()
    assert 0 < wire.total < FIRST_VIEW, wire.by_kind()
