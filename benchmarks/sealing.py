"""Sealed blocks by codec: bytes a reading in the file, speed, memory: `python benchmarks/sealing.py [NAME ...]`.

Names, of codecs or recordings, choose what is run. Needs the recordings in the folder $RECORDINGS, and for the rows of
other people's codecs `pip install pcodec numpy zstandard` (a codec that is not installed is left out with a word).

Bytes are those by which an SQLite file (pages of 1 KiB, as the store has) grows, divided by the readings: times,
values, flags, the other columns of a row, its index and the unused ends of pages are in. Each case runs in a process of
its own; memory is by how much that grew at most (VmHWM, proc(5)), all bodies and the libraries counted in.
docs/decisions/0008 rests on this table.
"""

from __future__ import annotations

import csv
import gzip
import math
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import apsw
import msgspec
from codecs_tried import CODECS, Column, Times, sealed

from outstation.store.sealing import packing

RECORDINGS = Path(os.environ.get("RECORDINGS", "recordings"))
DAY = 86_400_000

Sensor = tuple[Times, Column]


def room() -> list[Sensor]:
    """Return four nodes of three sensors, a reading every 4 s each."""
    return [sensor for sensor in _room() if not isinstance(sensor[1][0], bool)]


def window() -> list[Sensor]:
    """Return the state of the window, as often."""
    return [sensor for sensor in _room() if isinstance(sensor[1][0], bool)]


def sampled(step: int) -> list[Sensor]:
    """Return the room as a node of ours would have asked it every `step` milliseconds, up to some ms late."""
    chance = random.Random(2)  # noqa: S311  the same each time
    return [_sampled(sensor, step, chance) for sensor in room()]


def thinned(step: int) -> list[Sensor]:
    """Return the first reading in each `step` milliseconds of the room, with its own time: some seconds of chance."""
    return [_thinned(sensor, step) for sensor in room()]


def machine() -> list[Sensor]:
    """Return a temperature every 5 minutes, some with the last bits of sums."""
    with (RECORDINGS / "machine-temperature.csv").open() as lines:
        rows = list(csv.reader(lines))[1:]
    times = [int(datetime.fromisoformat(row[0]).replace(tzinfo=UTC).timestamp()) * 1_000 for row in rows]
    column: Column = [float(row[1]) for row in rows]
    return [(times, column)]


def second(places: int | None = 2) -> list[Sensor]:
    """Return a temperature at 1 Hz for three days, woken up to 2 ms late, of so many decimals; None: of all bits."""
    chance = random.Random(1)  # noqa: S311  the same each time
    drift = list(accumulate(chance.gauss(0, 0.002) for _ in range(3 * 86_400)))
    times = [1_000 * place + _late(chance) for place in range(len(drift))]
    exact = [20 + 5 * math.sin(place / 13_751) + at + chance.gauss(0, 0.01) for place, at in enumerate(drift)]
    column: Column = [value if places is None else round(value, places) for value in exact]
    return [(times, column)]


READINGS: dict[str, Callable[[], list[Sensor]]] = {
    "room": room,
    "room, asked in 10 s": lambda: sampled(10_000),
    "room, asked in 5 min": lambda: sampled(300_000),
    "room, one in 10 s": lambda: thinned(10_000),
    "room, one in 5 min": lambda: thinned(300_000),
    "window open or shut": window,
    "machine, 5 min": machine,
    "1 Hz, hundredths": second,
    "1 Hz, all bits": lambda: second(None),
}


@cache
def _room() -> list[Sensor]:
    sensors: dict[tuple[str, int], Sensor] = {}
    with gzip.open(RECORDINGS / "room-climate.csv.gz", "rt") as lines:
        for row in list(csv.reader(lines))[1:]:
            for place in (2, 3, 4, 5):
                times, column = sensors.setdefault((row[1], place), ([], []))
                times.append(int(row[0]))
                column.append(row[place] == "1" if place == 5 else float(row[place]))
    return list(sensors.values())


