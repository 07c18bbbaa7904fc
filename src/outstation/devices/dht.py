"""DHT22 (AM2302) and DHT11: temperature and humidity over one wire of their own.

By the kernel's driver where its overlay is loaded; else the wire is pulled low and let go of, and the kernel says when
each edge came. Every twentieth answer or so is garbled: it is asked again before that is a fault.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from outstation.core.readings import Value
from outstation.devices.dht_signal import EDGES, Climate, Kind, decoded, spoken
from outstation.devices.joint import Joint, shared
from outstation.devices.lines import kernel
from outstation.devices.lines.line import Edge, Pull, Wanted
from outstation.errors import DeviceError, MissingDeviceError, RefusedError
from outstation.plugins import DriverOptions, Place, SensorDriver

UNITS = {"temperature": "°C", "humidity": "%"}

_TRIES = 3

_REST_S = 2.0
"""Between two questions (data sheet: a DHT22 measures every two seconds)."""

_LOW_S: dict[Kind, float] = {"dht22": 0.002, "dht11": 0.019}
"""How long the wire is pulled low to ask: 1 ms and 18 ms at least (data sheets)."""

_ANSWERS_S = 0.03
"""Longer than any answer: 5 ms."""

_ROOM = Climate(21.0, 50.0)


class DhtOptions(DriverOptions):
    """`pin`: the data wire. pull: the pin's own resistor, which a chip on a short cable gets by with."""

    pin: Annotated[int, Field(ge=0, le=1023)]
    quantity: Literal["temperature", "humidity"]
    kind: Kind = "dht22"
    chip: str | None = None
    pull: Pull | None = "up"
    simulate: bool = False


class DhtSensor(SensorDriver):
    """One of the two things that it measures; both come with one answer."""

    Options = DhtOptions
    options: DhtOptions
    rest_s: ClassVar[float] = _REST_S
    iio: ClassVar[Path] = Path("/sys/bus/iio/devices")

    def __init__(self, name: str, options: DhtOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self.simulated = options.simulate
        self.unit = UNITS[options.quantity]
        where = options.chip or "header", options.pin
        self.bus = f"dht:{where}"
        self._key: Hashable = ("dht", place.data, options.simulate, where)
        self._joint: Joint[Climate] | None = None

    def open(self) -> None:
        """Join those who ask the same chip; nothing is held between two questions."""
        self._joint = shared(self._key)

    def read(self) -> Value:
        """Return the quantity, with an answer that the other one may have asked for just now."""
        if self._joint is None:
            raise DeviceError(f"The {self.options.kind.upper()} at pin {self.options.pin} is not open.")
        climate = self._joint.answer(self.name, self._patiently)
        return climate.temperature if self.options.quantity == "temperature" else climate.humidity

    def close(self) -> None:
        """Leave."""
        self._joint = None

    def simulate(self, value: Value | None) -> None:
        """Have the simulated chip measure `value`."""
        if not self.simulated:
            super().simulate(value)
        if isinstance(value, str):
            raise RefusedError(f"{self.name} measures no texts.", cure="Give a number.")
        wished = _WISHED.setdefault(self._key, {})
        if value is None:
            wished.pop(self.options.quantity, None)
        else:
            wished[self.options.quantity] = value
        if self._joint is not None:
            self._joint.forget()

    def _patiently(self) -> Climate:
        """Ask, and again where the answer is no good. Raises DeviceError with the last reason."""
        ask = self._way()
        reasons = []
        for _ in range(_TRIES):
            _rest(self._key, 0.0 if self.simulated else self.rest_s)
            try:
                return ask()
            except MissingDeviceError:
                raise
            except DeviceError as error:
                reasons.append(error)
        raise DeviceError(
            f"The {self.options.kind.upper()} at pin {self.options.pin} was asked {_TRIES} times: {reasons[-1]}",
            cure=reasons[-1].cure
            or "Look at the wiring: 3.3 V, ground and data, 10 kΩ from data to 3.3 V, a cable of a few metres at most.",
        )

    def _way(self) -> Callable[[], Climate]:
        kind = self.options.kind
        if self.simulated:
            return lambda: decoded(spoken(self._model(), kind), kind)
        if (device := iio_device(self.iio, self.options.pin)) is not None:
            return lambda: _by_the_kernel(device)
        return lambda: decoded(self._edges(), kind)

    def _model(self) -> Climate:
        wished = _WISHED.get(self._key, {})
        return Climate(wished.get("temperature", _ROOM.temperature), wished.get("humidity", _ROOM.humidity))

    def _edges(self) -> list[Edge]:
        """Pull the wire low, let go of it, and return what comes then. Raises DeviceError."""
        options, holder = self.options, f"outstation {self.name}"
        line = kernel.open_line(options.chip, Wanted(options.pin, holder, level=False), events=2 * EDGES)
        try:
            time.sleep(_LOW_S[options.kind])
            line.listen(Wanted(options.pin, holder, pull=options.pull))
            ready, edges = select.poll(), list[Edge]()
            ready.register(line.fileno(), select.POLLIN)
            until = time.monotonic() + _ANSWERS_S
            while (left := until - time.monotonic()) > 0 and ready.poll(left * 1000):
                edges += line.edges()
            return edges
        finally:
            line.close()


_WISHED: dict[Hashable, dict[str, float]] = {}
"""What simulated chips are to measure."""

_ASKED: dict[Hashable, float] = {}
"""When each chip was asked last."""


def _rest(chip: Hashable, rest_s: float) -> None:
    """Wait until it may be asked again."""
    time.sleep(max(0.0, _ASKED.get(chip, -rest_s) + rest_s - time.monotonic()))
    _ASKED[chip] = time.monotonic()


def iio_device(folder: Path, pin: int) -> Path | None:
    """Return the kernel's own DHT at that pin, if its overlay is on: dht11.c, which is for both kinds."""
    for device in sorted(folder.glob("iio:device*")):
        try:
            if not (device / "name").read_text().startswith("dht11"):
                continue
            gpios = (device / "of_node" / "gpios").read_bytes()
        except OSError:
            continue
        # A phandle, the pin, flags: three big-endian cells (Devicetree Specification, "phandle-array").
        if int.from_bytes(gpios[4:8]) == pin:
            return device
    return None


def _by_the_kernel(device: Path) -> Climate:
    try:
        millis = [int((device / name).read_text()) for name in ("in_temp_input", "in_humidityrelative_input")]
    except TimeoutError as error:
        raise DeviceError("It does not answer.") from error
    except (OSError, ValueError) as error:
        raise DeviceError(f"The kernel's driver says: {error}.") from error
    if not any(millis):
        raise DeviceError("It said nothing but zeros, which have the right checksum.")
    return Climate(millis[0] / 1000, millis[1] / 1000)
