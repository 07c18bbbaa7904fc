"""A sensor that is worked out from others: its driver reads nothing, for the core knows what they say."""

from __future__ import annotations

from outstation.core.readings import Value
from outstation.errors import DeviceError, RefusedError
from outstation.plugins import DriverOptions, SensorDriver


class DerivedOptions(DriverOptions):
    """value: an expression of the rule language over other sensors."""

    value: str


class DerivedSensor(SensorDriver):
    """Holds the place of a driver. It is as simulated as what it is made of."""

    Options = DerivedOptions
    options: DerivedOptions

    def simulate(self, value: Value | None) -> None:
        """Refuse: it follows from others."""
        raise RefusedError(f"{self.name} is {self.options.value}.", cure="Move the sensors that it is worked out from.")

    def read(self) -> Value:
        """Refuse: only a running node knows what the others say."""
        raise DeviceError(
            f"{self.name} is worked out from other sensors by the running node: {self.options.value}.",
            cure="Read those; what it is itself says `outstation status`.",
        )
