"""How many values a second come in as InfluxDB's lines: Outstation beside InfluxDB 1.6, in one run.

    python benchmarks/lines.py

Needs Debian's wrk and influxdb. One line a request, over 16 and 64 connections. Then batches of 5,000 lines with three
fields, of fifty devices that no rule looks at, over one connection: such as have just been measured, and such of a
month ago. All are answered when they are on disk. The servers are asked in turn in short rounds
(A B A B ...), so that what else this machine does meets both alike. "CPU s" is what the server took for a million
values. In the end each value of the batches must be there. Exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psutil
import servers
from servers import KEY, MissingError, Server, ask_json

SCRIPT = Path(__file__).with_name("load.lua")

DEVICES, LINES, FIELDS = 50, 5_000, 3
TARGET = 250_000
"""Values a second that Outstation takes of what has just been measured."""

_MONTH = 30 * 86_400_000
_AT_ONCE = (16, 64)

_numbers = itertools.count()


class Round(msgspec.Struct, frozen=True):
    """One round of batches: values a second, and the seconds of CPU time of the server for a million of them."""

    speed: float
    cpu: float


class Batches:
    """Bodies of one kind, each with times of its own, rising; `sent` values so far."""

    def __init__(self, ago: int) -> None:
        self._at = int(time.time() * 1000) - ago
        self.sent = 0

    def next(self) -> bytes:
        """Return the next batch."""
        lines = []
        for place in range(LINES // DEVICES):
            self._at += 1
            for number in range(DEVICES):
                fields = f"temperature={20 + number / 100:.2f},humidity={40 + place / 8:.3f},pressure={1013 + place}"
                lines.append(f"weather,device=bench{number} {fields} {self._at}000000")
        self.sent += LINES * FIELDS
        return "\n".join(lines).encode()


def main() -> int:
    """Run everything; return the exit code."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="outstation-lines-") as name, ExitStack() as stack:
        running = list(_start(Path(name), stack))
        for connections in _AT_ONCE:
            _one_by_one(running, connections, options)
        before = _count(running[0])
        sent, met = 0, True
        for title, ago in (("just measured", 0), ("of a month ago", _MONTH)):
            rounds, count = _rounds(running, ago, options)
            sent, met = sent + count, _print_batches(title, rounds, TARGET if not ago else 0) and met
        stored = _count(running[0]) - before
        print(f"\nOutstation answered {sent:,} values and stored {stored:,}, a few of its own sensors among them.")
    return 0 if met and stored >= sent else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Lines beside InfluxDB.")
    parser.add_argument("--seconds", type=int, default=2, help="of one round (2)")
    parser.add_argument("--rounds", type=int, default=5, help="of each server for each kind (5)")
    return parser.parse_args()


def _start(folder: Path, stack: ExitStack) -> Iterator[Server]:
    yield stack.enter_context(servers.outstation(folder / "outstation"))
    try:
        yield stack.enter_context(servers.influxdb(folder / "influxdb"))
    except MissingError as error:
        print(f"Not compared: {error}")


def _rounds(running: list[Server], ago: int, options: argparse.Namespace) -> tuple[dict[str, list[Round]], int]:
    """Return the rounds by server, and how many values Outstation was sent."""
    batches = {server.name: Batches(ago) for server in running}
    rounds: dict[str, list[Round]] = {server.name: [] for server in running}
    for server in running:
        _send(server, batches[server.name], 0.5)  # a warm-up, not counted
    for server in running * options.rounds:
        rounds[server.name].append(_send(server, batches[server.name], options.seconds))
    return rounds, batches["Outstation"].sent


def _send(server: Server, batches: Batches, seconds: float) -> Round:
    """Send batches over one connection for some seconds; making them is not counted."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    values, spent, before = 0, 0.0, _cpu(server)
    while spent < seconds:
        body = batches.next()
        began = time.perf_counter()
        connection.request("POST", "/write?db=bench", body, {"X-API-Key": KEY, "Content-Type": "text/plain"})
        answer = connection.getresponse()
        told = answer.read()
        spent += time.perf_counter() - began
        if answer.status != 204:
            raise SystemExit(f"FAILED: {server.name} answered {answer.status}: {told[:300]!r}")
        values += LINES * FIELDS
    connection.close()
    return Round(values / spent, (_cpu(server) - before) / values * 1e6)


def _print_batches(title: str, rounds: dict[str, list[Round]], target: float) -> bool:
    print(f"\n{f'Batches of {LINES:,} lines, {title}':40} values a second  lowest - highest      CPU s")
    ours, met = statistics.median(each.speed for each in rounds["Outstation"]), True
    for name, seen in rounds.items():
        speeds = [each.speed for each in seen]
        middle, cpu = statistics.median(speeds), statistics.median(each.cpu for each in seen)
        row = f"  {name:38} {middle:15,.0f}  {min(speeds):8,.0f} - {max(speeds):8,.0f}  {cpu:6.2f}"
        if name != "Outstation":
            row += f"   Outstation / {name} = {ours / middle:.2f}"
        elif target:
            met = ours >= target
            row += f"   (at least {target:,}{'' if met else ': MISSED'})"
        print(row)
    return met


def _one_by_one(running: list[Server], connections: int, options: argparse.Namespace) -> None:
    """Load each with wrk, a line a request, and print."""
    speeds: dict[str, list[float]] = {server.name: [] for server in running}
    for server in running:
        _load(server, connections, 1)  # a warm-up, not counted
    for server in running * options.rounds:
        speeds[server.name].append(_load(server, connections, options.seconds))
    print(f"\n{f'One line a request, {connections} connections':40}        a second  lowest - highest")
    ours = statistics.median(speeds["Outstation"])
    for name, seen in speeds.items():
        middle = statistics.median(seen)
        ratio = "" if name == "Outstation" else f"   Outstation / {name} = {ours / middle:.2f}"
        print(f"  {name:38} {middle:15,.0f}  {min(seen):8,.0f} - {max(seen):8,.0f}{ratio}")


def _load(server: Server, connections: int, seconds: int) -> float:
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", str(seconds)]
    command += ["--script", str(SCRIPT), f"http://127.0.0.1:{server.port}", "--", "influxdb", str(next(_numbers))]
    done = subprocess.run(command, env=os.environ | {"BENCHMARK_KEY": KEY}, capture_output=True, text=True, check=True)
    seen = msgspec.json.decode(done.stdout.splitlines()[-1], type=dict[str, int])
    if seen["bad_status"] or seen["broken"] or not seen["answers"]:
        raise SystemExit(f"FAILED: {server.name}: not every answer was the expected one\n{done.stdout}")
    return seen["answers"] / seen["microseconds"] * 1e6


def _count(node: Server) -> int:
    count: int = ask_json(node.port, "/api/health")["readings_stored"]
    return count


def _cpu(server: Server) -> float:
    process = psutil.Process(server.pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


if __name__ == "__main__":
    sys.exit(main())
