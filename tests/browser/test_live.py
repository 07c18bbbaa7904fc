"""What a reading changes at once; and after a pocket or a sleep, what is shown is the truth again, and soon."""

from __future__ import annotations

import datetime

from playwright.sync_api import Page, expect

from tests.running import Running

HIDDEN = """is => {
  Object.defineProperty(document, "hidden", { value: is, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def opened(plain: Running, page: Page) -> None:
    plain.post("/api/readings", {"sensor": "porch/temperature", "value": 20})
    page.clock.install()
    page.goto(f"http://127.0.0.1:{plain.port}/")
    expect(page.get_by_role("status")).to_have_text("Live")
    with page.expect_response("**/"):  # what a page asks for once when it is live
        page.clock.fast_forward(3_000)


def test_out_of_sight_it_does_not_listen_and_back_it_shows_what_is(plain: Running, page: Page) -> None:
    opened(plain, page)
    page.evaluate(HIDDEN, True)
    page.clock.fast_forward("01:00:00")
    expect(page.get_by_role("status")).to_contain_text("Not live since")
    expect(page.locator('[data-sensor="porch/temperature"]')).to_contain_text("old since")
    plain.post("/api/readings", {"sensor": "porch/temperature", "value": 5})
    expect(page.locator('[data-sensor="porch/temperature"] .value')).to_have_text("20")
    page.evaluate(HIDDEN, False)
    expect(page.locator('[data-sensor="porch/temperature"] .value')).to_have_text("5")
    expect(page.locator('[data-sensor="porch/temperature"]')).not_to_contain_text("old since")
    expect(page.get_by_role("status")).to_have_text("Live")


def test_after_a_sleep_it_asks_anew_though_its_connection_seems_to_be_there(plain: Running, page: Page) -> None:
    opened(plain, page)
    with page.expect_request("**/api/stream"), page.expect_response("**/"):
        page.clock.set_system_time(datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(hours=1))
        page.clock.run_for(2_000)
    expect(page.get_by_role("status")).to_have_text("Live")


def test_a_captive_portal_is_no_upgrade(plain: Running, page: Page) -> None:
    opened(plain, page)
    page.evaluate("window.isStill = true")
    page.route("**/", lambda route: route.fulfill(content_type="text/html", body="<script type=module src=x></script>"))
    for value in ("21", "22"):
        with page.expect_response("**/"):
            page.evaluate(HIDDEN, True)
            page.evaluate(HIDDEN, False)
        page.unroute("**/")
        plain.post("/api/readings", {"sensor": "porch/temperature", "value": int(value)})
        expect(page.locator('[data-sensor="porch/temperature"] .value')).to_have_text(value)
    assert page.evaluate("window.isStill")


def test_a_text_a_number_and_a_switch_change_where_they_stand(plain: Running, page: Page) -> None:
    values = {"note": ("calm", "a rather long storm"), "wind": (1, 1234.5), "leak": (False, True)}
    for name, (first, _) in values.items():
        plain.post("/api/readings", {"sensor": f"porch/{name}", "value": first})
    opened(plain, page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name, (_, second) in values.items():
        plain.post("/api/readings", {"sensor": f"porch/{name}", "value": second})
    for name, shown, size in (
        ("note", values["note"][1], "long"),
        ("wind", "1234.5", "wide"),
        ("leak", "wet", "words"),
    ):
        value = page.locator(f'[data-sensor="porch/{name}"] .value')
        expect(value).to_have_text(str(shown))
        expect(value).to_contain_class(size)
    page.clock.run_for(3_000)
    assert asked == []
