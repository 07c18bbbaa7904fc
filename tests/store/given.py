"""What the stories of the store begin with: a boot, readings, an open store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from outstation.clock import Trust
from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.store.database import Boot, Store

T = TypeVar("T")

DAY: Millis = 86_400_000

MORNING: Millis = 1_750_000_000_000
"""UTC of the moment at which the boot of most stories began: `at` is MORNING plus boot time."""

BOOT = Boot("boot-1", MORNING, Trust.SYNCHRONISED)


def own(sensor: str, now: Millis, value: Value | None = 1.5, quality: Quality = Quality.OK) -> Reading:
    """A reading that the node took itself, `now` milliseconds after the boot."""
    return Reading(sensor, value, MORNING + now, now, MORNING + now, quality)


def sent(sensor: str, at: Millis, value: Value | None = 1.5, *, arrived: Millis = 0) -> Reading:
    """A reading whose sender says that it was taken at `at`, milliseconds after MORNING."""
    return Reading(sensor, value, MORNING + at, arrived, MORNING + arrived, sender_stamped=True)


def noise(number: int) -> str:
    """A text of 200 letters, another for each number: nothing makes it much shorter on the disk."""
    return random.Random(number).randbytes(100).hex()


def in_store(folder: Path, story: Callable[[Store], Awaitable[T]], boot: Boot = BOOT) -> T:
    """Open the store of `folder`, run a story with it, close it."""

    async def main() -> T:
        with Store(folder, boot=boot) as store:
            return await story(store)

    return asyncio.run(main())
