"""Ten sensors at 1 Hz: what their summaries cost on the line, and what one POST for each reading would."""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import counting
import servers
from counting import Line, Passed
from hub import CONFIG, admit, judge

from outstation import clock
from outstation.core.windows import FIVE_MINUTES
from outstation.engine import outgoing

SENSORS = 10
SHARE_TARGET = 0.2
"""Percent of the HTTP bytes of one POST for each reading."""

_NAIVE = 300
_READING = "import random\nvalue = {value}\n\ndef read():\n    global value\n    value += random.gauss(0, 0.02)\n"
_READING += "    return round(value, 2)\n"

_SENSOR = """
[[sensors]]
name = "t{number}"
driver = "python"
file = "t{number}.py"
every = "1s"
unit = "°C"
"""

_UPLINK = """
[[uplinks]]
name = "hub"
kind = "outstation"
url = "{url}"
key = "{key}"
"""


def shares(place: Path, windows: int) -> list[bool]:
    """Have two nodes report, one over TLS, for so many windows; compare with the naive way over the same lines."""
    names = ("plain", "tls")
    keys = admit(place / "hub", names)
    (place / "hub.toml").write_text(CONFIG, encoding="utf-8")
    context, certificate = counting.context(place)
    os.environ["SSL_CERT_FILE"] = str(certificate)  # the nodes trust it, and so does this process
    with servers.outstation(place / "hub", config=place / "hub.toml") as hub, ExitStack() as stack:
        lines = [stack.enter_context(Line(hub.port)), stack.enter_context(Line(hub.port, context))]
        urls = [f"{scheme}://127.0.0.1:{line.port}" for scheme, line in zip(("http", "https"), lines, strict=True)]
        for name, url, key in zip(names, urls, keys, strict=True):
            stack.enter_context(servers.outstation(place / name, config=_config(place, name, url, key)))
        _wait(windows)
        reports = [list(line.passed) for line in lines]
        naive = [_naive(*each) for each in zip(lines, urls, names, keys, strict=True)]
    return [_say(name, found, each) for name, found, each in zip(names, reports, naive, strict=True)]


def _config(place: Path, name: str, url: str, key: str) -> Path:
    """Write a config with its ten sensors; they walk at random, as most sensors do."""
    folder = place / f"{name}-config"
    folder.mkdir()
    text = f'[node]\nname = "{name}"\nclock = "trust"\n'
    for number in range(SENSORS):
        (folder / f"t{number}.py").write_text(_READING.format(value=20 + number), encoding="utf-8")
        text += _SENSOR.format(number=number)
    (folder / "outstation.toml").write_text(text + _UPLINK.format(url=url, key=key), encoding="utf-8")
    return folder / "outstation.toml"


def _wait(windows: int) -> None:
    """Wait until so many whole windows were reported: the first is not whole."""
    now = clock.at()
    until = (now // FIVE_MINUTES + 1 + windows) * FIVE_MINUTES + 100_000
    print(f"\nTen sensors at 1 Hz for {(until - now) / 60_000:.0f} minutes ...", flush=True)
    time.sleep((until - now) / 1_000)


def _naive(line: Line, url: str, node: str, key: str) -> list[Passed]:
    """Send readings as a node without summaries would: the same program, a connection for each, as few words."""
    before = len(line.passed)

    async def story() -> None:
        for number in range(_NAIVE):
            reading = {"sensor": f"{node}/n{number % SENSORS}", "value": round(random.gauss(20, 0.5), 2)}
            body = json.dumps({**reading, "timestamp": clock.iso(clock.at())}).encode()
            answer = await outgoing.post(f"{url}/api/readings", body, {"X-API-Key": key}, within=10)
            if answer.status != 200:
                raise SystemExit(f"FAILED: the hub answered {answer.status} {answer.error}")

    asyncio.run(story())
    time.sleep(0.5)
    return line.passed[before:]


def _say(name: str, reports: Sequence[Passed], naive: Sequence[Passed]) -> bool:
    _, *whole = reports  # the first is of a window that is not whole, and names the sensors
    readings = SENSORS * FIVE_MINUTES // 1_000
    http, wire = (statistics.mean(getattr(each, what) for each in whole) for what in ("http", "wire"))
    one_http, one_wire = (statistics.mean(getattr(each, what) for each in naive) for what in ("http", "wire"))
    print(f"\n{name}: {len(reports)} requests: {', '.join(str(each.http) for each in reports)} bytes of HTTP")
    for what, report, one in (("HTTP", http, one_http), ("On the wire", wire, one_wire)):
        print(f"  {what}, both ways: {report:,.0f} bytes for five minutes; a reading {one:.0f},", end=" ")
        print(f"{readings:,} of them {one * readings:,.0f}: {100 * report / one / readings:.3f} %")
    return judge(f"{name}: share of the HTTP bytes", 100 * http / one_http / readings, SHARE_TARGET, "%")


if __name__ == "__main__":
    sys.exit("This is a part of reporting.py.")
