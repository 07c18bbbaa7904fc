"""The API's page in a real browser: authorise, switch the LED on, send a reading."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.browser.watch import Watch
from tests.running import KEY, Running


def test_led_on_and_a_reading_sent_from_the_page_with_a_key_and_not_without(
    plain: Running, watch: Watch, page: Page
) -> None:
    watch.expected += ["status of 401 .*/api/led"]
    page.goto(f"http://127.0.0.1:{plain.port}/docs")
    led = _opened(page, "POST", "/api/led")
    assert _execute(page, led, '{"action": "on"}') == 401
    assert plain.get("/api/status").json["led_state"] == "off"

    _authorise(page)
    assert _execute(page, led, '{"action": "on"}') == 200
    assert plain.get("/api/status").json["led_state"] == "on"

    readings = _opened(page, "POST", "/api/readings")
    assert _execute(page, readings, '{"sensor": "porch/temperature", "value": 21.5}') == 200
    assert plain.get("/api/readings?sensor=porch/temperature").json["readings"][0]["value"] == 21.5


def _authorise(page: Page) -> None:
    page.get_by_role("button", name="Authorize").click()
    page.locator("#api_key_value").fill(KEY)
    page.locator(".auth-btn-wrapper button.authorize").click()
    page.locator(".auth-btn-wrapper button.btn-done").click()


def _opened(page: Page, method: str, path: str) -> Locator:
    """Open an operation, to be tried."""
    operation = page.locator(f".opblock-{method.lower()}").filter(has=page.locator(f'[data-path="{path}"]')).first
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    return operation


def _execute(page: Page, operation: Locator, body: str) -> int:
    """Fill in the body of an operation, press Execute; return the status of the answer."""
    operation.locator("textarea.body-param__text").fill(body)
    with page.expect_response(lambda response: response.request.method == "POST") as answered:
        operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_be_visible()
    return answered.value.status
