"""From the tables of a configuration to specs for the core and drivers for the engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from outstation import plugins
from outstation.config import ActuatorTable, Config, SensorTable, specs
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import Failed, Millis, Reading, Value
from outstation.core.sensors import SensorSpec
from outstation.engine.bus import Buses
from outstation.engine.outputs import Outputs
from outstation.engine.sampler import Sampled, Sampler
from outstation.errors import UnknownNameError
from outstation.plugins import ActuatorDriver, Place, SensorDriver


class Hardware:
    """The drivers of one node and what runs them. Sensors and outputs of one bus share its thread."""

    def __init__(self, config: Config, place: Place) -> None:
        self._tables = config.sensors
        self._sensors = {table.name: _sensor_driver(table, place) for table in config.sensors}
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

    def start_sensors(self, report: Callable[[Reading | Failed], None]) -> None:
        """Begin to ask the sensors; `report` is called in the loop's thread."""
        loop = asyncio.get_running_loop()
        sampled = [
            Sampled(table.name, self._sensors[table.name], table.every, table.scale, table.offset)
            for table in self._tables
        ]
        self._sampler = Sampler(sampled, lambda event: _hand_over(loop, report, event), self._buses)
        self._sampler.start()

    async def stop(self) -> None:
        """Ask nothing more and let go of everything. Outputs were made safe before."""
        if self._sampler:
            await asyncio.to_thread(self._sampler.close)
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
    sensors = [_sensor_spec(table, hardware.sensors[table.name]) for table in config.sensors]
    boards = [SensorSpec(f"{device.name}/{field}") for device in config.devices for field in device.fields]
    claimed = specs.ruled(config)
    actuators = [
        specs.actuator_spec(table, dimmable=hardware.actuators[table.name].dimmable, ruled=table.name in claimed)
        for table in config.actuators
    ]
    rules, settings = specs.rule_specs(config), specs.setting_specs(config)
    return Node([*sensors, *boards], actuators, rules=rules, settings=settings, quiet=config.alerts.quiet), hardware


def _sensor_spec(table: SensorTable, driver: SensorDriver) -> SensorSpec:
    low, high = table.valid or (None, None)
    unit = driver.unit if table.unit is None else table.unit
    limits = Limits(low, high, table.spike, table.stuck)
    return SensorSpec(table.name, table.label, unit, table.every, limits, table.dead_band, table.heartbeat)


def _sensor_driver(table: SensorTable, place: Place) -> SensorDriver:
    made: SensorDriver = _made("sensors", table.driver, table.name, table.options, place)
    return made


def actuator_driver(table: ActuatorTable, place: Place) -> ActuatorDriver:
    """Return the driver of an output, not opened."""
    made: ActuatorDriver = _made("actuators", table.driver, table.name, table.options, place)
    return made


def _made(group: str, driver: str, name: str, options: dict[str, Any], place: Place) -> Any:
    kind = plugins.load(group, driver)
    return kind(name, kind.Options.model_validate(options), place)


def _hand_over(
    loop: asyncio.AbstractEventLoop, report: Callable[[Reading | Failed], None], event: Reading | Failed
) -> None:
    """Carry an event from a sensor's thread into the loop; after the loop's end there is nobody to tell."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(report, event)
