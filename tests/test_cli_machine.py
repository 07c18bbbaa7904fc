"""The first hour: scan, init, read and check --hardware, on a machine that has next to nothing; and beside a node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from outstation.__main__ import root
from outstation.devices.lines import kernel
from outstation.engine.sampler import Sampled
from outstation.ops import hardware
from outstation.ops.reading import read_once
from outstation.plugins import DriverOptions, Place, SensorDriver

PROGRAM = [sys.executable, "-m", "outstation"]

CONFIG = """
[[sensors]]
name = "door"
driver = "gpio"
pin = 22
simulate = true

[[sensors]]
name = "level"
driver = "command"
command = ["echo", "240"]
scale = 0.1
unit = "cm"
valid = [0, 20]

[[sensors]]
name = "scale"
driver = "serial"
port = "/dev/nowhere"

[[actuators]]
name = "pump"
driver = "gpio"
pin = 17
simulate = true

[[actuators]]
name = "valve"
driver = "gpio"
chip = "/dev/gpiochip99"
pin = 18
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, on a machine that has no buses."""
    for name in [name for name in os.environ if name.startswith("OUTSTATION_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    nothing = hardware.Roots(*(tmp_path / "machine" / name for name in ("sys", "dev", "proc", "boot")))
    monkeypatch.setattr(hardware, "Roots", lambda: nothing)
    return tmp_path


def outstation(*words: str) -> Result:
    return CliRunner().invoke(root, words, prog_name="outstation")


def test_scan_says_first_what_is_missing_and_then_what_to_do() -> None:
    result = outstation("scan")
    lines, firmware = result.stdout.splitlines(), Path.cwd() / "machine" / "boot" / "firmware"
    module = " and i2c-dev to /etc/modules (sudo raspi-config nonint do_i2c 0 does both)"
    assert result.exit_code == 0
    assert lines[:4] == [
        "This machine: no board that says its name, such as a PC or a virtual machine",
        "What is missing, and what to do if you need it:",
        "  I2C: There is no I2C bus to connect chips to.",
        f"      On a Raspberry Pi: add the line dtparam=i2c_arm=on to {firmware}/config.txt{module}, then: sudo reboot",
    ]
    assert lines[-1].startswith("To try without hardware: outstation demo;")


def test_what_a_beginner_needs_first_stands_first_and_no_line_is_empty(place: Path) -> None:
    tty, port = place / "machine" / "sys" / "class" / "tty", place / "machine" / "dev" / "ttyS0"
    (tty / "ttyS0" / "device").mkdir(parents=True)
    (tty / "console").mkdir()
    (tty / "console" / "active").write_text("tty1 ttyS0\n")
    port.parent.mkdir()
    port.touch()
    lines = outstation("scan", "--bus", "7").stdout.splitlines()
    first = lines.index("What is missing, and what to do if you need it:") + 1
    missing = [line.partition(":")[0].strip() for line in lines[first:-1] if not line.startswith("      ")]
    nowhere = str(port.with_name("i2c-7"))
    assert missing == [nowhere, "I2C", "1-Wire", "SPI", "GPIO", "PWM", str(port), "Thermometers"]
    assert all(line.strip() for line in lines)


def test_scan_as_json() -> None:
    found = json.loads(outstation("scan", "--json").stdout)
    assert found["board"] == ""
    assert [family["kind"] for family in found["families"]] == ("i2c onewire spi gpio pwm serial thermal".split())


def test_init_writes_what_check_accepts_and_never_overwrites(place: Path) -> None:
    result = outstation("init")
    assert result.exit_code == 0
    assert result.stdout.startswith("outstation.toml is written, for this machine: 3 sensors.\nWhat is missing")
    assert result.stdout.endswith("Next: look at it, then: outstation check --hardware\n")
    text = (place / "outstation.toml").read_text()
    again = outstation("init")
    assert (again.exit_code, again.stderr) == (
        1,
        "outstation.toml is there already, and stays as it is. Name another file: outstation init FILE\n",
    )
    assert (place / "outstation.toml").read_text() == text
    checked = outstation("check", "--hardware")
    assert checked.exit_code == 0
    assert checked.stdout.startswith("outstation.toml is right: 3 sensors, 0 actuators, 0 devices, 0 rules.\ncpu_load")
    assert "cannot be written: no such file or directory." in outstation("init", "nowhere/a.toml").stderr


def test_read_without_a_config_reads_the_default_device(place: Path) -> None:
    result = outstation("read", "cpu_load")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1] == (
        "There is no config: these are the sensors of the default device. To write one: outstation init"
    )
    assert [*place.iterdir()] == [], "reading leaves nothing behind"


def test_read_says_value_unit_duration_or_the_error_with_its_cure(place: Path) -> None:
    (place / "outstation.toml").write_text(CONFIG)
    result = outstation("read")
    assert result.exit_code == 1
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0][:3] == ["door", "off", "in"]
    assert lines[0][-1] == "simulated"
    assert lines[1][:4] == ["level", "24", "cm", "in"]
    assert " ".join(lines[1][-3:]) == "out of range"
    assert lines[2][:3] == ["scale", "failed", "in"]
    assert " ".join(lines[3]).startswith("There is no /dev/nowhere on this machine. Plug it in; `outstation scan`")


def test_read_one(place: Path) -> None:
    (place / "outstation.toml").write_text(CONFIG)
    result = outstation("read", "level", "--json")
    (row,) = json.loads(result.stdout)["read"]
    assert (result.exit_code, row["value"], row["unit"], row["error"]) == (0, 24, "cm", "")
    unknown = outstation("read", "levle")
    assert (unknown.exit_code, unknown.stderr) == (
        1,
        'There is no sensor "levle". Valid: door, level, scale.\n',
    )


def test_check_looks_at_outputs_and_switches_none(place: Path) -> None:
    (place / "outstation.toml").write_text(CONFIG)
    result = outstation("check", "--hardware")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[-3].split() == ["pump", "simulated"]
    assert lines[-2].split() == ["valve", "failed"]
    assert lines[-1].strip().startswith("Pin 18 cannot be opened: there is no /dev/gpiochip99 on this machine.")
    assert kernel.chips() == [] or "set `chip`" in lines[-1]
    document = json.loads(outstation("check", "--hardware", "--json").stdout)
    assert document["valid"]
    assert [row["name"] for row in document["hardware"]] == ["door", "level", "scale", "pump", "valve"]


AIR = """
[[sensors]]
name = "air"
driver = "i2c"
chip = "bme280"
simulate = true
quantities = ["temperature", "humidity"]

