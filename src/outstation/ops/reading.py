"""Reads sensors once, with the drivers and the words of the server: each bus in a thread of its own.

A driver may raise anything, return anything, or hang: it is one outcome, and the others come all the same.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import msgspec

from outstation.core.readings import Value
from outstation.engine.sampler import Sampled, said, worth
from outstation.errors import DeviceError
from outstation.plugins import SensorDriver

PATIENCE_S = 30.0
"""A module that takes 10 s to import and a chip that measures for 5 s are no faults."""

_CLOSE_S = 1.0
_AND_SOME = 1.25
"""A driver that ends by itself may be late."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of reading a sensor. opening, seconds: how long the two steps took."""

    name: str
    value: Value | None = None
    opening: float = 0.0
    seconds: float = 0.0
    error: str = ""


def read_once(sensors: Sequence[Sampled], patience: float = PATIENCE_S) -> list[Outcome]:
    """Open, read and close each; return what came of it, in their order, after `patience` seconds at the latest.

    A driver that says that it may take longer is given its time.
    """
    done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    buses: dict[str, list[Sampled]] = {}
    for sensor in sensors:
        buses.setdefault(sensor.driver.bus, []).append(sensor)
    threads = [
        threading.Thread(target=_read_bus, args=(group, done), name=f"bus {bus}", daemon=True)
        for bus, group in buses.items()
    ]
    for thread in threads:
        thread.start()
    patience = max([patience, *(_AND_SOME * sensor.driver.answers_within for sensor in sensors)])
    until = time.monotonic() + patience
    outcomes: dict[str, Outcome] = {}
    with suppress(queue.Empty):
        while len(outcomes) < len(sensors):
            one = done.get(timeout=max(0.0, until - time.monotonic()))
            outcomes[one.name] = one
        for thread in threads:
            thread.join(_CLOSE_S)
    return [outcomes.get(sensor.name) or _silent(sensor.name, patience) for sensor in sensors]


def _read_bus(group: Sequence[Sampled], done: queue.SimpleQueue[Outcome]) -> None:
    """Read what is on one bus. All stay open until the last was read: a chip that several share is started once."""
    for outcome in _outcomes(group):
        done.put(outcome)
    for sensor in group:
        _close(sensor.driver)


def _outcomes(group: Sequence[Sampled]) -> Iterator[Outcome]:
    """Open all first: then a chip that several share takes what they want at once."""
    opened: list[tuple[Sampled, float]] = []
    for sensor in group:
        began = time.monotonic()
        try:
            sensor.driver.open()
        except Exception as error:  # noqa: BLE001 - a stranger's driver may raise anything; the others go on
            yield Outcome(sensor.name, opening=time.monotonic() - began, error=said(error))
        else:
            opened.append((sensor, time.monotonic() - began))
    for sensor, opening in opened:
        began = time.monotonic()
        try:
            value = worth(sensor, sensor.driver.read())
        except Exception as error:  # noqa: BLE001 - as above
            yield Outcome(sensor.name, None, opening, time.monotonic() - began, said(error))
        else:
            yield Outcome(sensor.name, value, opening, time.monotonic() - began)


def _close(driver: SensorDriver) -> None:
    with suppress(Exception):  # what is to be closed may be what is broken, and it was told
        driver.close()


def _silent(name: str, patience: float) -> Outcome:
    error = DeviceError(
        f"It has not answered in {patience:g} s, or another one on its bus has not.",
        cure="Look at its wiring; read it alone to see which one hangs.",
    )
    return Outcome(name, None, 0.0, patience, str(error))
