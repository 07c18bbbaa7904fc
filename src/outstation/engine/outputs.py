"""Drives the outputs: each bus in a thread of its own, and nobody waits longer than 2 s.

The law of this file: what could not be done in time is never done later by itself, and after
`make_safe` nothing but safe states is driven.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Mapping

from outstation.core.readings import Level
from outstation.engine.bus import AHEAD, NEXT, Buses
from outstation.errors import DeviceError, OutstationError
from outstation.plugins import ActuatorDriver

LIMIT_S = 2.0
"""What a driver has for one set()."""

_CLOSE_S = 0.8


class Outputs:
    """All outputs of the node. Asked in the loop's thread. `close()` may be called twice."""

    def __init__(self, drivers: Mapping[str, ActuatorDriver], buses: Buses | None = None) -> None:
        self._drivers = dict(drivers)
        self._buses = Buses() if buses is None else buses
        self._owned = self._buses if buses is None else None
        self._open: set[str] = set()
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether the outputs were told to be safe: from then on nothing else is driven."""
        return self._stopping

    async def open_all(self, levels: Mapping[str, Level]) -> dict[str, DeviceError]:
        """Get hold of the outputs, each driven to its level from the first moment; return those that failed."""
        return await self._all(levels, NEXT)

    async def set(self, name: str, level: Level) -> None:
        """Drive one output; one that failed before is opened anew. Raises DeviceError, also when it takes too long."""
        if self._stopping:
            raise _stopped(name)
        await self._ask(name, level, NEXT)

    async def make_safe(self, levels: Mapping[str, Level]) -> dict[str, DeviceError]:
        """Drive the outputs to their safe levels, ahead of all that waits, and nothing after.

        Takes at most 2 s; returns those that failed.
        """
        self._stopping = True
        return await self._all(levels, AHEAD)

    def close(self) -> None:
        """Let go of all outputs; one whose driver hangs is left to its fate after a moment."""
        self._stopping = True
        ended = {name: threading.Event() for name in self._drivers}
        for name, event in ended.items():
            self._buses[self._drivers[name].bus].at(NEXT, self._closing(name, event))
        until = time.monotonic() + _CLOSE_S
        for event in ended.values():
            event.wait(max(0, until - time.monotonic()))
        if self._owned is not None:
            self._owned.close()

    async def _all(self, levels: Mapping[str, Level], when: float) -> dict[str, DeviceError]:
        asked = [self._ask(name, level, when) for name, level in levels.items()]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        failed: dict[str, DeviceError] = {}
        for name, answer in zip(levels, answers, strict=True):
            if isinstance(answer, DeviceError):
                failed[name] = answer
            elif answer is not None:
                raise answer
        return failed

    async def _ask(self, name: str, level: Level, when: float) -> None:
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._buses[self._drivers[name].bus].at(when, self._driving(name, level, when, done))
        try:
            await asyncio.wait_for(asyncio.wrap_future(done), LIMIT_S)
        except TimeoutError:
            raise DeviceError(f"{name} did not answer within {LIMIT_S:g} s: its state is unknown.") from None

    def _driving(
        self, name: str, level: Level, when: float, done: concurrent.futures.Future[None]
    ) -> Callable[[], None]:
        def work() -> None:
            # Nobody waits for it any more: an order that comes late must not undo a newer one.
            if not done.set_running_or_notify_cancel():
                return
            if self._stopping and when == NEXT:
                done.set_exception(_stopped(name))
                return
            try:
                self._drive(name, level)
            except Exception as error:  # noqa: BLE001 - a stranger's driver may raise anything; the others go on
                done.set_exception(_as_device_error(name, error))
            else:
                done.set_result(None)

        return work

    def _drive(self, name: str, level: Level) -> None:
        driver = self._drivers[name]
        was_open = name in self._open
        self._open.discard(name)
        if was_open:
            driver.set(level)
        else:
            driver.open(level)
        self._open.add(name)

    def _closing(self, name: str, ended: threading.Event) -> Callable[[], None]:
        def work() -> None:
            try:
                self._drivers[name].close()
            finally:
                self._open.discard(name)
                ended.set()

        return work


def _stopped(name: str) -> DeviceError:
    return DeviceError(f"{name} was not driven: the node is stopping.")


def _as_device_error(name: str, error: Exception) -> DeviceError:
    if isinstance(error, DeviceError):
        return error
    return DeviceError(f"{name}: {error if isinstance(error, OutstationError) else repr(error)}")
