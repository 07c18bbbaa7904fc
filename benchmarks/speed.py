"""How many requests a second: Outstation beside a Flask app under Gunicorn and InfluxDB 1.6, in one run.

    python benchmarks/speed.py

Needs the extra `dev`, and Debian's wrk and influxdb. The servers run all the time and are loaded in turn (A B C A B C
...) in short rounds, so that what else this machine does meets all of them alike. Each answer must be the expected
one; a run with another is no result. "CPU µs" is what the server's processes took for one answer: on a machine where
others work, it says more than answers a second, since those go down most for whoever has one busy thread. Exits with 1
where a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import psutil
import servers
from servers import KEY, MissingError, Server, ask, ask_json

SCRIPT = Path(__file__).with_name("load.lua")


class Work(msgspec.Struct, frozen=True):
    """What is asked for, and how many times a competitor's speed is wanted at so many connections."""

    title: str
    kinds: dict[str, str]
    """For each server that can do it: what load.lua calls that."""

    targets: dict[tuple[str, int], float]


POST = Work(
    "POST of one reading",
    {"Outstation": "outstation", "Flask": "flask", "InfluxDB": "influxdb"},
    {("Flask", 16): 2.0, ("Flask", 64): 2.0, ("InfluxDB", 16): 0.8, ("InfluxDB", 64): 1.0},
)
STATUS = Work(
    "GET /api/status",
    {"Outstation": "status", "Flask": "status"},
    {("Flask", 16): 2.0, ("Flask", 64): 2.0},
)


class Round(msgspec.Struct, frozen=True):
    """What wrk saw in one round (load.lua writes it). Latencies in microseconds."""

    answers: int
    microseconds: int
    bad_status: int
    broken: int
    p50: int
    p99: int
    cpu: float = 0.0
    """Seconds of CPU time that the server's processes took."""

    @property
    def speed(self) -> float:
        """Answers a second."""
        return self.answers / self.microseconds * 1e6


class Load(msgspec.Struct, frozen=True):
    """How much is asked in one round."""

    connections: int
    seconds: int


class Promises:
    """Counts what Outstation acknowledged, and compares it in the end with what it says it stored."""

    def __init__(self, node: Server) -> None:
        self._node = node
        self._before = self._count()
        self._acknowledged = 0
        self._cut_off = 0

    def add(self, answers: int, connections: int) -> None:
        """Note a round. When wrk stops, each connection may have one request on its way: stored, its answer unread."""
        self._acknowledged += answers
        self._cut_off += connections

    def kept(self) -> bool:
        """Print both numbers; return whether nothing is missing, and no more is there than can be."""
        own = self._own()
        stored = self._count() - self._before
        print(
            f"Outstation acknowledged {self._acknowledged:,} readings and stored {stored:,} "
            f"(up to {self._cut_off:,} more were on their way when a round ended, up to {own:,} are its own sensors')."
        )
        return self._acknowledged <= stored <= self._acknowledged + self._cut_off + own

    def _count(self) -> int:
        count: int = ask_json(self._node.port, "/api/health")["readings_stored"]
        return count

    def _own(self) -> int:
        """Return how many readings the node's own sensors can have stored by now: at most one each every 10 s."""
        health = ask_json(self._node.port, "/api/health")
        sensors = ask_json(self._node.port, "/api/sensors")["sensors"]
        own = sum("/" not in sensor["name"] for sensor in sensors)
        return int(own * (health["uptime_seconds"] / 10 + 2))


def main() -> int:
    """Run everything; return the exit code."""
    options = _options()
    if shutil.which("wrk") is None:
        print("wrk is not installed: sudo apt install wrk", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="outstation-speed-") as name, contextlib.ExitStack() as stack:
        running = list(_start(Path(name), stack))
        print(f"{os.cpu_count()} CPUs; load average {_load_average()}; {options.rounds} rounds of {options.seconds} s.")
        promises = Promises(running[0])
        met = [_measure(work, running, options, promises) for work in (POST, STATUS)]
        print(f"\nLoad average {_load_average()}.")
        kept = promises.kept()
    if not kept:
        print("FAILED: what was acknowledged is not what was stored.", file=sys.stderr)
    return 0 if all(met) and kept else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Requests a second, beside Flask and InfluxDB.")
    parser.add_argument("--seconds", type=int, default=2, help="of one round (2)")
    parser.add_argument("--rounds", type=int, default=5, help="of each server for each line of the table (5)")
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64], help="kept open at once (16 64)")
    return parser.parse_args()


