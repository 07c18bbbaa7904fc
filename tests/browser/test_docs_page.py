"""The API's page in a real browser: authorise, switch the LED on, send a reading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.running import KEY, Running


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(Path(tmp_path_factory.mktemp("node")) / "data") as running:
        yield running


def test_led_on_and_a_reading_sent_from_the_page(node: Running, page: Page) -> None:
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if _is_foreign(request.url, node) else None)
    page.goto(f"http://127.0.0.1:{node.port}/docs")
    _authorise(page)

    assert _execute(page, "POST", "/api/led", '{"action": "on"}') == 200
    assert node.get("/api/status").json["led_state"] == "on"

    assert _execute(page, "POST", "/api/readings", '{"sensor": "porch/temperature", "value": 21.5}') == 200
    assert node.get("/api/readings?sensor=porch/temperature").json["readings"][0]["value"] == 21.5
    assert elsewhere == []


def test_without_a_key_the_led_stays_off(node: Running, page: Page) -> None:
    node.post("/api/led", {"action": "off"})
    page.goto(f"http://127.0.0.1:{node.port}/docs")
    assert _execute(page, "POST", "/api/led", '{"action": "on"}') == 401
    assert node.get("/api/status").json["led_state"] == "off"


def _is_foreign(url: str, node: Running) -> bool:
    return not url.startswith((f"http://127.0.0.1:{node.port}/", "data:"))


def _authorise(page: Page) -> None:
    page.get_by_role("button", name="Authorize").click()
    page.get_by_role("textbox").fill(KEY)
    page.locator(".auth-btn-wrapper button.authorize").click()
    page.locator(".auth-btn-wrapper button.btn-done").click()


def _execute(page: Page, method: str, path: str, body: str) -> Any:
    """Open an operation, fill in its body, press Execute; return the status of the answer."""
    operation = page.locator(f".opblock-{method.lower()}").filter(has=page.locator(f'[data-path="{path}"]')).first
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("textarea.body-param__text").fill(body)
    with page.expect_response(lambda response: response.url.endswith(path)) as answered:
        operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_be_visible()
    return answered.value.status
