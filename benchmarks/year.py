"""A year of readings: posted to a node, and read from it page by page, over and over, by a process of its own."""

from __future__ import annotations

import http.client
import json
import math
import multiprocessing
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import servers

SENSORS = ("year/temperature", "year/humidity", "year/light", "year/soil_moisture")
EVERY_S = 300
DAYS = 365
PAGE = 10_000
"""The most that one answer holds, and one request."""

_NEXT = re.compile(rb'"next":\s*"([^"]+)"')


class Export:
    """What was read while it ran."""

    def __init__(self) -> None:
        self.bytes = 0
        self.pages = 0
        self.seconds = 0.0


def fill(port: int) -> int:
    """Post a year up to now, one reading of each sensor every five minutes; return how many readings."""
    count = DAYS * 86_400 // EVERY_S
    start = int(time.time()) - count * EVERY_S
    for number, sensor in enumerate(SENSORS):
        for first in range(0, count, PAGE):
            numbers = range(first, min(first + PAGE, count))
            values = [round(20 + number + 5 * math.sin(each / 45.8) + each % 7 / 10, 2) for each in numbers]
            stamps = [start + each * EVERY_S for each in numbers]
            body = json.dumps({"sensor": sensor, "timestamps": stamps, "values": values})
            status, answer = servers.ask(port, "POST", "/api/readings", body=body, key=True)
            if status != 200:
                raise SystemExit(f"FAILED: the node answered a year's readings with {status}: {answer[:500]!r}")
    return count * len(SENSORS)


@contextmanager
def exported(port: int) -> Iterator[Export]:
    """While this lasts, another process reads the year page by page, from its start again when it is through."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_read_on, args=(port, servers.KEY, there))
    process.start()
    export = Export()
    try:
        if not here.poll(30):
            raise SystemExit("FAILED: the export did not begin within 30 s")
        here.recv()
        yield export
        here.send("stop")
        export.pages, export.bytes, export.seconds = here.recv()
    finally:
        process.join(10)
        process.terminate()


def _read_on(port: int, key: str, told: Connection) -> None:
    """Read pages until told to stop; says so when the first one has come, and at the end how much it was."""
    start = int(time.time()) - DAYS * 86_400
    first = f"/api/readings?limit={PAGE}&start={start}"
    connection, path, pages, size = http.client.HTTPConnection("127.0.0.1", port), first, 0, 0
    started = time.monotonic()
    while not told.poll():
        connection.request("GET", path, headers={"X-API-Key": key})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the export was answered with {answer.status}: {body[:500]!r}")
        if not pages:
            told.send("begun")
        pages, size = pages + 1, size + len(body)
        found = _NEXT.search(body, len(body) - 500)
        path = f"{first}&cursor={found[1].decode()}" if found else first
    told.send((pages, size, time.monotonic() - started))
