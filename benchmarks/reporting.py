"""What reporting to a hub costs, and what a hub takes: `python benchmarks/reporting.py [traffic] [away] [hub]`.

traffic: ten sensors at 1 Hz and their summaries, in bytes on the line, beside one POST for each reading; as long as the
windows last (`--windows`). away: a hub that is away for a month (`--days`). hub: summaries a second in full batches;
2,000 nodes every five minutes; all of them at once. Both ends and what loads them share this machine's processors.
Exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import away
import reporters
import servers
import traffic
from hub import CONFIG, admit, judge
from reporters import Found
from weighing import cpu_time, weighed

NODES, SENSORS = 2_000, 10
EVERY_S = 300
RATE_TARGET, SHARE_TARGET, STORM_TARGET_S, MEMORY_TARGET_MB = 10_000.0, 5.0, 10.0, 110.0

_SENDERS, _BATCHES = 8, 20
_SHELF, _WINDOWS = 50, 40
"""Sensors and windows of a full batch: 2,000 summaries."""

_PACE_S = 60.0


def main() -> int:
    """Print all figures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=["traffic", "away", "hub", []], help="which; all, if none is named")
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--days", type=int, default=30)
    given = parser.parse_args()
    parts: dict[str, Callable[[Path], list[bool]]] = {
        "hub": loaded,
        "away": lambda place: away.month(place, given.days),
        "traffic": lambda place: traffic.shares(place, given.windows),
    }
    met = []
    for name, part in parts.items():
        if name in given.parts or not given.parts:
            with tempfile.TemporaryDirectory() as place:
                met += part(Path(place))
    return 0 if all(met) else 1


def loaded(place: Path) -> list[bool]:
    """Load a hub in three ways: one of few nodes that have much to say, and one of as many sensors as it may have."""
    with _hub(place / "few", _SENDERS) as (hub, keys, pool), weighed(hub) as most:
        met = [
            _in_batches(pool, hub.port, keys),
            judge("Memory of the hub (PSS), at most", most[0], MEMORY_TARGET_MB, "MB"),
        ]
    with _hub(place / "many", NODES) as (hub, keys, pool), weighed(hub) as most:
        _at_once(pool, hub.port, keys)  # twice: the first time it hears of all these sensors
        met += [_at_once(pool, hub.port, keys), _at_a_pace(pool, hub, keys)]
    return [*met, _memory(most)]


@contextmanager
def _hub(folder: Path, nodes: int) -> Iterator[tuple[servers.Server, list[str], ProcessPoolExecutor]]:
    keys = admit(folder, [f"node-{number}" for number in range(nodes)])
    config = folder.with_suffix(".toml")
    config.write_text(CONFIG, encoding="utf-8")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool, servers.outstation(folder, config=config) as hub:
        yield hub, keys, pool


def _in_batches(pool: ProcessPoolExecutor, port: int, keys: list[str]) -> bool:
    found = pool.submit(reporters.in_batches, port, keys, _SHELF, _WINDOWS, _BATCHES).result()
    print(f"\nFull batches of {_SHELF * _WINDOWS:,} from {len(keys)} nodes: {_waits(found)}")
    return judge("Summaries a second, on disk", found.summaries / found.seconds, RATE_TARGET, "/s", at_least=True)


def _at_once(pool: ProcessPoolExecutor, port: int, keys: list[str]) -> bool:
    found = pool.submit(reporters.all_at_once, port, keys, SENSORS).result()
    print(f"\n{len(keys):,} nodes at once, {SENSORS} summaries each: {_waits(found)}")
    return judge("The last of them has its receipt after", found.waits[-1], STORM_TARGET_S, "s")


def _at_a_pace(pool: ProcessPoolExecutor, hub: servers.Server, keys: list[str]) -> bool:
    idle = _settled(hub)
    before = cpu_time(hub.pid)
    found = pool.submit(reporters.at_a_pace, hub.port, keys, SENSORS, EVERY_S, _PACE_S).result()
    share = 100 * (cpu_time(hub.pid) - before) / found.seconds
    print(f"\n{len(keys):,} nodes every five minutes, for {_PACE_S:g} s of it: {_waits(found)}")
    print(f"It took {idle:.1f} % before, when nobody reported.")
    return judge("Share of one core, with all else that the hub does", share, SHARE_TARGET, "%")


def _settled(hub: servers.Server) -> float:
    """Wait until the hub has done what it puts off; return the percentage of a core that it takes then."""
    shares = [100.0]
    while len(shares) < 60 and not all(share < 2 for share in shares[-2:]):
        before = cpu_time(hub.pid)
        time.sleep(5)
        shares.append(100 * (cpu_time(hub.pid) - before) / 5)
    return shares[-1]


def _memory(most: list[float]) -> bool:
    return judge("Memory of the hub (PSS), at most", most[0], MEMORY_TARGET_MB, "MB")


def _waits(found: Found) -> str:
    waits = [1_000 * wait for wait in found.waits]
    spread = f"p50 {waits[len(waits) // 2]:.0f} ms, p99 {waits[len(waits) * 99 // 100]:.0f} ms, {waits[-1]:.0f} ms"
    return f"{spread} at most; answers {found.answers}"


if __name__ == "__main__":
    raise SystemExit(main())
