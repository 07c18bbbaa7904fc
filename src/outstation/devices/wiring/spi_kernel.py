"""An SPI bus of the kernel: /dev/spidevB.C (Documentation/spi/spidev.rst, include/uapi/linux/spi/spidev.h)."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import struct
from pathlib import Path

from outstation.devices.wiring.spi import Spi

_WR_MODE, _MESSAGE = 0x40016B01, 0x40006B00

_TRANSFER = "QQIIHBBBBBB"
"""struct spi_ioc_transfer: where to send from and to put what comes, length, Hz, then what is left at 0."""


def names() -> list[str]:
    """Return the buses of this machine, each with its chip select: spidev0.0."""
    return sorted(path.name for path in Path("/dev").glob("spidev*.*"))


class KernelSpi(Spi):
    """A bus and a chip select by their numbers. Raises OSError when made: no such bus, no permission."""

    def __init__(self, bus: int, select: int) -> None:
        super().__init__()
        self.name = f"/dev/spidev{bus}.{select}"
        self._file: int | None = os.open(self.name, os.O_RDWR | os.O_CLOEXEC)

    def exchange(self, pieces: list[bytes]) -> bytes:
        sent = [array.array("B", piece) for piece in pieces]
        heard = [array.array("B", bytes(len(piece))) for piece in pieces]
        message = b"".join(
            struct.pack(
                _TRANSFER,
                *(out.buffer_info()[0], into.buffer_info()[0], len(out), self.frequency, 0, 8, 0, 0, 0, 0, 0),
            )
            for out, into in zip(sent, heard, strict=True)
        )
        fcntl.ioctl(self._fd(), _MESSAGE | len(message) << 16, message)
        return b"".join(into.tobytes() for into in heard)

    def set_mode(self, mode: int) -> None:
        fcntl.ioctl(self._fd(), _WR_MODE, bytes([mode]))

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _fd(self) -> int:
        if self._file is None:
            raise OSError(errno.EBADF, f"{self.name} is closed")
        return self._file
