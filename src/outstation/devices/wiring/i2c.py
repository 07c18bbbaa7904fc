"""An I2C bus as the CircuitPython libraries want it: what `busio.I2C` does there, over one kind of transfer.

Their documentation: docs.circuitpython.org, shared-bindings/busio. What is not asked for by a library is not here.
"""

from __future__ import annotations

import abc
import math
import threading
import time

from outstation.errors import DeviceError

PATIENCE_S = 1.0
"""Longer than any transfer: whoever still waits for the bus then waits for a thread that hangs."""


class I2C(abc.ABC):
    """A bus. `name` is what people are told: /dev/i2c-1. until: conversations begin before that (time.monotonic())."""

    name: str

    def __init__(self) -> None:
        self.until = math.inf
        self._lock = threading.Lock()

    @abc.abstractmethod
    def transfer(self, address: int, out: bytes, count: int) -> bytes:
        """Write `out`, then read `count` bytes, without letting the bus go in between. Either may be nothing.

        Raises OSError: ENXIO or EREMOTEIO where nobody answers.
        """

    def answers(self, address: int) -> bool:
        """Tell whether there is a chip. Raises OSError for what is wrong with the bus itself."""
        try:
            self.transfer(address, b"", 0)
        except OSError as error:
            if error.errno in NOBODY:
                return False
            raise
        return True

    def close(self) -> None:
        """Let go. May be called twice."""

    def try_lock(self) -> bool:
        """Take the bus, for the length of one conversation. The libraries would ask again at once: so it waits."""
        if time.monotonic() > self.until:
            raise DeviceError(f"A chip on {self.name} is never ready: it is asked again and again.")
        if self._lock.acquire(timeout=PATIENCE_S):
            return True
        raise DeviceError(f"{self.name} is not let go by another chip's driver.")

    def unlock(self) -> None:
        """Let the next one talk."""
        self._lock.release()

    def writeto(self, address: int, buffer: bytes, *, start: int = 0, end: int | None = None) -> None:
        """Write."""
        self.transfer(address, bytes(buffer[start:end]), 0)

    def readfrom_into(self, address: int, buffer: bytearray, *, start: int = 0, end: int | None = None) -> None:
        """Read as much as there is room."""
        view = memoryview(buffer)[start:end]
        view[:] = self.transfer(address, b"", len(view))

    def writeto_then_readfrom(
        self,
        address: int,
        out_buffer: bytes,
        in_buffer: bytearray,
        *,
        out_start: int = 0,
        out_end: int | None = None,
        in_start: int = 0,
        in_end: int | None = None,
    ) -> None:
        """Write, then read without a stop in between."""
        view = memoryview(in_buffer)[in_start:in_end]
        view[:] = self.transfer(address, bytes(out_buffer[out_start:out_end]), len(view))


NOBODY = frozenset({5, 6, 19, 121})
"""EIO, ENXIO, ENODEV, EREMOTEIO: which of them says that nobody answered is the adapter's choice
(Linux: Documentation/i2c/fault-codes.rst)."""
