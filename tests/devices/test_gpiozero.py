"""Sensors by the real gpiozero, over the pins that it brings for tests."""

from __future__ import annotations

import sys
from typing import Any

import gpiozero
import pytest

from outstation.devices.gpiozero import GpiozeroOptions, GpiozeroSensor
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import Place


def device(place: Place, kind: str, **options: Any) -> GpiozeroSensor:
    given = {"device": kind, "simulate": True} | options
    return GpiozeroSensor("it", GpiozeroOptions.model_validate(given), place)


def test_a_property_of_a_device_is_read(place: Place) -> None:
    encoder = device(place, "RotaryEncoder", arguments={"a": 21, "b": 20, "max_steps": 0}, attribute="steps")
    encoder.open()
    assert encoder.read() == 0
    turn = encoder._device
    for one, other in ((True, False), (True, True), (False, True), (False, False)):
        (turn.a.pin.drive_low if one else turn.a.pin.drive_high)()
        (turn.b.pin.drive_low if other else turn.b.pin.drive_high)()
    assert encoder.read() == 1
    encoder.close()
    encoder.close()


def test_a_contact_reads_as_its_arguments_say(place: Place) -> None:
    door = device(place, "Button", arguments={"pin": 5, "pull_up": True}, attribute="is_pressed")
    door.open()
    assert door.read() is False
    door._device.pin.drive_low()
    assert door.read() is True
    door.close()


def test_simulate_moves_what_is_read(place: Place) -> None:
    light = device(place, "MotionSensor", arguments={"pin": 6})
    light.open()
    light.simulate(0.75)
    assert light.read() == 0.75
    light.simulate(None)
    assert light.read() == 0
    light.close()


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("Flux", {}, "gpiozero has no device Flux"),
        ("Button", {"arguments": {"pin": "GPIO99"}}, "Button could not be made: .+ Look at `arguments`"),
        ("Button", {"arguments": {"pull": 5}}, "Button could not be made: .+ Look at `arguments`"),
        ("LED", {"arguments": {"pin": 17}}, 'LED is an output. Use `driver = "gpio"`'),
        ("Motor", {"arguments": {"forward": 17, "backward": 18}}, "Motor is an output"),
    ],
)
def test_what_cannot_be_made_says_why(place: Place, kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        device(place, kind, **options).open()


def test_a_property_that_it_has_not_names_those_it_has(place: Place) -> None:
    door = device(place, "Button", arguments={"pin": 5}, attribute="temperature")
    door.open()
    with pytest.raises(DeviceError, match=r"Set `attribute` to one of: .*is_pressed.*value"):
        door.read()
    door.close()
    with pytest.raises(DeviceError, match="not open"):
        door.read()


def test_pins_that_are_none_are_never_taken_for_the_world(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """gpiozero reads what it shall use from the environment: one may have tried something there."""
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    with pytest.raises(MissingDeviceError, match=r"mock pins.+Take GPIOZERO_PIN_FACTORY out"):
        device(place, "Button", arguments={"pin": 5}, simulate=False).open()


@pytest.mark.filterwarnings("ignore::gpiozero.PinFactoryFallback")
def test_on_a_machine_without_pins_the_cure_is_named(place: Place) -> None:
    with pytest.raises(MissingDeviceError, match=r"reaches no pins .+outstation\[gpiozero\]"):
        device(place, "Button", arguments={"pin": 5}, simulate=False).open()


def test_without_the_library_the_cure_is_to_install_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(MissingDeviceError, match=r'pip install "outstation\[gpiozero\]"'):
        device(place, "Button", arguments={"pin": 5}).open()
