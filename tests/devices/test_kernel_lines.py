"""Real lines, as far as they can be had without a chip: gpiod itself, and the kernel's side played by gpiochips.c."""

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
    pytest.mark.skipif(not Path("/usr/include/linux/gpio.h").exists(), reason="needs linux/gpio.h (linux-libc-dev)"),
]

BEGINNING = """
import ctypes, json, sys, threading
from pathlib import Path
from outstation.devices.gpio import GpioActuator, GpioOptions, GpioSensor, GpioSensorOptions
from outstation.devices.lines import kernel
from outstation.errors import DeviceError
from outstation.plugins import Place

outside = ctypes.CDLL(sys.argv[1])
kernel.chips = lambda: [Path("/dev/gpiochip0"), Path("/dev/gpiochip4")]

def relay(name="relay", **options):
    return GpioActuator(name, GpioOptions(**{"pin": 17} | options), Place(Path(), Path()))

def button(**options):
    return GpioSensor("button", GpioSensorOptions(**{"pin": 27} | options), Place(Path(), Path()))

def fault(action, *arguments):
    try:
        action(*arguments)
    except DeviceError as error:
        return f"{type(error).__name__}: {error}"

def tell(*values):
    print(json.dumps(values))
"""


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert COMPILER
    library = tmp_path_factory.mktemp("chips") / "gpiochips.so"
    source = Path(__file__).with_name("gpiochips.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
    return library


def told(chips: Path, story: str) -> list[Any]:
    """Run a story where the two chips are, and return what it told."""
    environment = os.environ | {"LD_PRELOAD": str(chips)}
    command = [sys.executable, "-c", BEGINNING + story, str(chips)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_headers_chip_is_found_by_its_label_and_its_output_starts_at_its_level(chips: Path) -> None:
    story = """
led = relay()
led.open(True)
tell(outside.level(4, 17), outside.level(0, 17))
led.set(False)
tell(outside.level(4, 17), led.fileno() > 2)
led.close()
led.close()
led.open(True)
tell(outside.level(4, 17))
"""
    assert told(chips, story) == [[1, 0], [0, True], [1]]


def test_another_chip_and_active_low(chips: Path) -> None:
    story = """
led = relay(chip="/dev/gpiochip0", active_low=True)
led.open(False)
tell(outside.level(0, 17), outside.level(4, 17))
led.set(True)
tell(outside.level(0, 17))
"""
    assert told(chips, story) == [[1, 0], [0]]


def test_a_pin_that_cannot_be_had_names_pin_reason_and_cure(chips: Path) -> None:
    story = """
led = relay()
led.open(True)
tell(fault(relay("vent").open, False))
tell(fault(relay(pin=60).open, False))
tell(fault(button(pin=13).open))
tell(fault(relay(pin=13).open, False))
"""
    busy, beyond, refused, refused_output = [line for [line] in told(chips, story)]
    assert busy.startswith(
        'DeviceError: Pin 17 on /dev/gpiochip4 is busy: "outstation relay" holds it. End that program'
    )
    assert beyond == "MissingDeviceError: There is no pin 60 on /dev/gpiochip4. Its pins are 0 to 53."
    assert refused.startswith(
        "DeviceError: Pin 13 on /dev/gpiochip4 was refused: Invalid argument. The chip may not know"
    )
    assert refused_output == "DeviceError: Pin 13 on /dev/gpiochip4 was refused: Invalid argument."


def test_edges_come_at_once_with_the_kernels_time_until_the_watch_is_closed(chips: Path) -> None:
    story = """
import time
outside.drive(4, 27, 1)
sensor = button(active_low=True, pull="up", debounce="25ms")
sensor.open()
tell(outside.flags(4, 27), outside.debounce(4, 27), sensor.read())
heard, news = [], threading.Semaphore(0)
watching = threading.Thread(target=sensor.watch, args=(lambda *edge: (heard.append(edge), news.release()),))
watching.start()
before = time.monotonic_ns()
outside.drive(4, 27, 0)
tell(news.acquire(timeout=2), sensor.read())
outside.drive(4, 27, 1)
tell(news.acquire(timeout=2), sensor.read())
after = time.monotonic_ns()
tell([value for value, _ in heard], before < heard[0][1] < heard[1][1] < after)
sensor.close()
watching.join(2)
tell(watching.is_alive(), fault(sensor.read))
"""
    active_low, is_input, rising, falling, pull_up = (1 << bit for bit in (1, 2, 4, 5, 8))
    assert told(chips, story) == [
        [active_low | is_input | rising | falling | pull_up, 25_000, False],
        [True, True],
        [True, False],
        [[True, False], True],
        [False, "DeviceError: Pin 27 is not open."],
    ]


def test_a_chip_on_one_wire_is_asked_by_pulling_it_low_and_answers_in_edges(chips: Path) -> None:
    story = """
from outstation.devices.dht import DhtOptions, DhtSensor
from outstation.devices.dht_signal import Climate, spoken
for edge in spoken(Climate(-7.5, 81.2), "dht22")[1:]:
    outside.will_answer(edge.level, ctypes.c_ulonglong(10**9 + edge.at_ns))
sensor = DhtSensor("porch", DhtOptions(pin=4, quantity="temperature"), Place(Path(), Path()))
sensor.open()
tell(sensor.read(), outside.level(4, 4), hex(outside.flags(4, 4)))
sensor.close()
"""
    input_both_edges_pulled_up = 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8
    assert told(chips, story) == [[-7.5, 0, hex(input_both_edges_pulled_up)]]


def test_what_is_free_and_who_has_the_rest_is_seen_without_touching_a_line(chips: Path) -> None:
    story = """
from outstation.config import ActuatorTable
from outstation.ops import pins
from outstation.wire import kernel as wire
wire.chips = lambda: ["/dev/gpiochip0", "/dev/gpiochip4"]
vent = ActuatorTable(name="vent", driver="gpio", pin=17)
tell(*pins.about(vent))
led = relay("led")
led.open(True)
tell(*pins.about(vent))
tell(*pins.about(ActuatorTable(name="vent", driver="gpio", pin=99)))
tell(*(pins.words(pins.look(Path(f"/dev/gpiochip{number}")), {}) for number in (4, 0)), outside.flags(4, 18))
"""
    busy = 'Pin 17 on /dev/gpiochip4 is busy: "outstation led" holds it. End that program'
    free, held, none, seen = told(chips, story)
    assert free == ["pin 17 of /dev/gpiochip4 is free", ""]
    assert (held[0], held[1][: len(busy)]) == ("", busy)
    assert none == ["", "There is no pin 99 on /dev/gpiochip4. Its pins are 0 to 53."]
    header = "the header's pins by BCM number: free are 2-16, 18-27; outstation led has 17"
    assert seen == [header, "54 lines of gpio-mmio: free are 0-53", 0]
