"""PWM outputs, in a folder that looks like the kernel's /sys/class/pwm."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pydantic
import pytest

from outstation.devices.pwm import PwmActuator, PwmOptions
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import Place
from outstation.wire import pwm


class Chip:
    """A chip of two channels, of which the first is exported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "npwm").write_text("2\n")
        (folder / "export").touch()
        self.appear(0)

    def appear(self, channel: int) -> None:
        """Do what the kernel does when a channel is exported."""
        (self.folder / f"pwm{channel}").mkdir()
        for name, value in pwm.FILES:
            self.says(name, value, channel)

    def says(self, name: str, value: object, channel: int = 0) -> None:
        (self.folder / f"pwm{channel}" / name).write_text(f"{value}\n")

    def state(self, channel: int = 0) -> tuple[int, int, int]:
        """Return period, duty cycle and whether it is enabled."""
        period, duty, enabled = (self._number(channel, name) for name in ("period", "duty_cycle", "enable"))
        return period, duty, enabled

    def _number(self, channel: int, name: str) -> int:
        """Return what stands in a file; -1: nothing. Unlike the kernel's, ours is empty while somebody writes it."""
        return int((self.folder / f"pwm{channel}" / name).read_text() or -1)


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    return Chip(tmp_path / "pwm" / "pwmchip0")


def fan(place: Place, at: Chip, **options: Any) -> PwmActuator:
    given = {"channel": 0, "chip": str(at.folder)} | options
    return PwmActuator("fan", PwmOptions.model_validate(given), place)


def test_a_level_is_the_part_of_the_period_in_which_it_is_on(place: Place, chip: Chip) -> None:
    output = fan(place, chip, frequency=25_000)
    output.open(0.25)
    assert chip.state() == (40_000, 10_000, 1)
    for level, duty in ((1.0, 40_000), (True, 40_000), (0.5, 20_000), (False, 0)):
        output.set(level)
        assert chip.state() == (40_000, duty, 1)
    output.close()
    output.close()
    assert chip.state() == (40_000, 0, 1), "it goes on as it is"


def test_active_low_is_on_when_the_pin_is_low(place: Place, chip: Chip) -> None:
    output = fan(place, chip, active_low=True)
    output.open(False)
    assert chip.state() == (1_000_000, 1_000_000, 1)
    output.set(0.9)
    assert chip.state() == (1_000_000, 100_000, 1)
    output.close()


@pytest.mark.parametrize(("period", "frequency"), [(10_000_000, 50_000), (20_000, 50)])
def test_what_somebody_else_left_there_is_put_right(place: Place, chip: Chip, period: int, frequency: int) -> None:
    chip.says("period", period)
    chip.says("duty_cycle", period)
    chip.says("enable", 1)
    chip.says("polarity", "inversed")
    output = fan(place, chip, frequency=frequency)
    output.open(0.5)
    assert chip.state() == (10**9 // frequency, 10**9 // frequency // 2, 1)
    assert (chip.folder / "pwm0" / "polarity").read_text() == "normal\n"
    output.close()


@pytest.mark.parametrize(("period", "then"), [(10_000_000, 10_000_000), (20_000, 1_000_000)])
def test_at_no_time_is_it_on_for_longer_than_its_period(chip: Chip, period: int, then: int) -> None:
    """The kernel refuses that. Of two files the one that must come first is written before the other fails."""
    chip.says("period", period)
    (chip.folder / "pwm0" / "duty_cycle").unlink()
    (chip.folder / "pwm0" / "duty_cycle").mkdir()
    with pytest.raises(IsADirectoryError):
        pwm.drive(str(chip.folder), 0, level=0.5, active_low=False, period_ns=1_000_000)
    assert (chip.folder / "pwm0" / "period").read_text() == f"{then}\n"


def test_a_channel_is_exported_when_it_is_wanted(place: Place, chip: Chip) -> None:
    output = fan(place, chip, channel=1)
    with pytest.raises(DeviceError):
        output.open(True)
    assert (chip.folder / "export").read_text() == "1\n"
    chip.appear(1)
    output.open(True)
    assert chip.state(1) == (1_000_000, 1_000_000, 1)
    output.close()


def test_a_channel_is_one_nodes(place: Place, chip: Chip) -> None:
    first, second = fan(place, chip), fan(place, chip)
    first.open(True)
    with pytest.raises(DeviceError, match="busy: another node has it"):
        second.open(False)
    assert chip.state()[1] == 1_000_000, "it was not touched"
    first.close()
    second.open(False)
    assert chip.state()[1] == 0
    second.close()


def test_what_is_missing_is_named_with_its_cure(place: Place, chip: Chip) -> None:
    with pytest.raises(MissingDeviceError, match=r"Channel 7 of .+ Its channels are 0 to 1"):
        fan(place, chip, channel=7).open(False)
    with pytest.raises(MissingDeviceError, match="There are pwmchip0: set `chip`"):
        fan(place, chip, chip=str(chip.folder.parent / "pwmchip9")).open(False)
    with pytest.raises(MissingDeviceError, match="dtoverlay=pwm-2chan"):
        fan(place, chip, chip="/nowhere/pwmchip0").open(False)
    with pytest.raises(DeviceError, match="not open"):
        fan(place, chip).set(True)
    with pytest.raises(pydantic.ValidationError):
        fan(place, chip, frequency=0)


def test_a_chip_that_is_pulled_out_is_a_fault(place: Place, chip: Chip) -> None:
    output = fan(place, chip)
    output.open(True)
    for file in (chip.folder / "pwm0").iterdir():
        file.unlink()
    with pytest.raises(DeviceError, match="could not be set"):
        output.set(False)
    output.close()


@pytest.mark.parametrize("name", [name for name, _ in pwm.FILES])
def test_a_file_whose_writer_was_killed_keeps_nobody_from_making_it_safe(chip: Chip, name: str) -> None:
    """A simulated one is empty then; the supervising process, which finds it so, must not end."""
    chip.says("duty_cycle", 1_000_000)
    (chip.folder / "pwm0" / name).write_text("")
    os.close(pwm.request(str(chip.folder), 0, level=0, active_low=False))
    assert chip.state()[1:] == (0, 1)


def test_a_simulated_channel_is_a_folder_of_the_node(place: Place) -> None:
    output = PwmActuator("fan", PwmOptions(channel=3, simulate=True), place)
    output.open(0.75)
    assert output.simulated
    assert (place.data / "pwm.sim" / "pwmchip0" / "pwm3" / "duty_cycle").read_text() == "750000\n"
    output.close()
