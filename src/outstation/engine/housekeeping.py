"""What a node does for its data file now and then: seal, delete, back up.

The law of this file: a chore that fails is tried again when it is due, and keeps no other from being done;
the log says when it begins to fail, and when it works again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from outstation.errors import OutstationError

log = logging.getLogger(__name__)


class Chore(msgspec.Struct, frozen=True):
    """Something to do every so many seconds, the first time after `first`. name: for the log, as in "old readings".

    second: after the first time so soon again, then after twice as long, and so on up to `every`.
    """

    name: str
    work: Callable[[], Awaitable[object]]
    every: float
    first: float = 0.0
    second: float | None = None


async def keep_house(chores: Iterable[Chore]) -> None:
    """Do the chores for ever, each in its own time."""
    async with asyncio.TaskGroup() as group:
        for chore in chores:
            group.create_task(_repeat(chore), name=chore.name)


async def _repeat(chore: Chore) -> None:
    await asyncio.sleep(chore.first)
    failing, pause = False, chore.every if chore.second is None else chore.second
    while True:
        try:
            await chore.work()
        except (OutstationError, OSError) as error:
            if not failing:
                log.warning("%s: %s It is tried again every %g s.", chore.name, error, chore.every)
            failing = True
        else:
            if failing:
                log.info("%s: done again", chore.name)
            failing = False
        await asyncio.sleep(pause)
        pause = min(2 * pause, chore.every)
