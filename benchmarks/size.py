"""How big and how slow to start: memory of a node after 10,000 requests, time to its first answer and of `--help`.

    python benchmarks/size.py

Memory is the proportional set size (PSS) of all the node's processes, the simulated chip's too: proc(5), smaps_rollup.
The same is then measured on a machine held down to a Raspberry Pi Zero 2 W, and only reported. Exits with 1 where a
target is missed.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psutil
import servers
from held_down import CORE, MEMORY, ImpossibleError, held_down
from servers import KEY, Server, ask

MEMORY_TARGET = 80.0
FIRST_ANSWER_TARGET = 1.5
HELP_TARGET = 0.3

CLIENTS = 8
"""Connections kept open at once."""


class Size(msgspec.Struct, frozen=True):
    """What was measured: seconds, MB (1,000,000 bytes), requests a second."""

    first_answer: float
    help: float
    at_start: float
    memory: dict[str, float]
    """After all requests, for each process."""

    unshared: float
    """The same as RSS: what it would be at most if no other program shared a page with it."""

    requests: float


def main() -> int:
    """Measure as this machine is and held down, print both; return the exit code."""
    parser = argparse.ArgumentParser(description="Memory and start-up times of a node with the default device.")
    parser.add_argument("--requests", type=int, default=10_000)
    count = parser.parse_args().requests
    print(f"{os.cpu_count()} CPUs; load average {os.getloadavg()[0]:.2f}; {count:,} requests")
    size = measure([], count)
    met = [
        _judge("Memory after them, all processes (PSS)", sum(size.memory.values()), MEMORY_TARGET, "MB"),
        _judge("First answer of /api/health after", size.first_answer, FIRST_ANSWER_TARGET, "s"),
        _judge("outstation --help, median of 5", size.help, HELP_TARGET, "s"),
    ]
    _print_rest(size)
    print(f"\nHeld down to a Raspberry Pi Zero 2 W ({MEMORY // 2**20} MB, {CORE:.0%} of a core), reported only")
    try:
        with held_down() as prefix:
            small = measure(prefix, count)
    except ImpossibleError as error:
        print(f"  not measured: {error}")
    else:
        _print_plain(small)
    return 0 if all(met) else 1


def measure(prefix: Sequence[str], count: int) -> Size:
    """Start a node by way of `prefix`, ask it `count` times, and weigh it."""
    with tempfile.TemporaryDirectory(prefix="outstation-size-") as name:
        folder = Path(name) / "data"
        helped = statistics.median(_time_of_help(prefix) for _ in range(5))
        with servers.outstation(folder, prefix=prefix) as node:
            at_start = sum(_memory(node, folder).values())
            took = _ask_many(node, count)
            unshared = sum(_memory(node, folder, "Rss").values())
            return Size(node.first_answer, helped, at_start, _memory(node, folder), unshared, count / took)


def _judge(title: str, value: float, target: float, unit: str) -> bool:
    met = value <= target
    print(f"  {title:42} {value:8.2f} {unit:3} (at most {target} {unit}{'' if met else ': MISSED'})")
    return met


def _print_plain(size: Size) -> None:
    print(f"  {'Memory after them, all processes (PSS)':42} {sum(size.memory.values()):8.2f} MB")
    print(f"  {'First answer of /api/health after':42} {size.first_answer:8.2f} s")
    print(f"  {'outstation --help, median of 5':42} {size.help:8.2f} s")
    _print_rest(size)


def _print_rest(size: Size) -> None:
    print(f"  {'Memory at the first answer':42} {size.at_start:8.2f} MB")
    for process, memory in size.memory.items():
        print(f"  {f'  {process}':42} {memory:8.2f} MB")
    print(f"  {'If nothing else shared a page (RSS)':42} {size.unshared:8.2f} MB")
    print(f"  {'Requests a second, one client program':42} {size.requests:8,.0f}")


def _time_of_help(prefix: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run([*prefix, servers.PROGRAM, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def _memory(node: Server, folder: Path, size: str = "Pss") -> dict[str, float]:
    """Return the MB of each of the node's processes: its own, its children, and all that work in its folder."""
    pids = {node.pid, *servers.of_folder(folder)}
    pids |= {child.pid for child in psutil.Process(node.pid).children(recursive=True)}
    return {f"{pid} {_title(pid)}"[:40]: _mb(pid, size) for pid in sorted(pids)}


def _title(pid: int) -> str:
    arguments = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    return " ".join(Path(each).name for each in itertools.takewhile(lambda each: each[:2] != "--", arguments))


def _mb(pid: int, size: str) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    found = re.search(rf"^{size}:\s+(\d+) kB", text, re.MULTILINE)
    assert found, text
    return int(found[1]) * 1024 / 1e6


def _ask_many(node: Server, count: int) -> float:
    """Ask as boards, programs and browsers do, from some connections at once; return the seconds it took."""
    requests = list(itertools.islice(itertools.cycle(_mix(node)), count))
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in clients.map(lambda part: _ask_in_turn(node, part), [requests[n::CLIENTS] for n in range(CLIENTS)]):
            pass
    return time.perf_counter() - started


def _mix(node: Server) -> list[str]:
    """Return a hundred paths: what is asked often stands there often."""
    browser = ["/", "/docs", "/openapi.json", *_named_by(node, "/docs")]
    often = ["/api/status"] * 5 + ["/api/readings?limit=50", "/api/health"] + ["POST"] * 3
    hundred = often * 10
    for number, path in enumerate(browser):
        hundred[number * 7 % 100] = path
    return hundred


def _named_by(node: Server, path: str) -> list[str]:
    """Return what a browser fetches besides, when it opens this page."""
    _, page = ask(node.port, "GET", path)
    return [found for found in re.findall(r'(?:src|href)="(/[^"]*)"', page.decode()) if found != path]


def _ask_in_turn(node: Server, paths: Sequence[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    headers = {"Content-Type": "application/json", "X-API-Key": KEY}
    for number, path in enumerate(paths):
        if path == "POST":
            body = f'{{"sensor": "bench/sensor_{number % 10}", "value": {number / 100}}}'
            connection.request("POST", "/api/readings", body, headers)
        else:
            connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"FAILED: {path} was answered with {answer.status}")
    connection.close()


if __name__ == "__main__":
    sys.exit(main())
