"""A hub without a battery for its clock: a day behind, and nobody has set it. `python -m <this> run ...`."""

from __future__ import annotations

import time

from outstation import clock
from outstation.__main__ import main
from outstation.core.windows import DAY


def _at() -> int:
    return time.time_ns() // 1_000_000 - DAY


def _unset(setting: clock.Setting = "auto") -> clock.Trust:
    return clock.Trust.UNSET


if __name__ == "__main__":
    clock.at, clock.trust = _at, _unset
    main()
