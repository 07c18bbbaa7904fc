"""The API's page in a real browser: authorise, switch the LED on, send a reading."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.watch import Watch
from tests.running import KEY, Running


def test_led_on_and_a_reading_sent_from_the_page(plain: Running, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{plain.port}/docs")
    _authorise(page)

    assert _execute(page, "POST", "/api/led", '{"action": "on"}') == 200
    assert plain.get("/api/status").json["led_state"] == "on"

    assert _execute(page, "POST", "/api/readings", '{"sensor": "porch/temperature", "value": 21.5}') == 200
    assert plain.get("/api/readings?sensor=porch/temperature").json["readings"][0]["value"] == 21.5


def test_without_a_key_the_led_stays_off(plain: Running, watch: Watch, page: Page) -> None:
    watch.expected += ["status of 401 .*/api/led"]
    plain.post("/api/led", {"action": "off"})
    page.goto(f"http://127.0.0.1:{plain.port}/docs")
    assert _execute(page, "POST", "/api/led", '{"action": "on"}') == 401
    assert plain.get("/api/status").json["led_state"] == "off"


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
