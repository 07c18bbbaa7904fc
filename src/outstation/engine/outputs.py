"""Drives the outputs: each bus in a thread of its own, and nobody waits for a driver longer than 2 s.

The law of this file: an ordinary order that could not be begun in time is never carried out later. An
order to be safe is never given up: it comes before all that waits and is tried until it is done or the
output is let go. After `make_safe` nothing else is begun.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping

from outstation.core.readings import Level
from outstation.engine.bus import AHEAD, NEXT, Buses
from outstation.errors import DeviceError, OutstationError
from outstation.plugins import ActuatorDriver

log = logging.getLogger(__name__)

LIMIT_S = 2.0
"""What a driver has for one set(), from when it is called."""

QUEUE_S = 5.0
"""How long an ordinary order waits for its bus before it is given up."""

SAFE_S = 2.0
"""How long make_safe() waits for all outputs together."""

LAST_CHANCE_S = 1.0
"""How long close() waits for those that are not safe yet."""

LET_GO_S = 0.4
"""How long close() waits for the drivers to let go."""

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 0.4


class _SafeOrder:
    """An order to be safe; `done` is set when the driver has carried it out, and by nothing else."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.error: DeviceError | None = None
        self.pause = _FIRST_PAUSE_S
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()
        # A future that runs cannot be cancelled: whoever stops waiting does not stop the order.
        self.done.set_running_or_notify_cancel()


