"""A node with one sensor and nobody who posts: `python -m tests.faults.trickle FOLDER LOSE_AT_MOST`, which is in ms.

It hands over a reading every 10 ms, and says so.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from outstation.store.database import Store
from tests.store.given import BOOT, own

EVERY_S = 0.01


async def trickle(folder: Path, lose_at_most: int) -> None:
    """Go on for ever."""
    with Store(folder, boot=BOOT, lose_at_most=lose_at_most) as store:
        for number in itertools.count():
            store.record_soon([own("own", number, number)])
            os.write(1, f"{number}\n".encode())
            await asyncio.sleep(EVERY_S)


if __name__ == "__main__":
    asyncio.run(trickle(Path(sys.argv[1]), int(sys.argv[2])))
