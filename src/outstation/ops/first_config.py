"""The first outstation.toml of a machine: what was found on it is read, and what is typical stands ready.

The law of this file: a line that begins with "# " explains; one that begins with "#" and no space is an example that
counts as soon as the # is gone; and both the file as written and the file with every # gone are right.
"""

from __future__ import annotations

from collections.abc import Iterator

from outstation.devices import chips
from outstation.ops.hardware import Family, Found, Machine

_HEAD = """\
# outstation.toml: what this node reads, drives and decides.
# Written by `outstation init`, from what was found on: {board}.
#
# A line that begins with "# " explains. One that begins with # and no space is an example: take the # away.
# Afterwards: outstation check --hardware, then outstation run.

[node]
#name = "greenhouse-1"
#timezone = "Europe/Berlin"
"""

_COMPUTER = (
    ("cpu_temp", "CPU temperature"),
    ("cpu_load", "CPU load"),
    ("memory_used", "Memory used"),
    ("disk_used", "Disk used"),
)

_BUTTON = """\
[[sensors]]
name = "button"
driver = "gpio"
pin = 27
pull = "up"
active_low = true"""

_LED = """\
[[actuators]]
name = "led"
driver = "gpio"
pin = 17
safe = "off\""""

_SERIAL = """\
[[sensors]]
name = "scale"
driver = "serial"
port = "{port}"
baud = 9600
pattern = 'W=([-+.0-9]+)'
unit = "kg\""""

_HTTP = """\
[[sensors]]
name = "outside_temperature"
driver = "http"
url = "https://api.thingspeak.com/channels/9/fields/2/last.txt"
unit = "°F"
every = "5m\""""

_COMMAND = """\
[[sensors]]
name = "processes"
driver = "command"
command = ["sh", "-c", "ls -d /proc/[0-9]* | wc -l"]
every = "1m\""""

_RULE = """\
[[rules]]
name = "memory is short"
when = "memory_used > 90"
until = "memory_used < 80"
hold = "5m"
alert = { message = "{memory_used:.0f} % of the memory is used" }"""

_UPLINK = """\
[[uplinks]]
name = "hub"
kind = "outstation"
url = "https://hub.example.org"
key = "env:OUTSTATION_HUB_KEY\""""


def text(machine: Machine) -> str:
    """Return the file for a machine."""
    return "\n".join([_HEAD.format(board=machine.board or "a machine without the name of a board"), *_parts(machine)])


def _parts(machine: Machine) -> Iterator[str]:
    yield from _computer(machine.family("thermal"))
    yield from _i2c(machine.family("i2c"))
    yield from _onewire(machine.family("onewire"))
    yield from _pins(machine.family("gpio"))
    yield from _serial(machine.family("serial"))
    yield _titled("Values from elsewhere: a web address, a program", _waiting(_HTTP), _waiting(_COMMAND))
    yield _titled("What the node decides by itself, and where it reports to", _waiting(_RULE), _waiting(_UPLINK))


def _titled(title: str, *blocks: str) -> str:
    return "\n".join([f"# ---- {title}", *(f"\n{block}" for block in blocks), ""])


def _waiting(block: str) -> str:
    """Return a table as an example that does not count yet."""
    return "\n".join(f"#{line}" for line in block.splitlines())


def _lacking(family: Family) -> str:
    """Return what is missing and what to do, as a comment."""
    return "\n".join(f"# {line}" for line in (family.missing, family.cure) if line)


def _computer(thermal: Family) -> Iterator[str]:
    for name, label in _COMPUTER:
        block = f'[[sensors]]\nname = "{name}"\nlabel = "{label}"\ndriver = "system"\nquantity = "{name}"'
        if name == "cpu_temp":
            lacks = [] if thermal.found else [_lacking(thermal)]
            yield _titled("This computer", *lacks, block if thermal.found else _waiting(block))
        else:
            yield f"{block}\n"


def _i2c(family: Family) -> Iterator[str]:
    title = "Chips on I2C: docs/reference/i2c.md"
    found = [one for one in family.found if one.chips]
    if not found:
        lacks = [_lacking(family)] if family.missing else []
        yield _titled(title, *lacks, _waiting(_chip(1, 0x76, "bme280", "air")))
        return
    taken: dict[str, int] = {}
    blocks = []
    for one in found:
        bus, address, chip = int(one.name.split()[0].rpartition("-")[2]), one.address or 0, one.chips[0]
        taken[chip] = taken.get(chip, 0) + 1
        name = chip if taken[chip] == 1 else f"{chip}_{taken[chip]}"
        blocks.append(_other_chips(one) + _chip(bus, address, chip, name))
    yield _titled(title, *blocks)


def _other_chips(one: Found) -> str:
    """Return a comment where several chips can be at an address: the address alone does not tell."""
    others = " or ".join(one.chips[1:])
    return f"# At this address it can be {others} as well; then change `chip` and `quantities`.\n" if others else ""


def _chip(bus: int, address: int, chip: str, name: str) -> str:
    measured = chips.I2C[chip].quantities.items()
    quantities = ", ".join(f'"{name}"' for name, one in measured if len(one.pins) < 2)  # no differences of inputs
    where = f"bus = {bus}\naddress = 0x{address:02x}"
    return f'[[sensors]]\nname = "{name}"\ndriver = "i2c"\nchip = "{chip}"\n{where}\nquantities = [{quantities}]'


def _onewire(family: Family) -> Iterator[str]:
    ids = [one.name for one in family.found if one.name.startswith("28-")]
    title = "DS18B20 thermometers on 1-Wire: docs/reference/onewire.md"
    blocks = [_thermometer(number, each) for number, each in enumerate(ids, 1)]
    if blocks:
        yield _titled(title, *blocks)
    else:
        yield _titled(title, _lacking(family), _waiting(_thermometer(1, "28-0316a2795fff")))


def _thermometer(number: int, each: str) -> str:
    return f'[[sensors]]\nname = "thermometer_{number}"\ndriver = "onewire"\nid = "{each}"'


def _pins(family: Family) -> Iterator[str]:
    about = "\n".join(f"# {one.name}: {one.what or one.trouble}" for one in family.found) or _lacking(family)
    yield _titled("Pins, by their BCM numbers: docs/reference/gpio.md", about, _waiting(_BUTTON), _waiting(_LED))


def _serial(family: Family) -> Iterator[str]:
    ports = [one.name for one in family.found if not one.trouble]
    port = ports[0] if ports else "/dev/ttyUSB0"
    lacks = [] if ports else [_lacking(family)] if family.missing else []
    yield _titled(
        "Lines of text on a serial port: docs/reference/serial.md", *lacks, _waiting(_SERIAL.format(port=port))
    )
