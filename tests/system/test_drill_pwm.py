"""Drilling channels of PWM: found in the config, and looked at beside lines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from outstation.config import Config
from outstation.ops.drill_pins import Pin, of_config
from outstation.ops.drill_pwm import PwmPins, all_of
from outstation.wire import pwm


@pytest.fixture
def config() -> Config:
    fan = {"name": "fan", "driver": "pwm", "channel": 3, "safe": "on", "active_low": True, "frequency": 25_000}
    return Config.model_validate({"actuators": [fan, {"name": "relay", "driver": "gpio", "pin": 4}]})


def test_a_channel_is_no_output_that_cannot_be_drilled(config: Config) -> None:
    pins, left_out = of_config(config, hardware=False)
    assert left_out == []
    assert [(pin.actuator, pin.is_pwm, pin.chip, pin.safe_high) for pin in pins] == [
        ("fan", True, "kept", False),
        ("relay", False, "kept", False),
        ("relay", False, "floating", False),
    ]
    (fan, _), left_out = of_config(config, hardware=True)
    assert (fan.chip, fan.table["chip"], fan.table["channel"], left_out) == ("real", "pwmchip0", 3, [])


def test_lines_and_channels_are_seen_side_by_side(config: Config, tmp_path: Path) -> None:
    pins, _ = of_config(config, hardware=False)
    fan, relay, _ = pins
    with all_of(tmp_path, pins) as eye:
        chip = str(tmp_path / "pwm.sim" / "pwmchip0")
        assert wait_for(eye, fan, 1) == [(False, False)]
        pwm.drive(chip, 0, level=0, active_low=True, period_ns=40_000)
        assert wait_for(eye, fan, 2)[-1] == (True, True)
        pwm.drive(chip, 0, level=1, active_low=True)
        assert wait_for(eye, fan, 3)[-1] == (False, True)
        assert isinstance(eye, PwmPins)
        assert not any(each.driven for each in eye.changes(relay))


def wait_for(eye: object, pin: Pin, count: int) -> list[tuple[bool, bool]]:
    assert isinstance(eye, PwmPins)
    until = time.monotonic() + 3
    while len(eye.changes(pin)) < count and time.monotonic() < until:
        time.sleep(0.005)
    return [(each.level, each.driven) for each in eye.changes(pin)]
