"""Sensors by any input class of gpiozero: distance, light, rotary encoders, what hangs on its converters.

Outputs are not among them: gpiozero lets go of a pin when its process ends, and nobody is left to make it safe.
"""

from __future__ import annotations

import inspect
import os
from typing import Annotated, Any

from pydantic import Field

from outstation.core.readings import Value
from outstation.errors import DeviceError, MissingDeviceError, to_install
from outstation.plugins import DriverOptions, Place, SensorDriver

_EXTRA = '"outstation[gpiozero]"'


class GpiozeroOptions(DriverOptions):
    """`device`: the class. arguments: what it is made with, by name. attribute: which of its properties is read."""

    device: Annotated[str, Field(pattern=r"^[A-Z]\w*$")]
    arguments: dict[str, bool | int | float | str | list[int | float]] = Field(default_factory=dict)
    attribute: Annotated[str, Field(pattern=r"^[a-z]\w*$")] = "value"
    simulate: bool = False


class GpiozeroSensor(SensorDriver):
    """One property of one device."""

    Options = GpiozeroOptions
    options: GpiozeroOptions

    def __init__(self, name: str, options: GpiozeroOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self.simulated = options.simulate
        self._device: Any = None
        self._wished: Value | None = None

    def open(self) -> None:
        """Make the device."""
        self.close()
        # lgpio, which gpiozero goes through, writes files into its working folder.
        os.environ.setdefault("LG_WD", str(self.place.data))
        kind = self._kind()
        import gpiozero  # noqa: PLC0415
        from gpiozero.pins.mock import MockFactory  # noqa: PLC0415

        pins = {"pin_factory": MockFactory()} if self.simulated else {}
        try:
            # Whoever is refused half-way leaves a device behind that cannot be closed.
            inspect.signature(kind.__init__).bind(None, **self.options.arguments)
            self._device = kind(**self.options.arguments, **pins)
        except gpiozero.BadPinFactory as error:
            raise MissingDeviceError(
                f"gpiozero reaches no pins on this machine: {error}.",
                cure=f"{to_install(_EXTRA)}; without hardware set simulate = true.",
            ) from error
        except (gpiozero.GPIOZeroError, OSError, TypeError, ValueError) as error:
            raise DeviceError(
                f"{self.options.device} could not be made: {type(error).__name__}: {error}.",
                cure="Look at `arguments`.",
            ) from error
        if not self.simulated and isinstance(self._device.pin_factory, MockFactory):
            self.close()
            raise MissingDeviceError(
                "gpiozero was told to use mock pins: what they say is not the world.",
                cure="Take GPIOZERO_PIN_FACTORY out of the environment; without hardware set simulate = true.",
            )

    def read(self) -> Value:
        """Return the property now."""
        if self._device is None:
            raise DeviceError(f"The {self.options.device} of {self.name} is not open.")
        import gpiozero  # noqa: PLC0415

        try:
            value: Value = getattr(self._device, self.options.attribute)
        except AttributeError as error:
            there = ", ".join(name for name in dir(type(self._device)) if _is_property(type(self._device), name))
            raise DeviceError(f"{error}.", cure=f"Set `attribute` to one of: {there}.") from error
        except (gpiozero.GPIOZeroError, OSError) as error:
            raise DeviceError(f"{self.options.device} could not be read: {error}.") from error
        return value if self._wished is None else self._wished

    def close(self) -> None:
        """Let go of its pins."""
        device, self._device = self._device, None
        if device is not None:
            device.close()

    def simulate(self, value: Value | None) -> None:
        """Have it read `value`."""
        if not self.simulated:
            super().simulate(value)
        self._wished = value

    def _kind(self) -> Any:
        try:
            import gpiozero  # noqa: PLC0415
        except ImportError as error:
            raise MissingDeviceError(
                f"This needs the Python library gpiozero: {error}.", cure=to_install(_EXTRA)
            ) from error
        kind = getattr(gpiozero, self.options.device, None)
        if not isinstance(kind, type) or not issubclass(kind, gpiozero.Device):
            raise DeviceError(f"gpiozero has no device {self.options.device}.", cure="Set `device`, as it writes it.")
        if issubclass(kind, gpiozero.SourceMixin):
            raise DeviceError(f"{self.options.device} is an output.", cure='Use `driver = "gpio"` or "pwm" for it.')
        return kind


def _is_property(kind: type, name: str) -> bool:
    return not name.startswith("_") and isinstance(getattr(kind, name), property)
