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
    yield
    end_chips(tmp_path)


def end_chips(folder: Path) -> None:
    """End the simulated chips below a folder: each outlives its node by a minute, on purpose."""
    for door in folder.rglob("*.sim"):
        with contextlib.suppress(DeviceError), SimulatedChip(door) as chip:
            chip.stop()
