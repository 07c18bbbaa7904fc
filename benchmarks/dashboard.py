"""How a page of 500 sensors scrolls, and what it costs, while 100 readings come in every second, in one run.

    python benchmarks/dashboard.py --minutes 10

Needs Debian's chromium. A node is given six hours of 500 sensors of twenty boards; then these report, 100 readings a
second in 20 requests, and a browser as large as a phone has the page open all the time. Every minute the page is
scrolled for some seconds, as fast as the browser can, and then with its processor slowed down four times; from one
frame of a quiet screen to the next are 16.7 ms. The heap is what is left after a collection. There is no GPU: software
draws the frames.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import servers
from playwright.sync_api import CDPSession, Page, ViewportSize, sync_playwright
from servers import KEY, Server
from weighing import cpu_time, pss

BOARDS, EACH = 20, 25
A_SECOND, TOGETHER = 100, 5
"""Readings, and how many of them come in one request."""

HISTORY, EVERY = 6 * 3_600, 300
"""Seconds of readings before the start, and between two of them."""

PHONE: ViewportSize = {"width": 390, "height": 844}
SCROLLED = 4_000
"""Milliseconds."""

SLOW = 4
"""How many times the processor of a cheap phone is slower than this one's, as browsers' own tools have it."""

LONG_TASKS = """
window.longTasks = [];
new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((each) => each.duration)))
  .observe({ type: "longtask" });
