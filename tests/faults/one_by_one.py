"""A node that gives each request a commit of its own, which test_slow_disk.py must notice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from outstation.__main__ import main
from outstation.core.readings import Reading
from outstation.store.database import Recorded, Store

_record = Store.record
_turn = asyncio.Lock()


def _one_by_one(self: Store, readings: Sequence[Reading]) -> asyncio.Future[Recorded]:
    async def in_turn() -> Recorded:
        async with _turn:
            return await _record(self, readings)

    return asyncio.ensure_future(in_turn())


if __name__ == "__main__":
    Store.record = _one_by_one  # type: ignore[method-assign]
    main()
