"""An SPI bus as the CircuitPython libraries want it: what `busio.SPI` and a chip select do there.

The kernel selects the chip itself, for the length of one message. So what a library writes within one lock waits until
it reads, or unlocks, and then goes out in one message.
"""

from __future__ import annotations

import abc
import threading

from outstation.devices.wiring.i2c import PATIENCE_S
from outstation.errors import DeviceError


class ChipSelect:
    """A pin that a library believes to drive: the kernel does."""

    value = True

    def switch_to_output(self, value: bool = True, **_: object) -> None:
        """Do nothing."""


class Spi(abc.ABC):
    """A bus with one chip on it. `name` is what people are told: /dev/spidev0.0."""

    name: str

    def __init__(self) -> None:
        self.frequency = 100_000
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._is_read = False

    @abc.abstractmethod
    def exchange(self, pieces: list[bytes]) -> bytes:
        """Select the chip, send the pieces, and return what came meanwhile. Raises OSError."""

    @abc.abstractmethod
    def set_mode(self, mode: int) -> None:
        """Set polarity (2) and phase (1) of the clock. Raises OSError."""

    def close(self) -> None:
        """Let go. May be called twice."""

    def try_lock(self) -> bool:
        """Take the bus, for the length of one conversation."""
        if self._lock.acquire(timeout=PATIENCE_S):
            return True
        raise DeviceError(f"{self.name} is not let go by another chip's driver.")

    def unlock(self) -> None:
        """Send what still waits, and let the next one talk."""
        waiting, self._waiting, self._is_read = self._waiting, [], False
        try:
            if waiting:
                self.exchange(waiting)
        finally:
            self._lock.release()

    def configure(self, *, baudrate: int = 100_000, polarity: int = 0, phase: int = 0, bits: int = 8) -> None:
        """Set clock and mode."""
        self.frequency = baudrate
        self.set_mode(2 * polarity + phase)

    def write(self, buffer: bytes, *, start: int = 0, end: int | None = None) -> None:
        """Write: at the latest when the bus is unlocked."""
        self._refuse_more()
        self._waiting.append(bytes(buffer[start:end]))

    def readinto(self, buffer: bytearray, *, start: int = 0, end: int | None = None, write_value: int = 0) -> None:
        """Read as much as there is room."""
        view = memoryview(buffer)[start:end]
        view[:] = self._read(bytes([write_value]) * len(view))

    def write_readinto(
        self,
        out_buffer: bytes,
        in_buffer: bytearray,
        *,
        out_start: int = 0,
        out_end: int | None = None,
        in_start: int = 0,
        in_end: int | None = None,
    ) -> None:
        """Write and read at the same time."""
        view = memoryview(in_buffer)[in_start:in_end]
        view[:] = self._read(bytes(out_buffer[out_start:out_end]))

    def _read(self, out: bytes) -> bytes:
        self._refuse_more()
        waiting, self._waiting, self._is_read = self._waiting, [], True
        return self.exchange([*waiting, out])[-len(out) :]

    def _refuse_more(self) -> None:
        if self._is_read:
            raise DeviceError(
                f"The chip's library talks to {self.name} in pieces: it goes on after it has read.",
                cure="The kernel would deselect the chip in between; use another library, or the chip's I2C side.",
            )
