"""How fast readings come in from CSV: `python benchmarks/importing.py [--rows N] [WAY ...]`.

The best of three. The recording of a room in $RECORDINGS (four nodes; temperature, humidity, light; each node with
times of its own) as a wide table: a row an instant, twelve columns, nine of them empty. Each way is a process or a node
of its own with a fresh file on the disk of $TMPDIR; seconds are from the start of the program to its end, so the import
of Python is in. For comparison what one would write oneself: a loop over csv.reader that hands each value over as a
reading, and sqlite3's executemany of plain rows, clustered by sensor and time, committed once (it parses, but looks
nothing up, and sums up nothing).
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from outstation import clock
from outstation.cli.headings import Layout
from outstation.cli.tables import Table
from outstation.core.readings import Reading
from outstation.store.database import Boot, Store

RECORDING = Path(os.environ.get("RECORDINGS", "recordings")) / "room-climate.csv.gz"
COLUMNS = ("temperature_c", "humidity_percent", "light_nm")

TRIES = 3

Way = Callable[[Path, Path], None]


def table(file: Path, most: int) -> int:
    """Write the recording as a wide table; return how many values that are."""
    names = [f"node{node}/{column}" for node in (1, 2, 3, 4) for column in COLUMNS]
    count = 0
    with gzip.open(RECORDING, "rt") as source, file.open("w") as wide:
        wide.write(",".join(("timestamp", *names)) + "\n")
        for row in islice(csv.DictReader(source), most):
            cells = [""] * len(names)
            first = 3 * (int(row["node"]) - 1)
            cells[first : first + 3] = [row[column] for column in COLUMNS]
            count += sum(map(bool, cells))
            wide.write(f"{row['time_ms']},{','.join(cells)}\n")
    return count


def stopped(file: Path, data: Path) -> None:
    """`outstation import` of a node that does not run."""
    _command(file, data)


def compressed(file: Path, data: Path) -> None:
    """The same, from a .gz file."""
    packed = data / "table.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes(), 6))
    began = time.perf_counter()
    _command(packed, data)
    raise Measured(time.perf_counter() - began)


def running(file: Path, data: Path) -> None:
    """`outstation import` into a running node, which answers others meanwhile."""
    with _node(data):
        began = time.perf_counter()
        _command(file, data)
        raise Measured(time.perf_counter() - began)


def summed_up(file: Path, data: Path) -> None:
    """From the end of that until every summary is made; 10 s of it are a wait for more."""
    with _node(data):
        _command(file, data)
        began = time.perf_counter()
        while _unmade(data):
            time.sleep(0.1)
        raise Measured(time.perf_counter() - began)


def columns(file: Path, data: Path) -> None:
    """Store.record_columns: the same columns, parsed before the clock starts."""
    batches = [batch.columns for batch in Table(file, Layout()).batches()]

    async def main() -> None:
        moment = clock.moment()
        with Store(data, boot=Boot(clock.boot_id(), moment.at - moment.now, clock.trust()), summarises=False) as store:
            for batch in batches:
                await store.record_columns(batch)

    began = time.perf_counter()
    asyncio.run(main())
    raise Measured(time.perf_counter() - began)


def naive(file: Path, data: Path) -> None:
    """A loop: float(cell), a reading each, store.record of 10,000 at once."""

    async def main() -> None:
        moment = clock.moment()
        with Store(data, boot=Boot(clock.boot_id(), moment.at - moment.now, clock.trust())) as store:
            batch: list[Reading] = []
            for row in csv.DictReader(file.open()):
                at = int(row.pop("timestamp"))
                batch += [
                    Reading(name, float(cell), at, moment.now, moment.at, sender_stamped=True)
                    for name, cell in row.items()
                    if cell
                ]
                if len(batch) > 10_000:
                    await store.record(batch)
                    batch = []
            await store.record(batch)

    asyncio.run(main())


def plain_rows(file: Path, data: Path) -> None:
    """sqlite3, executemany, one commit."""
    connection = sqlite3.connect(data / "rows.db")
    connection.execute("PRAGMA journal_mode=wal")
    connection.execute("PRAGMA synchronous=full")
    connection.execute("CREATE TABLE r (sensor INT, at INT, value, PRIMARY KEY (sensor, at)) WITHOUT ROWID")
    with file.open() as opened:
        reader = csv.reader(opened)
        next(reader)
        rows = ((sensor, int(row[0]), float(cell)) for row in reader for sensor, cell in enumerate(row[1:], 1) if cell)
        connection.executemany("INSERT INTO r VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(truncate)")
    connection.close()


WAYS: dict[str, Way] = {
    way.__name__: way for way in (stopped, compressed, running, summed_up, columns, naive, plain_rows)
}


class Measured(Exception):  # noqa: N818  no error: how a way says which of its seconds count
    """The seconds of a way that has more to do than what is measured."""


def _command(file: Path, data: Path) -> None:
    words = (sys.executable, "-m", "outstation", "import", str(file), "--data", str(data))
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _node(data: Path) -> Iterator[None]:
    words = (sys.executable, "-m", "outstation", "run", "--data", str(data), "--port", "0")
    with (data / "log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log) as node:
        try:
            while not (data / "control.sock").exists() or "running" not in (data / "log").read_text():
                assert node.poll() is None, (data / "log").read_text()
                time.sleep(0.05)
            yield
        finally:
            node.terminate()


def _unmade(data: Path) -> int:
    connection = sqlite3.connect(f"{(data / 'outstation.db').as_uri()}?mode=ro", uri=True)
    (count,) = connection.execute("SELECT count(*) FROM unmade WHERE start + width < unixepoch() * 1000").fetchone()
    connection.close()
    return int(count)


def measured(name: str, file: Path) -> tuple[float, float, int]:
    """Run one way in a process of its own; return its seconds, those of the CPU, and the most memory of a process."""
    words = (sys.executable, __file__, "--way", name, str(file))
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE)
    seconds, busy, memory = json.loads(done.stdout)
    return seconds, busy, memory


def one(name: str, file: Path) -> None:
    """Run one way here, and print its seconds and its memory."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        try:
            WAYS[name](file, Path(folder))
            seconds = time.perf_counter() - began
        except Measured as measured_:
            seconds = measured_.args[0]
    here, started = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    used = started if started.ru_maxrss else here
    print(json.dumps((seconds, used.ru_utime + used.ru_stime, used.ru_maxrss)))


def main() -> None:
    """Print the table."""
    chosen = [word for word in sys.argv[1:] if word in WAYS] or list(WAYS)
    most = int(sys.argv[sys.argv.index("--rows") + 1]) if "--rows" in sys.argv else 1 << 60
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "wide.csv"
        count = table(file, most)
        print(f"{count:,} values, {file.stat().st_size / 1e6:.1f} MB of CSV\n")
        print(f"{'':12} {'seconds':>8} {'readings/s':>11} {'CPU s':>6} {'MB at most':>11}")
        for name in chosen:
            seconds, busy, memory = min(measured(name, file) for _ in range(TRIES))
            figures = f"{seconds:8.2f} {count / seconds:11,.0f} {busy:6.2f} {memory / 1024:11.0f}"
            print(f"{name:12} {figures}  {WAYS[name].__doc__}")


if __name__ == "__main__":
    if "--way" in sys.argv:
        one(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