def _start(folder: Path, stack: contextlib.ExitStack) -> Iterator[Server]:
    yield stack.enter_context(servers.outstation(folder / "outstation"))
    for start, name in ((servers.flask, "flask"), (servers.influxdb, "influxdb")):
        try:
            yield stack.enter_context(start(folder / name))
        except MissingError as error:
            print(f"Not compared: {error}")


def _measure(work: Work, running: Sequence[Server], options: argparse.Namespace, promises: Promises) -> bool:
    """Measure one kind of work at each number of connections, print it, and return whether the targets are met."""
    taking_part = [server for server in running if server.name in work.kinds]
    for server in taking_part:
        _try_once(server, work, promises)
        _load_one(server, work, Load(16, 1), promises)  # a warm-up, not counted
    met = True
    for connections in options.connections:
        rounds: dict[str, list[Round]] = {server.name: [] for server in taking_part}
        for server in taking_part * options.rounds:
            rounds[server.name].append(_load_one(server, work, Load(connections, options.seconds), promises))
        met &= _print_rounds(work, connections, rounds)
    return met


def _print_rounds(work: Work, connections: int, rounds: dict[str, list[Round]]) -> bool:
    """Print a row for each server, and return whether the targets are met."""
    title = f"{work.title}, {connections} connections"
    print(f"\n{title:38}  a second    lowest - highest   p50 ms  p99 ms  CPU µs")
    met = True
    ours = statistics.median(seen.speed for seen in rounds["Outstation"])
    for name, seen in rounds.items():
        speeds = [each.speed for each in seen]
        middle = statistics.median(speeds)
        p50, p99 = (statistics.median(getattr(each, at) for each in seen) / 1000 for at in ("p50", "p99"))
        cpu = statistics.median(each.cpu / each.answers for each in seen) * 1e6
        row = (
            f"  {name:36}  {middle:8,.0f}  {min(speeds):8,.0f} - {max(speeds):7,.0f}  {p50:7.2f} {p99:7.2f}  {cpu:6.1f}"
        )
        if name == "Outstation":
            print(row)
            continue
        target = work.targets.get((name, connections))
        reached = target is None or ours >= target * middle
        met &= reached
        wanted = "" if target is None else f" (at least {target}{'' if reached else ': MISSED'})"
        print(f"{row}   Outstation / {name} = {ours / middle:.2f}{wanted}")
    return met


def _load_average() -> str:
    return " ".join(f"{load:.2f}" for load in os.getloadavg()[:2])


def _try_once(server: Server, work: Work, promises: Promises) -> None:
    """See that the server does what is asked for, before it is asked ten thousand times a second."""
    kind = work.kinds[server.name]
    method, path, body, expected = _ONCE[kind]
    status, answer = ask(server.port, method, path, body=body, key=True)
    if status != expected:
        raise SystemExit(f"FAILED: {server.name} answered {work.title} with {status}: {answer[:500]!r}")
    if kind == "outstation":
        promises.add(1, 0)


_ONCE = {
    "outstation": ("POST", "/api/readings", '{"sensor": "bench/air_temperature", "value": 20}', 200),
    "flask": ("POST", "/api/readings", '{"sensor": "air_temperature", "value": 20}', 200),
    "influxdb": ("POST", "/write?db=bench", "air_temperature,device=bench value=20", 204),
    "status": ("GET", "/api/status", "", 200),
}
"""For each kind of load.lua: one such request, and the status that is its only right answer."""


_numbers = itertools.count()
"""Makes each round's values others than all before."""


def _load_one(server: Server, work: Work, load: Load, promises: Promises) -> Round:
    """Load one server with wrk for some seconds; end everything if an answer was not the expected one."""
    kind = work.kinds[server.name]
    command = ["wrk", "--threads", "1", "--connections", str(load.connections), "--duration", str(load.seconds)]
    command += ["--script", str(SCRIPT), f"http://127.0.0.1:{server.port}", "--", kind, str(next(_numbers))]
    environment = os.environ | {"BENCHMARK_KEY": KEY}
    before = _cpu_time(server)
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    seen = msgspec.json.decode(output.splitlines()[-1], type=Round)
    seen = msgspec.structs.replace(seen, cpu=_cpu_time(server) - before)
    if kind == "outstation":
        promises.add(seen.answers, load.connections)
    if seen.bad_status or seen.broken or not seen.answers:
        raise SystemExit(f"FAILED: {server.name}, {work.title}: not every answer was the expected one\n{output}")
    return seen


def _cpu_time(server: Server) -> float:
    """Return the seconds of CPU time that the server and its workers have taken so far."""
    process = psutil.Process(server.pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


if __name__ == "__main__":
    sys.exit(main())
