"""Three times as much as a node can bring to disk, on a disk that was made slow (strace(1), inject)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import psutil
import uvloop
from pacing import Asked, Client, percentile, statuses
from servers import Server

Make = Callable[[str, float], bytes]

_TIMES = 3.0

_AT_ONCE = 800
"""Connections of the peak: fewer than the node takes at once, and each asks again when it is answered."""

_LATER = frozenset({429, 503})


class Overload(msgspec.Struct, frozen=True):
    """What came of it. peak, goodput: answered with 200, a second. told: sent away with a time to come again."""

    peak: float
    asked_a_second: float
    goodput: float
    told: int
    others: Counter[int]
    p99: float
    well_after: float


def overload(node: Server, make: Make, delay: float, seconds: float) -> Overload:
    """Find the peak on the slow disk; then ask for three times that."""
    with slow(node.pid, delay):
        peak = uvloop.run(_peak(node.port, make, seconds))
        asked, took = uvloop.run(_too_much(node.port, make, peak * _TIMES, seconds))
    well_after = uvloop.run(_well_after(node.port, make))
    good = [one for one in asked if one.status == 200]
    told = sum(one.status in _LATER and one.is_told for one in asked)
    others = statuses([one for one in asked if one.status != 200 and not (one.status in _LATER and one.is_told)])
    return Overload(
        peak,
        len(asked) / seconds,
        len(good) / took,
        told,
        others,
        percentile([one.wait for one in good], 0.99),
        well_after,
    )


@contextlib.contextmanager
def slow(pid: int, delay: float) -> Iterator[None]:
    """Have each fdatasync of a node and of all below it take so many seconds longer."""
    pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]
    words += ["-e", f"inject=fdatasync:delay_enter={delay * 1e6:.0f}"]
    with subprocess.Popen([*words, *(word for each in pids for word in ("-p", str(each)))]) as strace:
        time.sleep(1)  # until it is attached to every thread
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)  # it lets go, and the node runs on


async def _peak(port: int, make: Make, seconds: float) -> float:
    """Return the answers a second of as many connections as fit, each of which asks again when it is answered."""
    client = Client(port)
    began = time.perf_counter()

    async def ask_on(number: int) -> None:
        while (now := time.perf_counter()) < began + seconds:
            await client.ask(make(f"board-{number % 200}/load", now), now)

    await asyncio.gather(*(ask_on(number) for number in range(_AT_ONCE)))
    client.close()
    return statuses(client.asked)[200] / (time.perf_counter() - began)


async def _too_much(port: int, make: Make, rate: float, seconds: float) -> tuple[list[Asked], float]:
    client = Client(port)
    began = time.perf_counter()
    await client.at_rate(rate, seconds, lambda number: make(f"board-{number % 200}/load", number))
    took = time.perf_counter() - began
    client.close()
    return client.asked, took


async def _well_after(port: int, make: Make) -> float:
    """Return the seconds until a request is answered with 200 again."""
    client = Client(port)
    began = time.perf_counter()
    while (await client.ask(make("board-0/load", 0), time.perf_counter())).status != 200:
        await asyncio.sleep(0.1)
        if time.perf_counter() - began > 60:
            break
    client.close()
    return time.perf_counter() - began
