"""A chip by its CircuitPython library: found, made, asked. What strangers' code raises becomes one sensor's fault.

The library is imported when the chip is opened, in the thread of its bus: a node without such chips pays nothing.
"""

from __future__ import annotations

import abc
import contextlib
import importlib
import inspect
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from outstation.devices.chips import Chip, Quantity
from outstation.devices.wiring import stand_ins
from outstation.errors import DeviceError, MissingDeviceError, to_install

_LOOK_AGAIN_S = 0.1

_ENDLESS_S = 10.0
"""No chip of the table measures for so long."""


class Wanted(msgspec.Struct, frozen=True):
    """A chip that a config wants. name: what people call it. settings: for its class, or attributes of its object."""

    name: str
    row: Chip
    settings: Mapping[str, Any] = {}


class Wire(abc.ABC):
    """The way to one chip. where: `0x76 on /dev/i2c-1`."""

    where: str

    @abc.abstractmethod
    def open(self, chip: str) -> None:
        """Get to where the chip is, and see that somebody answers, as far as one can. Raises DeviceError."""

    @abc.abstractmethod
    def make(self, kind: Callable[..., object], settings: Mapping[str, Any]) -> object:
        """Return the library's object for the chip at the end of this wire."""

    @abc.abstractmethod
    def fault(self, chip: str, error: OSError) -> DeviceError:
        """Return in words what the bus refused with."""

    def ends_by(self, until: float) -> None:
        """Stop a library that asks for ever whether the chip is ready: it may ask until then (time.monotonic())."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go. May be called twice, and before open()."""


def load(wanted: Wanted) -> None:
    """Import the chip's library, which may take long. Raises MissingDeviceError."""
    _found(wanted.name, wanted.row.module, wanted.row.class_name, wanted.row.package)


class Device:
    """A chip that is ready to be asked."""

    def __init__(self, wanted: Wanted, wire: Wire) -> None:
        """Find the library, the chip, and set it up. Raises DeviceError."""
        self._wanted, self._wire = wanted, wire
        self._named = f"The {wanted.name} at {wire.where}"
        kind = _found(wanted.name, wanted.row.module, wanted.row.class_name, wanted.row.package)
        self._input = self._input_class()
        wire.open(wanted.name)
        arguments, attributes = _sorted(kind, wanted.settings)
        strange = f"What is at {wire.where} is no {wanted.name} as its library knows it"
        self._chip = self._asked(strange, lambda: wire.make(kind, arguments))
        self._set(attributes)
        if wanted.row.start:
            self._asked(f"{self._named} does not start", getattr(self._chip, wanted.row.start))
        time.sleep(wanted.row.wakes)
        self._settled_at = time.monotonic() + wanted.row.settles
        self._kept = {name: self._attribute(name) for name in wanted.row.keeps}
        self._inputs: dict[tuple[int, ...], object] = {}

    def take(self, quantity: str) -> object:
        """Return what the chip measures; a chip that has only begun to is waited for. Raises DeviceError."""
        self._look(quantity)
        while (value := self._asked(f"{self._named} gives no {quantity}", lambda: self._value(quantity))) is None:
            if time.monotonic() > self._settled_at:
                raise DeviceError(f"{self._named} has no {quantity} yet.")
            time.sleep(_LOOK_AGAIN_S)
        return value

    def _look(self, name: str) -> None:
        """Raises DeviceError: the chip answers, but what it says is not the world."""
        row = self._wanted.row
        for kept, was in self._kept.items():
            if self._attribute(kept) != was:
                raise DeviceError(f"{self._named} has forgotten how it was set up ({kept}).", cure=_POWER)
        if row.ready and self._attribute(row.ready):
            self._settled_at = time.monotonic() + row.settles
        elif row.ready and time.monotonic() > self._settled_at:
            raise DeviceError(f"{self._named} measures nothing any more.", cure=_POWER)
        full = row.quantities[name].full if name in row.quantities else None
        if (
            full
            and self._asked(f"{self._named} gives no {name}", lambda: getattr(self._source(name), full[0])) in full[1]
        ):
            raise DeviceError(f"{self._named} is at the end of its range: {name} is more than that.", cure=_RANGE)

    def _attribute(self, name: str) -> object:
        return self._asked(f"{self._named} gives no {name}", lambda: getattr(self._chip, name))

    def _value(self, name: str) -> object:
        quantity, source = self._wanted.row.quantities.get(name, Quantity(name, "")), self._source(name)
        if not hasattr(type(source), quantity.attribute) and not hasattr(source, quantity.attribute):
            raise _no_attribute(self._wanted.name, source, quantity.attribute)
        value = getattr(source, quantity.attribute)
        return value() if callable(value) else value

    def _source(self, name: str) -> object:
        """Return what has the attribute: the library's object, or one of its inputs."""
        quantity = self._wanted.row.quantities.get(name)
        if quantity is None or not quantity.pins or self._input is None:
            return self._chip
        return self._inputs.setdefault(quantity.pins, self._input(self._chip, *quantity.pins))

    def _input_class(self) -> Callable[..., object] | None:
        module, _, name = self._wanted.row.inputs.partition(":")
        return _found(self._wanted.name, module, name, self._wanted.row.package) if module else None

    def _set(self, attributes: Mapping[str, Any]) -> None:
        for name, value in attributes.items():
            if not hasattr(type(self._chip), name) and not hasattr(self._chip, name):
                raise _no_attribute(self._wanted.name, self._chip, name)
            self._asked(f"{self._named} does not take the setting {name}", partial(setattr, self._chip, name, value))

    def _asked(self, what: str, function: Callable[[], object]) -> object:
        """Return what the library says. Raises DeviceError for all that it raises."""
        self._wire.ends_by(time.monotonic() + _ENDLESS_S)
        try:
            return function()
        except DeviceError:
            raise
        except OSError as error:
            raise self._wire.fault(self._wanted.name, error) from error
        except Exception as error:
            raise DeviceError(f"{what}: {_reason(error)}.", cure=_CURE) from error


