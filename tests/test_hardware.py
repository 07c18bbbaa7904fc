"""What a machine has, seen in trees that are shaped like those of the kernel: a Raspberry Pi's, a laptop's, none."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.config import load
from outstation.devices import chips
from outstation.ops import first_config, pins
from outstation.ops.hardware import Family, Heard, Machine, Roots, look
from outstation.ops.i2c_addresses import ADDRESSES, living

READ_BY_ONE_BYTE = {*range(0x30, 0x38), *range(0x50, 0x60)}


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    made = Roots(*(tmp_path / name for name in ("sys", "dev", "proc", "boot")))
    for folder in (made.sys, made.dev, made.proc, made.boot / "firmware"):
        folder.mkdir(parents=True)
    return made


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pi(roots: Roots) -> None:
    write(roots.proc / "device-tree" / "model", "Raspberry Pi 4 Model B Rev 1.5\0")


def bus(roots: Roots, number: int, adapter: str) -> None:
    write(roots.dev / f"i2c-{number}", "")
    write(roots.sys / "class" / "i2c-dev" / f"i2c-{number}" / "name", f"{adapter}\n")


def nobody(_: Path) -> Iterator[Heard]:
    return iter(())


def two(_: Path) -> Iterator[Heard]:
    yield Heard(0x44)
    yield Heard(0x68, held=True)
    yield Heard(0x76)


def stuck(_: Path) -> Iterator[Heard]:
    raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def machine(roots: Roots) -> Machine:
    return look(roots, two, living)


def told(family: Family) -> list[tuple[str, str]]:
    return [(one.name, one.trouble or one.what) for one in family.found]


def test_a_machine_without_anything_is_told_what_is_missing_and_what_to_do(roots: Roots) -> None:
    found = machine(roots)
    assert found.board == ""
    assert all(family.found == () and family.missing and family.cure for family in found.families)
    i2c = found.family("i2c")
    assert i2c.missing == "There is no I2C bus to connect chips to."
    assert i2c.cure == (
        f"On a Raspberry Pi: add the line dtparam=i2c_arm=on to {roots.boot}/firmware/config.txt and i2c-dev to "
        "/etc/modules (sudo raspi-config nonint do_i2c 0 does both), then: sudo reboot"
    )


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("i2c", "dtparam=i2c_arm=on"),
        ("onewire", "dtoverlay=w1-gpio"),
        ("spi", "dtparam=spi=on"),
        ("pwm", "dtoverlay=pwm-2chan"),
        ("serial", "enable_uart=1"),
    ],
)
def test_a_pi_is_told_its_line_and_once_it_stands_there_to_restart(roots: Roots, kind: str, line: str) -> None:
    pi(roots)
    file = write(roots.boot / "firmware" / "config.txt", f"# {line}\n[all]\n")
    module = " and i2c-dev to /etc/modules (sudo raspi-config nonint do_i2c 0 does both)" if kind == "i2c" else ""
    assert machine(roots).family(kind).cure.endswith(f"Add the line {line} to {file}{module}, then: sudo reboot")
    file.write_text(f"[all]\n{line}\n")
    assert machine(roots).family(kind).cure.endswith(f"{line} stands in {file} already. Let it count: sudo reboot")


def test_an_older_system_has_its_file_elsewhere(roots: Roots) -> None:
    pi(roots)
    (roots.boot / "firmware").rmdir()
    file = write(roots.boot / "config.txt", "")
    assert f"to {file} and" in machine(roots).family("i2c").cure


def test_addresses_come_with_the_chips_that_live_there(roots: Roots) -> None:
    pi(roots)
    bus(roots, 1, "bcm2835 (i2c@7e804000)")
    i2c = machine(roots).family("i2c")
    assert i2c.missing == ""
    assert [one.address for one in i2c.found] == [None, 0x44, 0x68, 0x76]
    assert {"bmp280", "bme280"} <= {*i2c.found[3].chips}
    assert i2c.found[1].what.startswith("a chip: sht31d")
    assert i2c.found[2].what == "held by a driver of the kernel"


def test_a_bus_may_be_empty_or_stuck(roots: Roots) -> None:
    pi(roots)
    bus(roots, 1, "bcm2835 (i2c@7e804000)")
    (empty,) = look(roots, nobody, living).family("i2c").found
    assert (empty.trouble, empty.cure[:19]) == ("No chip answers on it.", "Look at its wiring:")
    (held,) = look(roots, stuck, living).family("i2c").found
    assert (held.trouble, held.cure[:19]) == ("It cannot be asked: connection timed out.", "Look at the wiring:")


def test_what_leads_to_monitors_and_memory_is_not_asked_unless_it_is_named(roots: Roots) -> None:
    """A laptop's buses, and those of a Pi's HDMI sockets."""
    bus(roots, 3, "SMBus I801 adapter at efa0")
    bus(roots, 4, "CP2112 SMBus Bridge on hidraw0")
    asked: list[str] = []

    def probe(path: Path) -> Iterator[Heard]:
        asked.append(path.name)
        return iter(())

    found = look(roots, probe, living).family("i2c").found
    assert asked == ["i2c-4"]
    assert found[0].what.startswith("not asked (SMBus I801 adapter at efa0)")
    assert found[0].cure == "Ask it all the same: outstation scan --bus 3"
    assert look(roots, probe, living, buses=(3, 8)).family("i2c").found[0].trouble == "There is no such bus."
    assert asked == ["i2c-4", "i2c-3", "i2c-4"]
    pi(roots)
    bus(roots, 20, "fef04500.i2c")
    look(roots, probe, living)
    assert asked[3:] == ["i2c-3", "i2c-4"]


def test_a_bus_without_the_module_for_programs(roots: Roots) -> None:
    (roots.sys / "bus" / "i2c" / "devices" / "i2c-1").mkdir(parents=True)
    i2c = machine(roots).family("i2c")
    assert i2c.missing == "There is an I2C bus, but not the module that lets programs use it."
    assert i2c.cure.startswith("sudo modprobe i2c-dev")


def test_on_a_new_pi_the_buses_of_its_monitors_are_no_reason_to_load_a_module(roots: Roots) -> None:
    pi(roots)
    for number in (20, 21):
        (roots.sys / "bus" / "i2c" / "devices" / f"i2c-{number}").mkdir(parents=True)
    i2c = machine(roots).family("i2c")
    assert i2c.missing == "There is no I2C bus to connect chips to."
    assert "dtparam=i2c_arm=on" in i2c.cure


def test_no_chip_of_ours_lives_where_asking_takes_a_byte_from_it() -> None:
    for name, chip in chips.I2C.items():
        assert not READ_BY_ONE_BYTE & {*chip.addresses}, name
        assert {*chip.addresses} <= {*ADDRESSES}, name


def test_thermometers_on_one_wire(roots: Roots) -> None:
    devices = roots.sys / "bus" / "w1" / "devices"
    (devices / "w1_bus_master1").mkdir(parents=True)
    onewire = machine(roots).family("onewire")
    assert onewire.missing == "There is a 1-Wire bus, and nothing answers on it."
    assert "4.7 kΩ" in onewire.cure
    (devices / "28-0316a2795fff").mkdir()
    assert told(machine(roots).family("onewire")) == [("28-0316a2795fff", "a DS18B20 thermometer")]


def test_ports_that_are_there_and_those_that_only_have_a_name(roots: Roots) -> None:
    for name, kind in (("ttyUSB0", "4"), ("ttyS0", "0"), ("ttyAMA0", "32")):
        (roots.sys / "class" / "tty" / name / "device").mkdir(parents=True)
        write(roots.sys / "class" / "tty" / name / "type", kind)
        write(roots.dev / name, "")
    (roots.sys / "class" / "tty" / "tty1").mkdir()
    write(roots.sys / "class" / "tty" / "console" / "active", "tty1 ttyAMA0\n")
    by_id = roots.dev / "serial" / "by-id"
    by_id.mkdir(parents=True)
    (by_id / "usb-FTDI").symlink_to(roots.dev / "ttyUSB0")
    assert told(machine(roots).family("serial")) == [
        (f"{roots.dev}/ttyAMA0", "The kernel's console is on ttyAMA0."),
        (f"{by_id}/usb-FTDI", f"a serial port ({roots.dev}/ttyUSB0)"),
    ]


def test_no_permission_names_the_group(roots: Roots) -> None:
    """What leads nowhere may be opened by nobody, root included."""
    (roots.dev / "spidev0.0").symlink_to("nowhere")
    (spi,) = machine(roots).family("spi").found
    assert spi.trouble == f"No permission for {roots.dev}/spidev0.0."
    assert spi.cure.startswith("Add the user to its group: sudo usermod -aG spi ")


def test_zones_channels_and_what_is_no_chip(roots: Roots) -> None:
    write(roots.sys / "class" / "thermal" / "thermal_zone0" / "type", "cpu-thermal\n")
    write(roots.sys / "class" / "thermal" / "thermal_zone0" / "temp", "48312\n")
    write(roots.sys / "class" / "pwm" / "pwmchip0" / "npwm", "2\n")
    write(roots.dev / "gpiochip0", "")
    found = machine(roots)
    assert told(found.family("thermal")) == [("cpu-thermal", "48.3 °C")]
    assert told(found.family("pwm")) == [("pwmchip0", "channels 0 to 1")]
    assert told(found.family("gpio")) == [(f"{roots.dev}/gpiochip0", "It is no GPIO chip.")]


def test_pins_that_have_another_function_are_not_free(roots: Roots) -> None:
    for name in ("i2c-1", "serial0"):
        write(roots.dev / name, "")
    header = pins.Chip(
        Path("/dev/gpiochip0"), "pinctrl-bcm2711", 58, {4: "onewire@0", 17: "outstation led", 42: "led0"}
    )
    taken = pins.taken(roots.dev)
    assert pins.free(header, taken) == [*range(5, 14), 16, *range(18, 28)]
    assert pins.words(header, taken) == (
        "the header's pins by BCM number: free are 5-13, 16, 18-27; i2c-1 has 2-3; onewire@0 has 4; "
        "outstation led has 17; serial0 has 14-15"
    )


@pytest.fixture
def furnished(roots: Roots) -> Roots:
    pi(roots)
    bus(roots, 1, "bcm2835 (i2c@7e804000)")
    for each in ("28-0316a2795fff", "28-0416a2795fff"):
        (roots.sys / "bus" / "w1" / "devices" / each).mkdir(parents=True)
    write(roots.sys / "class" / "thermal" / "thermal_zone0" / "type", "cpu-thermal\n")
    (roots.sys / "class" / "tty" / "ttyUSB0" / "device").mkdir(parents=True)
    write(roots.dev / "ttyUSB0", "")
    return roots


def test_the_first_config_reads_what_was_found(furnished: Roots, tmp_path: Path) -> None:
    config = load(write(tmp_path / "outstation.toml", first_config.text(machine(furnished))))
    names = [table.name for table in config.sensors]
    assert names[:5] == ["cpu_temp", "cpu_load", "memory_used", "disk_used", "sht31d_temperature"]
    assert {f"{living(0x76)[0]}_pressure", "thermometer_1", "thermometer_2"} <= {*names}
    assert config.actuators == ()


@pytest.mark.parametrize("here", ["roots", "furnished"])
def test_the_first_config_is_right_as_it_is_and_with_every_example_in_it(
    here: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTSTATION_HUB_KEY", "3.8KqyBv0nVxGp2wTr5uJe")
    text = first_config.text(machine(request.getfixturevalue(here)))
    load(write(tmp_path / "outstation.toml", text))
    all_of_it = re.sub(r"^#(?! |$)", "", text, flags=re.MULTILINE)
    config = load(write(tmp_path / "all.toml", all_of_it))
    assert {table.driver for table in config.sensors} == {
        *("system", "i2c", "onewire", "gpio", "serial", "http", "command")
    }
    assert (len(config.actuators), len(config.rules), len(config.uplinks)) == (1, 1, 1)
