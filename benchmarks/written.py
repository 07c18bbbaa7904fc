"""What a day writes to the card: ten sensors at 1 Hz, by how much may be lost: `sudo python benchmarks/written.py`.

A day is lived through in a minute or two, by a clock of the benchmark's own: readings every second, a commit when the
store would make one, sealing when the node would seal, summaries as their windows end. The first figure is
`write_bytes` of the process (proc(5), /proc/PID/io): what the kernel counts. The second is what an ext4 file system
wrote for it to a disk of its own, a loop device, its journal counted in (Documentation/admin-guide/iostats.rst,
field 7); it needs root.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import msgspec

from outstation import clock
from outstation.clock import Trust
from outstation.core.readings import Reading
from outstation.store import file
from outstation.store.database import Boot, Store

START = 1_767_225_600_000
"""1 January 2026."""

SENSORS = 10
LOSE_AT_MOST = (1_000, 10_000, 60_000, 600_000)
TARGET_MB = 120.0
TARGET_OF = 10_000

_DISK = 1 << 30
_SECTOR = 512


class Day(msgspec.Struct):
    """What one case wrote, and what was left of it."""

    written: int
    size: int
    readings: int


def main() -> int:
    """Print the table; return 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=int, default=24, help="of the day that are lived through; the table says a day")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "LOSE_AT_MOST"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        os.write(1, msgspec.json.encode(_live(Path(given.child[0]), int(given.child[1]), given.hours)))
        return 0
    return _table(given.hours)


def _table(hours: int) -> int:
    print(f"MB written in a day, {SENSORS} sensors at 1 Hz ({hours} h lived through)\n")
    print(f"{'lose_at_most':>14} {'the process':>14} {'its disk':>14} {'file, MB':>10} {'bytes a reading':>16}")
    met = True
    for lose_at_most in LOSE_AT_MOST:
        with _disk() as (folder, device):
            before = _sectors(device)
            day = _in_child(folder, lose_at_most, hours)
            os.sync()
            on_disk = (_sectors(device) - before) * _SECTOR * 24 / hours / 1e6 if device else None
        mb = day.written * 24 / hours / 1e6
        met = met and not (lose_at_most == TARGET_OF and mb > TARGET_MB)
        print(
            f"{lose_at_most / 1000:>12g} s {mb:>14.1f} {'-' if on_disk is None else f'{on_disk:.1f}':>14}"
            f" {day.size / 1e6:>10.1f} {day.size / day.readings:>16.2f}",
            flush=True,
        )
    print(f"\n{'ok' if met else 'MISSED'}: at most {TARGET_MB:g} MB a day by the process at {TARGET_OF // 1000} s")
    return 0 if met else 1


def _in_child(folder: Path, lose_at_most: int, hours: int) -> Day:
    words = [sys.executable, __file__, "--hours", str(hours), "--child", str(folder), str(lose_at_most)]
    return msgspec.json.decode(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout, type=Day)


class _Clock:
    """The clock of the day that is lived through; takes the place of the machine's in `outstation.clock`."""

    def __init__(self) -> None:
        self.passed = 0
        clock.at, clock.now = self.at, self.now

    def at(self) -> int:
        """Return UTC in milliseconds."""
        return START + self.passed

    def now(self) -> int:
        """Return the milliseconds since boot."""
        return 60_000 + self.passed


def _live(folder: Path, lose_at_most: int, hours: int) -> Day:
    time = _Clock()
    before = _written()
    readings = asyncio.run(_record(folder, lose_at_most, hours, time))
    return Day(_written() - before, (folder / file.NAME).stat().st_size, readings)


async def _record(folder: Path, lose_at_most: int, hours: int, time: _Clock) -> int:
    boot = Boot("benchmark", time.at() - time.now(), Trust.SYNCHRONISED)
    own_due_in = lose_at_most - min(lose_at_most // 5, 1_000)
    values, since = _values(), 0
    with Store(folder, boot=boot, lose_at_most=1 << 40, at=time.at) as store:  # it is told when a commit is due
        for second in range(hours * 3_600):
            time.passed = second * 1_000
            at, now = time.at(), time.now()
            store.record_soon([Reading(f"sensor_{n}", next(values), at + n, now + n, at + n) for n in range(SENSORS)])
            if time.passed - since >= own_due_in:
                await store.flush()
                since = time.passed
            if second % 60 == 0:
                await store.seal()
        await store.flush()
        return store.stats().readings


def _values() -> Iterator[float]:
    """Walk at random, with two decimals, as most sensors do."""
    walk = random.Random(7)  # noqa: S311  the same walk each time
    sensors = [
        accumulate((round(walk.gauss(0, 0.02), 2) for _ in iter(int, 1)), initial=20.0 + n) for n in range(SENSORS)
    ]
    while True:
        for sensor in sensors:
            yield round(next(sensor), 2)


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


@contextmanager
def _disk() -> Iterator[tuple[Path, str]]:
    """Lend a folder on a disk of its own and that device's name; without root a folder on any disk, and ""."""
    with tempfile.TemporaryDirectory() as place:
        if os.geteuid():
            yield Path(place), ""
            return
        image, mounted = Path(place) / "image", Path(place) / "mounted"
        with image.open("wb") as made:
            made.truncate(_DISK)
        mounted.mkdir()
        _run("mkfs.ext4", "-q", str(image))
        device = _run("losetup", "--find", "--show", str(image))
        try:
            _run("mount", device, str(mounted))
            try:
                os.sync()
                yield mounted, Path(device).name
            finally:
                _run("umount", str(mounted))
        finally:
            _run("losetup", "--detach", device)


def _sectors(device: str) -> int:
    return int(Path(f"/sys/block/{device}/stat").read_text().split()[6]) if device else 0


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
