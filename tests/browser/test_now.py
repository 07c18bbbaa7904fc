"""The page moves by itself: values as they come, ages by its own clock, and it says when it is not live."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser.alone import run_module
from tests.browser.watch import Watch
from tests.running import Running


def say(node: Running, sensor: str, value: object) -> None:
    assert node.post("/api/readings", {"sensor": sensor, "value": value}).status == 200


def test_a_reading_is_shown_as_it_comes_and_a_new_sensor_appears(plain: Running, page: Page) -> None:
    say(plain, "porch/temperature", 21)
    page.goto(f"http://127.0.0.1:{plain.port}/")
    expect(page.get_by_role("status")).to_have_text("Live")
    value = page.locator('[data-sensor="porch/temperature"] .value')
    for number, shown in ((-3.25, "\u22123.2"), (22, "22"), (1013.25, "1013.2")):
        say(plain, "porch/temperature", number)
        expect(value).to_have_text(shown)
    say(plain, "porch/leak", False)
    expect(page.locator('[data-sensor="porch/leak"] .value')).to_have_text("dry")
    say(plain, "porch/leak", True)
    expect(page.locator('[data-sensor="porch/leak"] .value')).to_have_text("wet")
    say(plain, "porch/note", "<img src=x onerror=alert(1)>")
    expect(page.locator('[data-sensor="porch/note"] .value')).to_have_text("<img src=x onerror=alert(1)>")


def test_without_the_node_it_says_so_and_values_grow_old(plain: Running, watch: Watch, page: Page) -> None:
    watch.expected += ["ERR_INTERNET_DISCONNECTED"]
    say(plain, "porch/temperature", 20)
    page.clock.install()
    page.goto(f"http://127.0.0.1:{plain.port}/")
    expect(page.get_by_role("status")).to_have_text("Live")
    page.context.set_offline(True)
    expect(page.get_by_role("status")).to_contain_text("Not live since")
    card = page.locator('[data-sensor="porch/temperature"]')
    page.clock.fast_forward("20:00")
    expect(card.locator(".age")).to_contain_text("20 min ago")
    expect(card).to_contain_text("old since")
    page.context.set_offline(False)
    expect(page.get_by_role("status")).to_have_text("Live")
    say(plain, "porch/temperature", 19)
    expect(card.locator(".value")).to_have_text("19")
    expect(card).not_to_contain_text("old since")


def test_what_was_measured_before_the_computer_slept_is_old_when_it_wakes(
    plain: Running, watch: Watch, page: Page
) -> None:
    """performance.now() stands still then, and Date.now() does not."""
    watch.expected.append("ERR_INTERNET_DISCONNECTED")
    page.add_init_script(
        "const now = Date.now; let slept = 0; Date.now = () => now() + slept; window.sleep = (ms) => { slept += ms; };"
    )
    say(plain, "porch/temperature", 20)
    page.goto(f"http://127.0.0.1:{plain.port}/")
    live, card = page.get_by_role("status"), page.locator('[data-sensor="porch/temperature"]')
    expect(live).to_have_text("Live")
    page.context.set_offline(True)
    expect(live).to_contain_text("Not live since")
    page.evaluate("sleep(8 * 3_600_000)")
    expect(card.locator(".age")).to_have_text("8 h ago")
    expect(card).to_contain_text("old since")
    page.context.set_offline(False)
    expect(live).to_have_text("Live")
    expect(card.locator(".age")).to_contain_text(" s ago")
    with page.expect_request("**/api/stream"):
        page.evaluate("sleep(60_000)")
    expect(live).to_have_text("Live")


def test_a_node_that_was_away_is_live_again_by_itself(plain: Running, watch: Watch, page: Page) -> None:
    watch.expected += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET"]
    page.goto(f"http://127.0.0.1:{plain.port}/")
    expect(page.get_by_role("status")).to_have_text("Live")
    page.evaluate("window.stays = true")
    plain.stop()
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^Not live since \d\d:\d\d:\d\d; trying again$"))
    plain.start()
    expect(page.get_by_role("status")).to_have_text("Live", timeout=20_000)
    say(plain, "porch/temperature", 18)
    expect(page.locator('[data-sensor="porch/temperature"] .value')).to_have_text("18")
    assert page.evaluate("window.stays")


def test_units_and_groups_are_chosen_without_leaving_the_page_and_units_are_remembered(
    plain: Running, page: Page
) -> None:
    say(plain, "shed/temperature", 5)
    page.goto(f"http://127.0.0.1:{plain.port}/")
    page.evaluate("window.stays = true")
    page.get_by_role("link", name="°F", exact=True).click()
    cpu = page.locator("[data-sensor=cpu_temp] .unit")
    expect(cpu).to_have_text(" °F")
    page.get_by_role("navigation", name="Groups").get_by_role("link", name="shed").click()
    expect(cpu).to_have_count(0)
    page.go_back()
    expect(cpu).to_have_text(" °F")
    assert page.evaluate("window.stays")
    page.goto(f"http://127.0.0.1:{plain.port}/")
    expect(cpu).to_have_text(" °F")


PATCHED = """({ old, new_ }) => {
  document.body.innerHTML = old;
  const field = document.querySelector("input");
  field.value = "typed";
  field.focus();
  module.patch(document.body, new DOMParser().parseFromString(new_, "text/html").body);
  return [document.body.innerHTML, document.activeElement === field, field.value];
}"""


def test_a_patch_leaves_what_is_typed_and_what_is_its_readers_own(browser: Browser) -> None:
    old = "<ul><li data-rule=a>1</li><li data-rule=b><input></li></ul><details open>x</details>"
    old += "<p data-keep>mine</p><i data-keep>!</i>"
    new = "<ul><li data-rule=c>3</li><li data-rule=b class=x><input></li></ul><details>y</details><p data-keep></p>"
    found = run_module(browser, "patch.js", PATCHED, {"old": old, "new_": new})
    rules = '<ul><li data-rule="c">3</li><li data-rule="b" class="x"><input></li></ul>'
    assert found == [f'{rules}<details open="">y</details><p data-keep="">mine</p><i data-keep="">!</i>', True, "typed"]
