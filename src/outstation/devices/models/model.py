"""A chip as its bus sees it, and the simulated buses that such chips are on.

The law of this file: a model knows its data sheet and nothing of the library that will talk to it.
"""

from __future__ import annotations

import abc
import errno
import os
import threading
from collections.abc import Callable, Mapping
from typing import ClassVar

from outstation.devices.wiring.i2c import I2C
from outstation.devices.wiring.spi import Spi
from outstation.errors import RefusedError


class Measuring:
    """Whatever measures. quantities: what, with the value it has until somebody moves it."""

    quantities: ClassVar[Mapping[str, float]]

    def __init__(self) -> None:
        self.values = dict(self.quantities)

    def set(self, quantity: str, value: float | None) -> None:
        """Let it measure `value`; None: what it measured at first. Raises RefusedError."""
        if quantity not in self.quantities:
            raise RefusedError(f"It measures no {quantity}.", cure=f"Valid: {', '.join(self.quantities)}.")
        self.values[quantity] = self.quantities[quantity] if value is None else value


class Model(Measuring, abc.ABC):
    """A chip on I2C. A conversation is a write, a read, or both: the bus calls them in this order.

    addresses: where it can be.
    """

    addresses: ClassVar[tuple[int, ...]] = ()

    def power_on(self) -> None:
        """Forget how it was set up: it had no power for a moment, or is plugged in."""

    @abc.abstractmethod
    def write(self, data: bytes) -> None:
        """Take what was written; never empty. Raises Nak where the chip does not acknowledge it."""

    @abc.abstractmethod
    def read(self, count: int) -> bytes:
        """Return exactly `count` bytes: a chip that has no more to say leaves the line high, 0xFF. Raises Nak."""


class Nak(OSError):  # noqa: N818 - what it is called on every bus
    """The chip does not acknowledge: it is not there, or not ready. The kernel's EREMOTEIO."""

    def __init__(self) -> None:
        super().__init__(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))


Noise = Callable[[int, bytes], bytes]
"""What is heard of the bytes that the chip at an address sent."""


class SimulatedI2C(I2C):
    """A bus with models on it. Chips are plugged and unplugged in any thread.

    noise: falsifies what is read, where it is set. naks: of so many transfers from now on none is acknowledged.
    """

    def __init__(self, name: str = "simulated I2C") -> None:
        super().__init__()
        self.name = name
        self.chips: dict[int, Model] = {}
        self.noise: Noise | None = None
        self.naks = 0
        self._talking = threading.Lock()

    def plug(self, address: int, chip: Model) -> None:
        """Connect a chip: it wakes up as it was sold."""
        chip.power_on()
        self.chips[address] = chip

    def unplug(self, address: int) -> Model:
        """Disconnect the chip at that address, and return it."""
        return self.chips.pop(address)

    def transfer(self, address: int, out: bytes, count: int) -> bytes:
        """Talk to the chip at that address. Raises Nak."""
        with self._talking:
            chip = self.chips.get(address)
            self.naks -= (silent := self.naks > 0)
            if chip is None or silent:
                raise Nak
            if out:
                chip.write(out)
            heard = chip.read(count) if count else b""
        return self.noise(address, heard) if heard and self.noise else heard


class SpiModel(Measuring, abc.ABC):
    """A chip on SPI."""

    @abc.abstractmethod
    def exchange(self, data: bytes) -> bytes:
        """Return as many bytes as are sent while the chip is selected; where nobody drives the line they are 0xFF."""


class SimulatedSpi(Spi):
    """A bus with one model on it, or none. noise: falsifies what is read, where it is set."""

    def __init__(self, name: str = "simulated SPI") -> None:
        super().__init__()
        self.name = name
        self.chip: SpiModel | None = None
        self.noise: Callable[[bytes], bytes] | None = None

    def exchange(self, pieces: list[bytes]) -> bytes:
        sent = b"".join(pieces)
        heard = b"\xff" * len(sent) if self.chip is None else self.chip.exchange(sent)
        return heard if self.noise is None else self.noise(heard)

    def set_mode(self, mode: int) -> None:
        """Nothing changes: a model hears every mode."""
