"""A folder for a node, and a simulated chip in it that does not outlive its test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.devices import gpio
from outstation.devices.lines import simulated
from outstation.devices.lines.simulated import SimulatedChip
from outstation.plugins import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(data=tmp_path, base=tmp_path)


@pytest.fixture
def chip(place: Place) -> Iterator[SimulatedChip]:
    """The chip that simulated pins of this place are on."""
    path = gpio.simulated_chip(place.data, None)
    simulated.start(path, linger_s=0.5)
    with SimulatedChip(path) as looking:
        yield looking
        looking.stop()
