"""What rules cost: one step, a thousand rules over a thousand sensors at 1 Hz, and readings a second in a backtest.

    python benchmarks/rules.py

The core is driven as the runner drives it: a Tick whenever it asked for one, and each output that is switched reports
back. A backtest is the command's own, of a data file and of a table. Times are CPU times of this thread, so that they
do not contain what others do meanwhile; of several runs the best counts. The last table is of whole nodes that get
their readings over HTTP, all processes counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil
import ruled
import servers
from servers import Server

from outstation.backtest.recording import Recording, stored
from outstation.backtest.table import Layout, Table
from outstation.backtest.trial import Trial
from outstation.clock import Trust
from outstation.config.loading import load_rules
from outstation.core import rules
from outstation.core.actuation import ActuatorSpec
from outstation.core.conditions import parse
from outstation.core.node import Node
from outstation.core.readings import Effect, Millis, Reading, Switch, Switched, Tick, Value, Zone
from outstation.core.rules import RuleSpec
from outstation.core.sensors import SensorSpec
from outstation.store.chunks import HIGHEST
from outstation.store.database import Boot, Store
from outstation.store.rows import ROW_AT_MOST

START: Millis = 1_767_225_600_000
"""2026-01-01T00:00:00Z, when `now` is zero."""

HZ_RULES = 1_000
ABOVE, BELOW = 30.0, 28.0

MINUTES_10, DAY = 600, 86_400
"""Seconds."""

_ZONE = Zone(offset=3_600_000)

STEPS = {
    "a > 30, until a < 28": ("a > 30", "a < 28", 0),
    "the same, hold 1m": ("a > 30", "a < 28", 60_000),
    "a > b + 2 and not (c < 5 or pin1 is on)": ("a > b + 2 and not (c < 5 or pin1 is on)", None, 0),
    "a > 30 and between 08:00 and 20:00": ("a > 30 and between 08:00 and 20:00", None, 0),
    "mean(a, 10m) > 30, until mean(a, 10m) < 28": ("mean(a, 10m) > 30", "mean(a, 10m) < 28", 0),
    "rate(a, 10m) > 2": ("rate(a, 10m) > 2", None, 0),
}
"""What is measured: when, until, and hold."""


class Driver:
    """Drives a core through its events, as a runner whose outputs obey at once."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.switched = 0
        self._due: Millis | None = 0

    def hear(self, reading: Reading) -> None:
        """Tell the time as often as the core asked for it, then hand over a reading."""
        while self._due is not None and self._due <= reading.now:
            self._do(self.node.handle(Tick(START + self._due, self._due, _ZONE)), self._due)
            self._due = self.node.next_due()
        self._do(self.node.handle(reading), reading.now)
        self._due = self.node.next_due()

    def _do(self, effects: Iterable[Effect], now: Millis) -> None:
        for effect in effects:
            if type(effect) is Switch:
                self.switched += 1
                self._do(self.node.handle(Switched(effect.actuator, effect.level, START + now, now)), now)


def main() -> int:
    """Measure and print; return the exit code."""
    options = _options()
    print(f"{os.cpu_count()} CPUs; load average {os.getloadavg()[0]:.2f}; best of {options.runs} runs")
    _print_steps(options.runs)
    _print_thousand(options.runs, options.seconds)
    _print_backtests(options.runs)
    if not options.core_only:
        _print_nodes(options.seconds)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What rules cost.")
    parser.add_argument("--runs", type=int, default=3, help="of which the best counts (3)")
    parser.add_argument("--seconds", type=int, default=20, help="of a thousand rules at 1 Hz (20)")
    parser.add_argument("--core-only", action="store_true", help="start no nodes")
    return parser.parse_args()


def _print_steps(runs: int) -> None:
    print(f"\n{'One step of a rule whose sensor has spoken':52}  step µs  reading µs")
    print(f"  {'no rule':50}  {'':7}  {_cost_of_reading(_node([]), runs):10.2f}")
    for title, (when, until, hold) in STEPS.items():
        node = _node([_rule("r", when, until, "pin0", hold=hold)])
        print(f"  {title:50}  {_cost_of_step(node, runs):7.2f}  {_cost_of_reading(node, runs):10.2f}")


