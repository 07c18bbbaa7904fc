"""The simulated hardware of each node in this process: buses and the chips on them.

A chip is plugged in when the first sensor asks for it, and once: where somebody has unplugged it, it stays away.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from outstation.devices.models.model import Model, SimulatedI2C, SimulatedSpi, SpiModel

_I2C: dict[tuple[Path, int], SimulatedI2C] = {}
_I2C_CHIPS: dict[tuple[Path, int, int], Model] = {}
_SPI: dict[tuple[Path, int, int], SimulatedSpi] = {}
_SPI_CHIPS: dict[tuple[Path, int, int], SpiModel] = {}


def i2c(data: Path, bus: int) -> SimulatedI2C:
    """Return a bus of the node whose folder is `data`."""
    return _I2C.setdefault((data, bus), SimulatedI2C(f"simulated /dev/i2c-{bus}"))


def i2c_chip(data: Path, bus: int, address: int, model: str) -> Model:
    """Return the chip at an address: whoever was there at first, else a new one of that model."""
    key, there = (data, bus, address), i2c(data, bus)
    if key not in _I2C_CHIPS:
        _I2C_CHIPS[key] = there.chips.get(address) or _made(model)
        there.plug(address, _I2C_CHIPS[key])
    return _I2C_CHIPS[key]


def spi(data: Path, bus: int, select: int) -> SimulatedSpi:
    """Return a bus with one select line."""
    return _SPI.setdefault((data, bus, select), SimulatedSpi(f"simulated /dev/spidev{bus}.{select}"))


def spi_chip(data: Path, bus: int, select: int, model: str) -> SpiModel:
    """Return the chip on that select line: whoever was there at first, else a new one of that model."""
    key, there = (data, bus, select), spi(data, bus, select)
    if key not in _SPI_CHIPS:
        _SPI_CHIPS[key] = there.chip = there.chip or _made(model)
    return _SPI_CHIPS[key]


def _made(model: str) -> Any:
    """Return a new one of `bmp280:Bmp280`."""
    module, _, name = model.partition(":")
    return getattr(importlib.import_module(f"outstation.devices.models.{module}"), name)()
