"""A plot: opened by a tap or an address, zoomed and moved, going on by itself, with what happened marked."""

from __future__ import annotations

import csv
import datetime
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.alone import run_module
from tests.browser.watch import Watch
from tests.running import Running

CONFIG = """
[node]
timezone = "Asia/Kolkata"

[[rules]]
name = "frost"
when = "porch/inside < 2"
alert = { severity = "critical", message = "Frost <b>inside</b>" }
"""

HOUR = 3_600


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node with half a day of readings, of which an hour is missing."""
    with Running(Path(tmp_path_factory.mktemp("node")) / "data", CONFIG) as running:
        now = int(time.time())
        times = [at for at in range(now - 12 * HOUR, now - 60, 300) if not now - 5 * HOUR < at < now - 4 * HOUR]
        for name, base in (("inside", 20), ("outside", 5)):
            values = [base + number % 10 for number in range(len(times))]
            document = {"sensor": f"porch/{name}", "timestamps": times, "values": values}
            assert running.post("/api/readings", document).status == 200
        yield running


def test_a_tap_opens_a_plot_that_zooms_moves_and_goes_on(node: Running, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{node.port}/")
    expect(page.get_by_role("status")).to_have_text("Live")
    assert not any("uPlot" in url or "/plot." in url for url in asked)
    page.get_by_role("link", name="Inside").click()
    area = page.locator("#plot .u-over")
    expect(area).to_be_visible()
    assert _address(page) == {"plot": "porch/inside", "last": "15m"}  # of a node that has just been started
    _show_a_day(page)

    asked.clear()
    node.post("/api/readings", {"sensor": "porch/inside", "value": 31})
    legend = page.locator("#plot .legend")
    expect(legend).to_contain_text("20 to 31")
    assert not any("/api/readings" in url for url in asked)  # it came by the stream
    area.hover(position={"x": 5, "y": 40})
    expect(legend).to_contain_text("nothing heard")

    page.mouse.wheel(0, -400)
    page.wait_for_url(re.compile("start="))
    zoomed = _address(page)
    page.mouse.down()
    area.hover(position={"x": 205, "y": 40})
    page.mouse.up()
    page.wait_for_url(lambda url: zoomed["start"] not in url)
    assert _address(page)["start"] < zoomed["start"]

    page.get_by_role("button", name="Now: go on").click()
    assert "last" in _address(page)
    page.keyboard.press("Escape")
    expect(page.locator("#plot")).to_be_hidden()
    page.wait_for_url(lambda url: "#" not in url)


def test_an_address_says_what_is_shown_and_what_happened_then(node: Running, page: Page, tmp_path: Path) -> None:
    node.post("/api/readings", {"sensor": "porch/inside", "value": 1})
    page.goto(f"http://127.0.0.1:{node.port}/#plot=porch/inside,porch/outside&last=6h")
    plot = page.locator("#plot")
    expect(plot.locator(".told")).to_contain_text("Critical alert Frost <b>inside</b>")
    expect(plot.locator(".told")).to_contain_text("Rule fired frost")
    expect(plot.locator(".at-cursor")).to_contain_text("Asia/Kolkata")
    expect(plot.locator(".legend li")).to_have_count(2)

    page.keyboard.press("End")
    expect(plot.get_by_role("status").first).to_contain_text("Inside 1")
    with page.expect_download() as saved:
        plot.get_by_role("button", name="Save as CSV what is shown").click()
    saved.value.save_as(tmp_path / "plot.csv")
    head, *rows = csv.reader((tmp_path / "plot.csv").read_text().splitlines())
    assert head[:5] == ["timestamp", "porch/inside", "porch/inside min", "porch/inside max", "porch/outside"]
    assert float(rows[-1][2]) == 1

    plot.get_by_role("button", name="Remove Inside").click()
    expect(plot.locator(".legend li")).to_have_count(1)
    plot.get_by_role("combobox").select_option("porch/inside")
    assert _address(page)["plot"] == "porch/outside,porch/inside"
    plot.get_by_role("button", name="Close the plot").click()


def test_a_phone_shows_several_units_that_two_fingers_zoom_and_a_double_tap_brings_back(
    node: Running, page: Page
) -> None:
    node.post("/api/readings", {"sensor": "porch/leak", "value": False})
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"http://127.0.0.1:{node.port}/#plot=porch/inside,porch/leak&last=24h")
    plot = page.locator("#plot")
    expect(plot.locator(".uplot")).to_have_count(2)
    seen = "[...document.querySelectorAll('#plot, #plot :not(.unseen)')]"
    assert page.evaluate(f"{seen}.every(each => each.scrollWidth <= innerWidth)")
    expect(plot.locator("#plot-summary")).to_contain_text(
        re.compile(r"Inside: last \d+, lowest \d+, highest \d+, mean ")
    )
    _pinch(page, plot.locator(".u-over").first)
    page.wait_for_url(lambda url: "last=24h" not in url)
    plot.locator(".charts").dispatch_event("dblclick")
    page.wait_for_url(lambda url: "last=24h" in url)
    plot.locator(".charts").press("+")
    page.wait_for_url(lambda url: "last=12h" in url)
    plot.locator(".charts").press("0")
    page.wait_for_url(lambda url: "last=24h" in url)


def test_a_plot_that_cannot_be_right_says_so_in_words(node: Running, watch: Watch, page: Page) -> None:
    watch.expected += ["ERR_INTERNET_DISCONNECTED", "404"]
    page.goto(f"http://127.0.0.1:{node.port}/#plot=porch/inside,porch/nobody&last=24h")
    words = page.locator("#plot .said")
    expect(words).to_have_text("The node has no sensor \u201cporch/nobody\u201d.")
    page.locator("#plot .charts").press("Shift+ArrowLeft")
    page.context.set_offline(True)
    expect(words).to_contain_text("Not live since")
    page.locator("#plot .charts").press("-")
    expect(words).to_contain_text("What is drawn may be less than you ask for.")
    page.context.set_offline(False)
    expect(words).to_have_text("The node has no sensor \u201cporch/nobody\u201d.")
    page.goto(f"http://127.0.0.1:{node.port}/#plot=porch/inside&start=2001-01-01T00:00Z&end=2001-01-02T00:00Z")
    expect(words).to_contain_text("Nothing was heard in this time")


def test_an_alert_leads_to_the_plot_of_what_it_is_about(node: Running, page: Page) -> None:
    node.post("/api/readings", {"sensor": "porch/inside", "value": 1})
    page.goto(f"http://127.0.0.1:{node.port}/")
    page.locator("#alerts").get_by_role("link", name="plot").click()
    expect(page.locator("#plot .told")).to_contain_text("Critical alert Frost <b>inside</b>")
    assert _address(page) == {"plot": "porch/inside", "last": "6h"}


def test_an_alert_of_another_node_is_marked_where_its_sensors_are(browser: Browser) -> None:
    alert = {"node": "shed", "subject": "frost", "values": {"air": 1}}
    call = "alert => ['air', 'shed/air'].map(name => module.isAbout(alert, [name], [{ rule: 'frost' }]))"
    assert run_module(browser, "marks.js", call, alert) == [False, True]
    assert run_module(browser, "marks.js", call, alert | {"node": None}) == [True, True]


def _show_a_day(page: Page) -> None:
    page.get_by_role("button", name="24 h").click()
    assert _address(page) == {"plot": "porch/inside", "last": "24h"}
    expect(page.locator("#plot .legend")).to_contain_text("20 to 29")


def _pinch(page: Page, area: Locator) -> None:
    box = area.bounding_box()
    assert box
    devtools = page.context.new_cdp_session(page)
    middle, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 110), ("touchEnd", 0)):
        points = [{"x": middle - apart, "y": y, "id": 0}, {"x": middle + apart, "y": y, "id": 1}] if apart else []
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_nothing_is_drawn_where_nothing_was_heard(browser: Browser) -> None:
    rows = [
        {"at": 0, "mean": 20, "low": 19, "high": 21, "isHeard": True},
        {"at": 10, "mean": None, "low": None, "high": None, "isHeard": True},
        {"at": 20, "mean": 22, "low": 22, "high": 22, "isHeard": True},
        {"at": 30, "mean": None, "low": None, "high": None, "isHeard": False},
    ]
    units = {"temperature": "f", "pressure": "hpa"}
    call = "({ rows, units }) => module.aligned([{ rows, unit: '°C', units }], 10, 100).map(all => all.map(String))"
    times, low, _, mean = run_module(browser, "columns.js", call, {"rows": rows, "units": units})
    assert times == ["5", "15", "25", "35"]
    assert low == ["66.2", "undefined", "71.6", "null"]
    assert mean == ["68", "undefined", "71.6", "null"]


def test_two_fingers_on_a_phone_zoom_and_one_moves(node: Running, browser: Browser) -> None:
    watch = Watch(browser, width=360, height=780, is_phone=True)
    page = watch.page
    page.goto(f"http://127.0.0.1:{node.port}/")
    page.get_by_role("link", name="Inside").tap()
    expect(page.locator("#plot .u-over")).to_be_visible()
    fingers = Fingers(page)

    fingers.move([(150, 0), (210, 0)], [(90, 0), (270, 0)])
    page.wait_for_url(re.compile("start="))
    zoomed = _address(page)
    assert _span(zoomed) < 12 * HOUR * 1_000

    fingers.move([(150, 0)], [(250, 0)])
    page.wait_for_url(lambda url: zoomed["start"] not in url)
    moved = _address(page)
    assert moved["start"] < zoomed["start"]
    assert _span(moved) == _span(zoomed)
    watch.context.close()
    assert watch.complaints == []


def test_by_keyboard_alone_a_plot_is_opened_zoomed_and_closed(node: Running, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{node.port}/")
    expect(page.get_by_role("status")).to_have_text("Live")
    link = page.get_by_role("link", name="Inside")
    for _ in range(40):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("application")).to_be_focused()
    expect(page.locator("#plot .u-over")).to_be_visible()
    page.keyboard.press("+")
    page.wait_for_url(re.compile("last=(?!15m)"))
    page.keyboard.press("End")
    expect(page.locator("#plot").get_by_role("status").first).to_contain_text("Inside")
    page.keyboard.press("Escape")
    expect(page.locator("#plot")).to_be_hidden()
    expect(link).to_be_focused()


class Fingers:
    """Touches of the plot (Chrome DevTools Protocol, Input.dispatchTouchEvent), in px from its left and middle."""

    def __init__(self, page: Page) -> None:
        area = page.locator("#plot .u-over").first.bounding_box()
        assert area
        self._top = area["y"] + area["height"] / 2
        self._session = page.context.new_cdp_session(page)

    def move(self, start: list[tuple[float, float]], end: list[tuple[float, float]], steps: int = 6) -> None:
        """Put fingers down, move each to its end, and lift them."""
        self._touch("touchStart", start)
        for step in range(1, steps + 1):
            share = step / steps
            pairs = zip(start, end, strict=True)
            self._touch("touchMove", [(a + share * (c - a), b + share * (d - b)) for (a, b), (c, d) in pairs])
        self._touch("touchEnd", [])

    def _touch(self, kind: str, fingers: list[tuple[float, float]]) -> None:
        points = [{"x": x, "y": self._top + y, "id": number} for number, (x, y) in enumerate(fingers)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def _span(address: dict[str, Any]) -> float:
    start, end = (datetime.datetime.fromisoformat(address[key]) for key in ("start", "end"))
    return (end - start).total_seconds() * 1_000


def _address(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")
    return found
