"""What runs inside the machine: chips on a bus of the kernel's own making, read by our drivers. A line of JSON a story.

i2c-stub (Documentation/i2c/i2c-stub.rst) answers at 0x18 and keeps a word of 16 bits for each register, the byte that
comes first on the wire lowest: MCP9808's registers stand in it the other way round.
"""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from outstation.core.readings import Value
from outstation.devices.i2c import I2cOptions, I2cSensor
from outstation.devices.wiring import i2c_kernel
from outstation.devices.wiring.i2c_kernel import KernelI2C
from outstation.errors import DeviceError
from outstation.plugins import Place

REGISTERS = {0x05: 0xC1A0, 0x06: 0x0054, 0x07: 0x0400}
"""MCP9808 at 26.0 °C, two alarms raised beside it; and who it is (data sheet DS25095A, table 5-1)."""

BELOW_ZERO = 0x1F54
"""-10.75 °C in register 5."""


class Told(msgspec.Struct, frozen=True):
    """What a story has to tell."""

    name: str
    value: Value | None = None
    error: str = ""


def main() -> None:
    """Tell all stories."""
    number = _number()
    bus = KernelI2C(number)
    say(Told("machine", f"{platform.release()}, {bus.name}, full I2C: {bus.is_full}"))
    for register, word in REGISTERS.items():
        bus.writeto(0x18, bytes([register, *word.to_bytes(2)]))
    say(Told("who answers", " ".join(f"0x{each:02x}" for each in range(0x08, 0x78) if bus.answers(each))))
    sensor = _sensor(number, chip="mcp9808")
    say(_read("warm", sensor))
    bus.writeto(0x18, bytes([0x05, *BELOW_ZERO.to_bytes(2)]))
    say(_read("below zero", sensor))
    say(_read("nobody there", _sensor(number, chip="mcp9808", address=0x19)))
    say(_read("another chip", _sensor(number, chip="bmp280", quantity="pressure", address=0x18)))
    say(_read("no such bus", _sensor(99, chip="mcp9808")))


def say(told: Told) -> None:
    """Print one line of JSON."""
    print(msgspec.json.encode(told).decode(), flush=True)


def _number() -> int:
    """Return the number of the stub's bus: a PC's own adapters may be there as well."""
    for number in i2c_kernel.numbers():
        if "stub" in Path(f"/sys/class/i2c-dev/i2c-{number}/name").read_text():
            return number
    raise SystemExit(f"i2c-stub has no bus among {i2c_kernel.numbers()}")


def _sensor(number: int, **options: object) -> I2cSensor:
    return I2cSensor("t", I2cOptions.model_validate({"bus": number} | options), Place(Path(), Path()))


def _read(name: str, sensor: I2cSensor) -> Told:
    try:
        sensor.open()
        return Told(name, sensor.read())
    except DeviceError as error:
        return Told(name, error=f"{type(error).__name__}: {error}")
    finally:
        sensor.close()


if __name__ == "__main__":
    main()
