"""A person signs in on the page and acts: outputs, settings, alerts; and what is refused says why beside the button."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.signing import sign_in
from tests.browser.watch import Watch
from tests.running import KEY, Running

CONFIG = """
[[sensors]]
name = "door"
driver = "gpio"
pin = 27
simulate = true

[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true

[[actuators]]
name = "pump"
driver = "gpio"
pin = 22
simulate = true
min_off = "1h"

[[settings]]
name = "vent_at"
label = "Vent opens at"
value = 30
min = 15
max = 45
unit = "°C"

[[rules]]
name = "hot"
when = "porch/temperature > vent_at"
alert = { severity = "warning", message = "It is hot: {porch/temperature:.1f} °C" }

[[rules]]
name = "attic"
when = "attic/temperature > vent_at"
alert = { severity = "warning", message = "The attic is hot" }
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(Path(tmp_path_factory.mktemp("node")) / "data", CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def inside(node: Running, browser: Browser) -> Iterator[Page]:
    """One page for all that a person who is signed in does, one thing after the other."""
    watch = Watch(browser)
    watch.expected += [
        "status of 409 .*/actuators/pump",
        "status of 422 .*/(actuators/pump|settings/vent_at)",
        "ERR_CONNECTION_RESET .*/actuators/vent",
        "the form is not connected",  # the key was taken, and the dialog has gone with it
    ]  # refused, or lost
    page = watch.page
    open_page(node, page)
    expect(page.get_by_role("button", name="Switch on")).to_have_count(0)
    sign_in(page)
    yield page
    watch.context.close()
    assert watch.complaints == []


def open_page(node: Running, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{node.port}/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()


def output(page: Page, name: str) -> Locator:
    return page.locator(f"[data-output={name}]")


def said(place: Locator) -> Locator:
    """What the page says came of the last order; by its role a screen reader says it, too."""
    return place.get_by_role("status")


def state(node: Running, name: str) -> Any:
    return node.get(f"/api/actuators/{name}").json


def test_an_output_switches_and_the_api_agrees(node: Running, inside: Page) -> None:
    vent = output(inside, "vent")
    vent.get_by_label("for").select_option("10 min")
    vent.get_by_role("button", name="Switch on").press("Enter")
    expect(said(vent)).to_contain_text("It is on, until")
    expect(vent.locator("[data-until]")).to_contain_text("9 min")
    claimed = state(node, "vent")
    assert (claimed["state"], claimed["claimed_by"]) == ("on", "environment")
    assert claimed["until"] is not None
    vent.get_by_role("button", name="Release").press("Enter")
    expect(said(vent)).to_contain_text("Released. It is off.")
    expect(said(vent)).to_be_focused()  # its button is gone
    assert state(node, "vent")["claimed_by"] is None


def test_what_is_pending_or_refused_says_why(node: Running, inside: Page) -> None:
    pump = output(inside, "pump")
    pump.get_by_role("button", name="Switch on").click()
    expect(said(pump)).to_contain_text("min_off")
    pump.get_by_label("for").select_option("5 min")
    pump.get_by_role("button", name="Switch on").click()
    expect(said(pump)).to_contain_text("which is longer")
    pump.get_by_text("Lock it").click()
    pump.get_by_role("button", name="Lock").click()
    expect(said(pump)).to_contain_text("Locked")
    assert state(node, "pump")["lock"]["by"] == "environment"
    pump.get_by_role("button", name="Unlock").click()
    expect(pump.get_by_role("button", name="Switch on")).to_be_visible()


def test_where_nobody_knows_what_became_of_an_order_the_page_looks_anew(inside: Page) -> None:
    vent, order, asked = output(inside, "vent"), "**/api/actuators/vent", list[Any]()

    def lose(route: Route) -> None:
        asked.append(route.request.post_data_json)
        route.abort("connectionreset")

    inside.route(order, lose)
    with inside.expect_request("**/api/stream"):
        vent.get_by_role("button", name="Switch on").click()
        expect(said(vent)).to_contain_text("Whether it was done is not known")
    expect(inside.get_by_text("Live", exact=True)).to_be_visible()
    inside.unroute(order)
    before = datetime.datetime.fromisoformat(asked[0]["before"])
    assert 0 < (before - datetime.datetime.now(datetime.UTC)).total_seconds() < 15  # else it is done when nobody waits


def test_what_nobody_knows_of_an_order_is_said_though_its_card_has_gone_with_the_session(inside: Page) -> None:
    order, bar = "**/api/actuators/vent", inside.locator(".session-said")
    inside.route(order, lambda route: route.abort("connectionreset"))
    button = output(inside, "vent").get_by_role("button", name="Switch on")
    button.evaluate("button => fetch('/api/session', {method: 'DELETE'}).then(() => button.click())")
    expect(bar).to_contain_text("Switch on: Vent: The node did not answer. Whether it was done is not known")
    expect(bar).to_contain_text("Your session has ended")
    inside.unroute(order)
    sign_in(inside)
    expect(bar).to_contain_text("is not known")
    output(inside, "vent").get_by_role("button", name="Switch off").click()
    expect(said(output(inside, "vent"))).to_contain_text("It is off")
    expect(bar).to_have_text("")


def test_a_setting_changes_within_its_bounds(node: Running, inside: Page) -> None:
    row = inside.locator("[data-setting=vent_at]")
    row.locator("summary").click()
    row.get_by_label("Vent opens at").fill("100")
    row.get_by_role("button", name="Save").click()
    expect(said(row)).to_contain_text("from 15 to 45")
    assert setting(node) == 30
    row.get_by_label("Vent opens at").fill("28.5")
    inside.keyboard.press("Enter")
    expect(said(row)).to_contain_text("Saved: 28.5")
    expect(row.locator("summary")).to_contain_text("28.5 °C")
    assert setting(node) == 28.5
    row.get_by_role("button", name="Default").click()
    expect(row.locator("summary")).to_contain_text("30 °C")


def test_a_session_that_was_ended_elsewhere_says_so(node: Running, watch: Watch, page: Page) -> None:
    watch.expected += ["status of 401 .*/api/(session|actuators/vent)"]
    key = str(node.post("/api/keys", {"name": "phone", "scopes": ["control"]}).json["key"])
    open_page(node, page)
    page.get_by_role("button", name="Sign in to switch it: Vent").click()
    page.keyboard.type(key + "x")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("not known here")
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Signed in as phone")).to_be_visible()
    expect(page.get_by_role("button", name="Switch on: Vent")).to_be_focused()
    assert key not in str(page.evaluate("[JSON.stringify(localStorage), document.cookie, document.body.outerHTML]"))
    node.request("DELETE", f"/api/keys/{key.partition('.')[0]}", key=KEY)
    output(page, "vent").get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("dialog")).to_contain_text("Your session has ended")
    expect(page.get_by_role("button", name="Switch on: Vent")).to_have_count(0)
    assert state(node, "vent")["state"] == "off"


def test_an_alert_is_acknowledged_and_explained(node: Running, inside: Page) -> None:
    node.post("/api/readings", {"sensor": "porch/temperature", "value": 31.5})
    alert = inside.locator("[data-alert]")
    alert.get_by_role("button", name="Acknowledge: It is hot: 31.5 °C").press("Enter")
    expect(alert).to_contain_text("seen by environment")
    assert [found["state"] for found in node.get("/api/alerts").json["alerts"]] == ["acknowledged"]
    alert.get_by_text("Why?").press("Enter")
    expect(alert.locator(".why")).to_contain_text("31.5 > 30: true")
    expect(inside.locator("[data-rule=attic]")).to_contain_text("attic/temperature was never seen")


def test_a_simulated_input_is_moved(inside: Page) -> None:
    row = inside.locator("#simulated-door")
    row.get_by_role("button", name="open").click()
    expect(said(row)).to_contain_text("Moved, for 1 min")
    expect(inside.locator("[data-sensor=door] .value")).to_have_text("open")


def test_one_signs_out(inside: Page) -> None:
    inside.get_by_role("button", name="Sign out").click()
    expect(inside.get_by_text("You are signed out.")).to_be_visible()
    expect(inside.get_by_role("button", name="Sign in", exact=True)).to_be_focused()
    assert inside.evaluate("fetch('/api/session').then(answer => answer.json())")["signed_in"] is False


def setting(node: Running) -> Any:
    return node.get("/api/settings").json["settings"][0]["value"]


def test_where_nobody_looks_without_a_key_the_page_asks_for_one(tmp_path: Path, watch: Watch, page: Page) -> None:
    watch.expected += ["status of 401", "ERR_INTERNET_DISCONNECTED"]
    with Running(tmp_path / "data", '[web]\nreads = "key"\n') as node:
        node.post("/api/readings", {"sensor": "porch/temperature", "value": 20})
        page.goto(f"http://127.0.0.1:{node.port}/?units=f")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("To look at this node")
        page.keyboard.type(KEY)
        page.keyboard.press("Enter")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        expect(page.get_by_text("Signed in as")).to_be_visible()
        assert page.url.endswith("/?units=f")
        expect(page.locator("[data-sensor]")).to_have_count(1)
        page.evaluate("fetch('/api/session', {method: 'DELETE'})")  # as another window does
        page.context.set_offline(True)
        expect(page.get_by_text("Not live since")).to_be_visible()
        page.context.set_offline(False)
        expect(dialog).to_contain_text("Your session has ended")
        expect(page.locator("[data-sensor]")).to_have_count(0)
        page.keyboard.type(KEY)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in to look")).to_be_attached()
        expect(page.locator("[data-sensor]")).to_have_count(0)
