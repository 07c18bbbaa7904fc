"""When the disk itself stood still: a plain file is written beside the node, all the time."""

from __future__ import annotations

import bisect
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

_STALL_S = 0.03


class Disk(msgspec.Struct):
    """What the plain file saw. waits: seconds of each fdatasync; stalls: from when to when one took over 30 ms."""

    waits: list[float] = msgspec.field(default_factory=list)
    stalls: list[tuple[float, float]] = msgspec.field(default_factory=list)

    def stalled(self, began: float, ended: float) -> bool:
        """Return whether the disk stood still at any moment between the two (time.perf_counter)."""
        after = bisect.bisect_right(self.stalls, (ended, ended))
        return after > 0 and self.stalls[after - 1][1] >= began


@contextmanager
def watched(folder: Path, *, every: float = 0.02) -> Iterator[Disk]:
    """Write 4 KiB to a plain file in a folder all the time, and bring them to disk (fdatasync(2))."""
    disk, stop = Disk(), threading.Event()

    def write() -> None:
        with (folder / "beside").open("wb", buffering=0) as plain:
            while not stop.wait(every):
                began = time.perf_counter()
                plain.seek(0)
                plain.write(bytes(4_096))
                os.fdatasync(plain.fileno())
                disk.waits.append(time.perf_counter() - began)
                if disk.waits[-1] > _STALL_S:
                    disk.stalls.append((began, began + disk.waits[-1]))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield disk
    finally:
        stop.set()
        thread.join()
