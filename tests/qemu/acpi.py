"""A table that tells the machine's kernel of a PWM chip: Intel's of the Broxton SoC, four channels.

Its driver (drivers/pwm/pwm-lpss-platform.c) finds the chip by this table alone. Where the registers should be the
machine has nothing, which takes what is written and reads as 0: so no update stays under way, and all but the pin is
the kernel's own. The bytes are as in the ACPI Specification 6.5, chapters 20.2 (AML) and 6.4.3 (resources).
"""

from __future__ import annotations

import struct
from pathlib import Path

ID = "80865AC8"

_REGISTERS, _BYTES = 0xFED9_0000, 0x1000
"""Between the tables of the timer and of the interrupts, where a PC of QEMU's has nothing; 0x400 bytes a channel."""


def write_ssdt(path: Path) -> Path:
    """Write the body of the table; QEMU puts the head before it (-acpitable sig=SSDT,data=...)."""
    memory = struct.pack("<BHBII", 0x86, 9, 1, _REGISTERS, _BYTES) + b"\x79\x00"
    named = b"\x08_HID\x0d" + ID.encode() + b"\x00"
    resources = b"\x08_CRS\x11" + _sized(b"\x0a" + bytes([len(memory)]) + memory)
    path.write_bytes(b"\x10" + _sized(b"\\_SB_" + b"\x5b\x82" + _sized(b"PWM0" + named + resources)))
    return path


def _sized(content: bytes) -> bytes:
    """Return it with its length before it, which counts itself: PkgLength, of two bytes."""
    length = len(content) + 2
    return bytes([0x40 | length & 0x0F, length >> 4]) + content