[[sensors]]
name = "dew"
driver = "derived"
value = "dew_point(air_temperature, air_humidity)"
"""


def test_a_chip_is_asked_once_and_what_is_derived_from_it_is_worked_out_as_in_the_server(place: Path) -> None:
    (place / "outstation.toml").write_text(AIR)
    rows = json.loads(outstation("read", "--json").stdout)["read"]
    assert [(row["name"], row["unit"], row["error"]) for row in rows] == [
        ("air_temperature", "°C", ""),
        ("air_humidity", "%", ""),
        ("dew", "°C", ""),
    ]
    assert rows[2]["value"] < rows[0]["value"]
    assert outstation("read", "dew").stdout.split()[2:] == ["°C", "derived,", "simulated"]


def test_a_secret_in_a_file_is_found_from_the_configs_folder(place: Path) -> None:
    (place / "shed").mkdir()
    (place / "shed" / "url.txt").write_text("http://127.0.0.1:9/level?key=hush\n")
    (place / "shed" / "shed.toml").write_text('[[sensors]]\nname = "level"\ndriver = "http"\nurl = "file:url.txt"\n')
    result = outstation("read", "--config", "shed/shed.toml")
    assert result.exit_code == 1
    assert "http://127.0.0.1:9/level cannot be asked: connection refused." in result.stdout
    assert "hush" not in result.stdout


class Strange(SensorDriver):
    """A driver that does what its name says."""

    def open(self) -> None:
        if self.name == "broken":
            raise KeyError("no such thing")

    def read(self) -> Any:
        if self.name == "hangs":
            time.sleep(60)
        return None if self.name == "none" else 21.5

    def close(self) -> None:
        if self.name == "sticks":
            raise RuntimeError


def test_a_driver_that_hangs_raises_or_returns_nothing_is_one_outcome() -> None:
    names = ["hangs", "fine", "broken", "none", "sticks"]
    folder = Place(Path(), Path())
    sensors = [Sampled(name, Strange(name, DriverOptions(), folder), 10_000) for name in names]
    outcomes = read_once(sensors, patience=0.3)
    assert [(one.name, one.value) for one in outcomes] == [
        ("hangs", None),
        ("fine", 21.5),
        ("broken", None),
        ("none", None),
        ("sticks", 21.5),
    ]
    assert [one.error[:24] for one in outcomes if one.error] == [
        "It has not answered in 0",
        "KeyError: 'no such thing",
        "The driver returned None",
    ]


@pytest.fixture
def node(place: Path) -> Iterator[Path]:
    """A node that runs on the config that `init` wrote, with a simulated door besides."""
    assert outstation("init").exit_code == 0
    with (place / "outstation.toml").open("a") as config:
        config.write(CONFIG.partition('[[sensors]]\nname = "level"')[0])
    with subprocess.Popen([*PROGRAM, "run", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while outstation("status").exit_code:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        yield place
        process.terminate()
        process.communicate()


def test_where_a_node_runs_it_is_asked(node: Path) -> None:
    """And the config that `init` wrote starts."""
    result = outstation("read", "door")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["door", "off"]
    assert lines[0].split()[3:] == ["s", "ago", "simulated"]
    assert lines[1] == "The node that runs on data has the pins and buses: this is what it read."
    with (node / "outstation.toml").open("a") as config:
        config.write('[[sensors]]\nname = "new"\ndriver = "command"\ncommand = ["echo", "5"]\n')
    checked = outstation("check", "--hardware")
    assert checked.exit_code == 0
    assert checked.stdout.splitlines()[-2].split()[:3] == ["new", "5", "in"]
    assert checked.stdout.endswith(" It does not know new yet: start it again.\n")
