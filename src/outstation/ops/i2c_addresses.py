"""Which addresses of an I2C bus answer, and which chips can be there.

Asked is 0x08 to 0x77, as harmlessly as i2cdetect(8) of i2c-tools does without options: by a quick write, which carries
no data; where memory chips live, at 0x30-0x37 and 0x50-0x5f, by reading one byte, since a quick write can spoil an
AT24RF08. What a driver of the kernel holds is not asked. None of our table's chips lives where a byte is read.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from outstation.devices import chips
from outstation.devices.wiring.i2c_kernel import KernelI2C
from outstation.ops.hardware import Heard

ADDRESSES = range(0x08, 0x78)
"""What is outside is reserved (UM10204, I2C-bus specification, 3.1.12)."""


def living(address: int) -> tuple[str, ...]:
    """Return the chips of our table that can be at an address, the likeliest first."""
    places = {name: chip.addresses.index(address) for name, chip in chips.I2C.items() if address in chip.addresses}
    return tuple(sorted(places, key=lambda name: places[name]))


def probe(bus: Path) -> Iterator[Heard]:
    """Ask all addresses of a bus. Raises OSError where the bus itself cannot be used."""
    with closing(KernelI2C(int(bus.name.removeprefix("i2c-")))) as opened:
        for address in ADDRESSES:
            try:
                if opened.answers(address):
                    yield Heard(address)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                yield Heard(address, held=True)
