"""The wall in a real browser: without scripts on a phone, with them where the node goes away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.watch import Watch
from tests.running import Running

CONFIG = """
[node]
clock = "trust"

[[sensors]]
name = "air"
driver = "i2c"
chip = "mcp9808"
simulate = true
every = "500ms"

[[sensors]]
name = "water"
driver = "i2c"
chip = "mcp9808"
address = 0x19
simulate = true
every = "500ms"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("wall") / "data", CONFIG) as running:
        yield running


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A small one, without JavaScript."""
    context = browser.new_context(viewport={"width": 360, "height": 640}, java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_without_scripts_two_numbers_fill_a_phone_and_move(node: Running, phone: Page) -> None:
    phone.goto(f"http://127.0.0.1:{node.port}/wall?sensor=air&sensor=water&units=f")
    first, second = phone.locator(".value").all()
    expect(first).to_have_text("70.7 °F")
    for value in (first, second):
        box = value.bounding_box()
        assert box is not None
        assert box["height"] > 60
        assert box["x"] + box["width"] <= 360
    assert node.post("/api/simulate", {"sensor": "water", "value": 30}).status == 200
    expect(phone.locator(".value").last).to_have_text("86.0 °F", timeout=10_000)


def test_where_the_node_is_away_it_says_since_when_and_comes_back(node: Running, watch: Watch, page: Page) -> None:
    watch.expected.append("ERR_CONNECTION_REFUSED")
    page.goto(f"http://127.0.0.1:{node.port}/wall?sensor=air")
    expect(page.locator(".value")).to_have_text("21.5 °C")
    clock = page.locator(".clock").inner_text()
    expect(page.locator(".clock")).not_to_have_text(clock, timeout=10_000)
    node.stop()
    expect(page.locator(".off")).to_contain_text("Not live since", timeout=10_000)
    expect(page.locator(".age")).to_be_hidden()
    node.start()
    expect(page.locator(".off")).to_have_count(0, timeout=15_000)
