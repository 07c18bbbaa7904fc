"""Those who wait for a commit: what they brought, and how they are told.

The law of this file: everybody is told for himself. One who has given up is passed over, and one
who was refused has an error of his own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw
import msgspec

from outstation.core.readings import Keep, Reading
from outstation.errors import OutstationError
from outstation.store.boots import Boot
from outstation.store.draft import Recorded

T = TypeVar("T")

Call = tuple[Sequence[Reading], "asyncio.Future[Recorded]"]
Work = tuple[Callable[[apsw.Connection], Any], "asyncio.Future[Any] | None"]
Done = tuple[Any, Exception | None]
Clocked = tuple[Boot, "asyncio.Future[None]"]


class Taken(msgspec.Struct):
    """What one commit took from those who wait."""

    calls: list[Call]
    works: list[Work]
    boots: list[Clocked]
    own: list[Reading]
    keeps: list[Keep]

    def readings(self) -> list[Sequence[Reading]]:
        """Return the readings by call, our own last."""
        return [*(readings for readings, _ in self.calls), self.own]

    def futures(self) -> list[asyncio.Future[Any]]:
        """Return all who wait for an answer."""
        waiting: list[asyncio.Future[Any]] = [future for _, future in self.calls]
        waiting += [future for _, future in self.boots]
        return waiting + [future for _, future in self.works if future]


def drain(waiting: deque[T]) -> list[T]:
    """Take all that stands in a queue, in its order."""
    taken: list[T] = []
    with contextlib.suppress(IndexError):
        while True:
            taken.append(waiting.popleft())
    return taken


def answer(taken: Taken, told: dict[int, Recorded], done: list[Done]) -> None:
    """Answer all who waited in one go: waking the loop costs more than an answer."""

    def resolve() -> None:
        for number, (readings, future) in enumerate(taken.calls):
            if not future.done():
                future.set_result(told.get(number) or Recorded(len(readings)))
        for (_, waiting), (result, error) in zip(taken.works, done, strict=True):
            _settle(waiting, result, error)
        for _, waiting in taken.boots:
            _settle(waiting, None, None)

    _call_soon(taken.futures(), resolve)


def refuse(futures: list[asyncio.Future[Any]], error: OutstationError) -> None:
    """Tell all of them of an error."""

    def resolve() -> None:
        for future in futures:
            _settle(future, None, type(error)(error.message, cure=error.cure))

    _call_soon(futures, resolve)


def _settle(future: asyncio.Future[Any] | None, result: object, error: Exception | None) -> None:
    if future is None or future.done():
        return
    if error is None:
        future.set_result(result)
        return
    future.set_exception(error)
    future.exception()  # not waiting for it is no mistake


def _call_soon(futures: list[asyncio.Future[Any]], resolve: Callable[[], None]) -> None:
    if futures:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            futures[0].get_loop().call_soon_threadsafe(resolve)
