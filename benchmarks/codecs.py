"""Sealed blocks by codec: bytes a reading in the file, speed, memory: `python -m benchmarks.codecs [WORD ...]`.

Words choose what is run: parts of the names of codecs or recordings. Needs the recordings in RECORDINGS, and for the rows
of other people's codecs `pip install pcodec numpy zstandard` (a codec that is not installed is left out with a word).

Bytes are those of an SQLite file with pages of 1 KiB, as the store has them, divided by the readings in it: times,
values, flags, columns of the row, its index and the unused ends of pages are in. Each codec runs in a process of its own:
memory is what its peak is above that of a process that has only the readings. docs/decisions/0008 rests on this table.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import lzma
import math
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate, chain
from operator import sub
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw
import msgspec

from benchmarks.gorilla import gorilla, ungorilla
from outstation.core.readings import Value
from outstation.store.sealing import integers, packing, planes, values

RECORDINGS = Path(os.environ.get("RECORDINGS", "recordings"))
DAY = 86_400_000

Times = list[int]
Column = list[Value | None]
Sensor = tuple[Times, Column]
Pack = Callable[[Times, Column], bytes]
Unpack = Callable[[bytes], tuple[Sequence[int], Sequence[Any]]]
Codec = tuple[Pack, Unpack]


# --- recordings -----------------------------------------------------------------------------------------------------


def room() -> list[Sensor]:
    """Return four nodes of three sensors, a reading every 4 s each."""
    return [sensor for sensor in _room() if not isinstance(sensor[1][0], bool)]


def window() -> list[Sensor]:
    """Return the state of the window, as often."""
    return [sensor for sensor in _room() if isinstance(sensor[1][0], bool)]


def room_every(step: int) -> list[Sensor]:
    """Return the first reading in each `step` milliseconds of the room, with its own time."""
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
    chance = random.Random(1)
    drift = list(accumulate(chance.gauss(0, 0.002) for _ in range(3 * 86_400)))
    times = [1_000 * place + int(chance.expovariate(1.5)) for place in range(len(drift))]
    exact = [20 + 5 * math.sin(place / 13_751) + at + chance.gauss(0, 0.01) for place, at in enumerate(drift)]
    column: Column = [value if places is None else round(value, places) for value in exact]
    return [(times, column)]


READINGS: dict[str, Callable[[], list[Sensor]]] = {
    "room": room,
    "room, every 10 s": lambda: room_every(10_000),
    "room, every 5 min": lambda: room_every(300_000),
    "window open or shut": window,
    "machine, 5 min": machine,
    "1 Hz, hundredths": second,
    "1 Hz, all bits": lambda: second(None),
}


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


# --- codecs ---------------------------------------------------------------------------------------------------------


def sealed() -> Codec:
    """Ours."""

    def unpack(body: bytes) -> tuple[Sequence[int], Sequence[Any]]:
        block = packing.unpack(body)
        return block.times, block.values

    return lambda times, column: packing.pack(packing.Block(times, column, bytes(len(times)))), unpack


def sealed_with(deflate: Callable[[bytes], bytes], inflate: Callable[[bytes], bytes]) -> Codec:
    """Ours, with planes that something other than DEFLATE makes short."""

    def plane(data: bytes) -> bytes:
        if data.count(data[:1]) == len(data):
            return planes.plane(data)
        short = min(deflate(data), data, key=len)
        return bytes((planes.RAW if short is data else planes.DEFLATED,)) + planes.varint(len(short)) + short

    def read(cursor: planes.Cursor, count: int) -> bytes:
        how = cursor.byte()
        if how == planes.CONSTANT:
            return cursor.take(1) * count
        short = cursor.take(cursor.varint())
        return short if how == planes.RAW else inflate(short)

    for module in (integers, values, packing):
        patch.object(module, "plane", plane).start()
    patch.object(planes.Cursor, "plane", read).start()
    return sealed()


RAW_LZMA = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 0}]


def sealed_lzma() -> Codec:
    """Ours, with planes in LZMA."""
    return sealed_with(
        lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=RAW_LZMA),
        lambda short: lzma.decompress(short, lzma.FORMAT_RAW, filters=RAW_LZMA),
    )


def sealed_zstd() -> Codec:
    """Ours, with planes in zstd."""
    return sealed_with(*_zstd())


def pcodec(level: int) -> Codec:
    """Pcodec's own file format, one for the times and one for the values."""
    numpy, pco = importlib.import_module("numpy"), importlib.import_module("pcodec")
    config = pco.ChunkConfig(compression_level=level)

    def pack(times: Times, column: Column) -> bytes:
        kind = numpy.float64 if isinstance(column[0], float) else numpy.int16
        parts = [numpy.array(times, numpy.int64), numpy.array(column, kind)]
        return joined(*(pco.standalone.simple_compress(part, config) for part in parts))

    def unpack(body: bytes) -> tuple[Sequence[int], Sequence[Any]]:
        times, column = parted(body)
        return (
            pco.standalone.simple_decompress(times).tolist(),
            pco.standalone.simple_decompress(column).tolist(),
        )

    return pack, unpack


