"""Digital lines: faults that name pin, reason and cure, and inputs that are heard at once."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest

from outstation.devices import gpio
from outstation.devices.gpio import GpioActuator, GpioOptions, GpioSensor, GpioSensorOptions
from outstation.devices.lines import kernel
from outstation.devices.lines.line import Wanted
from outstation.devices.lines.simulated import SimulatedChip
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import Place

NOWHERE = "/dev/gpiochip99"


def relay(place: Place, **options: Any) -> GpioActuator:
    return GpioActuator("relay", GpioOptions.model_validate({"pin": 17} | options), place)


def button(place: Place, **options: Any) -> GpioSensor:
    return GpioSensor("button", GpioSensorOptions.model_validate({"pin": 27, "debounce": "0s"} | options), place)


def test_without_its_chip_a_pin_is_a_fault_with_reason_and_cure_and_nothing_is_simulated(place: Place) -> None:
    output, sensor = relay(place, chip=NOWHERE), button(place, chip=NOWHERE)
    with pytest.raises(
        MissingDeviceError, match=r"^Pin 17 cannot be opened: there is no /dev/gpiochip99 .+simulate = true"
    ):
        output.open(True)
    with pytest.raises(MissingDeviceError, match=r"^Pin 27 cannot be opened: there is no /dev/gpiochip99 "):
        sensor.open()
    with pytest.raises(DeviceError, match="not open"):
        output.set(True)
    assert not output.simulated
    assert list(place.data.iterdir()) == [], "no simulated chip was started"


@pytest.mark.skipif(gpio.has_chip(), reason="this machine has a GPIO chip")
def test_without_any_chip_the_default_one_is_named(place: Place) -> None:
    with pytest.raises(MissingDeviceError, match="Pin 17 cannot be opened: there is no /dev/gpiochip0"):
        relay(place).open(False)
    assert kernel.chips() == []


def test_without_permission_the_cure_names_group_and_user(tmp_path: Path) -> None:
    chip = tmp_path / "gpiochip0"
    chip.touch(mode=0)
    with _without_rights() as user, pytest.raises(MissingDeviceError) as raised:
        kernel.open_line(str(chip), Wanted(17, "led", level=False))
    assert str(raised.value).startswith(f"Pin 17 cannot be opened: no permission for {chip}. Add the user to group ")
    assert f" {user}, then log in again." in str(raised.value)


def test_a_file_that_is_no_chip(place: Place, tmp_path: Path) -> None:
    (tmp_path / "chip").touch()
    with pytest.raises(MissingDeviceError, match=r"Pin 17 cannot be opened: .*/chip: .+ must name a GPIO chip"):
        relay(place, chip=str(tmp_path / "chip")).open(False)


def test_without_the_library_the_cure_is_to_install_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    by_this_python = f"Pin 17 needs the Python library gpiod.+ {re.escape(sys.executable)} -m pip install gpiod"
    with pytest.raises(MissingDeviceError, match=by_this_python):
        relay(place, chip=NOWHERE).open(False)


@pytest.mark.parametrize(
    "options", [{"pin": -1}, {"pin": "GPIO17"}, {"pull": "sideways"}, {"debounce": "often"}, {"debounce": "11s"}]
)
def test_options_that_make_no_sense_are_refused(place: Place, options: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        button(place, **options)


def test_an_edge_is_reported_at_once_with_its_time(place: Place, chip: SimulatedChip) -> None:
    with _Watched(button(place, simulate=True)) as (heard, news):
        before = time.monotonic_ns()
        chip.drive_high(27)
        assert news.acquire(timeout=1)
        chip.drive_low(27)
        assert news.acquire(timeout=1)
    assert [value for value, _ in heard] == [True, False]
    assert before < heard[0][1] < heard[1][1] < time.monotonic_ns()


def test_a_button_to_ground_is_pressed_when_low(place: Place, chip: SimulatedChip) -> None:
    sensor = button(place, simulate=True, active_low=True, pull="up")
    with _Watched(sensor) as (heard, news):
        assert sensor.read() is False
        chip.drive_low(27, for_ms=5)
        assert news.acquire(timeout=1)
        assert news.acquire(timeout=1)
    assert [value for value, _ in heard] == [True, False]


def test_simulate_moves_what_the_sensor_reads(place: Place, chip: SimulatedChip) -> None:
    sensor = button(place, simulate=True, active_low=True, pull="up")
    sensor.open()
    sensor.simulate(True)
    assert sensor.read() is True
    sensor.simulate(None)
    assert sensor.read() is False
    sensor.close()


def test_the_watch_fails_when_the_chip_goes(place: Place) -> None:
    sensor = button(place, simulate=True)
    sensor.open()
    errors: list[DeviceError] = []
    watching = threading.Thread(target=_watch_until_it_fails, args=(sensor, errors))
    watching.start()
    with SimulatedChip(gpio.simulated_chip(place.data, None)) as chip:
        chip.stop()
    watching.join(2)
    assert len(errors) == 1
    sensor.close()


def test_the_request_can_be_shared(place: Place, chip: SimulatedChip) -> None:
    output = relay(place, simulate=True)
    output.open(True)
    shared = os.dup(output.fileno())
    output.close()
    assert chip.holder(17) == "outstation relay"
    os.close(shared)


def test_each_chip_has_a_stand_in_of_its_own(place: Place) -> None:
    first, second = relay(place, simulate=True), relay(place, simulate=True, chip="/dev/gpiochip1")
    first.open(True)
    second.open(False)
    for name in ("gpiochip0.sim", "gpiochip1.sim"):
        with SimulatedChip(place.data / name) as chip:
            assert chip.holder(17) == "outstation relay"
            chip.stop()
    first.close()
    second.close()


def test_no_library_is_loaded_for_simulated_pins(place: Place, chip: SimulatedChip) -> None:
    code = (
        "import sys, pathlib\n"
        "from outstation.plugins import Place, load\n"
        "kind = load('actuators', 'gpio')\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "driver = kind('led', kind.Options(pin=4, simulate=True), Place(here, here))\n"
        "driver.open(True)\n"
        "print('gpiod' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(place.data)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@contextlib.contextmanager
def _without_rights() -> Iterator[str]:
    """Be somebody to whom permissions apply, even where the tests are run by root."""
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    before = os.geteuid()
    os.seteuid(nobody.pw_uid)
    try:
        yield nobody.pw_name
    finally:
        os.seteuid(before)


class _Watched:
    """A sensor that is open and watched: what was heard, and a semaphore that counts it."""

    def __init__(self, sensor: GpioSensor) -> None:
        self._sensor = sensor
        self._heard: list[tuple[object, int]] = []
        self._news = threading.Semaphore(0)
        self._thread = threading.Thread(target=sensor.watch, args=(self._hear,))

    def __enter__(self) -> tuple[list[tuple[object, int]], threading.Semaphore]:
        self._sensor.open()
        self._thread.start()
        return self._heard, self._news

    def __exit__(self, *_: object) -> None:
        self._sensor.close()
        self._thread.join(1)
        assert not self._thread.is_alive()

    def _hear(self, value: object, at_ns: int) -> None:
        self._heard.append((value, at_ns))
        self._news.release()


def _watch_until_it_fails(sensor: GpioSensor, errors: list[DeviceError]) -> None:
    try:
        sensor.watch(lambda _value, _at_ns: None)
    except DeviceError as error:
        errors.append(error)
