"""Pulses on real lines of a real kernel: it numbers its edges, also those that it did not keep for a slow reader."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.qemu import machine
from tests.qemu.bus import Told
from tests.qemu.pulses import PULSES

MACHINE_S = 300.0

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(MACHINE_S + 600)]  # 120 MB to fetch first


def test_no_pulse_is_lost_and_a_line_is_turned_to_listen(debian: Path, tmp_path: Path) -> None:
    printed = machine.tell(tmp_path, debian, "tests.qemu.pulses", patience_s=MACHINE_S)
    stories = [msgspec.json.decode(line, type=Told) for line in printed.splitlines() if line.startswith('{"name"')]
    assert {story.name: story.value for story in stories} == {
        "counted": PULSES,
        "nobody looked": f"16 kept, {2 * PULSES - 15} to {2 * PULSES}",
        "turned": f"{2 * PULSES} kept, falling first: True",
    }
