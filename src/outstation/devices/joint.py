"""One answer for several sensors: asked for once, given to each of them once while it is fresh.

A fault is an answer too: what hung for ten seconds is not asked again by each of four sensors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from outstation.errors import DeviceError

FRESH_S = 1.0
"""As long as the sensors of one table may come one after the other."""


T = TypeVar("T")


class Joint(Generic[T]):
    """What sensors share. All of them are on one bus, so in one thread."""

    def __init__(self) -> None:
        self._answer: T | DeviceError = DeviceError("Nobody was asked.")
        self._until = 0.0
        self._taken: set[str] = set()

    def answer(self, sensor: str, ask: Callable[[], T]) -> T:
        """Return the answer; ask for a new one where this sensor has had it, or it is old. Raises DeviceError."""
        if sensor in self._taken or time.monotonic() > self._until:
            self._answer = _asked(ask)
            self._until = time.monotonic() + FRESH_S
            self._taken.clear()
        self._taken.add(sensor)
        if isinstance(self._answer, DeviceError):
            raise type(self._answer)(self._answer.message, cure=self._answer.cure)
        return self._answer

    def forget(self) -> None:
        """Have the next sensor ask anew, whoever it is."""
        self._until = 0.0


def shared(what: Hashable) -> Joint[Any]:
    """Return what all sensors share that ask the same. It outlives them: who failed is closed before the next asks."""
    return _shared.setdefault(what, Joint())


_shared: dict[Hashable, Joint[Any]] = {}


def _asked(ask: Callable[[], T]) -> T | DeviceError:
    try:
        return ask()
    except DeviceError as error:
        return error
