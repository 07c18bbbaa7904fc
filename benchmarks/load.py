"""A node under the load of a workshop, and under three times what it can take.

    python benchmarks/load.py                    two minutes of 200 boards, ten watchers; then the overload
    python benchmarks/load.py --minutes 60       is its memory flat?
    python benchmarks/load.py --held-down        as a Raspberry Pi Zero 2 W, as far as this machine can be one (root)

First: each board sends a reading a second, whether or not the last was answered, and a dashboard has ten watchers, one
of whom reads nothing. Then: each fdatasync is made to take longer (strace), so that this machine can ask for three
times as much as the node can bring to disk. All the time a rule turns an output with a hold of two seconds, and a
process of its own looks when it does; a plain file beside the node shows when the disk stood still. Exits with 1 where
a target is missed; on a machine where others work, waits are theirs too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import held_down
import msgspec
import servers
import uvloop
from overload import Overload, overload
from pacing import CUT, LATE, Client, percentile, statuses
from servers import KEY, Server
from stalls import Disk, watched
from turning import CONFIG, Turns, turns
from weighing import cpu_time, pss, pss_anon

BOARDS, WATCHERS = 200, 10

P99, RULE_P99, GROWTH, GOODPUT = 0.010, 0.050, 1.0, 0.8
"""Seconds for an answer, and for a rule after its time; MB an hour; of the peak, under three times the load."""

_SETTLED = 0.5
"""The share of the time after which memory is looked at: the page cache of SQLite, 2 MB, fills in half an hour."""


class Steady(msgspec.Struct, frozen=True):
    """What the load of a workshop came to. Waits in seconds; memory: (seconds since the begin, own MB)."""

    waits: list[float]
    undisturbed: list[float]
    disk: list[float]
    others: int
    events: int
    memory: list[tuple[float, float]]
    pss: float
    cpu: float

    def growth(self) -> float:
        """Return by how much memory grew, in MB an hour: the line of least squares through what was seen."""
        seen = [one for one in self.memory if one[0] >= self.memory[-1][0] * _SETTLED]
        mean_at, mean = (sum(column) / len(seen) for column in zip(*seen, strict=True))
        spread = sum((at - mean_at) ** 2 for at, _ in seen)
        return sum((at - mean_at) * (mb - mean) for at, mb in seen) / spread * 3600 if spread else 0.0


def main() -> int:
    """Run everything; return the exit code."""
    options = _options()
    print(f"{os.cpu_count()} CPUs; load average {' '.join(f'{load:.2f}' for load in os.getloadavg())}.")
    with contextlib.ExitStack() as stack:
        prefix: Sequence[str] = ()
        if options.held_down:
            try:
                prefix = stack.enter_context(held_down.held_down())
            except held_down.ImpossibleError as error:
                print(f"This machine cannot be held down: {error}", file=sys.stderr)
                return 1
            print(f"Held down to {held_down.CORE} of a core and {held_down.MEMORY // 2**20} MB.")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outstation-load-")))
        config = folder / "outstation.toml"
        config.write_text(CONFIG)
        node = stack.enter_context(servers.outstation(folder / "data", prefix=prefix, config=config))
        with turns(node.port) as seen, watched(folder, every=0.05) as disk:
            steady = uvloop.run(_steady(node, disk, options.minutes * 60))
        met = _print_steady(steady, seen, options)
        if not options.no_overload:
            met &= _overload(node, options)
    return 0 if met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A node under load, and under too much of it.")
    parser.add_argument("--minutes", type=float, default=2, help="of the load of a workshop (2)")
    parser.add_argument("--delay", type=float, default=1, help="seconds that each fdatasync is made to take (1)")
    parser.add_argument("--seconds", type=float, default=10, help="of the peak, and of the overload (10)")
    parser.add_argument("--held-down", action="store_true", help="as a Raspberry Pi Zero 2 W")
    parser.add_argument("--no-overload", action="store_true", help="leave out the second part")
    return parser.parse_args()


def request(sensor: str, value: float) -> bytes:
    """Return the request that sends one reading."""
    body = f'{{"sensor": "{sensor}", "value": {value}}}'
    head = f"POST /api/readings HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def _steady(node: Server, disk: Disk, seconds: float) -> Steady:
    client, memory, events = Client(node.port), list[tuple[float, float]](), [0] * WATCHERS
    async with asyncio.TaskGroup() as group:
        watching = [group.create_task(_watch(node.port, events, each)) for each in range(WATCHERS)]
        await client.at_rate(BOARDS, 2, _reading)  # a warm-up: connections, names
        client.asked.clear()
        disk.waits.clear()
        weighing = group.create_task(_weigh(node.pid, memory, max(1.0, seconds / 240)))
        before, sent_before = cpu_time(node.pid), events[0]
        await client.at_rate(BOARDS, seconds, _reading)
        cpu = (cpu_time(node.pid) - before) / seconds
        for task in (*watching, weighing):
            task.cancel()
    client.close()
    waits = [one.wait for one in client.asked]
    undisturbed = [one.wait for one in client.asked if not disk.stalled(one.due, one.due + one.wait)]
    others = len(waits) - statuses(client.asked)[200]
    return Steady(waits, undisturbed, disk.waits[:], others, min(events[:-1]) - sent_before, memory, pss(node.pid), cpu)


def _reading(number: int) -> bytes:
    return request(f"board-{number % BOARDS}/temperature", 20 + number % 997 / 100)


async def _watch(port: int, events: list[int], number: int) -> None:
    """Watch the stream as a dashboard does; the last watcher never reads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        writer.write(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if number == WATCHERS - 1:
            await asyncio.sleep(1e6)
        while data := await reader.read(2**20):
            events[number] += data.count(b"event: reading")
    finally:
        writer.close()


async def _weigh(pid: int, memory: list[tuple[float, float]], every: float) -> None:
    began = time.perf_counter()
    while True:
        memory.append((time.perf_counter() - began, await asyncio.to_thread(pss_anon, pid)))
        await asyncio.sleep(every)


def _print_steady(seen: Steady, turned: Turns, options: argparse.Namespace) -> bool:
    """Print what came of the load of a workshop; return whether the targets are met."""
    p99 = percentile(seen.waits, 0.99)
    late = percentile(turned.late, 0.99)
    begin, half, end = (seen.memory[int((len(seen.memory) - 1) * share)][1] for share in (0, 0.5, 1))
    print(f"\n{BOARDS} boards at 1 Hz, {WATCHERS} watchers, {options.minutes:g} minutes")
    rows = [
        _row("answer, p99", _spread(seen.waits), P99 * 1e3, p99 <= P99),
        _row("  beside no stall of the disk", _spread(seen.undisturbed), "-", True),
        _row("  a plain file's fdatasync", _spread(seen.disk), "-", True),
        _row("answers other than 200", f"{seen.others} of {len(seen.waits):,}", 0, not seen.others),
        _row("events a watcher was told", f"{seen.events:,}", len(seen.waits), seen.events >= len(seen.waits)),
        _rules(late, turned),
        _row("processor time", f"{seen.cpu * 100:.1f} % of a core", "-", True),
    ]
    growth = f"{seen.growth():+.2f} MB/h ({begin:.1f}, {half:.1f}, {end:.1f} of {seen.pss:.1f} MB)"
    is_long = options.minutes >= 30
    rows.append(_row("memory", growth, f"{GROWTH:g} in 30 minutes and more", not is_long or seen.growth() <= GROWTH))
    return all(rows)


def _spread(waits: list[float]) -> str:
    p50, p99, most = (percentile(waits, share) * 1e3 for share in (0.5, 0.99, 1))
    return f"{p99:.1f} ms (p50 {p50:.1f}, most {most:.1f}; {len(waits):,})"


def _overload(node: Server, options: argparse.Namespace) -> bool:
    if shutil.which("strace") is None:
        print("\nstrace is not installed: sudo apt install strace; no overload.", file=sys.stderr)
        return False
    with turns(node.port) as turned:
        seen = overload(node, request, options.delay, options.seconds)
    return _print_overload(seen, turned, options)


def _print_overload(seen: Overload, turned: Turns, options: argparse.Namespace) -> bool:
    print(
        f"\nEach commit {options.delay:g} s longer; {seen.asked_a_second:,.0f} requests a second, three times the peak"
    )
    rows = [
        _row("peak", f"{seen.peak:,.0f} a second", "-", True),
        _row(
            "goodput",
            f"{seen.goodput / seen.peak:.0%} of the peak",
            f"{GOODPUT:.0%}",
            seen.goodput >= GOODPUT * seen.peak,
        ),
        _row("told to come again", f"{seen.told:,}", "the rest", not seen.others),
        _row("anything else", _words(seen.others), 0, not seen.others),
        _row("answer, p99", f"{seen.p99:.2f} s", "-", True),
        _rules(percentile(turned.late, 0.99), turned),
        _row("well again", f"{seen.well_after:.1f} s", 5, seen.well_after <= 5),
    ]
    return all(rows)


def _words(others: Counter[int]) -> str:
    names = {CUT: "hung up on", LATE: "not answered"}
    return ", ".join(f"{count:,} {names.get(status, status)}" for status, count in others.items()) or "0"


def _rules(late: float, turned: Turns) -> bool:
    many = f"{late * 1e3:.1f} ms after its time (p99 of {len(turned.late)})"
    return _row("a rule turned", many, f"{RULE_P99 * 1e3:g} ms", bool(turned.late) and late <= RULE_P99)


def _row(title: str, found: str, target: object, is_met: bool) -> bool:
    print(f"  {title:28} {found:46} target {target}{'' if is_met else '   MISSED'}")
    return is_met


if __name__ == "__main__":
    sys.exit(main())
