"""Makes safe the outputs that are no pins, when the server cannot: an idle process with their drivers loaded.

The law of this file: no driver is opened before the order comes, each has a time of its own, and whatever one
of them does, the others are made safe. Started by the supervisor with the words of `outstation run`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from outstation import plugins
from outstation.assembly import actuator_driver
from outstation.config import Config
from outstation.devices.gpio import GpioActuator
from outstation.devices.pwm import PwmActuator
from outstation.plugins import ActuatorDriver, Place
from outstation.wire import supervision

_SERVERS_TIME_S = 3.0
"""What a server has to make its outputs safe by itself when the supervisor is gone."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Of a terminal or a service that stops: the supervisor says when this process ends, or its own end does."""


def inherited() -> tuple[socket.socket, Path] | None:
    """Return the socket on which orders come and the data folder; None for a process that is no keeper."""
    given = os.environ.pop(supervision.KEEPER, None)
    if given is None:
        return None
    for signum in _SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    number, _, folder = given.partition("\n")
    orders = socket.socket(fileno=int(number))
    os.set_inheritable(orders.fileno(), False)
    return orders, Path(folder)


def keep(config: Config, base: Path, orders: socket.socket, data: Path) -> int:
    """Wait for orders; return the exit status when the supervisor is gone or a driver hangs."""
    place = Place(data.resolve(), base.resolve())
    kept = [
        (actuator_driver(table, place), table.safe == "on")
        for table in config.actuators
        if not issubclass(plugins.load("actuators", table.driver), GpioActuator | PwmActuator)
    ]
    longest = max((driver.safe_within for driver, _ in kept), default=0.0)
    supervision.say(orders, supervision.READY + f" {longest}".encode())
    while orders.recv(64):
        if not _make_safe(kept):
            return 1  # the next keeper starts with drivers that do not hang yet
        supervision.say(orders, supervision.DONE)
    time.sleep(_SERVERS_TIME_S)
    return 0 if _make_safe(kept) else 1


def _make_safe(kept: list[tuple[ActuatorDriver, bool]]) -> bool:
    """Make all safe at once; return whether each driver came back, well or not."""
    began = time.monotonic()
    threads = [threading.Thread(target=_one_safe, args=each, daemon=True) for each in kept]
    for thread in threads:
        thread.start()
    for thread, (driver, _) in zip(threads, kept, strict=True):
        thread.join(max(0.0, began + driver.safe_within - time.monotonic()))
        if thread.is_alive():
            _tell(f"{driver.name} may not be in its safe state: its driver was not done in {driver.safe_within:g} s")
    return not any(thread.is_alive() for thread in threads)


def _one_safe(driver: ActuatorDriver, level: bool) -> None:
    try:
        driver.open(level)
    except Exception as error:  # noqa: BLE001 - a stranger's driver may raise anything; the others go on
        _tell(f"{driver.name} may not be in its safe state: {str(error) or repr(error)}")
    try:
        driver.close()
    except Exception as error:  # noqa: BLE001 - as above
        _tell(f"{driver.name} could not be let go: {str(error) or repr(error)}")


def _tell(text: str) -> None:
    sys.stderr.write(f"ERROR outstation.keeper: {text}\n")
    sys.stderr.flush()
