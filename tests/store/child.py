"""What runs in a process of its own, because it is killed or held down: `python -m tests.store.child DEED FOLDER`."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from outstation.core.readings import Reading
from outstation.errors import DiskFullError, StoreError
from outstation.store import chunks, merging, sealer
from outstation.store.database import Store
from outstation.store.history import History
from tests.store.given import BOOT, MORNING, own, sent

_ROOM = 150_000
"""Bytes that a file may have in `held_down`."""


def pair(number: int) -> list[Reading]:
    """Two readings that can be told from all others, one of each kind."""
    return [sent("board/x", number, number), Reading("own", number, MORNING + number, number, MORNING + number)]


async def record_until_killed(folder: Path) -> None:
    """Eight clients, each with one call under way; a number is printed when it was answered."""
    first = int(sys.argv[3])
    numbers = itertools.count(first)
    with Store(folder, boot=BOOT) as store:

        async def client() -> None:
            for number in numbers:
                await store.record(pair(number))
                os.write(1, f"{number}\n".encode())

        await asyncio.gather(*(client() for _ in range(8)))


async def seal_until_killed(folder: Path) -> None:
    """The same, while all that can be is sealed over and over, in many small steps."""
    chunks.CHUNK_READINGS, merging.BLOCK_READINGS, sealer.SENSORS_TOGETHER = 40, 60, 1
    numbers = itertools.count(int(sys.argv[3]))
    with Store(folder, boot=BOOT) as store:

        async def client() -> None:
            for number in numbers:
                await store.record(pair(number))
                os.write(1, f"{number}\n".encode())

        async def seal() -> None:
            while True:
                await store.seal(everything=True)

        await asyncio.gather(client(), client(), seal())


async def pack_until_killed(folder: Path) -> None:
    """Pack summaries, however fresh."""
    with Store(folder, boot=BOOT) as store:
        os.write(1, b"0\n")
        await store._packer.pack(1 << 50)


async def record_some(folder: Path) -> None:
    """As many calls as asked for, one after the other; whatever fails is said and tried once more.

    With each goes a reading that nobody tries again but the store itself.
    """
    with Store(folder, boot=BOOT) as store:
        for number in range(int(sys.argv[3])):
            store.record_soon([own("soon", number, number)])
            while True:
                try:
                    await store.record(pair(number))
                except StoreError:
                    os.write(1, b"failed\n")
                    await asyncio.sleep(0.1)
                else:
                    os.write(1, f"{number}\n".encode())
                    break


async def held_down(folder: Path) -> None:
    """Write until a file may not grow any further, then let it grow again; print what was seen as JSON."""
    with Store(folder, boot=BOOT, lose_at_most=200) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_ROOM, resource.RLIM_INFINITY))
        answered = await until_full(store)
        store.record_soon([own("own", 1), own("own", 2)])
        error, waiting = store.stats().error, store.stats().waiting
        still_read = History(store).count()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        began = time.monotonic()
        while store.stats().error:  # noqa: ASYNC110  nobody asks: it must mend by itself
            await asyncio.sleep(0.05)
        mended = time.monotonic() - began
        await store.record([sent("board/x", answered)])
        seen = {
            "answered": answered,
            "error": type(error).__name__,
            "waiting": waiting,
            "still_read": still_read,
            "mended": mended,
            "count": History(store).count(),
            "own": len(History(store).of_sensor("own").rows),
        }
    sys.stdout.buffer.write(msgspec.json.encode(seen))


async def until_full(store: Store, refill: Callable[[], object] = lambda: None) -> int:
    """Record until nothing is taken for longer than the store waits between two tries; return how many were.

    refill: takes the room that is left, since a store makes some by emptying its write-ahead log.
    """
    answered, refused = 0, 0
    refill()
    while refused < 25:
        try:
            await store.record([sent("board/x", answered, "x" * 200)])
        except DiskFullError:
            refill()
            refused += 1
            await asyncio.sleep(0.1)
        else:
            answered, refused = answered + 1, 0
    return answered


if __name__ == "__main__":
    deeds = {
        deed.__name__: deed
        for deed in (record_until_killed, seal_until_killed, pack_until_killed, record_some, held_down)
    }
    asyncio.run(deeds[sys.argv[1]](Path(sys.argv[2])))
