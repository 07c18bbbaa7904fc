"""A real bus of a real kernel: /dev/i2c-N as our drivers use it, with i2c-stub for a chip.

The stub is an SMBus without plain I2C, as a PC's adapter is. MCP9808's library asks for registers of two bytes, which
SMBus has a form for; what libraries of other chips do in plain I2C, tests/devices shows to the kernel's own structures.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.qemu import machine
from tests.qemu.bus import Told

MACHINE_S = 300.0

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(MACHINE_S + 600)]  # 120 MB to fetch first


@pytest.fixture(scope="module")
def told(debian: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    printed = machine.tell(tmp_path_factory.mktemp("bus"), debian, "tests.qemu.bus", patience_s=MACHINE_S)
    stories = [msgspec.json.decode(line, type=Told) for line in printed.splitlines() if line.startswith('{"name"')]
    return {story.name: story for story in stories}


def test_the_bus_is_the_kernels_and_one_chip_answers(told: dict[str, Told]) -> None:
    assert "full I2C: False" in str(told["machine"].value)
    assert told["who answers"].value == "0x18"


def test_registers_are_read_as_the_data_sheet_says(told: dict[str, Told]) -> None:
    assert told["warm"].value == 26.0
    assert told["below zero"].value == -10.75


def test_what_is_not_there_is_a_fault_that_says_what_to_do(told: dict[str, Told]) -> None:
    assert "Nobody answers at 0x19 on /dev/i2c-" in told["nobody there"].error
    assert "Somebody does at 0x18" in told["nobody there"].error
    assert "is no bmp280" in told["another chip"].error
    assert told["no such bus"].error.startswith("MissingDeviceError: There is no /dev/i2c-99")
