"""Lines of text on a serial port: `pattern = 'T=([-0-9.]+)'`.

The law of this file: a line counts when its beginning and its end were heard; and it is a sensor's value once.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from outstation.config.values import Duration
from outstation.core.readings import Value
from outstation.devices import value_in_text
from outstation.devices.value_in_text import TextOptions
from outstation.devices.wiring import tty
from outstation.errors import DeviceError
from outstation.plugins import Place, SensorDriver


class SerialOptions(TextOptions):
    """port: its device. framing: bits, parity, stop bits. timeout: how old a line may be; so long one is waited for."""

    port: str
    baud: Annotated[int, Field(ge=50, le=4_000_000)] = 9600
    framing: Literal["8N1", "8N2", "8E1", "8O1", "7N1", "7E1", "7O1"] = "8N1"
    timeout: Duration = 10_000


class SerialSensor(SensorDriver):
    """The newest line that fits. Sensors on one port share it."""

    Options = SerialOptions
    options: SerialOptions

    def __init__(self, name: str, options: SerialOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self.bus = f"serial:{options.port}"
        self.answers_within = 2 * options.timeout / 1000
        self._heard: tuple[tty.Port, tty.Listener] | None = None

    def open(self) -> None:
        """Open the port, or join those who have it open."""
        self.close()
        options = self.options
        port = tty.join(tty.Settings(options.port, options.baud, options.framing))
        self._heard = port, port.listen(lambda line: value_in_text.find(line, options))

    def read(self) -> Value:
        if self._heard is None:
            raise DeviceError(f"{self.options.port} is not open.")
        port, listener = self._heard
        return value_in_text.value(port.newest(listener, self.options.timeout / 1000), self.options)

    def close(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            port, listener = heard
            port.leave(listener)
