"""From a reading's arrival over HTTP to the pin's change: Outstation beside Node-RED, 20 rules, in one run.

    python benchmarks/reaction.py

Needs Node.js and npm (Node-RED is installed once into ~/.cache). The servers run all the time and are measured in turn
(A B A B ...), so that what else this machine does meets both alike. Each has 20 rules with hysteresis over 20 sensors.
A time begins when another process sends the reading. It ends, for Outstation, when the simulated chip, a process of its
own, changes the pin and stamps that. Node.js cannot speak to that chip (SOCK_SEQPACKET), so Node-RED reports the change
in a datagram, and its time ends when the observer has it; or, in the second row, already when its function decides. All
stamps are CLOCK_MONOTONIC. Outstation checks a key and stores each reading; Node-RED does neither, so it has no year to
export. A percentile is the median of the rounds'; a change that did not come is lost. Exits with 1 where Outstation is
not below Node-RED, at p50 or p99.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Protocol, Self

import msgspec
import ruled
import sending
import servers
import year
from node_red import flow
from node_red.server import node_red
from sending import ABOVE, BELOW, FLIPS_EVERY, Flip, Target
from servers import MissingError

from outstation.devices.lines.simulated import SimulatedChip

RULES = 20
RATE = 500
OURS, THEIRS, DECIDED = "Outstation", "Node-RED", "Node-RED, decided"


class Load(msgspec.Struct, frozen=True):
    """One way to send readings. arguments: of `send`, after the target."""

    title: str
    send: Callable[..., list[Flip]]
    arguments: tuple[int, ...]


class Seen(msgspec.Struct):
    """What one row of the table is made of: latencies in milliseconds, by round."""

    rounds: list[list[float]] = []
    lost: int = 0

    def add(self, flips: Sequence[Flip], changes: Sequence[Flip]) -> None:
        """Note a round: for each reading the first change to its level after it, and after the change before."""
        at, latencies = 0, []
        for flip in flips:
            found = next((each for each in range(at, len(changes)) if _answers(changes[each], flip)), None)
            if found is None:
                self.lost += 1
                continue
            latencies.append((changes[found].at_ns - flip.at_ns) / 1e6)
            at = found + 1
        if len(latencies) > 1:
            self.rounds.append(latencies)

    def at(self, percent: int) -> float:
        """Return a percentile: the median of the rounds', so that one in which others were busy does not decide."""
        return statistics.median(
            statistics.quantiles(each, n=100, method="inclusive")[percent - 1] for each in self.rounds
        )


def _answers(change: Flip, flip: Flip) -> bool:
    return change.level == flip.level and change.at_ns >= flip.at_ns


class Rig(Protocol):
    """A server with its rules, and whoever sees its pin. Forgets changes when they are asked for."""

    target: Target

    def changes(self) -> dict[str, list[Flip]]:
        """Return the changes since the last call, for each row of the table."""


class OutstationRig:
    """A node with a rule for each pin of a simulated chip."""

    def __init__(self, target: Target, chip: SimulatedChip) -> None:
        self.target, self._chip, self._newest = target, chip, 0

    def changes(self) -> dict[str, list[Flip]]:
        seen = [Flip(each.at_ns, each.level) for each in self._chip.changes(0) if each.at_ns > self._newest]
        self._newest = seen[-1].at_ns if seen else self._newest
        return {OURS: seen}


class NodeRedRig:
    """Node-RED, and the observer that it sends its changes to."""

    def __init__(self, target: Target, observer: Observer) -> None:
        self.target, self._observer = target, observer

    def changes(self) -> dict[str, list[Flip]]:
        seen, self._observer.seen = self._observer.seen, []
        return {
            THEIRS: [Flip(arrived, level) for arrived, _, level in seen],
            DECIDED: [Flip(decided, level) for _, decided, level in seen],
        }


