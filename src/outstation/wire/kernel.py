"""Output lines of a real chip by the kernel's own calls: version 2 of the GPIO character device.

Structures and numbers are those of linux/gpio.h (Linux 5.10 and later), the ioctl numbers as x86, Arm and
RISC-V lay them out. A line is held as long as any process has a descriptor of its request open.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from outstation.wire import RefusedError

HEADER_LABELS = frozenset({"pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835"})
"""Labels of the chip behind a Raspberry Pi's 40 pins (drivers/pinctrl in the kernel): Pi 5, Pi 4, the others.

A Pi 5 has several chips, and which number the header's has depends on the kernel.
"""

_MODULES = {"pinctrl-rp1": "pinctrl_rp1"}

FIRST_CHIP = "/dev/gpiochip0"

_GET_CHIPINFO = 0x8044B401
_GET_LINEINFO = 0xC100B405
_GET_LINE = 0xC250B407
_GET_VALUES = 0xC010B40E
_SET_VALUES = 0xC010B40F

_NAME = 32
"""GPIO_MAX_NAME_SIZE, with its zero."""

_CHIPINFO = struct.Struct("=32s32sI")
_VALUES = struct.Struct("=QQ")
_REQUEST_BYTES, _LINEINFO_BYTES = 592, 256
_CONSUMER_AT, _FLAGS_AT, _ATTRIBUTES_AT, _FIRST_ATTRIBUTE_AT, _COUNT_AT, _FD_AT = 256, 288, 296, 320, 560, 588
_INFO_CONSUMER_AT, _INFO_OFFSET_AT, _INFO_FLAGS_AT = 32, 64, 72

_ACTIVE_LOW, _OUTPUT = 1 << 1, 1 << 3
_OUTPUT_VALUES = 2
"""GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES."""


def chips() -> list[str]:
    """Return the GPIO chips of this machine, in the order of their numbers."""
    found = [name for name in os.listdir("/dev") if name.startswith("gpiochip") and name[8:].isdigit()]  # noqa: PTH208
    return [f"/dev/{name}" for name in sorted(found, key=lambda name: int(name[8:]))]


def header_chip(paths: list[str]) -> str:
    """Return the chip behind a Raspberry Pi's header; elsewhere the first."""
    return next((path for path in paths if _label(path) in HEADER_LABELS), FIRST_CHIP)


def request_output(chip: str, pin: int, *, level: bool, active_low: bool, holder: str) -> int:
    """Return the descriptor of a request that drives the line to `level` from its first moment. Raises RefusedError."""
    opened = _opened(chip, pin)
    try:
        return _requested(opened, pin, level=level, active_low=active_low, holder=holder)
    except OSError as error:
        number = error.errno or 0
        raise RefusedError("request", number, _holder(opened, pin) if number == errno.EBUSY else "") from None
    finally:
        os.close(opened)


def get(request: int) -> bool:
    """Return the level of a requested line. Raises OSError."""
    asked = bytearray(_VALUES.pack(0, 1))
    fcntl.ioctl(request, _GET_VALUES, asked)
    return bool(_VALUES.unpack(asked)[0] & 1)


def set_level(request: int, level: bool) -> None:
    """Drive a requested line. Raises OSError."""
    fcntl.ioctl(request, _SET_VALUES, _VALUES.pack(int(level), 1))


def keeps_output(chip: str, pin: int, modules: str = "/sys/module") -> bool:
    """Tell whether the chip goes on driving a line that was let go of. Raises RefusedError.

    A Raspberry Pi's drivers have a parameter for it, and without that make the pin an input (Linux before 6.10): of
    these the kernel goes on saying that the line is an output. Of others there is only what it says.
    """
    opened = _opened(chip, pin)
    try:
        label = _chip_info(opened)[0]
        if label in HEADER_LABELS:
            return _persists(f"{modules}/{_MODULES.get(label, 'pinctrl_bcm2835')}/parameters/persist_gpio_outputs")
        flags: int = struct.unpack_from("=Q", _line_info(opened, pin), _INFO_FLAGS_AT)[0]
    except OSError as error:
        raise RefusedError("request", error.errno or 0) from None
    finally:
        os.close(opened)
    return bool(flags & _OUTPUT)


def _persists(parameter: str) -> bool:
    try:
        with open(parameter, encoding="ascii") as file:  # noqa: PTH123 - pathlib would be half a megabyte more
            return file.read(1) == "Y"
    except OSError:
        return False


def _opened(chip: str, pin: int) -> int:
    try:
        opened = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise RefusedError("chip", error.errno or 0, chip) from None
    try:
        lines = _chip_info(opened)[1]
    except OSError as error:
        os.close(opened)
        raise RefusedError("chip", error.errno or 0, chip) from None
    if pin >= lines:
        os.close(opened)
        raise RefusedError("pin", errno.ENOENT, str(lines))
    return opened


def _chip_info(opened: int) -> tuple[str, int]:
    asked = bytearray(_CHIPINFO.size)
    fcntl.ioctl(opened, _GET_CHIPINFO, asked)
    _, label, lines = _CHIPINFO.unpack(asked)
    return _text(label), lines


def _label(chip: str) -> str:
    try:
        opened = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return _chip_info(opened)[0]
    except OSError:
        return ""
    finally:
        os.close(opened)


def _requested(opened: int, pin: int, *, level: bool, active_low: bool, holder: str) -> int:
    asked = bytearray(_REQUEST_BYTES)
    struct.pack_into("=I", asked, 0, pin)
    struct.pack_into(f"={_NAME}s", asked, _CONSUMER_AT, holder.encode()[: _NAME - 1])
    struct.pack_into("=Q", asked, _FLAGS_AT, _OUTPUT | (_ACTIVE_LOW if active_low else 0))
    struct.pack_into("=I", asked, _ATTRIBUTES_AT, 1)
    struct.pack_into("=IIQQ", asked, _FIRST_ATTRIBUTE_AT, _OUTPUT_VALUES, 0, int(level), 1)
    struct.pack_into("=I", asked, _COUNT_AT, 1)
    fcntl.ioctl(opened, _GET_LINE, asked)
    request: int = struct.unpack_from("=i", asked, _FD_AT)[0]
    os.set_inheritable(request, False)
    return request


def _line_info(opened: int, pin: int) -> bytearray:
    asked = bytearray(_LINEINFO_BYTES)
    struct.pack_into("=I", asked, _INFO_OFFSET_AT, pin)
    fcntl.ioctl(opened, _GET_LINEINFO, asked)
    return asked


def _holder(opened: int, pin: int) -> str:
    try:
        consumer = _text(bytes(_line_info(opened, pin)[_INFO_CONSUMER_AT : _INFO_CONSUMER_AT + _NAME]))
    except OSError:
        consumer = ""
    return consumer or "the kernel"


def _text(padded: bytes) -> str:
    return padded.partition(b"\0")[0].decode(errors="replace")
