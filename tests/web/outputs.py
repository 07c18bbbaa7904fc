"""What became of an output."""

from __future__ import annotations

import time

from tests.running import Running

_DONE_BY = 0.05
"""Seconds: an order is carried out after it was read, and by then it has been."""


def stays_off(node: Running) -> bool:
    """Tell whether the LED is off, and is not about to be switched on."""
    time.sleep(_DONE_BY)
    return bool(node.get("/api/status").json["led_state"] == "off")