class Outputs:
    """All outputs of the node. Asked in the loop's thread. `close()` may be called twice."""

    def __init__(self, drivers: Mapping[str, ActuatorDriver], buses: Buses | None = None) -> None:
        self._drivers = dict(drivers)
        self._buses = Buses() if buses is None else buses
        self._owned = self._buses if buses is None else None
        self._open: set[str] = set()
        self._safe: dict[str, _SafeOrder] = {}
        self._let_go: set[str] = set()
        self._stopping = False
        self._closed = False
        self.late: Callable[[str], None] = lambda _: None
        """Called in the loop with the name of an output whose driver has come back after it was given up."""

    @property
    def stopping(self) -> bool:
        """Whether the outputs were told to be safe: from then on nothing else is driven."""
        return self._stopping

    async def open_all(self, levels: Mapping[str, Level]) -> dict[str, DeviceError]:
        """Get hold of the outputs, each driven to its level from the first moment; return those that failed."""
        answers = await asyncio.gather(*(self._ask(*each) for each in levels.items()), return_exceptions=True)
        failed: dict[str, DeviceError] = {}
        for name, answer in zip(levels, answers, strict=True):
            if isinstance(answer, DeviceError):
                failed[name] = answer
            elif answer is not None:
                raise answer
        return failed

    async def set(self, name: str, level: Level) -> None:
        """Drive one output; one that failed before is opened anew. Raises DeviceError, also when it takes too long."""
        if self._stopping:
            raise _stopped(name)
        await self._ask(name, level)

    def set_at_once(self, name: str, level: Level) -> bool:
        """Drive an open output here and now, in this thread, if its driver is immediate and its bus is free.

        Tells whether it did. Raises DeviceError.
        """
        driver = self._drivers[name]
        if self._stopping or not driver.immediate or name not in self._open:
            return False
        try:
            return self._buses[driver.bus].at_once(lambda: self._drive(name, level))
        except Exception as error:
            raise _as_device_error(name, error) from error

    async def make_safe(self, levels: Mapping[str, Level]) -> dict[str, DeviceError]:
        """Drive the outputs to their safe levels, ahead of all that waits, and nothing after.

        Waits at most 2 s; returns those not safe by then. They go on being tried until they are let go.
        """
        self._stopping = True
        orders = {name: _SafeOrder(level) for name, level in levels.items()}
        self._safe.update(orders)
        # Off first: of two that are interlocked, the one is off before the other is on.
        for name, order in sorted(orders.items(), key=lambda each: each[1].level):
            self._queue_safe(name, order)
        waiting = [asyncio.wrap_future(order.done) for order in orders.values()]
        try:
            if waiting:
                await asyncio.wait(waiting, timeout=SAFE_S)
        finally:
            for each in waiting:
                each.cancel()
        return {name: order.error or _not_yet(name) for name, order in orders.items() if not order.done.done()}

    def close(self) -> None:
        """Let go of all outputs, those not safe yet after a last chance; a driver that hangs is left to its fate.

        Takes at most 1.4 s.
        """
        self._stopping = True
        if self._closed:
            return
        self._closed = True
        concurrent.futures.wait([order.done for order in self._safe.values()], LAST_CHANCE_S)
        self._let_go_of_all()
        for name, order in self._safe.items():
            if not order.done.done():
                log.error("%s may not be in its safe state: %s", name, order.error or _not_yet(name))
        if self._owned is not None:
            self._owned.close()

    async def _ask(self, name: str, level: Level) -> None:
        begun: concurrent.futures.Future[None] = concurrent.futures.Future()
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._buses[self._drivers[name].bus].at(NEXT, self._driving(name, level, begun, done))
        try:
            await asyncio.wait_for(asyncio.wrap_future(begun), QUEUE_S)
        except TimeoutError:
            if begun.cancel():
                raise DeviceError(f"{name} was not driven: its bus was busy for {QUEUE_S:g} s.") from None
        try:
            await asyncio.wait_for(asyncio.wrap_future(done), LIMIT_S)
        except TimeoutError:
            loop = asyncio.get_running_loop()
            done.add_done_callback(lambda _: self._ends_late(loop, name))
            raise DeviceError(f"{name} did not answer within {LIMIT_S:g} s: its state is unknown.") from None

    def _ends_late(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody drives anything any more
            loop.call_soon_threadsafe(self.late, name)

    def _driving(
        self,
        name: str,
        level: Level,
        begun: concurrent.futures.Future[None],
        done: concurrent.futures.Future[None],
    ) -> Callable[[], None]:
        def work() -> None:
            # Nobody waits for it any more: an order that comes late must not undo a newer one.
            if not begun.set_running_or_notify_cancel():
                return
            done.set_running_or_notify_cancel()
            begun.set_result(None)
            if self._stopping:
                done.set_exception(_stopped(name))
                return
            try:
                self._drive(name, level)
            except Exception as error:  # noqa: BLE001 - a stranger's driver may raise anything; the others go on
                done.set_exception(_as_device_error(name, error))
            else:
                done.set_result(None)

        return work

    def _queue_safe(self, name: str, order: _SafeOrder) -> None:
        def work() -> None:
            if self._safe.get(name) is not order or name in self._let_go:
                return
            self._try_safe(name, order)
            if not order.done.done():
                self._try_again_soon(name, order)

        self._buses[self._drivers[name].bus].at(AHEAD, work)

    def _try_safe(self, name: str, order: _SafeOrder) -> None:
        try:
            self._drive(name, order.level)
        except Exception as error:  # noqa: BLE001 - a stranger's driver may raise anything; it is tried again
            order.error = _as_device_error(name, error)
        else:
            order.done.set_result(None)

    def _try_again_soon(self, name: str, order: _SafeOrder) -> None:
        # Not by the bus's calendar: there it would come after all that is overdue, not ahead of it.
        timer = threading.Timer(order.pause, self._queue_safe, (name, order))
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # the machine has no thread left: later than it should be, but not never
            again = time.monotonic() + order.pause
            self._buses[self._drivers[name].bus].at(again, lambda: self._queue_safe(name, order))
        order.pause = min(order.pause * 2, _LONGEST_PAUSE_S)

    def _drive(self, name: str, level: Level) -> None:
        driver = self._drivers[name]
        was_open = name in self._open
        self._open.discard(name)
        if was_open:
            driver.set(level)
        else:
            driver.open(level)
        self._open.add(name)

    def _let_go_of_all(self) -> None:
        ended = {name: threading.Event() for name in self._drivers}
        for name, event in ended.items():
            self._buses[self._drivers[name].bus].at(NEXT, self._letting_go(name, event))
        until = time.monotonic() + LET_GO_S
        for event in ended.values():
            event.wait(max(0, until - time.monotonic()))

    def _letting_go(self, name: str, ended: threading.Event) -> Callable[[], None]:
        def work() -> None:
            order = self._safe.get(name)
            if order is not None and not order.done.done():
                self._try_safe(name, order)
            self._let_go.add(name)
            try:
                self._drivers[name].close()
            finally:
                self._open.discard(name)
                ended.set()

        return work


def _stopped(name: str) -> DeviceError:
    return DeviceError(f"{name} was not driven: the node is stopping.")


def _not_yet(name: str) -> DeviceError:
    return DeviceError(f"{name} was not safe in time: its bus is busy or its driver hangs. Its state is unknown.")


def _as_device_error(name: str, error: Exception) -> DeviceError:
    if isinstance(error, DeviceError):
        return error
    return DeviceError(f"{name}: {error if isinstance(error, OutstationError) else repr(error)}")
