"""What a killed node leaves behind ends with its test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.devices.lines.simulated import SimulatedChip
from outstation.errors import DeviceError


@pytest.fixture(autouse=True)
def _chips_end_with_their_test(tmp_path: Path) -> Iterator[None]:
    """A simulated chip outlives its node by a minute, on purpose."""
    yield
    for door in tmp_path.rglob("*.sim"):
        with contextlib.suppress(DeviceError), SimulatedChip(door) as chip:
            chip.stop()