def shuffled(deflate: Callable[[bytes], bytes], inflate: Callable[[bytes], bytes]) -> Codec:
    """Differences of 64 bits (of floats: of their bits), shuffled byte by byte, as Blosc and HDF5 do; then one stream."""

    def pack(times: Times, column: Column) -> bytes:
        numbers = [
            _wrapped(times),
            _wrapped(struct.unpack(f"<{len(column)}q", struct.pack(f"<{len(column)}d", *column))),
        ]
        return joined(*(deflate(b"".join(part[place::8] for place in range(8))) for part in numbers))

    def unpack(body: bytes) -> tuple[Sequence[int], Sequence[Any]]:
        times, bits = (_unwrapped(inflate(part)) for part in parted(body))
        return times, struct.unpack(f"<{len(bits)}d", struct.pack(f"<{len(bits)}q", *bits))

    return pack, unpack


def varints(deflate: Callable[[bytes], bytes], inflate: Callable[[bytes], bytes]) -> Codec:
    """Decimals as integers; times by differences of differences, values by differences; zigzag varints; one stream."""

    def pack(times: Times, column: Column) -> bytes:
        scale = next(10**places for places in range(18) if all(round(float(v or 0), places) == v for v in column))
        numbers = [round(float(value or 0) * scale) for value in column]
        steps = chain(_differences(_differences(times)), _differences(numbers))
        return joined(struct.pack("<q", scale), deflate(b"".join(map(planes.signed, steps))))

    def unpack(body: bytes) -> tuple[Sequence[int], Sequence[Any]]:
        scale, packed = parted(body)
        steps = list(_signed(inflate(packed)))
        half, divisor = len(steps) // 2, struct.unpack("<q", scale)[0]
        return list(accumulate(accumulate(steps[:half]))), [number / divisor for number in accumulate(steps[half:])]

    return pack, unpack


def messagepack(deflate: Callable[[bytes], bytes], inflate: Callable[[bytes], bytes]) -> Codec:
    """What the log has: differences of times, values as they are."""

    def unpack(body: bytes) -> tuple[Sequence[int], Sequence[Any]]:
        steps, column = msgspec.msgpack.decode(inflate(body))
        return list(accumulate(steps)), column

    return lambda times, column: deflate(msgspec.msgpack.encode((_differences(times), column))), unpack


def _zstd() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    zstandard = importlib.import_module("zstandard")
    compressor = zstandard.ZstdCompressor(level=19, write_checksum=False)
    return compressor.compress, zstandard.ZstdDecompressor().decompress


def _xz() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    return (
        lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=RAW_LZMA),
        lambda short: lzma.decompress(short, lzma.FORMAT_RAW, filters=RAW_LZMA),
    )


def _zlib() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    return lambda data: zlib.compress(data, 9), zlib.decompress


CODECS: dict[str, Callable[[], Codec]] = {
    "as in the log": lambda: messagepack(bytes, bytes),
    "as in the log, zlib": lambda: messagepack(*_zlib()),
    "gorilla": lambda: (gorilla, ungorilla),
    "shuffle, zlib": lambda: shuffled(*_zlib()),
    "shuffle, zstd": lambda: shuffled(*_zstd()),
    "shuffle, lzma": lambda: shuffled(*_xz()),
    "varints, zlib": lambda: varints(*_zlib()),
    "varints, zstd": lambda: varints(*_zstd()),
    "varints, lzma": lambda: varints(*_xz()),
    "pcodec 8": lambda: pcodec(8),
    "pcodec 12": lambda: pcodec(12),
    "sealed": sealed,
    "sealed, lzma": sealed_lzma,
    "sealed, zstd": sealed_zstd,
}


def joined(first: bytes, second: bytes) -> bytes:
    """Return two parts as one."""
    return struct.pack("<I", len(first)) + first + second


def parted(body: bytes) -> tuple[bytes, bytes]:
    """Return the two parts of one."""
    end = 4 + struct.unpack_from("<I", body)[0]
    return body[4:end], body[end:]


