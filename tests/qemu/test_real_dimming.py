"""PWM channels of a real kernel: its own files below /sys/class/pwm, in the order in which it takes them.

The kernel's part is all there: what it refuses, what it shows, what is locked. The chip behind it is a table's word.
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
    printed = machine.tell(tmp_path_factory.mktemp("pwm"), debian, "tests.qemu.dimming", patience_s=MACHINE_S)
    stories = [msgspec.json.decode(line, type=Told) for line in printed.splitlines() if line.startswith('{"name"')]
    return {story.name: story for story in stories}


@pytest.mark.parametrize(
    ("story", "shown"),
    [
        ("chips", "pwmchip0"),
        ("a quarter", "40000 10000 normal 1"),
        ("slower", "20000000 10000000 normal 1"),
        ("faster", "25000 25000 normal 1"),
        ("active low", "1000000 100000 normal 1"),
        ("the kernel refuses", "refused"),
        ("let go of", "1000000 1000000 normal 1"),
    ],
)
def test_the_kernel_shows_what_was_asked_for(told: dict[str, Told], story: str, shown: str) -> None:
    """Nanoseconds of the period, of these on, polarity, whether it is enabled."""
    assert told[story].value == shown


def test_what_another_program_left_is_put_right(told: dict[str, Told]) -> None:
    left, then = str(told["left inverted"].value).split(", then ")
    assert "inversed 1" in left
    assert then == "1000000 500000 normal 1"


def test_a_node_that_dies_leaves_it_safe(told: dict[str, Told]) -> None:
    """It had been dimmed, and min_on had kept it on."""
    dimmed, safe = "1000000 250000 normal 1", "1000000 1000000 normal 1"
    assert told["its node was killed"].value == f"[200, 202]: {dimmed}, then {safe}"


def test_what_is_not_to_be_had_is_a_fault_that_says_what_to_do(told: dict[str, Told]) -> None:
    assert told["no such channel"].error.endswith("Its channels are 0 to 3.")
    assert told["no such chip"].error.endswith("There are pwmchip0: set `chip`.")
    assert "busy: another node has it" in told["another node"].error