class Observer:
    """Stamps datagrams as they come. A context manager."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, bool]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _look(self) -> None:
        while message := self._socket.recv(100):
            arrived = sending.now_ns()
            level, decided = message.split()
            self.seen.append((arrived, int(decided), level == b"1"))


def main() -> int:
    """Run everything; return the exit code."""
    options = _options()
    loads = _loads(options.flips)
    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outstation-reaction-")))
        sender = stack.enter_context(ProcessPoolExecutor(1, spawn))
        rigs: list[Rig] = list(_start(folder, stack, options.only))
        print(f"{os.cpu_count()} CPUs; load average {_load_average()}; {options.rounds} rounds; milliseconds.")
        for rig in rigs * 2:
            _measure(rig, loads[1], sender)  # a warm-up, not counted: Node.js compiles what it runs often
        quiet, met = [], []
        for load in loads:
            quiet.append(rows := _table(load, rigs, options.rounds, sender))
            met.append(_is_below(rows, rows))
        for rig in rigs:
            if isinstance(rig, OutstationRig) and not options.no_export:
                met += _while_exported(rig, loads, options.rounds, sender, quiet)
        print(f"\nLoad average {_load_average()}.")
    return 0 if all(met) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="From a reading over HTTP to the pin's change, beside Node-RED.")
    parser.add_argument("--rounds", type=int, default=5, help="of each server for each line of the table (5)")
    parser.add_argument("--flips", type=int, default=400, help="changes of the pin in one round, at most 480 (400)")
    parser.add_argument("--only", choices=("outstation", "node-red"), help="measure one of them alone")
    parser.add_argument("--no-export", action="store_true", help="measure nothing while a year is exported")
    return parser.parse_args()


def _loads(flips: int) -> list[Load]:
    return [
        Load("One reading at a time", sending.one_at_a_time, (flips,)),
        Load(f"At {RATE} readings a second", sending.at_rate, (RATE, flips * FLIPS_EVERY)),
    ]


def _start(folder: Path, stack: contextlib.ExitStack, only: str | None) -> Iterator[Rig]:
    if only != "node-red":
        yield _start_outstation(folder, stack)
    if only == "outstation":
        return
    try:
        yield _start_node_red(folder, stack)
    except MissingError as error:
        print(f"Not compared: {error}")


def _start_outstation(folder: Path, stack: contextlib.ExitStack) -> Rig:
    sensors, config = ruled.sensors(RULES), folder / "outstation.toml"
    ruled.write(config, sensors, above=ABOVE, below=BELOW)
    server = stack.enter_context(servers.outstation(folder / "outstation", config=config))
    chip = stack.enter_context(SimulatedChip(folder / "outstation" / "gpiochip0.sim"))
    return OutstationRig(Target(server.port, sensors, ["/api/readings"] * RULES, servers.KEY), chip)


def _start_node_red(folder: Path, stack: contextlib.ExitStack) -> Rig:
    sensors = [f"s{number}" for number in range(RULES)]
    observer = stack.enter_context(Observer())
    running = node_red(folder / "node-red", sensors, above=ABOVE, below=BELOW, observer=observer.port)
    server = stack.enter_context(running)
    return NodeRedRig(Target(server.port, sensors, [flow.path(sensor) for sensor in sensors]), observer)


def _table(load: Load, rigs: Sequence[Rig], rounds: int, sender: ProcessPoolExecutor) -> dict[str, Seen]:
    """Measure the servers in turn under one load, and print a row for each."""
    rows: dict[str, Seen] = {}
    for rig in [*rigs] * rounds:
        flips, changes = _measure(rig, load, sender)
        for name, seen in changes.items():
            rows.setdefault(name, Seen()).add(flips, seen)
    _print(load.title, rows)
    return rows


def _measure(rig: Rig, load: Load, sender: ProcessPoolExecutor) -> tuple[list[Flip], dict[str, list[Flip]]]:
    """Return the readings of one round, and the changes that came of them."""
    rig.changes()
    flips = sender.submit(load.send, rig.target, *load.arguments).result()
    sending.rest()
    return flips, rig.changes()


def _while_exported(
    rig: Rig, loads: Sequence[Load], rounds: int, sender: ProcessPoolExecutor, quiet: Sequence[dict[str, Seen]]
) -> Iterator[bool]:
    """Measure the node while a year is read from it; compare with Node-RED, which exports nothing meanwhile."""
    count = year.fill(rig.target.port)
    for load, before in zip(loads, quiet, strict=True):
        title = f"{load.title}, while a year is exported"
        with year.exported(rig.target.port) as export:
            rows = _table(msgspec.structs.replace(load, title=title), [rig], rounds, sender)
        speed = export.pages * year.PAGE / export.seconds
        print(f"  (meanwhile {speed:,.0f} readings a second were exported, of a year of {count:,})")
        yield _is_below(rows, before)


def _print(title: str, rows: dict[str, Seen]) -> None:
    print(f"\n{title:52} changes  lost     p50     p99     max")
    for name, seen in rows.items():
        if not seen.rounds:
            print(f"  {_WHAT[name]:50} {0:7} {seen.lost:5}   no change was seen")
            continue
        worst = max(map(max, seen.rounds))
        times = f"{seen.at(50):7.2f} {seen.at(99):7.2f} {worst:7.2f}"
        print(f"  {_WHAT[name]:50} {sum(map(len, seen.rounds)):7,} {seen.lost:5} {times}", flush=True)


_WHAT = {
    OURS: "Outstation: sent -> the chip has changed the pin",
    THEIRS: "Node-RED: sent -> the observer has the datagram",
    DECIDED: "Node-RED: sent -> the function has decided",
}


def _is_below(ours: dict[str, Seen], theirs: dict[str, Seen]) -> bool:
    """Tell whether Outstation lost nothing and is below what the observer saw of Node-RED, where both were measured."""
    if OURS not in ours or THEIRS not in theirs:
        return True
    mine, other = ours[OURS], theirs[THEIRS]
    met = bool(mine.rounds) and not mine.lost and all(mine.at(each) < other.at(each) for each in (50, 99))
    print(f"  Outstation is {'below' if met else 'NOT below'} Node-RED.")
    return met


def _load_average() -> str:
    return " ".join(f"{load:.2f}" for load in os.getloadavg()[:2])


if __name__ == "__main__":
    sys.exit(main())
