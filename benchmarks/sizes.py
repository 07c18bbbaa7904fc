"""The same readings on disk, in Outstation and elsewhere: `RECORDINGS=FOLDER python benchmarks/sizes.py`.

Each keeps a real room, four nodes of three sensors: whole (819,435 readings), and as a node would have asked it every
10 s and every 5 min. Outstation keeps time, value and quality, its summaries are weighed apart; plain SQLite rows of
sensor, time and value under a primary key; InfluxDB and VictoriaMetrics come from Debian, and are weighed after they
have merged what they merge. Bytes are those of all files, by stat(2), less what an empty one has.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from shutil import which

import apsw
import servers
from sealing import Sensor, room, sampled
from servers import MissingError, Server, ask, free_port, running

from outstation.clock import Trust
from outstation.core.readings import Reading
from outstation.core.windows import DAY
from outstation.store import file
from outstation.store.database import Boot, Store

SHAPES: dict[str, Callable[[], list[Sensor]]] = {
    "as recorded, every 4 s": room,
    "asked every 10 s": lambda: sampled(10_000),
    "asked every 5 min": lambda: sampled(300_000),
}

BOOT = Boot("benchmark", 1_456_000_000_000, Trust.SYNCHRONISED)

BATCH = 5_000
"""Readings in a request to another server."""

_COMMIT = 100
"""Readings in a commit where they are not sealed."""

_SETTLED = 5.0
"""Seconds in which a server merges what it was told to merge."""

_SERIES_FILE = 8 * 4 * 2**20
"""Bytes: InfluxDB sets aside eight segments for the names of a database's series, however many there are."""

Row = tuple[int, str, float]


def main() -> None:
    """Print one table."""
    print("Bytes a reading, in files\n")
    print(f"{'':28}" + "".join(f"{name:>26}" for name in SHAPES))
    shapes = {name: rows_of(make()) for name, make in SHAPES.items()}
    print(f"{'readings':28}" + "".join(f"{len(rows):>26,}" for rows in shapes.values()))
    for name, measure in MEASURED.items():
        cells = [_cell(measure, rows) for rows in shapes.values()]
        print(f"{name:28}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


def rows_of(sensors: list[Sensor]) -> list[Row]:
    """Return the readings of all sensors in order of time: UTC milliseconds, name, value."""
    found = [
        (at, f"room/sensor_{number}", float(value))
        for number, (times, column) in enumerate(sensors)
        for at, value in zip(times, column, strict=True)
        if isinstance(value, float | int)
    ]
    return sorted(found, key=itemgetter(0))


def sealed(folder: Path, rows: list[Row]) -> float:
    """Return the bytes of the sealed readings: the rows of `blocks` with their indexes."""
    return _weighed(folder, rows, ("blocks", "blocks_of_sensor", "blocks_by_end"))


def summaries(folder: Path, rows: list[Row]) -> float:
    """Return the bytes of the summaries of five minutes, hours and days."""
    return _weighed(folder, rows, ("summaries", "packs", "packs_of_sensor"))


def whole_file(folder: Path, rows: list[Row]) -> float:
    """Return the bytes of the whole data file after it was closed."""
    asyncio.run(_live(folder, rows))
    return _bytes(folder)


def unsealed(folder: Path, rows: list[Row]) -> float:
    """Return the bytes of the log before it is sealed: a commit of 100 readings each."""
    asyncio.run(_log(folder, rows))
    return _pages(folder, ("log", "log_index"))


def plain_rows(folder: Path, rows: list[Row]) -> float:
    """Return the bytes of SQLite rows under a primary key, as one would write them."""
    path = folder / "rows.db"
    connection = apsw.Connection(str(path))
    connection.execute(
        "CREATE TABLE readings (sensor INTEGER, at INTEGER, value REAL, PRIMARY KEY (sensor, at)) WITHOUT ROWID"
    )
    with connection:
        connection.executemany(
            "INSERT OR REPLACE INTO readings VALUES (?, ?, ?)",
            ((int(name.rpartition("_")[2]), at, value) for at, name, value in rows),
        )
    connection.close()
    return path.stat().st_size


def named_rows(folder: Path, rows: list[Row]) -> float:
    """Return the bytes of the table of an 80-line script: id, sensor's name, time as text, value, and an index."""
    path = folder / "rows.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE readings (id INTEGER PRIMARY KEY, sensor TEXT, at TEXT, value REAL)")
    with connection:
        connection.executemany(
            "INSERT INTO readings (sensor, at, value) VALUES (?, ?, ?)",
            ((name, time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at / 1000)), value) for at, name, value in rows),
        )
        connection.execute("CREATE INDEX readings_by ON readings (sensor, at)")
    connection.close()
    return path.stat().st_size


