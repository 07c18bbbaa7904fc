"""What this machine has for sensors and outputs: buses, pins, thermometers, ports; what is missing, and what to do.

The law of this file: it looks, and changes nothing. What it says of a family is what is there, each thing with
its own trouble; and of what is not there, first what is missing and then what to do.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from outstation.ops import pins

PI = "Raspberry Pi"

_OUTER_ADAPTERS = re.compile(r"tiny-usb|CP2112|MCP2221|CH341|FT232H|DLN2|stub driver", re.IGNORECASE)
"""Names of adapters that lead out of a machine, by their drivers in the kernel (drivers/i2c/busses, drivers/hid)."""

_INNER_BUS = 10
"""On a Raspberry Pi buses from here on are those of cameras and monitors (bcm2712 and bcm2711 device trees)."""


class Roots(msgspec.Struct, frozen=True):
    """Where the kernel shows this machine, and where its firmware is told what to switch on."""

    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    proc: Path = Path("/proc")
    boot: Path = Path("/boot")


class Found(msgspec.Struct, frozen=True):
    """One thing. name: what a config calls it; what: in words; chips: that can be there; trouble: with its cure."""

    name: str
    what: str = ""
    trouble: str = ""
    cure: str = ""
    address: int | None = None
    chips: tuple[str, ...] = ()


class Family(msgspec.Struct, frozen=True):
    """All of one kind. missing, cure: what to say where there is none that could be used."""

    kind: str
    title: str
    found: tuple[Found, ...] = ()
    missing: str = ""
    cure: str = ""


class Machine(msgspec.Struct, frozen=True):
    """A machine. board: as its device tree says; empty where there is none."""

    board: str
    families: tuple[Family, ...]

    def family(self, kind: str) -> Family:
        """Return one family of those there are."""
        return next(family for family in self.families if family.kind == kind)


class Heard(msgspec.Struct, frozen=True):
    """An I2C address that answered, or that a driver of the kernel holds."""

    address: int
    held: bool = False


Probe = Callable[[Path], Iterator[Heard]]
"""Asks all addresses of a bus. Raises OSError."""

Living = Callable[[int], tuple[str, ...]]
"""Returns the chips that can live at an address."""


def look(roots: Roots, probe: Probe, living: Living, *, buses: tuple[int, ...] = ()) -> Machine:
    """Return what there is. buses: numbers of I2C buses to be asked as well, though they may be inside the machine."""
    families = (
        _i2c(roots, probe, living, buses),
        _onewire(roots),
        _spi(roots),
        _gpio(roots),
        _pwm(roots),
        _serial(roots),
        _thermal(roots),
    )
    return Machine(board(roots), families)


def board(roots: Roots) -> str:
    """Return what the device tree calls this machine; empty where there is none (a PC)."""
    return _text(roots.proc / "device-tree" / "model").rstrip("\0")


def _i2c(roots: Roots, probe: Probe, living: Living, buses: tuple[int, ...]) -> Family:
    named = [roots.dev / f"i2c-{number}" for number in buses]
    found = [Found(str(path), trouble="There is no such bus.") for path in named if not path.exists()]
    outer = 0
    for path in _numbered(roots.dev, "i2c-"):
        if path in named or _leads_out(roots, path):
            outer += 1
            found += _addresses(path, probe, living)
        else:
            what = f"not asked ({_adapter(roots, path)}): it may lead to monitors or memory inside the machine"
            found.append(Found(str(path), what, cure=f"Ask it all the same: outstation scan --bus {path.name[4:]}"))
    if outer:
        return Family("i2c", "I2C", tuple(found))
    if not found and (adapters := _adapters(roots)):
        there = "There is an I2C bus" if adapters == 1 else f"There are {adapters} I2C buses"
        return Family("i2c", "I2C", (), f"{there}, but not the module that lets programs use it.", _I2C_DEV)
    missing = "There is no I2C bus to connect chips to."
    return Family("i2c", "I2C", tuple(found), missing, _line(roots, "dtparam=i2c_arm=on", and_also=_AND_MODULE))


def _adapters(roots: Roots) -> int:
    """Return how many buses the kernel has; on a Raspberry Pi without those of its own monitors and cameras."""
    paths = _numbered(roots.sys / "bus" / "i2c" / "devices", "i2c-")
    return sum(not board(roots).startswith(PI) or int(path.name[4:]) < _INNER_BUS for path in paths)


_AND_MODULE = " and i2c-dev to /etc/modules (sudo raspi-config nonint do_i2c 0 does both)"


_I2C_DEV = "sudo modprobe i2c-dev; and for each start: echo i2c-dev | sudo tee /etc/modules-load.d/i2c-dev.conf"


def _leads_out(roots: Roots, bus: Path) -> bool:
    """Tell whether chips are connected here by hand, so that asking all addresses harms nothing that came built in."""
    if board(roots).startswith(PI):
        return int(bus.name[4:]) < _INNER_BUS
    return _OUTER_ADAPTERS.search(_adapter(roots, bus)) is not None


def _adapter(roots: Roots, bus: Path) -> str:
    return _text(roots.sys / "class" / "i2c-dev" / bus.name / "name") or "an adapter without a name"


def _addresses(bus: Path, probe: Probe, living: Living) -> Iterator[Found]:
    if trouble := _no_access(bus, "i2c"):
        yield Found(str(bus), "a bus", *trouble)
        return
    heard = []
    try:
        heard = list(probe(bus))
    except OSError as error:
        cure = "Look at the wiring: SDA and SCL need to be high while nobody talks."
        yield Found(str(bus), "a bus", f"It cannot be asked: {(error.strerror or str(error)).lower()}.", cure)
    else:
        yield Found(str(bus), "a bus", "" if heard else "No chip answers on it.", "" if heard else _NO_CHIP)
    for one in heard:
        chips = living(one.address)
        what = "held by a driver of the kernel" if one.held else f"a chip: {_any_of(chips)}"
        yield Found(f"{bus} 0x{one.address:02x}", what, address=one.address, chips=() if one.held else chips)


_NO_CHIP = "Look at its wiring: 3.3 V, ground, SDA and SCL not swapped. Then scan again."


def _any_of(chips: tuple[str, ...]) -> str:
    if not chips:
        return "none of those that are known here; name its `module` and `class`"
    return " or ".join(filter(None, (", ".join(chips[:-1]), chips[-1])))


def _onewire(roots: Roots) -> Family:
    folder = roots.sys / "bus" / "w1" / "devices"
    masters = list(folder.glob("w1_bus_master*"))
    found = tuple(
        Found(path.name, "a DS18B20 thermometer" if path.name.startswith("28-") else "a 1-Wire device")
        for path in sorted(folder.glob("??-*"))
    )
    if found or not masters:
        missing = "" if found else "There is no 1-Wire bus."
        return Family("onewire", "1-Wire", found, missing, "" if found else _line(roots, "dtoverlay=w1-gpio"))
    cure = "Look at its wiring: 3.3 V, ground, data on GPIO4, and 4.7 kΩ between data and 3.3 V."
    return Family("onewire", "1-Wire", (), "There is a 1-Wire bus, and nothing answers on it.", cure)


def _spi(roots: Roots) -> Family:
    paths = sorted(roots.dev.glob("spidev*"))
    found = tuple(Found(str(path), "a bus and its chip select", *_no_access(path, "spi")) for path in paths)
    missing = "" if found else "There is no SPI bus."
    return Family("spi", "SPI", found, missing, "" if found else _line(roots, "dtparam=spi=on"))


def _gpio(roots: Roots) -> Family:
    paths = _numbered(roots.dev, "gpiochip")
    is_pi = board(roots).startswith(PI)
    found = []
    for path in paths:
        trouble = _no_access(path, "gpio")
        chip = None if trouble else pins.look(path)
        if chip is None:
            found.append(Found(str(path), "a chip", *(trouble or ("It is no GPIO chip.", ""))))
        elif not is_pi or chip.is_header:
            found.append(Found(str(path), pins.words(chip, pins.taken(roots.dev) if is_pi else {})))
    missing = "" if found else "There is no GPIO chip: no pins."
    return Family("gpio", "GPIO", tuple(found), missing, "" if found else _NO_PINS)


_NO_PINS = "Pins need a board such as a Raspberry Pi."


def _pwm(roots: Roots) -> Family:
    chips = _numbered(roots.sys / "class" / "pwm", "pwmchip")
    found = tuple(Found(path.name, f"channels 0 to {int(_text(path / 'npwm') or 1) - 1}") for path in chips)
    missing = "" if found else "There is no PWM chip."
    return Family("pwm", "PWM", found, missing, "" if found else _line(roots, "dtoverlay=pwm-2chan"))


def _serial(roots: Roots) -> Family:
    consoles = _text(roots.sys / "class" / "tty" / "console" / "active").split()
    by_id = {path.resolve(): path for path in sorted((roots.dev / "serial" / "by-id").glob("*"))}
    found = []
    for line in sorted((roots.sys / "class" / "tty").glob("*")):
        path = roots.dev / line.name
        if not (line / "device").exists() or _text(line / "type") == "0" or not path.exists():
            continue  # consoles of the screen have no device; of 8250 ports that are not there the type is 0
        named = by_id.get(path.resolve(), path)
        what = f"a serial port ({path})" if named != path else "a serial port"
        trouble = _no_access(path, "dialout") or (_console(line.name, roots) if line.name in consoles else ())
        found.append(Found(str(named), what, *trouble))
    missing = "" if found else "There is no serial port."
    cure = "" if found else f"Connect one by USB. {_line(roots, 'enable_uart=1')}"
    return Family("serial", "Serial", tuple(found), missing, cure)


def _console(name: str, roots: Roots) -> tuple[str, str]:
    file = f", on a Raspberry Pi {_firmware(roots) / 'cmdline.txt'}"
    cure = f"To connect something there take console=... out of the kernel's command line{file}, then: sudo reboot"
    return f"The kernel's console is on {name}.", cure


def _thermal(roots: Roots) -> Family:
    zones = _numbered(roots.sys / "class" / "thermal", "thermal_zone")
    found = tuple(Found(_text(zone / "type") or zone.name, _temperature(zone)) for zone in zones)
    if found:
        return Family("thermal", "Thermometers", found)
    missing = "There is no thermal zone: cpu_temp would be simulated, and say so."
    return Family("thermal", "Thermometers", (), missing, "Nothing: virtual machines have none.")


def _temperature(zone: Path) -> str:
    millis = _text(zone / "temp")
    return f"{int(millis) / 1000:.1f} °C" if re.fullmatch(r"-?\d+", millis) else "cannot be read just now"


def _no_access(path: Path, group: str) -> tuple[str, str] | tuple[()]:
    """Return what is wrong with the rights to a device, and the cure."""
    if os.access(path, os.R_OK | os.W_OK):
        return ()
    cure = f"sudo usermod -aG {_group(path, group)} {_user()}, then log in again."
    return f"No permission for {path}.", f"Add the user to its group: {cure}"


def _group(path: Path, usual: str) -> str:
    """Return the group that may use a device, unless that is root's, which would give too much."""
    try:
        group = path.stat().st_gid
        return grp.getgrgid(group).gr_name if group else usual
    except (OSError, KeyError):
        return usual


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _line(roots: Roots, line: str, and_also: str = "") -> str:
    """Return how to switch something on in the firmware's config.txt, where that is this machine's way."""
    file = _firmware(roots) / "config.txt"
    if not board(roots).startswith(PI):
        return f"On a Raspberry Pi: add the line {line} to {file}{and_also}, then: sudo reboot"
    if line in (written.strip() for written in _text(file).splitlines()):
        return f"{line} stands in {file} already. Let it count: sudo reboot"
    return f"Add the line {line} to {file}{and_also}, then: sudo reboot"


def _firmware(roots: Roots) -> Path:
    """Return where config.txt is: in /boot/firmware since Raspberry Pi OS 12, in /boot before."""
    older = roots.boot / "config.txt"
    return roots.boot if older.exists() and not (roots.boot / "firmware").exists() else roots.boot / "firmware"


def _numbered(folder: Path, start: str) -> list[Path]:
    """Return what is called `start` and a number, in the order of the numbers."""
    found = [path for path in folder.glob(f"{start}*") if path.name[len(start) :].isdigit()]
    return sorted(found, key=lambda path: int(path.name[len(start) :]))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
