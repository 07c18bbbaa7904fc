"""What the drivers of chips have in common, whatever bus these are on: the keys, and that sensors share a chip."""

from __future__ import annotations

import abc
import difflib
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from outstation.core.readings import Value
from outstation.devices.chips import Chip
from outstation.devices.models.model import Measuring
from outstation.devices.wiring.library import Wanted, Wire, load
from outstation.devices.wiring.shared import SharedChip
from outstation.errors import DeviceError, RefusedError
from outstation.plugins import DriverOptions, Place, SensorDriver


class ChipOptions(DriverOptions):
    """`chip`: one of the table; or `module` and `class` of a library. settings: for the class, or its object."""

    table: ClassVar[Mapping[str, Chip]]
    chip: str | None = None
    class_name: str | None = Field(default=None, alias="class")
    module: str | None = Field(default=None, validate_default=True)
    quantity: str | None = Field(default=None, validate_default=True)
    settings: dict[str, Any] = Field(default={})
    simulate: bool = False

    @field_validator("chip")
    @classmethod
    def _known(cls, chip: str | None) -> str | None:
        if chip is None or chip in cls.table:
            return chip
        close = difflib.get_close_matches(chip.lower().replace("-", "").replace("_", ""), cls.table, n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"valid: {', '.join(cls.table)}"
        raise ValueError(f"expected a chip of the table, or `module` and `class` of its library; {hint}")

    @field_validator("module")
    @classmethod
    def _either(cls, module: str | None, info: ValidationInfo) -> str | None:
        if "chip" not in info.data or "class_name" not in info.data:
            return module  # One of them is wrong in itself.
        if info.data["chip"] and (module or info.data["class_name"]):
            raise ValueError("expected either `chip`, or `module` and `class`")
        if not info.data["chip"] and not (module and info.data["class_name"]):
            raise ValueError("expected `chip`, or `module` and `class` of its CircuitPython library")
        return module

    @field_validator("quantity")
    @classmethod
    def _measured(cls, quantity: str | None, info: ValidationInfo) -> str | None:
        if not info.data.keys() >= {"chip", "module"}:
            return quantity  # Nobody can tell what it measures.
        there = list(cls.table[chip].quantities) if (chip := info.data["chip"]) else []
        if quantity is None and len(there) == 1:
            return there[0]
        if quantity is None or (there and quantity not in there):
            of = f"one of {', '.join(there)}" if there else "an attribute of the library's class"
            raise ValueError(f"expected what the chip measures, {of}, or several of these as `quantities`")
        return quantity

    @model_validator(mode="after")
    def _modelled(self) -> Self:
        """Raises ValueError: nothing stands in for this chip."""
        if self.simulate and not self.row.model:
            models = ", ".join(name for name, each in self.table.items() if each.model)
            raise ValueError(f"expected a chip that can be simulated, as these: {models}")
        return self

    @property
    def row(self) -> Chip:
        """The chip's row of the table, or one for the library that the config names."""
        if self.chip is not None:
            return self.table[self.chip]
        module, name = self.module or "", self.class_name or ""
        package = module.partition(".")[0].replace("adafruit_", "adafruit-circuitpython-").replace("_", "-")
        model = next((row.model for row in self.table.values() if (row.module, row.class_name) == (module, name)), "")
        return Chip(module, name, package, {}, model=model)

    @property
    def wanted(self) -> Wanted:
        """The chip and how it is set up: the same for all sensors on it."""
        return Wanted(self.chip or f"{self.module}.{self.class_name}", self.row, self.settings)

    @property
    def wired_to(self) -> str:
        """Where the chip is, for people; two chips cannot be there. Empty: the config does not say."""
        raise NotImplementedError


class ChipSensor(SensorDriver):
    """One quantity of a chip."""

    options: ChipOptions

    def __init__(self, name: str, options: ChipOptions, place: Place, bus: str) -> None:
        super().__init__(name, options, place)
        quantity = options.row.quantities.get(options.quantity or "")
        self.unit = quantity.unit if quantity else ""
        self.simulated = options.simulate
        # A chip that takes seconds until it has a value has a thread of its own.
        self.bus = f"{bus}, {options.wired_to}" if options.row.settles else bus
        self._chip: SharedChip | None = None
        if self.simulated and options.row.model:  # a config with mistakes is looked at, too, and may name no chip
            self.model()

    @abc.abstractmethod
    def wire(self) -> Wire:
        """Return the way to the chip, not opened."""

    @abc.abstractmethod
    def model(self) -> Measuring:
        """Return what stands in for the chip where it is simulated; the same one at every call."""

    def load(self) -> None:
        """Import the chip's library while others on its bus are asked."""
        load(self.options.wanted)

    def open(self) -> None:
        """Get hold of the chip, or join those who have it already."""
        self.close()
        key = (type(self), self.options.wired_to, self.place.data if self.simulated else None)
        self._chip = SharedChip.join(key, self.options.wanted, self.wire(), self, self.options.quantity or "")
        try:
            self._chip.open()
        except DeviceError:
            self.close()
            raise

    def read(self) -> Value:
        """Return the quantity: taken with the others, if it was less than a second ago."""
        if self._chip is None:
            raise DeviceError(f"The {self.options.wanted.name} at {self.options.wired_to} is not open.")
        return self._chip.read(self)

    def close(self) -> None:
        """Let go; the last one closes the chip."""
        chip, self._chip = self._chip, None
        if chip is not None:
            chip.leave(self)

    def simulate(self, value: Value | None) -> None:
        """Let the simulated chip measure `value`."""
        if not self.simulated:
            super().simulate(value)
        if isinstance(value, str):
            raise RefusedError(f"{self.name} measures no texts.", cure="Give a number.")
        self.model().set(self.options.quantity or "", value)
        if (chip := self._chip) is not None:
            chip.forget()
