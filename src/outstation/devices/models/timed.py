"""A chip that needs time to measure, and does not answer, or says that it is busy, before it is done."""

from __future__ import annotations

import time
from collections.abc import Callable

from outstation.devices.models.model import Model


class Timed(Model):
    """`clock` is its own time, in seconds: a test may let it run faster than the library that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.clock: Callable[[], float] = time.monotonic
        self._free_at = 0.0

    def _works_for(self, seconds: float) -> None:
        self._free_at = self.clock() + seconds

    def _is_busy(self) -> bool:
        return self.clock() < self._free_at
