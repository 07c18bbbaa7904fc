"""From the tables of a configuration to specs for the core and drivers for the engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any

from pydantic import ValidationError

from outstation import plugins
from outstation.config import ActuatorTable, Config, SensorTable, derived, specs
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import Failed, Millis, Reading, Value
from outstation.core.sensors import SensorSpec
from outstation.engine import absent
from outstation.engine.bus import Buses
from outstation.engine.outputs import Outputs
from outstation.engine.sampler import Sampled, Sampler
from outstation.errors import MissingDeviceError, UnknownNameError
from outstation.plugins import ActuatorDriver, Place, SensorDriver

_LOOK_EVERY = 1.0
"""Seconds between two looks at who hangs."""


class Hardware:
    """The drivers of one node and what runs them. Sensors and outputs of one bus share its thread."""

    def __init__(self, config: Config, place: Place) -> None:
        self._tables = config.sensors
        coming = {table.name: _sensor_driver(table, place) for table in config.sensors}
        until = time.monotonic() + absent.PATIENCE_S
        self._sensors = {
            name: one.within(until) if isinstance(one, absent.Coming) else one for name, one in coming.items()
        }
        for name, inputs in derived.inputs(config).items():
            own = (self._sensors[each] for each in inputs if each in self._sensors)
            self._sensors[name].simulated = any(driver.simulated for driver in own)
        self._actuators = {table.name: actuator_driver(table, place) for table in config.actuators}
        self._inputs = {name: _Input(driver) for name, driver in self._sensors.items()}
        self._buses = Buses()
        self.outputs = Outputs(self._actuators, self._buses)
        self._sampler: Sampler | None = None

    @property
    def sensors(self) -> Mapping[str, SensorDriver]:
        """The sensors' drivers by name."""
        return self._sensors

    @property
    def actuators(self) -> Mapping[str, ActuatorDriver]:
        """The outputs' drivers by name."""
        return self._actuators

    def sampled(self) -> list[Sampled]:
        """Return the sensors as the sampler sees them."""
        return [
            Sampled(table.name, self._sensors[table.name], table.every, table.calibration)
            for table in self._tables
            if not derived.is_derived(table)
        ]

    def start_sensors(self, report: Callable[[Reading | Failed], None]) -> None:
        """Begin to ask the sensors; `report` is called in the loop's thread."""
        loop = asyncio.get_running_loop()
        self._sampler = Sampler(self.sampled(), lambda event: _hand_over(loop, report, event), self._buses)
        self._sampler.start()
        loop.call_later(_LOOK_EVERY, self._look, loop, self._sampler)

    def _look(self, loop: asyncio.AbstractEventLoop, sampler: Sampler) -> None:
        """See whether a driver hangs, until the sensors are stopped."""
        if self._sampler is sampler:
            sampler.look()
            loop.call_later(_LOOK_EVERY, self._look, loop, sampler)

    async def stop(self) -> None:
        """Ask nothing more and let go of everything. Outputs were made safe before."""
        sampler, self._sampler = self._sampler, None
        if sampler:
            await asyncio.to_thread(sampler.close)
        await asyncio.to_thread(self.outputs.close)
        self._buses.close()

    def simulated(self) -> frozenset[str]:
        """Return the names of the sensors and outputs whose hardware is simulated."""
        drivers: dict[str, SensorDriver | ActuatorDriver] = {**self._sensors, **self._actuators}
        return frozenset(name for name, driver in drivers.items() if driver.simulated)

    def simulate(self, name: str, value: Value, duration: Millis | None) -> None:
        """Move a simulated input, for a time or until the next call. Blocks. Raises RefusedError, DeviceError."""
        moved = self._inputs.get(name)
        if moved is None:
            known = ", ".join(sorted(self.simulated() & self._sensors.keys())) or "none"
            raise UnknownNameError(f'There is no sensor "{name[:80]}" of this node.', cure=f"Simulated ones: {known}.")
        move = moved.move(value)
        if duration is not None:
            bus = self._buses[self._sensors[name].bus]
            bus.at(time.monotonic() + duration / 1000, lambda: moved.let_go(move))


