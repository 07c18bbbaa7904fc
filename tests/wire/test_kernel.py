"""The kernel's own calls: what we send means there what we think, by the structures of linux/gpio.h (gpiochips.c)."""

from __future__ import annotations

from pathlib import Path

from tests.devices.test_kernel_lines import chips, pytestmark, told

__all__ = ["chips", "pytestmark"]

SUPERVISED = """
from outstation.supervisor.pins import Pins
from outstation.wire import RefusedError
from outstation.wire import kernel as wire
from outstation.wire.outputs import Output

wire.chips = lambda: ["/dev/gpiochip0", "/dev/gpiochip4"]

def pins(*numbers, safe=False, active_low=False, chip=""):
    return Pins([Output("gpio", "vent", chip, pin, active_low=active_low, safe=safe) for pin in numbers])

def vent(pins, **options):
    ask = lambda kind, chip, pin, low: pins.line(kind, chip, pin, active_low=low)
    return GpioActuator("vent", GpioOptions(**{"pin": 17} | options), Place(Path(), Path(), ask))
"""


def test_a_line_is_requested_safe_and_then_driven_by_the_server_and_made_safe_by_the_supervisor(chips: Path) -> None:
    story = """
held = pins(17, safe=True)
held.line("gpio", "", 17, active_low=False)
tell(outside.level(4, 17), outside.level(0, 17), outside.flags(4, 17))
output = vent(held)
output.open(False)
tell(outside.level(4, 17))
output.set(True)
tell(outside.level(4, 17))
output.set(False)
tell(outside.level(4, 17), held.make_safe(), outside.level(4, 17))
"""
    is_output = 1 << 3
    assert told(chips, SUPERVISED + story) == [[1, 0, is_output], [0], [1], [0, [], 1]]


def test_active_low_is_the_kernels_matter(chips: Path) -> None:
    story = """
held = pins(17, safe=False, active_low=True, chip="/dev/gpiochip0")
output = vent(held, active_low=True, chip="/dev/gpiochip0")
output.open(True)
tell(outside.level(0, 17), outside.flags(0, 17))
tell(held.make_safe(), outside.level(0, 17))
"""
    assert told(chips, SUPERVISED + story) == [[0, (1 << 1) | (1 << 3)], [[], 1]]


def test_a_line_that_cannot_be_had_is_told_as_if_there_were_no_supervisor(chips: Path) -> None:
    story = """
led = relay()
led.open(True)
tell(fault(vent(pins(17)).open, False))
tell(fault(vent(pins(60), pin=60).open, False))
tell(fault(vent(pins(13), pin=13).open, False))
tell(fault(vent(pins(17, chip="/dev/gpiochip99"), chip="/dev/gpiochip99").open, False))
tell(fault(vent(pins(5)).open, False))
led.close()
vent(held := pins(17)).open(True)
tell(outside.level(4, 17))
"""
    busy, beyond, refused, missing, unknown, level = [line for [line] in told(chips, SUPERVISED + story)]
    assert busy.startswith('DeviceError: Pin 17 on /dev/gpiochip4 is busy: "outstation relay" holds it. End that')
    assert beyond == "MissingDeviceError: There is no pin 60 on /dev/gpiochip4. Its pins are 0 to 53."
    assert refused == "DeviceError: Pin 13 on /dev/gpiochip4 was refused: Invalid argument."
    assert missing.startswith("MissingDeviceError: Pin 17 cannot be opened: there is no /dev/gpiochip99 on this")
    assert unknown.endswith("The config has changed since: start the node again.")
    assert level == 1, "asked again, it is had"


def test_what_a_line_is_after_its_release(chips: Path) -> None:
    story = """
request = wire.request_output("/dev/gpiochip0", 7, level=True, active_low=False, holder="x" * 40)
tell(wire.get(request), wire.keeps_output("/dev/gpiochip0", 7))
import os
os.close(request)
tell(wire.keeps_output("/dev/gpiochip0", 7), wire.keeps_output("/dev/gpiochip0", 8))
"""
    assert told(chips, SUPERVISED + story) == [[True, True], [True, False]]


def test_of_a_raspberry_pi_its_drivers_parameter_says_whether_a_line_is_kept(chips: Path, tmp_path: Path) -> None:
    parameters = tmp_path / "pinctrl_rp1" / "parameters"
    parameters.mkdir(parents=True)
    story = f"""
modules = {str(tmp_path)!r}
parameter = Path({str(parameters)!r}) / "persist_gpio_outputs"
wire.request_output("/dev/gpiochip4", 7, level=True, active_low=False, holder="x")
tell(wire.keeps_output("/dev/gpiochip4", 7, modules))
parameter.write_text("Y")
tell(wire.keeps_output("/dev/gpiochip4", 7, modules))
parameter.write_text("N")
tell(wire.keeps_output("/dev/gpiochip4", 7, modules))
"""
    assert told(chips, SUPERVISED + story) == [[False], [True], [False]]