def _thinned(sensor: Sensor, step: int) -> Sensor:
    first = {at // step: place for place, at in reversed(list(enumerate(sensor[0])))}
    kept = sorted(first.values())
    return [sensor[0][place] for place in kept], [sensor[1][place] for place in kept]


def _sampled(sensor: Sensor, step: int, chance: random.Random) -> Sensor:
    last = {at // step + 1: place for place, at in enumerate(sensor[0])}
    return [step * turn + _late(chance) for turn in last], [sensor[1][place] for place in last.values()]


def _late(chance: random.Random) -> int:
    return int(chance.expovariate(1.5))


class Measured(msgspec.Struct):
    """One case: bytes a reading of bodies and of the file, thousands of readings a second, MB."""

    body: float
    file: float
    pack: float
    unpack: float
    peak: float


SIZES = {"a day": 4_096, "4,096": 4_096, "16k": 16_384, "64k": 65_536}
"""Readings in a block. "a day": 4,096 or 24 h, as blocks are first sealed; the others as they may be merged."""

HEADING = f"{'':22}{'':22}{'block':>6}{'body':>8}{'file':>8}{'pack k/s':>10}{'unpack k/s':>12}{'peak MB':>9}"


def main(names: list[str]) -> None:
    """Print the table, and what was asked about our own."""
    print(HEADING)
    for recording, readings in READINGS.items():
        chosen = [codec for codec in CODECS if not names or recording in names or codec in names]
        sensors = readings() if chosen else []
        for codec in chosen:
            for size in SIZES:
                got = _in_child(case, sensors, codec, size)
                print(f"{recording:22}{codec:22}{size:>6}{_row(got)}", flush=True)
    print(f"\na day at 1 Hz, packed, file not in the page cache: {_in_child(day)}")
    print(f"how late a thread wakes while another packs, switch interval 0.5 ms: {_in_child(lateness)}")


def _row(got: Measured | str) -> str:
    if isinstance(got, str):
        return f"  {got}"
    return f"{got.body:>8.3f}{got.file:>8.3f}{got.pack:>10.0f}{got.unpack:>12.0f}{got.peak:>9.1f}"


def _in_child(work: Callable[..., Measured | str], *arguments: Any) -> Measured | str:
    """Return what `work` returns in a process of its own that has the readings already."""
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def answer() -> None:
        try:
            sender.send(work(*arguments))
        except ImportError as error:
            sender.send(f"not installed: {error.name}")

    child = multiprocessing.get_context("fork").Process(target=answer)
    child.start()
    sender.close()
    got: Measured | str = receiver.recv()
    child.join()
    return got


def case(sensors: list[Sensor], name: str, size: str) -> Measured:
    """Pack, unpack, compare and store these sensors with one codec."""
    blocks = [block for sensor in sensors for block in _cut(sensor, size)]
    count = sum(len(times) for times, _ in blocks)
    before = _reset_peak()
    pack, unpack = CODECS[name]()
    bodies, packed = _timed(lambda: [pack(*block) for block in blocks])
    _, unpacked = _timed(lambda: deque(map(unpack, bodies), maxlen=0))
    peak = _peak() - before
    for (times, column), (times_read, column_read) in zip(blocks, map(unpack, bodies), strict=True):
        assert list(times_read) == times
        assert list(column_read) == column
    with tempfile.TemporaryDirectory() as folder:
        empty, full = _stored(Path(folder) / "empty.db", [], []), _stored(Path(folder) / "blocks.db", blocks, bodies)
        grown = full.stat().st_size - empty.stat().st_size
    body = sum(map(len, bodies)) / count
    return Measured(body, grown / count, count / packed / 1e3, count / unpacked / 1e3, peak / 1024)


def day() -> str:
    """Return the milliseconds that a day at 1 Hz takes, from opening the file to the last value."""
    times, column = second()[0]
    times, column = times[:86_400], column[:86_400]
    blocks = list(_cut((times, column), "a day"))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = _stored(Path(folder) / "blocks.db", blocks, [sealed()[0](*block) for block in blocks])
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        read, took = _timed(lambda: _read(path))
    assert [value for block in read for value in block.values] == column
    return f"{took * 1e3:.0f} ms"


def _read(path: Path) -> list[packing.Block]:
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    return [packing.unpack(body) for (body,) in connection.execute("SELECT body FROM blocks ORDER BY first")]


def lateness() -> str:
    """Return by how many milliseconds a thread that sleeps 1 ms at a time is late, and beside one that does nothing."""
    sys.setswitchinterval(0.0005)
    blocks = list(_cut(second()[0], "a day"))
    pack, _ = sealed()
    return f"{_late_beside(lambda: [pack(*block) for block in blocks])}; {_late_beside(lambda: time.sleep(1))} if idle"


def _late_beside(work: Callable[[], Any]) -> str:
    other = threading.Thread(target=work)
    other.start()
    late = []
    while other.is_alive():
        late.append(_timed(lambda: time.sleep(0.001))[1] * 1e3 - 1)
    late.sort()
    return f"median {late[len(late) // 2]:.1f} ms, 99 % {late[len(late) * 99 // 100]:.1f} ms, at most {late[-1]:.1f} ms"


def _cut(sensor: Sensor, size: str) -> Iterator[Sensor]:
    times, column = sensor
    start = 0
    for place in range(1, len(times) + 1):
        full = place - start == SIZES[size]
        if place == len(times) or full or (size == "a day" and times[place] - times[start] >= DAY):
            yield times[start:place], column[start:place]
            start = place


def _stored(path: Path, blocks: list[Sensor], bodies: list[bytes]) -> Path:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA page_size = 1024; PRAGMA auto_vacuum = incremental; PRAGMA synchronous = OFF")
    connection.execute(
        "CREATE TABLE blocks (id INTEGER PRIMARY KEY, sensor INTEGER, first INTEGER, last INTEGER, boot INTEGER,"
        " count INTEGER, body BLOB)"
    )
    connection.execute("CREATE INDEX blocks_of_sensor ON blocks (sensor, first)")
    with connection:
        for number, ((times, _), body) in enumerate(zip(blocks, bodies, strict=True)):
            row = (None, number % 12 + 1, times[0], times[-1], 1, len(times), body)
            connection.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.close()
    return path


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def _reset_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main(sys.argv[1:])