"""
"""Work in which the page answers nobody: more than 50 ms (W3C, Long Tasks API)."""

SCROLL = """(millis) => new Promise((done) => {
  const [frames, began, height] = [[], performance.now(), document.documentElement.scrollHeight - innerHeight];
  let [before, by] = [began, 24];
  requestAnimationFrame(function next(now) {
    frames.push(now - before);
    before = now;
    if (scrollY >= height - 1) by = -24;
    if (scrollY <= 0) by = 24;
    scrollBy({ top: by, behavior: "instant" });
    if (now - began < millis) requestAnimationFrame(next);
    else done(frames.slice(1));
  });
})"""


class Seen(msgspec.Struct, frozen=True):
    """One minute of the page and its node. Times in milliseconds, memory in MB, the stream in bytes a second."""

    frames: list[float]
    slow_frames: list[float]
    long_tasks: list[float]
    heap: float
    nodes: int
    listeners: int
    memory: float
    cpu: float
    """A share of one core."""
    stream: float


def main() -> int:
    """Run everything; return the exit code."""
    options = _options()
    chromium = shutil.which("chromium")
    if chromium is None:
        print("Chromium is not installed: sudo apt install chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="outstation-dashboard-") as name, servers.outstation(Path(name)) as node:
        _remember(node)
        with _reporting(node) as told, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport=PHONE, device_scale_factor=2, has_touch=True, is_mobile=True)
            _watch(node, page, options.minutes, told)
            browser.close()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A page of 500 sensors, while 100 readings come in every second.")
    parser.add_argument("--minutes", type=int, default=1, help="that the page is open (1)")
    return parser.parse_args()


def _names() -> list[str]:
    return [f"board-{number % BOARDS}/sensor_{number // BOARDS}" for number in range(BOARDS * EACH)]


def _value(number: int, at: float) -> float:
    return round(20 + number % 30 + 5 * math.sin(at / 3_000 + number), 2)


def _remember(node: Server) -> None:
    """Give the node what it would have had from these boards."""
    now = int(time.time())
    times = list(range(now - HISTORY, now - 60, EVERY))
    for number, name in enumerate(_names()):
        values = [_value(number, at) for at in times]
        document = {"sensor": name, "timestamps": times, "values": values}
        status, answer = servers.ask(node.port, "POST", "/api/readings", body=json.dumps(document), key=True)
        if status != 200:
            raise SystemExit(f"FAILED: the node answered {status}: {answer.decode()}")


@contextmanager
def _reporting(node: Server) -> Iterator[list[float]]:
    """Have the boards report all the time; the list holds how long each answer took, in seconds."""
    took: list[float] = []
    stop = threading.Event()
    thread = threading.Thread(target=_report, args=(node, took, stop))
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


def _report(node: Server, took: list[float], stop: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
    headers = {"Content-Type": "application/json", "X-API-Key": KEY}
    names, began, count = _names(), time.monotonic(), 0
    while not stop.wait(max(0.0, began + count / A_SECOND - time.monotonic())):
        some = [(count + place) % len(names) for place in range(TOGETHER)]
        document = [{"sensor": names[number], "value": _value(number, time.time())} for number in some]
        asked = time.monotonic()
        connection.request("POST", "/api/readings", json.dumps(document), headers)
        connection.getresponse().read()
        took.append(time.monotonic() - asked)
        count += TOGETHER


def _watch(node: Server, page: Page, minutes: int, told: list[float]) -> None:
    page.add_init_script(LONG_TASKS)
    devtools = page.context.new_cdp_session(page)
    stream = _counted(devtools)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    first = _first_paint(node, page)
    page.wait_for_function("document.querySelector('.live').textContent === 'Live'")
    print(f"The first view of {page.locator('[data-sensor]').count()} cards was there after {first:.0f} ms.")
    print(HEADS)
    heap, nodes, listeners = _heap(devtools)
    print(f"{'start':6}  {'':44} {heap:7.2f} {nodes:7,} {listeners:9}   {pss(node.pid):7.1f}", flush=True)
    told.clear()
    for minute in range(minutes):
        _print(minute + 1, _minute(node, page, devtools, stream))
    answers = sorted(told)
    p50, p99 = (answers[int(len(answers) * share)] * 1e3 for share in (0.5, 0.99))
    print(
        f"{len(answers) * TOGETHER / minutes / 60:.0f} readings came in a second; a board had its answer after", end=" "
    )
    print(f"{p50:.1f} ms (p99 {p99:.0f}, the slowest {answers[-1] * 1e3:.0f}).")
    print(f"Of {page.locator('[data-sensor]').count()} cards {page.locator('.spark').count()} have a sparkline.")
    for error in errors:
        print(f"An error in the page: {error}")


def _counted(devtools: CDPSession) -> list[int]:
    """Count the bytes of the stream: the list holds them."""
    total, streams = [0], set[str]()
    devtools.send("Network.enable")

    def sent(event: dict[str, Any]) -> None:
        if event["request"]["url"].endswith("/api/stream"):
            streams.add(event["requestId"])

    def received(event: dict[str, Any]) -> None:
        if event["requestId"] in streams:
            total[0] += event["dataLength"]

    devtools.on("Network.requestWillBeSent", sent)
    devtools.on("Network.dataReceived", received)
    return total


def _first_paint(node: Server, page: Page) -> float:
    page.goto(f"http://127.0.0.1:{node.port}/")
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    page.wait_for_function(paint)
    found: float = page.evaluate(paint)
    return found


def _heap(devtools: CDPSession) -> tuple[float, int, int]:
    """Return the heap in MB after a collection, how many nodes there are, and how many listeners."""
    devtools.send("HeapProfiler.collectGarbage")
    devtools.send("Performance.enable")
    found = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
    return found["JSHeapUsedSize"] / 1e6, int(found["Nodes"]), int(found["JSEventListeners"])


def _minute(node: Server, page: Page, devtools: CDPSession, stream: list[int]) -> Seen:
    began, spent, received = time.monotonic(), cpu_time(node.pid), stream[0]
    page.evaluate("window.longTasks.length = 0")
    frames = page.evaluate(SCROLL, SCROLLED)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOW})
    slow_frames = page.evaluate(SCROLL, SCROLLED)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    page.wait_for_timeout(max(0.0, (began + 60 - time.monotonic()) * 1e3))
    took = time.monotonic() - began
    return Seen(
        frames,
        slow_frames,
        page.evaluate("window.longTasks"),
        *_heap(devtools),
        pss(node.pid),
        (cpu_time(node.pid) - spent) / took,
        (stream[0] - received) / took,
    )


HEADS = (
    "minute  frame: median (p95)  4x slower      long tasks   heap   nodes  listeners  node: MB  CPU   stream\n"
    "        ms                   ms             number: most    MB                                   B/s"
)


def _print(minute: int, seen: Seen) -> None:
    tasks = f"{len(seen.long_tasks):3}: {max(seen.long_tasks, default=0):4.0f} ms"
    memory = (
        f"{seen.heap:7.2f} {seen.nodes:7,} {seen.listeners:9}   {seen.memory:7.1f} {seen.cpu:4.0%} {seen.stream:8,.0f}"
    )
    print(f"{minute:6}  {_spread(seen.frames):20} {_spread(seen.slow_frames):14} {tasks} {memory}", flush=True)


def _spread(frames: list[float]) -> str:
    times = sorted(frames)
    return f"{statistics.median(times):.1f} ({times[int(len(times) * 0.95)]:.1f})"


if __name__ == "__main__":
    sys.exit(main())