def _cost_of_step(node: Node, runs: int, number: int = 5_000) -> float:
    driver = Driver(node)
    for reading in _waves(["a", "b", "c"], seconds=1_200, every=5):
        driver.hear(reading)
    state, sight = node.decisions.rules["r"], node.decisions.sight
    if state.failed:
        raise SystemExit(f"FAILED: a rule failed: {state.failed}")
    return _best(lambda: [rules.step(state, sight) for _ in range(number)], runs) / number * 1e6


def _cost_of_reading(node: Node, runs: int) -> float:
    """Return what `handle` takes of a reading whose sensor has that rule, the tick that may be due not counted."""
    readings = _waves(["a"], seconds=25_000, every=5)
    first = max((state.newest.now for state in node.sensors.values() if state.newest), default=0)
    moved = iter(_later(readings, first + 5_000, runs))

    def work() -> None:
        for reading in next(moved):
            node.handle(reading)

    return _best(work, runs) / len(readings) * 1e6


def _later(readings: Sequence[Reading], first: Millis, runs: int) -> list[list[Reading]]:
    """Return the readings once for each run, each run after the one before."""
    span = readings[-1].now + 5_000
    return [
        [_reading(each.sensor, each.value, first + run * span + each.now) for each in readings] for run in range(runs)
    ]


def _print_thousand(runs: int, seconds: int) -> None:
    names = ruled.sensors(HZ_RULES)
    readings = _waves(names, seconds=seconds, every=1)
    print(f"\n{f'{HZ_RULES:,} sensors at 1 Hz, in the core':52}  of a core  switched a second")
    for title, with_rules in (("without rules", False), (f"{HZ_RULES:,} rules", True)):
        seen: list[Driver] = []

        def work(with_rules: bool = with_rules, seen: list[Driver] = seen) -> None:
            driver = Driver(_thousand(names, with_rules=with_rules))
            seen.append(driver)
            for reading in readings:
                driver.hear(reading)

        share = _best(work, runs) / seconds
        print(f"  {title:50}  {share:9.1%}  {seen[-1].switched / seconds:17.1f}")
    node = _thousand(names, with_rules=True)
    cost = _best(lambda: [node.next_due() for _ in range(1_000)], runs) * 1e3
    print(f"  (each reading comes alone; asking the core after it when it wants a tick is {cost:.1f} µs of that)")


def _thousand(names: Sequence[str], *, with_rules: bool) -> Node:
    specs = [
        _rule(f"r{number}", f"{name} > {ABOVE:g}", f"{name} < {BELOW:g}", f"pin{number % ruled.PINS}")
        for number, name in enumerate(names)
    ]
    return _node(specs if with_rules else [], names, ruled.PINS)


def _print_backtests(runs: int, count: int = 200_000) -> None:
    """Print how fast a backtest is that reads what a node has stored, and one that reads a CSV file."""
    print(f"\n{f'Backtest of {count:,} readings, every 5 min, a daily wave':58}  readings a second")
    with tempfile.TemporaryDirectory(prefix="outstation-rules-") as name:
        folder, file, table = Path(name), Path(name) / "rules.toml", Path(name) / "waves.csv"
        _record(
            folder, table, [_reading("a", _wave(0, number * 300, DAY), number * 300_000) for number in range(count)]
        )
        with stored(folder) as recording:
            read = _best(lambda: sum(1 for _ in recording.readings(START, HIGHEST, ["a"])), runs)
            print(f"  {'read from the data file, and no more':56}  {count / read:17,.0f}")
            for title in ("a > 30, until a < 28", "the same, hold 1m", "mean(a, 10m) > 30, until mean(a, 10m) < 28"):
                file.write_text(_backtest_config(*STEPS[title]), encoding="utf-8")
                print(f"  {title:56}  {count / _best(_trial(file, recording), runs):17,.0f}")
        file.write_text(_backtest_config(*STEPS["a > 30, until a < 28"]), encoding="utf-8")
        seconds = _best(_trial(file, Table(table, Layout())), runs)
        print(f"  {'a > 30, until a < 28; from a CSV file':56}  {count / seconds:17,.0f}")


def _trial(file: Path, recording: Recording) -> Callable[[], object]:
    def work() -> None:
        if not Trial(load_rules(file, recording.names)).run(recording).outputs[0].switches:
            raise SystemExit("FAILED: the rule never fired")

    return work


