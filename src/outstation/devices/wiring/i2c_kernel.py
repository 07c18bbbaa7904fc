"""An I2C bus of the kernel: /dev/i2c-N.

Kernel: Documentation/i2c/dev-interface.rst, include/uapi/linux/i2c-dev.h and i2c.h. An adapter that can do no more than
SMBus (a PC's, and the kernel's own i2c-stub) is spoken to in the SMBus forms of the same transfers.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import struct
from pathlib import Path

from outstation.devices.wiring.i2c import I2C

_SLAVE, _FUNCS, _RDWR, _SMBUS = 0x0703, 0x0705, 0x0707, 0x0720
_FUNC_I2C, _FUNC_QUICK = 0x1, 0x10000
_M_RD = 0x0001
_WRITE, _READ = 0, 1
_QUICK, _BYTE, _BYTE_DATA, _WORD_DATA, _BLOCK_DATA = 0, 1, 2, 3, 8
_BLOCK_AT_MOST = 32

_READ_TO_ASK = frozenset([*range(0x30, 0x38), *range(0x50, 0x60)])
"""Where memories are, which a quick write could upset: asked by a read, as i2cdetect(8) does."""


def numbers() -> list[int]:
    """Return the numbers of the buses of this machine."""
    names = (path.name.removeprefix("i2c-") for path in Path("/dev").glob("i2c-*"))
    return sorted(int(name) for name in names if name.isdecimal())


class KernelI2C(I2C):
    """A bus by its number. Raises OSError when made: no such bus, no permission."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.name = f"/dev/i2c-{number}"
        self._file: int | None = os.open(self.name, os.O_RDWR | os.O_CLOEXEC)
        funcs = array.array("L", [0])
        try:
            fcntl.ioctl(self._file, _FUNCS, funcs)
        except OSError:
            self.close()  # it is asked for again and again
            raise
        self.is_full, self._is_quick = bool(funcs[0] & _FUNC_I2C), bool(funcs[0] & _FUNC_QUICK)
        self._address = -1
        self._pointed: tuple[int, int] | None = None

    def transfer(self, address: int, out: bytes, count: int) -> bytes:
        if not out and not count:
            self._ask(address)
            return b""
        return self._messages(address, out, count) if self.is_full else self._smbus(address, out, count)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _fd(self) -> int:
        if self._file is None:
            raise OSError(errno.EBADF, f"{self.name} is closed")
        return self._file

    def _ask(self, address: int) -> None:
        """Raise OSError unless somebody answers; EBUSY where one of the kernel's own drivers has the chip."""
        if address in _READ_TO_ASK or not self._is_quick:
            self._one(address, _READ, 0, _BYTE)
        else:
            self._one(address, _WRITE, 0, _QUICK)

    def _messages(self, address: int, out: bytes, count: int) -> bytes:
        """Do it in one transfer, with a repeated start between write and read."""
        written, heard = array.array("B", out), array.array("B", bytes(count))
        pieces = [(0, written), (_M_RD, heard)]
        messages = array.array(
            "B",
            b"".join(
                struct.pack("HHHP", address, flags, len(data), data.buffer_info()[0]) for flags, data in pieces if data
            ),
        )
        start, length = messages.buffer_info()
        fcntl.ioctl(self._fd(), _RDWR, struct.pack("PI", start, length // struct.calcsize("HHHP")))
        return heard.tobytes()

    def _smbus(self, address: int, out: bytes, count: int) -> bytes:
        """Do it in SMBus forms, which all begin with a register's number."""
        pointed, self._pointed = self._pointed, None
        if count == 0 and len(out) == 1:
            self._one(address, _WRITE, out[0], _BYTE)
            self._pointed = (address, out[0])
            return b""
        if count == 0:
            return self._registers(address, _WRITE, out[0], out[1:])
        if not out and count == 1:
            return self._one(address, _READ, 0, _BYTE)[:1]
        if not out and pointed is not None and pointed[0] == address:
            out = bytes(pointed[1:])
        if len(out) == 1:
            return self._registers(address, _READ, out[0], bytes(count))
        raise _too_much(self.name)

    def _registers(self, address: int, direction: int, register: int, data: bytes) -> bytes:
        """Write, or read as many."""
        if len(data) > _BLOCK_AT_MOST:
            raise _too_much(self.name)
        if len(data) <= 2:
            size = _BYTE_DATA if len(data) == 1 else _WORD_DATA
            return self._one(address, direction, register, size, data)[: len(data)]
        block = bytes([len(data)]) + data
        return self._one(address, direction, register, _BLOCK_DATA, block)[1 : len(data) + 1]

    def _one(self, address: int, direction: int, command: int, size: int, data: bytes = b"") -> bytes:
        """Return what stands in the 34 bytes of `union i2c_smbus_data` after one SMBus transfer."""
        if address != self._address:
            fcntl.ioctl(self._fd(), _SLAVE, address)
            self._address = address
        union = array.array("B", data.ljust(34, b"\0"))
        fcntl.ioctl(self._fd(), _SMBUS, struct.pack("BBIP", direction, command, size, union.buffer_info()[0]))
        return union.tobytes()


def _too_much(name: str) -> OSError:
    return OSError(errno.EOPNOTSUPP, f"{name} is an SMBus, which cannot do what this chip needs")
