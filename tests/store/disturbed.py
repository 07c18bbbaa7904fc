"""A store as sealing sees it, where something happens before each transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import apsw

from outstation.store.database import Store
from outstation.store.log import Log

T = TypeVar("T")


class Disturbed:
    """happens: is told how many transactions there were."""

    def __init__(self, store: Store, happens: Callable[[int], Awaitable[None]]) -> None:
        self._store, self._happens, self._written = store, happens, 0

    opened = property(lambda self: self._store.opened)
    closed = property(lambda self: self._store.closed)

    @property
    def log(self) -> Log:
        return self._store.log

    def read(self) -> AbstractContextManager[apsw.Connection]:
        return self._store.read()

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        await self._happens(self._written)
        self._written += 1
        return await self._store.write(work)
