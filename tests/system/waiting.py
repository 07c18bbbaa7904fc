"""Waiting for what happens in another process: as short as it takes, and never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(ask: Callable[[], T], seconds: float = 10) -> T:
    """Return the first answer that is something; fail when there is none in time."""
    give_up = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < give_up, f"this did not happen within {seconds:g} s"
        time.sleep(0.02)
    return answer
