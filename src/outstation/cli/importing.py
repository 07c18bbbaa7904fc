"""Carries a table of readings into a node, batch by batch: through a running one, or into the file of one that is not.

The law of this file: how far a file has come in is written down only when that is on disk, and believed only where the
data still have it: a sensor may have been deleted since, or a backup put back. So an import that broke off goes on
where it was; what is sent twice all the same is a duplicate by (sensor, at), and doubles nothing. Imported readings
decide nothing: a node that does not run has no rules, and to one that runs they come late.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from outstation import clock
from outstation.cli.control import ask
from outstation.cli.moments import MILLIS_FROM
from outstation.cli.tables import Batch, Table
from outstation.core.node import Node
from outstation.core.readings import Millis, Quality
from outstation.core.sensors import SensorSpec
from outstation.errors import OutstationError
from outstation.owner import Owner
from outstation.store.columns import Column
from outstation.store.database import Boot, Recorded, Store
from outstation.store.replay import names, opened, replay
from outstation.web.api.incoming import MAX_ITEMS

FOLDER = "imports"

_ENDS = 1 << 16
_BYTES_AT_MOST = 1_000_000
"""Of one request: the node takes 1 MiB."""

Sink = Callable[[Sequence[Column]], Awaitable[Recorded]]


class Progress(msgspec.Struct):
    """How far a file has come in. lines: of the file; the rest counts readings, but for rows and skipped.

    sensors: with the time of the last reading of each that was taken.
    """

    file: str
    lines: int = 0
    rows: int = 0
    stored: int = 0
    duplicates: int = 0
    corrected: int = 0
    skipped: int = 0
    sensors: dict[str, Millis] = {}

    @property
    def readings(self) -> int:
        """How many readings were taken, new or not."""
        return self.stored + self.duplicates + self.corrected


class Notes:
    """Where the progress of one file is written down."""

    def __init__(self, data: Path, file: Path, asked: object) -> None:
        """asked: how it is to be read; another way is another import. Raises OSError."""
        self._path = data / FOLDER / f"{_identity(file, asked)}.json"
        self._data, self._file = data, file.name

    def read(self) -> Progress:
        """Return what was written last, if the data have it still, or a beginning. Raises StoreError."""
        try:
            written = msgspec.json.decode(self._path.read_bytes(), type=Progress)
        except (OSError, msgspec.DecodeError):
            return Progress(self._file)
        return written if _are_there(self._data, written.sensors) else Progress(self._file)

    def write(self, progress: Progress) -> None:
        """Write it down, if that can be done: without it an import that breaks off begins anew, and no more."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            new = self._path.with_suffix(".new")
            new.write_bytes(msgspec.json.encode(progress))
            new.replace(self._path)

    def remove(self) -> None:
        """Forget it: all of the file is in."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            self._path.parent.rmdir()


async def carry(table: Table, notes: Notes, sink: Sink, show: Callable[[int], None]) -> Progress:
    """Bring all of a table in; return what came of it. Raises OutstationError: what is in stays in.

    show: is told how many bytes of the file are in.
    """
    progress = notes.read()
    underway: tuple[Batch, Awaitable[Recorded]] | None = None
    before = progress.skipped
    try:
        for batch in table.batches(progress.lines):
            await _settle(underway, progress, notes, show)
            underway = None
            progress.skipped = before + table.bad
            underway = batch, sink(batch.columns)
        await _settle(underway, progress, notes, show)
    except OutstationError as error:
        with contextlib.suppress(OutstationError):
            await _settle(underway, progress, notes, show)
        taken = f"{progress.rows:,} rows before that are in; the same command goes on there."
        raise OutstationError(error.message, cure=f"{error.cure} {taken}" if progress.rows else error.cure) from error
    notes.remove()
    return progress


async def _settle(
    underway: tuple[Batch, Awaitable[Recorded]] | None,
    progress: Progress,
    notes: Notes,
    show: Callable[[int], None],
) -> None:
    """Wait until a batch is on disk, and write that down."""
    if underway is None:
        return
    batch, answer = underway
    recorded = await answer
    progress.lines = batch.lines
    progress.rows += batch.rows
    progress.stored += recorded.stored
    progress.duplicates += recorded.duplicates
    progress.corrected += recorded.corrected
    for column in batch.columns:
        progress.sensors[column.sensor] = max(column.times[-1], progress.sensors.get(column.sensor, 0))
    notes.write(progress)
    show(batch.at_byte)


@contextlib.contextmanager
def into_file(data: Path) -> Iterator[Sink]:
    """Lend the way into the file of a node that does not run. To be called in a loop. Raises OwnedError, StoreError."""
    moment = clock.moment()
    boot = Boot(clock.boot_id(), moment.at - moment.now, clock.trust())
    with Owner(data), Store(data, boot=boot, summarises=False) as store:
        if error := store.stats().error:
            raise error
        node = Node(map(SensorSpec, store.names()))

        def sink(columns: Sequence[Column]) -> Awaitable[Recorded]:
            node.admit_all([column.sensor for column in columns])
            return store.record_columns(columns)

        yield sink


def into_node(data: Path) -> Sink:
    """Return the way into a running node."""

    async def sink(columns: Sequence[Column]) -> Recorded:
        total = Recorded(0)
        for post in _posts(columns):
            answer: dict[str, Any] = await asyncio.to_thread(
                ask, data, "POST", "/api/readings", msgspec.json.encode(post)
            )
            again, corrected = answer.get("duplicates", 0), answer.get("corrected", 0)
            stored = total.stored + answer["accepted"] - again - corrected
            total = Recorded(stored, total.duplicates + again, total.corrected + corrected)
        return total

    return lambda columns: asyncio.ensure_future(sink(columns))


def _posts(columns: Sequence[Column]) -> Iterator[list[dict[str, Any]]]:
    """Return columns as bodies that a node takes at once."""
    body: list[dict[str, Any]] = []
    room, size = MAX_ITEMS, 0
    for column in columns:
        for part in _parts(column):
            long = len(msgspec.json.encode(part.values)) + 40 * len(part.times)
            if body and (len(part.times) > room or size + long > _BYTES_AT_MOST):
                yield body
                body, room, size = [], MAX_ITEMS, 0
            # A number below is seconds to the node: milliseconds of the first three years go as text.
            stamps = [at if at >= MILLIS_FROM else clock.iso(at) for at in part.times]
            body.append({"sensor": part.sensor, "timestamps": stamps, "values": part.values})
            if part.quality:
                body[-1]["qualities"] = [Quality(quality).name.lower() for quality in part.each_quality()]
            room, size = room - len(part.times), size + long
    if body:
        yield body


def _parts(column: Column) -> Iterator[Column]:
    """Cut a column so that each part fits: a text has up to 255 bytes, and six of JSON for one of these at worst."""
    at_once = MAX_ITEMS // 20 if str in set(map(type, column.values)) else MAX_ITEMS
    for first in range(0, len(column.times), at_once):
        part = slice(first, first + at_once)
        quality = column.quality if isinstance(column.quality, int) else column.quality[part]
        yield Column(column.sensor, column.times[part], column.values[part], quality)


def _are_there(data: Path, last: Mapping[str, Millis]) -> bool:
    """Tell whether of each sensor there is a reading of this time."""
    with opened(data) as connection:
        known = names(connection)
        return all(
            name in known and next(replay(connection, start=at, end=at + 1, sensors=[name]), None) is not None
            for name, at in last.items()
        )


def _identity(file: Path, asked: object) -> str:
    """Return what tells a file from others, without reading all of it: its ends, its size, and how it is read."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        found = hashlib.sha256(opened.read(_ENDS))
        opened.seek(max(0, size - _ENDS), os.SEEK_SET)
        found.update(opened.read(_ENDS))
    found.update(repr((size, asked)).encode())
    return found.hexdigest()[:32]
