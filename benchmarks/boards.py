"""How many entries a second 200 boards can write by `/update`, beside readings by the native route, in one run.

    python benchmarks/boards.py

Needs Debian's wrk. One node, asked in turn in short rounds (A B A B ...), so that what else this machine does meets
both alike: 200 connections POST one reading each to `/api/readings`, for 200 sensors; then they GET or POST `/update`
for 200 channels with a key each. All are answered when they are on disk. In the end each channel must have at least as
many entries as were answered. Exits with 1 where `/update` is below 0.7 of the native route, or an entry is missing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import psutil
import servers
from servers import KEY, Server, ask
from speed import Round

SCRIPT = Path(__file__).with_name("boards.lua")
BOARDS = 200
TARGET = 0.7

KINDS = {"POST /api/readings": "native", "GET /update": "get", "POST /update": "post"}

_numbers = itertools.count()
"""Makes each round's values others than all before."""


def main() -> int:
    """Run everything; return the exit code."""
    options = _options()
    if shutil.which("wrk") is None:
        print("wrk is not installed: sudo apt install wrk", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="outstation-boards-") as name:
        config = Path(name) / "outstation.toml"
        config.write_text(_config())
        with servers.outstation(Path(name) / "data", config=config) as node:
            before = _entries(node)
            for kind in KINDS.values():
                _load(node, kind, options.connections, 1)  # a warm-up, not counted below
            warm = _entries(node) - before
            rounds: dict[str, list[Round]] = {title: [] for title in KINDS}
            for title in list(KINDS) * options.rounds:
                rounds[title].append(_load(node, KINDS[title], options.connections, options.seconds))
            stored = _entries(node) - before - warm
    met = _print_rounds(rounds, options)
    told = sum(each.answers for title, seen in rounds.items() if title.endswith("/update") for each in seen)
    print(f"\n{told:,} entries were answered, {stored:,} were numbered.")
    return 0 if met and stored >= told else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Entries a second of 200 boards, beside the native route.")
    parser.add_argument("--seconds", type=int, default=2, help="of one round (2)")
    parser.add_argument("--rounds", type=int, default=5, help="of each kind (5)")
    parser.add_argument("--connections", type=int, default=BOARDS, help="kept open at once (200)")
    return parser.parse_args()


def _config() -> str:
    tables = (
        f'[[devices]]\nname = "b{number}"\nchannel = {number}\nwrite_key = "{_key(number)}"\nfields = ["t"]\n'
        for number in range(1, BOARDS + 1)
    )
    return '[node]\nclock = "trust"\n\n' + "\n".join(tables)


def _key(number: int) -> str:
    return f"Q7WK2ZB9XHT4{number:04d}"


def _entries(node: Server) -> int:
    """Return how many entries all channels have had: the number of the one that is written to see it, less one."""
    numbers = (ask(node.port, "GET", f"/update?api_key={_key(number)}&field1=1")[1] for number in range(1, BOARDS + 1))
    return sum(int(number) for number in numbers) - BOARDS


def _load(node: Server, kind: str, connections: int, seconds: int) -> Round:
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", str(seconds)]
    command += ["--script", str(SCRIPT), f"http://127.0.0.1:{node.port}", "--", kind, str(next(_numbers))]
    before = _cpu_time(node)
    environment = os.environ | {"BENCHMARK_KEY": KEY}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    seen = msgspec.convert({**json.loads(output.splitlines()[-1]), "cpu": _cpu_time(node) - before}, Round)
    if seen.bad_status or seen.broken or not seen.answers:
        raise SystemExit(f"FAILED: {kind}: not every answer was the expected one\n{output}")
    return seen


def _print_rounds(rounds: dict[str, list[Round]], options: argparse.Namespace) -> bool:
    """Print a row for each kind, and return whether the target is met."""
    title = f"{BOARDS} boards, {options.connections} connections"
    print(f"{title:32}  a second    lowest - highest   p50 ms  p99 ms  CPU µs   of native")
    native = statistics.median(each.speed for each in rounds["POST /api/readings"])
    met = True
    for name, seen in rounds.items():
        speeds = [each.speed for each in seen]
        p50, p99 = (statistics.median(getattr(each, at) for each in seen) / 1000 for at in ("p50", "p99"))
        cpu = statistics.median(each.cpu / each.answers for each in seen) * 1e6
        middle = statistics.median(speeds)
        met &= middle >= TARGET * native
        spread = f"{min(speeds):8,.0f} - {max(speeds):7,.0f}"
        print(f"  {name:30}  {middle:8,.0f}  {spread}  {p50:7.2f} {p99:7.2f}  {cpu:6.1f}   {middle / native:.2f}")
    return met


def _cpu_time(node: Server) -> float:
    """Return the seconds of CPU time that the node has taken so far."""
    process = psutil.Process(node.pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


if __name__ == "__main__":
    sys.exit(main())
