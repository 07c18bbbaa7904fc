"""A serial port that is a real terminal of the kernel: the test has one end of it, the driver the other."""

from __future__ import annotations

import fcntl
import os
import pty
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outstation.devices.serial import SerialOptions, SerialSensor
from outstation.errors import DeviceError, MissingDeviceError, UnpluggedError
from outstation.plugins import Place, SensorDriver


class Meter:
    """What is at the other end of the cable."""

    def __init__(self) -> None:
        self._end, device = pty.openpty()
        tty.setraw(device)
        self.port = os.ttyname(device)
        os.close(device)

    def says(self, text: str | bytes) -> None:
        os.write(self._end, text if isinstance(text, bytes) else text.encode())

    def unplug(self) -> None:
        end, self._end = self._end, -1
        if end >= 0:
            os.close(end)


@pytest.fixture
def meter() -> Iterator[Meter]:
    made = Meter()
    yield made
    made.unplug()


def sensor(place: Place, meter: Meter, name: str = "it", **options: Any) -> SerialSensor:
    made = SerialSensor(name, SerialOptions.model_validate({"port": meter.port, "timeout": "2s"} | options), place)
    made.open()
    return made


def fault(driver: SensorDriver) -> str:
    with pytest.raises(DeviceError) as raised:
        driver.read()
    return str(raised.value)


def test_a_line_is_a_value(place: Place, meter: Meter) -> None:
    scale = sensor(place, meter, pattern=r"W=([-+.\d]+)")
    meter.says("\r\nW=+12.5 kg\r\n")
    assert scale.read() == 12.5
    scale.close()


def test_half_a_line_is_none_neither_at_the_beginning_nor_at_the_end(place: Place, meter: Meter) -> None:
    """Of "T=21" the driver may hear "1" only, which looks right."""
    air = sensor(place, meter, pattern=r"(\d+)", timeout="200ms")
    meter.says("1\nT=2")
    assert "but no whole line in 0.2 s" in fault(air)
    meter.says("2\nT=2")
    time.sleep(0.05)
    assert air.read() == 22
    meter.says("3\n")
    assert air.read() == 23
    air.close()


def test_one_that_speaks_seldom_is_waited_for_until_a_whole_line_came(place: Place, meter: Meter) -> None:
    """Its first line was half heard; were the port closed for that, the next one would be as well, for ever."""
    air = sensor(place, meter, timeout="1s")
    later = threading.Timer(0.6, meter.says, ["1\n"]), threading.Timer(1.3, meter.says, ["22\n"])
    for each in later:
        each.start()
    assert air.read() == 22
    assert air.answers_within == 2
    air.close()


def test_the_newest_line_counts_and_garbage_does_not(place: Place, meter: Meter) -> None:
    air = sensor(place, meter, pattern=r"T=(\d+)")
    meter.says("\nT=21\nboot v1.2\n\xff\xfe\n" + "T=22\n#\n")
    time.sleep(0.05)
    assert air.read() == 22
    air.close()


def test_a_line_without_end_is_thrown_away(place: Place, meter: Meter) -> None:
    air = sensor(place, meter)
    meter.says(b"\n" + b"7" * 3000)
    meter.says(b"7" * 3000)
    meter.says("7\n21\n")
    assert air.read() == 21
    air.close()


def test_several_sensors_share_a_port_and_a_line(place: Place, meter: Meter) -> None:
    pattern = r"T=(?P<t>[\d.]+) H=(?P<h>\d+)"
    warm, damp = (sensor(place, meter, name, pattern=pattern, quantity=name) for name in "th")
    meter.says("\nT=21.5 H=40\n")
    assert (warm.read(), damp.read()) == (21.5, 40)
    warm.close()
    meter.says("T=22.5 H=41\n")
    assert damp.read() == 41
    damp.close()


def test_json_lines(place: Place, meter: Meter) -> None:
    air = sensor(place, meter, json_path="air", quantity="temp")
    meter.says('\n{"air": {"temp": 21.5}}\n')
    assert air.read() == 21.5
    air.close()


def test_a_line_is_a_value_once_and_an_old_one_is_none(place: Place, meter: Meter) -> None:
    air = sensor(place, meter, timeout="200ms")
    meter.says("\n21\n")
    assert air.read() == 21
    assert fault(air).startswith(f"No line that fits came on {meter.port} in 0.2 s; the last one is '21'.")
    air.close()


def test_silence_and_noise_are_told_apart(place: Place, meter: Meter) -> None:
    air = sensor(place, meter, timeout="100ms")
    assert "Nothing came" in fault(air)
    assert "Look at its power and wiring" in fault(air)
    meter.says(b"\x80\x81")
    time.sleep(0.05)
    assert "Bytes came" in fault(air)
    assert "Is `baud` right, 9600?" in fault(air)
    air.close()


def test_who_waits_for_nothing_waits_once(place: Place, meter: Meter) -> None:
    """All sensors of one port wait at the same time, though one is asked after the other."""
    three = [sensor(place, meter, name, timeout="200ms") for name in "abc"]
    began = time.monotonic()
    for one in three:
        fault(one)
    assert time.monotonic() - began < 0.5
    for one in three:
        one.close()


def test_unplugged_and_plugged_in_again(place: Place, meter: Meter) -> None:
    """As the sampler does it: who fails is closed, and opened again later. The name of the port stays the same."""
    port = place.data / "usb-FTDI"
    port.symlink_to(meter.port)
    pair = [sensor(place, meter, name, port=str(port)) for name in ("first", "second")]
    meter.says("\n21\n")
    assert [one.read() for one in pair] == [21, 21]
    meter.unplug()
    for one in pair:
        assert fault(one) == f"{port} was lost: input/output error. Is it still plugged in?"
        one.close()
    port.unlink()
    with pytest.raises(UnpluggedError, match="There is no"):
        pair[0].open()
    again = Meter()
    port.symlink_to(again.port)
    for one in pair:
        one.open()
    again.says("\n22\n")
    assert [one.read() for one in pair] == [22, 22]
    for one in pair:
        one.close()
    again.unplug()


def test_a_library_that_is_missing_is_named_with_its_cure(
    place: Place, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(MissingDeviceError, match=r"needs the Python library pyserial: .* pip install pyserial"):
        sensor(place, meter)


def test_a_port_that_is_not_there_is_busy_or_is_none(place: Place, meter: Meter) -> None:
    meter_nowhere, meter_null = Meter(), Meter()
    meter_nowhere.port, meter_null.port = "/dev/nowhere", "/dev/null"
    with pytest.raises(MissingDeviceError, match=r"There is no /dev/nowhere .* `outstation scan` lists"):
        sensor(place, meter_nowhere)
    with pytest.raises(MissingDeviceError, match=r"/dev/null cannot be opened"):
        sensor(place, meter_null)
    meter_nowhere.unplug()
    meter_null.unplug()
    air = sensor(place, meter)
    with pytest.raises(DeviceError, match=r"Another sensor uses .* Set the same `baud` and `framing`: 9600, 8N1."):
        sensor(place, meter, "other", baud=19200)
    air.close()


def test_another_program_that_has_the_port_is_told(place: Place, meter: Meter) -> None:
    with Path(meter.port).open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(MissingDeviceError, match=r"is busy: another program has it. End it: `fuser"):
            sensor(place, meter)


def test_a_closed_port_is_let_go(place: Place, meter: Meter) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(3):
        air = sensor(place, meter)
        meter.says("\n21\n")
        assert air.read() == 21
        air.close()
        air.close()
    assert len([*Path("/proc/self/fd").iterdir()]) == before
