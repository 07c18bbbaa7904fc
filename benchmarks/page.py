"""What the first view of the page costs a slow phone: `.venv/bin/python -m benchmarks.page [RUNS]`.

The demo's page in Chromium, 360 px wide, the processor slowed to a quarter (Chrome DevTools Protocol,
Emulation.setCPUThrottlingRate), with an empty cache each time: over a network of one's own, and over the slow 4G of
Lighthouse (1.6 Mbit/s, 150 ms there and back). Medians; bytes are those over the wire, heads included.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.browser.conftest import QUIET
from tests.browser.wire import Wire
from tests.running import Running

SLOWER = 4
SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}
NETWORKS = {"its own network": None, "slow 4G": SLOW_4G}
TARGET_BYTES, TARGET_MS = 150_000, 1_000

_WATCH = """(() => {
  const seen = globalThis.seen = {};
  const look = () => {
    const when = (name, is) => { if (is) seen[name] ??= performance.now(); };
    when("values", document.querySelector("[data-sensor] .value data")?.offsetHeight);
    when("live", document.querySelector(".live")?.textContent === "Live");
    if (!("live" in seen)) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})()"""
_SEEN = """() => ({ ...seen, paint: performance.getEntriesByName("first-contentful-paint")[0].startTime })"""

_DRAWN = """value => {
  globalThis.drawn = new Promise(done => {
    const look = () => {
      if (document.querySelector("#plot .legend b")?.textContent === value) done();
      else requestAnimationFrame(look);
    };
    look();
  });
}"""


class Seen(msgspec.Struct):
    """One look: bytes by kind, and when things were there, in ms since it was asked for."""

    kinds: dict[str, int]
    paint: float
    values: float
    live: float


def look(browser: Browser, address: str, network: dict[str, float] | None) -> Seen:
    """Open the page as a slow phone with an empty cache does."""
    with _phone(browser) as (page, session):
        session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        if network:
            session.send("Network.enable")
            session.send("Network.emulateNetworkConditions", network)
        page.add_init_script(_WATCH)
        wire = Wire(page)
        page.goto(address)
        page.get_by_text("Live", exact=True).wait_for()
        return Seen(wire.by_kind(), **page.evaluate(_SEEN))


def until_drawn(browser: Browser, node: Running) -> float:
    """Return the ms from sending a reading to its being drawn in a plot that is open."""
    node.post("/api/readings", {"sensor": "bench/value", "value": 0})
    with _phone(browser) as (page, _):
        page.goto(f"http://127.0.0.1:{node.port}/#plot=bench/value&last=1h")
        page.locator("#plot .u-over").wait_for()
        took = []
        for value in (7_000, 8_000, 9_000):
            page.evaluate(_DRAWN, str(value))  # and does not wait for it
            began = time.perf_counter()
            node.post("/api/readings", {"sensor": "bench/value", "value": value})
            page.evaluate("drawn")
            took.append((time.perf_counter() - began) * 1e3)
        return statistics.median(took)


@contextmanager
def _phone(browser: Browser) -> Iterator[tuple[Page, CDPSession]]:
    context = browser.new_context(
        viewport={"width": 360, "height": 780}, device_scale_factor=3, is_mobile=True, has_touch=True
    )
    page = context.new_page()
    try:
        yield page, context.new_cdp_session(page)
    finally:
        context.close()


def report(name: str, seen: list[Seen]) -> None:
    """Print the medians of one network."""
    paint, values, live = (
        statistics.median(getattr(each, key) for each in seen) for key in ("paint", "values", "live")
    )
    print(f"{name:>16} {paint:>12.0f} {values:>12.0f} {live:>12.0f}")


def main(runs: int) -> None:
    """Look, and print."""
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is not installed: apt install chromium"
    with (
        tempfile.TemporaryDirectory() as folder,
        Running(Path(folder) / "demo", None, command="demo", env={"TMPDIR": folder}) as node,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        time.sleep(3)  # the demo's first readings
        address = f"http://127.0.0.1:{node.port}/"
        rounds = [{name: look(browser, address, network) for name, network in NETWORKS.items()} for _ in range(runs)]
        looks = {name: [each[name] for each in rounds] for name in NETWORKS}
        kinds = looks["its own network"][0].kinds
        print(f"over the wire: {sum(kinds.values()):,} bytes (the aim is {TARGET_BYTES:,})")
        for kind, size in sorted(kinds.items(), key=lambda item: -item[1]):
            print(f"  {kind:<12} {size:>8,}")
        print(f"ms, processor slowed {SLOWER} times, medians of {runs} (the aim: values within {TARGET_MS:,})")
        print(f"{'':>16} {'first paint':>12} {'values':>12} {'live':>12}")
        for name, seen in looks.items():
            report(name, seen)
        print(f"a reading is in an open plot after {until_drawn(browser, node):.0f} ms")
        browser.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
