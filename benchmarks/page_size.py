"""Bytes that the store writes to the disk, by page size: `python -m benchmarks.page_size [FOLDER]`.

The folder must lie on a real disk (not tmpfs). Each case runs in a process of its own; the figure is
`write_bytes` of /proc/self/io (proc(5)): what the process caused to be written, to the file and to
its write-ahead log, all tables and checkpoints counted. docs/decisions/0002 rests on this table.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec

from outstation.clock import Trust
from outstation.core.readings import Reading
from outstation.store import file
from outstation.store.database import Boot, Store

START = 1_750_000_000_000
BOOT = Boot("benchmark", START, Trust.SYNCHRONISED)

PAGE_SIZES = (1024, 2048, 4096, 8192)
WAL_BYTES = 2 << 20

PATTERNS = {
    "10 sensors at 1 Hz, a commit every 10 s": (8_640, 10, 10),
    "10 sensors at 0.1 Hz, a commit every 10 s": (8_640, 1, 10),
    "one board, a reading a commit": (8_640, 1, 1),
    "64 boards, a reading each a commit": (8_640, 1, 64),
}
"""Commits, rounds of readings in each, sensors in a round."""


class Measured(msgspec.Struct):
    """One case: bytes written, size of the file at the end, seconds."""

    written: int
    size: int
    seconds: float


def main(folder: str | None) -> None:
    """Print one table for each pattern."""
    print(f"SQLite {apsw.sqlite_lib_version()}, WAL, synchronous=FULL, checkpoint at {WAL_BYTES >> 20} MiB\n")
    for pattern, (commits, rounds, sensors) in PATTERNS.items():
        print(f"{pattern} ({rounds * sensors} readings, {commits} commits)")
        print(f"{'page':>8} {'bytes a commit':>16} {'MB a day':>10} {'file, MB':>10} {'ms a commit':>12}")
        for page in PAGE_SIZES:
            got = _in_child(folder, page, pattern)
            print(
                f"{page:>8} {got.written / commits:>16,.0f} {got.written / 1e6:>10.1f} {got.size / 1e6:>10.1f}"
                f" {got.seconds / commits * 1e3:>12.2f}"
            )
        print()


def _in_child(folder: str | None, page: int, pattern: str) -> Measured:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        words = [sys.executable, "-m", "benchmarks.page_size", "--child", place, str(page), pattern]
        return msgspec.json.decode(subprocess.run(words, capture_output=True, check=True).stdout, type=Measured)


def _measure(folder: Path, page: int, pattern: str) -> Measured:
    file.PAGE_SIZE, file.WAL_PAGES = page, WAL_BYTES // page
    before, began = _written(), time.monotonic()
    asyncio.run(_record(folder, *PATTERNS[pattern]))
    return Measured(_written() - before, (folder / file.NAME).stat().st_size, time.monotonic() - began)


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


async def _record(folder: Path, commits: int, rounds: int, sensors: int) -> None:
    values, now = _values(sensors), 0
    with Store(folder, boot=BOOT, at=lambda: START + now) as store:
        for number in range(commits):
            now = number * 10_000
            await store.record(
                [
                    Reading(f"sensor_{sensor}", next(values), START + now + second * 1_000, now, START + now)
                    for second in range(rounds)
                    for sensor in range(sensors)
                ]
            )


def _values(sensors: int) -> Iterator[float]:
    """Walk at random, with two decimals, as most sensors do."""
    walk = random.Random(7)  # noqa: S311  the same walk each time
    levels = [walk.uniform(-10, 100) for _ in range(sensors)]
    while True:
        for number in range(sensors):
            levels[number] += walk.gauss(0, 0.1)
            yield round(levels[number], 2)


if __name__ == "__main__":
    if "--child" in sys.argv:
        print(msgspec.json.encode(_measure(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])).decode())
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else None)
