"""Real buses, as far as they can be had without one: the real libraries, and the kernel's side played by buses.c."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMPILER = shutil.which("cc")

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (apt install gcc libc6-dev)"),
    pytest.mark.skipif(not Path("/usr/include/linux/i2c.h").exists(), reason="needs linux/i2c.h (linux-libc-dev)"),
]

BEGINNING = """
import ctypes, json, struct, sys
from pathlib import Path
from outstation.devices.i2c import I2cOptions, I2cSensor
from outstation.devices.spi import SpiOptions, SpiSensor
from outstation.devices.wiring.spi_kernel import KernelSpi
from outstation.errors import DeviceError
from outstation.plugins import Place

outside = ctypes.CDLL(sys.argv[1])

def put(address, at, data):
    for offset, byte in enumerate(data):
        outside.put(address, at + offset, byte)

def i2c(**options):
    return I2cSensor("t", I2cOptions.model_validate(options), Place(Path(), Path()))

def read(sensor):
    try:
        sensor.open()
        return sensor.read()
    except DeviceError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        sensor.close()

def tell(*values):
    print(json.dumps(values))

# MCP9808's identity, and -10.75 degrees; BMP280's with the example of its data sheet.
for register, word in {0x05: 0x1F54, 0x06: 0x0054, 0x07: 0x0400}.items():
    put(0x18, 2 * register, word.to_bytes(2))
put(0x77, 0xD0, [0x58])
example = (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
put(0x77, 0x88, struct.pack("<HhhHhhhhhhhh", *example))
put(0x77, 0xF7, (415148 << 4).to_bytes(3) + (519888 << 4).to_bytes(3))
"""


@pytest.fixture(scope="module")
def buses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert COMPILER
    library = tmp_path_factory.mktemp("buses") / "buses.so"
    source = Path(__file__).with_name("buses.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
    return library


def told(buses: Path, story: str) -> list[Any]:
    """Run a story where the buses are, and return what it told."""
    environment = os.environ | {"LD_PRELOAD": str(buses)}
    command = [sys.executable, "-c", BEGINNING + story, str(buses)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_registers_come_over_plain_i2c_and_over_smbus_alone(buses: Path) -> None:
    story = """
for bus in (1, 2):
    bmp280 = [read(i2c(chip="bmp280", quantity=quantity, bus=bus)) for quantity in ("temperature", "pressure")]
    tell(read(i2c(chip="mcp9808", bus=bus)), *bmp280, outside.get(0x77, 0xE0), outside.get(0x77, 0xF4))
    put(0x77, 0xE0, [0])
"""
    for mcp9808, temperature, pressure, reset, control in told(buses, story):
        assert mcp9808 == -10.75
        assert temperature == pytest.approx(25.08, abs=0.005)
        assert pressure == pytest.approx(1006.53, abs=0.005)
        assert reset == 0xB6
        assert control == 0b010_101_01  # temperature twice, pressure 16 times, forced


def test_each_refusal_says_where_and_what_to_do(buses: Path) -> None:
    story = """
tell(read(i2c(chip="mcp9808", bus=1, address=0x1c)))
tell(read(i2c(chip="mcp9808", bus=2, address=0x19)))
tell(read(i2c(chip="mcp9808", bus=3)))
tell(read(i2c(chip="mcp9808", bus=4)))
"""
    [[silent], [taken], [missing], [forbidden]] = told(buses, story)
    assert silent.startswith("UnpluggedError: Nobody answers at 0x1c on /dev/i2c-1, where the mcp9808 should be.")
    assert "set address = 0x18" in silent
    assert "the mcp9808 at 0x19 on /dev/i2c-2 is in the hands of one of the kernel's own drivers" in taken.lower()
    assert "There is no /dev/i2c-3" in missing
    assert "sudo usermod -aG i2c" in forbidden


def test_spi_sends_one_message_a_conversation(buses: Path) -> None:
    story = """
sensor = SpiSensor("t", SpiOptions.model_validate({"chip": "mcp3008", "quantity": "ch5"}), Place(Path(), Path()))
tell(read(sensor), outside.spi_mode(), outside.spi_speed(), outside.spi_pieces())
bus, heard = KernelSpi(0, 0), bytearray(1)
bus.try_lock()
bus.configure(baudrate=250_000, polarity=1, phase=1)
bus.write(b"ab")
bus.readinto(heard)
try:
    bus.write(b"c")
except DeviceError as error:
    tell(list(heard), outside.spi_mode(), outside.spi_speed(), outside.spi_pieces(), str(error))
bus.unlock()
tell(read(SpiSensor("t", SpiOptions.model_validate({"chip": "mcp3008", "quantity": "ch5", "select": 1}), sensor.place)))
"""
    [[volts, *asked], [*pieces, refused], [missing]] = told(buses, story)
    assert volts == pytest.approx(3.3 * 523 / 1023, abs=0.001)
    assert asked == [0, 100_000, 1]
    assert pieces == [[42], 3, 250_000, 2]
    assert "in pieces" in refused
    assert "dtparam=spi=on" in missing
