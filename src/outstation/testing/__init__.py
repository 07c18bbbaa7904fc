"""For those who write drivers: what every driver keeps to, as tests, and hardware that is not there, as fixtures.

A plug-in of pytest that wants to be named, `pytest_plugins = ["outstation.testing"]` in conftest.py. As an entry point
it would be imported by every pytest of the machine, whatever that tests: a quarter of a second, and 10 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.devices import gpio
from outstation.devices.lines import simulated
from outstation.devices.lines.simulated import SimulatedChip
from outstation.devices.models import world
from outstation.devices.models.model import Model, Nak, SimulatedI2C, SimulatedSpi, SpiModel
from outstation.plugins import Place
from outstation.testing.contract import ActuatorContract, Broken, SensorContract

__all__ = [
    "ActuatorContract",
    "Broken",
    "Model",
    "Nak",
    "SensorContract",
    "SimulatedChip",
    "SimulatedI2C",
    "SimulatedSpi",
    "SpiModel",
    "gpio_chip",
    "i2c_bus",
    "place",
    "spi_bus",
]

_LINGER_S = 0.5


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A node's folder, of this test alone; the files of its config are there, too."""
    return Place(data=tmp_path, base=tmp_path)


@pytest.fixture
def i2c_bus(place: Place) -> SimulatedI2C:
    """The bus that drivers find with `bus = 1, simulate = true`: nobody is on it until a test plugs a chip in."""
    return world.i2c(place.data, 1)


@pytest.fixture
def spi_bus(place: Place) -> SimulatedSpi:
    """The bus that drivers find with `bus = 0, select = 0, simulate = true`."""
    return world.spi(place.data, 0, 0)


@pytest.fixture
def gpio_chip(place: Place) -> Iterator[SimulatedChip]:
    """The chip that simulated pins are on: a process that keeps to the kernel's rules, and ends with the test."""
    path = gpio.simulated_chip(place.data, None)
    simulated.start(path, linger_s=_LINGER_S)
    with SimulatedChip(path) as chip:
        yield chip
        chip.stop()
