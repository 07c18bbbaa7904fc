"""A node that says "stored" before it is, which test_kill.py must notice: `python -m tests.system.hasty run`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from outstation.__main__ import main
from outstation.core.readings import Reading
from outstation.store.database import Recorded, Store

_record = Store.record


def _hasty(self: Store, readings: Sequence[Reading]) -> asyncio.Future[Recorded]:
    _record(self, readings)
    told: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
    told.set_result(Recorded(len(readings)))
    return told


if __name__ == "__main__":
    Store.record = _hasty  # type: ignore[method-assign]
    main()
