"""A node whose clock nobody has set, whatever this machine's says. `python -m tests.web.unset_clock run ...`."""

from __future__ import annotations

from outstation import clock
from outstation.__main__ import main


def _unset(setting: clock.Setting = "auto") -> clock.Trust:
    return clock.Trust.UNSET


if __name__ == "__main__":
    clock.trust = _unset
    main()
