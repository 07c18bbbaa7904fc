"""The pins of a drill as the world outside sees them: simulated chips of both kinds, or this machine's own."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import msgspec

from outstation import plugins
from outstation.config import ActuatorTable, Config
from outstation.devices.gpio import GpioActuator, GpioOptions
from outstation.devices.lines import simulated
from outstation.devices.lines.simulated import Change, SimulatedChip
from outstation.devices.pwm import PwmActuator, PwmOptions
from outstation.errors import OutstationError

Chip = Literal["kept", "floating", "real"]
"""What a chip does with a line that nobody holds; a real one does what its kernel wants."""

LEVELS = Path("/sys/kernel/debug/gpio")
"""What root may read of all lines."""

_LOOK_EVERY_S = 0.01
_HELD = re.compile(r"[|(]outstation (drill_\d+) *\) out(?: |put-)(hi|lo)")
"""As gpiolib_dbg_show and gpio_sim_dbg_show print a line that is held (drivers/gpio/gpiolib.c, gpio-sim.c)."""


class Pin(msgspec.Struct, frozen=True):
    """An output of the config on a pin of the drill. name: what the drilled node calls it."""

    name: str
    actuator: str
    chip: Chip
    table: dict[str, str | float | bool]
    safe: bool

    @property
    def is_pwm(self) -> bool:
        """Whether it is a channel of PWM, and no line."""
        return self.table.get("driver") == "pwm"

    @property
    def safe_high(self) -> bool:
        """Whether the pin is high where the output is safe."""
        return self.safe != self.table["active_low"]


class Pins(Protocol):
    """A place from which all pins of a drill can be seen. A context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def changes(self, pin: Pin) -> list[Change]:
        """Return what the pin went through, oldest first."""


def of_config(config: Config, *, hardware: bool) -> tuple[list[Pin], list[str]]:
    """Return the pins to drill, and in words which outputs are none."""
    found: list[Pin] = []
    left_out: list[str] = []
    for table in config.actuators:
        kind = plugins.load("actuators", table.driver)
        if not issubclass(kind, GpioActuator | PwmActuator):
            left_out.append(
                f"{table.name} is not drilled, being no pin of this machine: its driver ({table.driver}) states that "
                f"it needs at most {kind.safe_within:g} s"
            )
            continue
        options: GpioOptions | PwmOptions = kind.Options.model_validate(table.options)
        if hardware and options.simulate:
            left_out.append(f"{table.name} is not drilled: its pin is simulated")
        elif isinstance(options, PwmOptions):
            found.append(_channel(table, options, len(found), hardware=hardware))
        elif hardware:
            found.append(_real(table, options, len(found)))
        else:
            found += [_simulated(table, options, chip, len(found)) for chip in ("kept", "floating")]
    return found, left_out


def config_text(pins: Sequence[Pin]) -> str:
    """Return the config of the node that is drilled: the outputs, and nobody who moves them."""
    rows = []
    for pin in pins:
        values = {"name": pin.name, "driver": "gpio", "safe": "on" if pin.safe else "off", **pin.table}
        rows += [
            "[[actuators]]",
            *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()),
        ]
    return "\n".join(rows) + "\n"


class SimulatedPins:
    """Both kinds of chip, in the data folder of the node that is drilled; they end with the drill."""

    def __init__(self, folder: Path, pins: Sequence[Pin]) -> None:
        self._folder, self._pins = folder, pins
        self._chips: dict[Chip, SimulatedChip] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for kind in ("kept", "floating"):
                path = self._folder / f"{kind}.sim"
                simulated.start(path, on_release=kind, lines=1 + max(int(pin.table["pin"]) for pin in self._pins))
                self._chips[kind] = opened.enter_context(SimulatedChip(path))
                opened.callback(self._chips[kind].stop)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def changes(self, pin: Pin) -> list[Change]:
        return self._chips[pin.chip].changes(int(pin.table["pin"]))


class RealPins:
    """Looks at what the kernel tells root about its lines, a hundred times a second. Raises OutstationError."""

    def __init__(self, pins: Sequence[Pin], levels: Path = LEVELS) -> None:
        self._levels = levels
        self._changes: dict[str, list[Change]] = {pin.name: [] for pin in pins}
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._run, name="pins", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._watch.join()

    def changes(self, pin: Pin) -> list[Change]:
        if not self._watch.is_alive():
            raise OutstationError(f"{self._levels} can no longer be read.")
        return list(self._changes[pin.name])

    def _run(self) -> None:
        with suppress(OutstationError):  # whoever asks for the changes is told
            while not self._ended.wait(_LOOK_EVERY_S):
                self._look()

    def _look(self) -> None:
        try:
            text = self._levels.read_text()
        except OSError as error:
            raise OutstationError(
                f"The levels of the pins are not visible: {self._levels}: {(error.strerror or str(error)).lower()}.",
                cure="Run the drill as root (sudo), on a kernel with debugfs. Nothing was switched.",
            ) from error
        at_ns = time.monotonic_ns()
        driven = {name: level == "hi" for name, level in _HELD.findall(text)}
        for name, changes in self._changes.items():
            if name in driven:
                change = Change(at_ns, driven[name], driven=True)
            else:
                change = Change(at_ns, changes[-1].level if changes else False, driven=False)
            if not changes or (changes[-1].level, changes[-1].driven) != (change.level, change.driven):
                changes.append(change)


def _simulated(table: ActuatorTable, options: GpioOptions, chip: Chip, before: int) -> Pin:
    number = before + (chip == "floating")
    place: dict[str, str | float | bool] = {"chip": chip, "pin": number, "simulate": True}
    return _pin(table, options, chip, number, place)


def _real(table: ActuatorTable, options: GpioOptions, number: int) -> Pin:
    place: dict[str, str | float | bool] = {"pin": options.pin}
    return _pin(table, options, "real", number, place | ({"chip": options.chip} if options.chip else {}))


def _channel(table: ActuatorTable, options: PwmOptions, number: int, *, hardware: bool) -> Pin:
    """Return a channel of PWM, of which there is one kind: it goes on as it is when nobody has it."""
    place: dict[str, str | float | bool] = {"driver": "pwm", "frequency": options.frequency}
    place |= {"chip": options.chip, "channel": options.channel} if hardware else {"channel": number, "simulate": True}
    return _pin(table, options, "real" if hardware else "kept", number, place)


def _pin(
    table: ActuatorTable,
    options: GpioOptions | PwmOptions,
    chip: Chip,
    number: int,
    place: dict[str, str | float | bool],
) -> Pin:
    # The kernel shows 20 bytes of "outstation NAME": the drill's names are short.
    rest: dict[str, str | float | bool] = {"active_low": options.active_low, "default": table.default}
    return Pin(f"drill_{number + 1}", table.name, chip, place | rest, table.safe == "on")