def _differences(numbers: Sequence[int]) -> list[int]:
    return [numbers[0], *map(sub, numbers[1:], numbers)]


def _wrapped(numbers: Sequence[int]) -> bytes:
    return array("Q", [step & 0xFFFFFFFFFFFFFFFF for step in _differences(numbers)]).tobytes()


def _unwrapped(data: bytes) -> Sequence[int]:
    whole = bytearray(len(data))
    for place in range(8):
        whole[place::8] = data[place * len(data) // 8 : (place + 1) * len(data) // 8]
    sums = (number & 0xFFFFFFFFFFFFFFFF for number in accumulate(array("Q", bytes(whole))))
    return array("q", array("Q", sums).tobytes())


def _signed(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield -(number + 1 >> 1) if number & 1 else number >> 1
            number = shift = 0


# --- the table ------------------------------------------------------------------------------------------------------


class Measured(msgspec.Struct):
    """One case: bytes a reading of bodies and of the file, thousands of readings a second, peak MB above the readings."""

    body: float
    file: float
    pack: float
    unpack: float
    peak: float


SIZES = {"a day": 4_096, "4,096": 4_096, "16k": 16_384, "64k": 65_536}
"""Readings in a block. "a day": 4,096 or 24 h, as blocks are first sealed; the others as they may be merged."""

HEADING = f"{'':24}{'':22}{'block':>8}{'body':>8}{'file':>8}{'pack k/s':>10}{'unpack k/s':>12}{'peak MB':>9}"


def main(words: list[str]) -> None:
    """Print the table, and what was asked about our own."""
    print(HEADING)
    for recording in READINGS:
        for codec in CODECS:
            if words and not any(word in (recording, codec) for word in words):
                continue
            for size in SIZES:
                print(f"{recording:24}{codec:22}{size:>8}{_row(recording, codec, size)}", flush=True)
    print(f"\na day at 1 Hz, file not in the page cache, {_child('day')} ms")
    print(f"the longest that a loop waits while a thread packs, switch interval 0.5 ms, {_child('wait')} ms")


def _row(recording: str, codec: str, size: str) -> str:
    found = _child("case", recording, codec, size)
    if not found.startswith("{"):
        return f"  {found}"
    got = msgspec.json.decode(found, type=Measured)
    return f"{got.body:>8.3f}{got.file:>8.3f}{got.pack:>10.0f}{got.unpack:>12.0f}{got.peak:>9.1f}"


def _child(*arguments: str) -> str:
    program = [sys.executable, "-m", "benchmarks.codecs", "--child", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


def case(recording: str, name: str, size: str) -> str:
    """Pack, store, read and compare one recording with one codec."""
    blocks = [block for sensor in READINGS[recording]() for block in _cut(sensor, size)]
    count = sum(len(times) for times, _ in blocks)
    before = _peak()
    pack, unpack = CODECS[name]()
    bodies, packing_took = _timed(lambda: [pack(*block) for block in blocks])
    _, unpacking_took = _timed(lambda: [unpack(body) and None for body in bodies])
    peak = _peak() - before
    for (times, column), body in zip(blocks, bodies, strict=True):
        read = unpack(body)
        assert list(read[0]) == times
        assert list(read[1]) == column
    with tempfile.TemporaryDirectory() as folder:
        size_of_file = _stored(Path(folder) / "blocks.db", blocks, bodies).stat().st_size
    return msgspec.json.encode(
        Measured(
            sum(map(len, bodies)) / count,
            size_of_file / count,
            count / packing_took / 1e3,
            count / unpacking_took / 1e3,
            peak / 1024,
        )
    ).decode()


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
    return f"{took * 1e3:.0f}"


def _read(path: Path) -> list[packing.Block]:
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    return [packing.unpack(body) for (body,) in connection.execute("SELECT body FROM blocks ORDER BY first")]


def wait() -> str:
    """Return the milliseconds by which a thread that sleeps 1 ms at a time is late at most."""
    sys.setswitchinterval(0.0005)
    blocks = list(_cut(room()[0], "4,096"))
    pack, _ = sealed()
    worker = threading.Thread(target=lambda: [pack(*block) for block in blocks])
    worker.start()
    latest = 0.0
    while worker.is_alive():
        _, took = _timed(lambda: time.sleep(0.001))
        latest = max(latest, took - 0.001)
    return f"{latest * 1e3:.1f}"


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


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print({"case": case, "day": day, "wait": wait}[sys.argv[2]](*sys.argv[3:]))
    else:
        main(sys.argv[1:])