def _record(folder: Path, table: Path, readings: Sequence[Reading]) -> None:
    """Write readings into a data file, and into a table."""

    async def record() -> None:
        with Store(folder, boot=Boot("benchmark", START, Trust.SYNCHRONISED)) as store:
            for first in range(0, len(readings), ROW_AT_MOST):
                await store.record(readings[first : first + ROW_AT_MOST])

    asyncio.run(record())
    rows = (f"{each.at},{each.value}\n" for each in readings)
    table.write_text("".join(["time,a\n", *rows]), encoding="utf-8")


def _backtest_config(when: str, until: str | None, hold: Millis) -> str:
    rule = f'[[rules]]\nname = "r"\nwhen = "{when}"\nuntil = "{until}"\nclaim = {{ pin0 = "on" }}\n'
    held = f'hold = "{hold // 1000}s"\n' if hold else ""
    return f'[[actuators]]\nname = "pin0"\ndriver = "gpio"\npin = 0\n{rule}{held}'


def _print_nodes(seconds: int) -> None:
    """Print the share of a core of whole nodes that get a thousand readings in one POST a second."""
    print(f"\n{f'{HZ_RULES:,} sensors at 1 Hz, whole nodes, one POST a second':52}  of a core")
    with tempfile.TemporaryDirectory(prefix="outstation-rules-") as name:
        for title, with_rules in (("without rules", False), (f"{HZ_RULES:,} rules", True)):
            folder = Path(name) / ("with" if with_rules else "without")
            config, sensors = folder.with_suffix(".toml"), ruled.sensors(HZ_RULES)
            ruled.write(config, sensors, above=ABOVE, below=BELOW, rules=with_rules)
            with servers.outstation(folder, config=config) as server:
                print(f"  {title:50}  {_share(server, sensors, seconds):9.1%}")


def _share(server: Server, sensors: Sequence[str], seconds: int) -> float:
    """Post once a second, and return the share of a core that the node took, without its first seconds."""
    begun = time.monotonic()
    used = 0.0
    for second in range(3 + seconds):
        if second == 3:
            used = _cpu_time(server)
        items = [{"sensor": name, "value": _wave(number, second)} for number, name in enumerate(sensors)]
        status, answer = servers.ask(server.port, "POST", "/api/readings", body=json.dumps(items), key=True)
        if status != 200:
            raise SystemExit(f"FAILED: the node answered with {status}: {answer[:500]!r}")
        time.sleep(max(0.0, begun + second + 1 - time.monotonic()))
    return (_cpu_time(server) - used) / seconds


def _cpu_time(server: Server) -> float:
    process = psutil.Process(server.pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def _node(specs: Sequence[RuleSpec], names: Sequence[str] = ("a", "b", "c"), pins: int = 2) -> Node:
    outputs = [ActuatorSpec(f"pin{pin}") for pin in range(pins)]
    return Node([SensorSpec(name) for name in names], outputs, rules=specs)


def _rule(name: str, when: str, until: str | None, pin: str, *, hold: Millis = 0) -> RuleSpec:
    tree, end = (None if text is None else parse(text, actuators=["pin1"]) for text in (when, until))
    assert tree is not None
    return RuleSpec(name, tree, end, hold, claims={pin: True})


def _waves(names: Sequence[str], *, seconds: int, every: int, period: int = MINUTES_10) -> list[Reading]:
    """Return the readings of sensors, all of them every so many seconds, in the order of time."""
    return [
        _reading(name, _wave(number, second, period), second * 1000)
        for second in range(0, seconds, every)
        for number, name in enumerate(names)
    ]


def _wave(number: int, second: int, period: int = MINUTES_10) -> float:
    """Return a value that goes from 15 to 35 and back in that time, each sensor's at a time of its own."""
    return round(25 + 10 * math.sin(second * math.tau / period + number), 2)


def _reading(sensor: str, value: Value | None, now: Millis) -> Reading:
    return Reading(sensor, value, START + now, now, START + now)


def _best(work: Callable[[], object], runs: int) -> float:
    """Return the seconds of CPU that it takes."""
    times = []
    for _ in range(runs):
        started = time.thread_time_ns()
        work()
        times.append(time.thread_time_ns() - started)
    return min(times) / 1e9


if __name__ == "__main__":
    sys.exit(main())