_POWER = "Its power was cut for a moment: it is set up again. If this comes back, look at its supply and its wires."
_RANGE = "If that is so, give it another range: `settings`, by its library's documentation."
_CURE = "If this stays: is it another chip? Look at `chip` and at its wiring."


def _found(chip: str, module: str, name: str, package: str) -> Callable[..., object]:
    """Return a class of the library."""
    try:
        with stand_ins.imports():
            found = importlib.import_module(module)
            with contextlib.suppress(ImportError):  # what many import only when the chip is made; some need none of it
                importlib.import_module("adafruit_bus_device.i2c_device")
                importlib.import_module("adafruit_bus_device.spi_device")
    except ImportError as error:
        words = f"{chip} needs the Python library {module}: {error}."
        raise MissingDeviceError(words, cure=to_install(package)) from error
    except Exception as error:
        raise MissingDeviceError(f"{chip}: the library {module} cannot be imported: {_reason(error)}.") from error
    kind = getattr(found, name, None)
    if isinstance(kind, type):
        return kind
    there = [each for each, value in vars(found).items() if isinstance(value, type) and value.__module__ == module]
    raise MissingDeviceError(f"{module} has no class {name}.", cure=f"Set `class`: {', '.join(there) or 'none there'}.")


def _sorted(kind: Callable[..., object], settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return which settings are arguments of the class, and which ones attributes to be set."""
    known = inspect.signature(kind).parameters
    arguments = {name: value for name, value in settings.items() if name in known}
    return arguments, {name: value for name, value in settings.items() if name not in known}


def _no_attribute(chip: str, source: object, name: str) -> MissingDeviceError:
    there = [each for each, value in inspect.getmembers(type(source)) if isinstance(value, property)]
    cure = f"Its library has: {', '.join(there)}." if there else "Look into its library's documentation."
    return MissingDeviceError(f'A {chip} has no "{name}".', cure=cure)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".")