def influxdb(folder: Path, rows: list[Row]) -> float:
    """Return the bytes of InfluxDB 1.6 after it has merged its files; it merges when it stops being written to."""
    config = {
        "INFLUXDB_DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "1s",
        "INFLUXDB_DATA_COMPACT_FULL_WRITE_COLD_DURATION": "1s",
    }
    with _environment(config), servers.influxdb(folder) as server:
        kept = folder / "data" / "bench"
        _send(server, "/write?db=bench&precision=ms", rows)
        _settle(folder)
        return _bytes(kept) + _bytes(folder / "wal" / "bench") - _SERIES_FILE


_INFLUXDB_MERGES_SOON = {
    "INFLUXDB_DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "1s",
    "INFLUXDB_DATA_COMPACT_FULL_WRITE_COLD_DURATION": "1s",
    "INFLUXDB_MONITOR_STORE_ENABLED": "false",
}


def victoria_metrics(folder: Path, rows: list[Row]) -> float:
    """Return the bytes of VictoriaMetrics after a forced merge, less those of an empty one."""
    with _victoria_metrics(folder) as server:
        empty = _bytes(folder)
        _send(server, "/write?precision=ms", rows)
        ask(server.port, "GET", "/internal/force_flush")
        ask(server.port, "GET", "/internal/force_merge")
        _settle(folder)
    return _bytes(folder) - empty


MEASURED: dict[str, Callable[[Path, list[Row]], float]] = {
    "Outstation, sealed": sealed,
    "  its summaries": summaries,
    "  the whole file": whole_file,
    "  the log, unsealed": unsealed,
    "SQLite, rows": plain_rows,
    "SQLite, names and an index": named_rows,
    "InfluxDB 1.6": influxdb,
    "VictoriaMetrics 1.79": victoria_metrics,
}


def _cell(measure: Callable[[Path, list[Row]], float], rows: list[Row]) -> str:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        folder.mkdir()
        try:
            return f"{measure(folder, rows) / len(rows):.2f}"
        except MissingError as error:
            return str(error)[:24]


def _weighed(folder: Path, rows: list[Row], tables: tuple[str, ...]) -> float:
    asyncio.run(_live(folder, rows))
    return _pages(folder, tables)


async def _live(folder: Path, rows: list[Row]) -> None:
    """Keep readings as a node does: a commit a minute of its time, sealed and packed when that is due."""
    moment = rows[0][0]
    with Store(folder, boot=BOOT, at=lambda: moment) as store:
        for minute, found in groupby(rows, lambda row: row[0] // 60_000):
            moment = minute * 60_000 + 60_000
            await store.record(_readings(found))
            await store.seal()
            if minute % 60 == 0:
                await store.pack()
        moment += 3 * DAY
        await store.seal(everything=True)
        await store.pack()


async def _log(folder: Path, rows: list[Row]) -> None:
    with Store(folder, boot=BOOT) as store:
        for first in range(0, len(rows), _COMMIT):
            await store.record(_readings(rows[first : first + _COMMIT]))


def _readings(rows: Iterable[Row]) -> list[Reading]:
    return [Reading(name, value, at, at, at, sender_stamped=True) for at, name, value in rows]


def _pages(folder: Path, tables: tuple[str, ...]) -> float:
    """Return the bytes of the pages of these tables and indexes (sqlite.org/dbstat.html)."""
    connection = apsw.Connection(str(folder / file.NAME))
    size: float = sum(
        connection.execute("SELECT sum(pgsize) FROM dbstat WHERE name = ?", (table,)).get for table in tables
    )
    connection.close()
    return size


def _send(server: Server, path: str, rows: list[Row]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for first in range(0, len(rows), BATCH):
        lines = "\n".join(
            f"room,sensor={name[5:]} value={value!r} {at}" for at, name, value in rows[first : first + BATCH]
        )
        connection.request("POST", path, lines)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 204:
            raise SystemExit(f"FAILED: {server.name} answered {answer.status}")
    connection.close()


@contextmanager
def _victoria_metrics(folder: Path) -> Iterator[Server]:
    program = which("victoria-metrics")
    if program is None:
        raise MissingError("sudo apt install victoria-metrics")
    port = free_port()
    command = [program, f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=50y"]
    with running("VictoriaMetrics", command, port, "/health", folder) as server:
        yield server


@contextmanager
def _environment(words: dict[str, str]) -> Iterator[None]:

    before = dict(os.environ)
    os.environ.update(words)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _settle(folder: Path) -> None:
    """Wait until nothing changes any more for some seconds."""
    size, since = -1.0, time.monotonic()
    while time.monotonic() - since < _SETTLED:
        now = _bytes(folder)
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.5)


def _bytes(folder: Path) -> float:
    return sum(found.stat().st_size for found in folder.rglob("*") if found.is_file())


if __name__ == "__main__":
    main()