class _Input:
    """A simulated input; moves are numbered, so that the end of an earlier one does not undo a later one."""

    def __init__(self, driver: SensorDriver) -> None:
        self._driver = driver
        self._moves = 0
        self._lock = threading.Lock()

    def move(self, value: Value) -> int:
        """Move it; return the number of the move. Raises OutstationError."""
        with self._lock:
            self._driver.simulate(value)
            self._moves += 1
            return self._moves

    def let_go(self, move: int) -> None:
        """End a move, unless there was a later one."""
        with self._lock:
            if move == self._moves:
                self._driver.simulate(None)


def assemble(config: Config, place: Place) -> tuple[Node, Hardware]:
    """Return the core and the hardware of a node, not started."""
    hardware = Hardware(config, place)
    units = {table.name: table.unit or "" for table in config.sensors}
    units |= {table.name: hardware.sensors[table.name].unit for table in config.sensors if table.unit is None}
    units |= derived.units_of(config, units)
    sensors = [_sensor_spec(table, units[table.name]) for table in config.sensors]
    boards = [
        SensorSpec(f"{device.name}/{field}", unit=unit)
        for device in config.devices
        for field, unit in zip_longest(device.fields, device.units[: len(device.fields)], fillvalue="")
    ]
    claimed = specs.ruled(config)
    actuators = [
        specs.actuator_spec(table, dimmable=hardware.actuators[table.name].dimmable, ruled=table.name in claimed)
        for table in config.actuators
    ]
    node = Node(
        [*sensors, *boards],
        actuators,
        rules=specs.rule_specs(config),
        settings=specs.setting_specs(config),
        derived=derived.specs(config),
        quiet=config.alerts.quiet,
    )
    return node, hardware


def _sensor_spec(table: SensorTable, unit: str) -> SensorSpec:
    low, high = table.valid or (None, None)
    limits = Limits(low, high, table.spike, table.stuck)
    # A derived sensor speaks as often as those that it is made of: it has a rhythm, as boards have.
    every = None if derived.is_derived(table) else table.every
    return SensorSpec(table.name, table.label, unit, every, limits, table.dead_band, table.heartbeat)


def _sensor_driver(table: SensorTable, place: Place) -> SensorDriver | absent.Coming:
    """Return the driver; one that another package brings is imported on its own."""

    def make() -> Any:
        return _made("sensors", table.driver, table.name, table.options, place)

    def checked() -> SensorDriver:
        try:
            made = make()
        except ValidationError as error:
            raise MissingDeviceError(_wrong_keys(error), cure="`outstation check` says it in full.") from error
        if isinstance(made, SensorDriver) and isinstance(made.bus, str):
            return made
        raise MissingDeviceError(f'The driver "{table.driver}" is no SensorDriver, or its bus no text.', cure=_TELL)

    if plugins.is_ours("sensors", table.driver):
        ours: SensorDriver = make()
        return ours
    return absent.Coming(table.name, checked, has_unit=table.unit is not None)


def actuator_driver(table: ActuatorTable, place: Place) -> ActuatorDriver:
    """Return the driver of an output, not opened."""
    made: ActuatorDriver = _made("actuators", table.driver, table.name, table.options, place)
    return made


def _made(group: str, driver: str, name: str, options: dict[str, Any], place: Place) -> Any:
    kind = plugins.load(group, driver)
    return kind(name, kind.Options.model_validate(options, context={"base": place.base}), place)


_TELL = "Tell its author."


def _wrong_keys(error: ValidationError) -> str:
    wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
    return f"Its table is wrong: {'; '.join(wrong)}."


def _hand_over(
    loop: asyncio.AbstractEventLoop, report: Callable[[Reading | Failed], None], event: Reading | Failed
) -> None:
    """Carry an event from a sensor's thread into the loop; after the loop's end there is nobody to tell."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(report, event)
