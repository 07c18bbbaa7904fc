"""A folder for a node, and a simulated chip in it that does not outlive its test."""

from __future__ import annotations

from outstation.testing import gpio_chip as chip
from outstation.testing import i2c_bus, place

__all__ = ["chip", "i2c_bus", "place"]
