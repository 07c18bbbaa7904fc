"""The channels of PWM of a drill, looked at in the files of their chips a hundred times a second.

Nobody is told when such a file changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from outstation.devices.lines.simulated import Change
from outstation.devices.pwm import PwmOptions, chip_of
from outstation.ops.drill_pins import Pin, Pins, RealPins, SimulatedPins

_LOOK_EVERY_S = 0.01


def all_of(folder: Path, pins: Sequence[Pin]) -> Pins:
    """Return what sees all these: lines, and channels of PWM."""
    channels = [pin for pin in pins if pin.is_pwm]
    lines = [pin for pin in pins if not pin.is_pwm]
    seen: Pins = RealPins(lines) if pins[0].chip == "real" else SimulatedPins(folder, lines)
    if not channels:
        return seen
    return PwmPins(folder, channels, seen if lines else None)


class PwmPins:
    """Looks at channels; what is no channel is asked of `lines`."""

    def __init__(self, folder: Path, pins: Sequence[Pin], lines: Pins | None) -> None:
        self._lines, self._open = lines, ExitStack()
        self._folders = {pin.name: _folder(folder, pin) for pin in pins}
        self._changes: dict[str, list[Change]] = {pin.name: [] for pin in pins}
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._run, name="channels", daemon=True)

    def __enter__(self) -> Self:
        if self._lines is not None:
            self._open.enter_context(self._lines)
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._watch.join()
        self._open.close()

    def changes(self, pin: Pin) -> list[Change]:
        if not pin.is_pwm and self._lines is not None:
            return self._lines.changes(pin)
        return list(self._changes[pin.name])

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            for name, changes in self._changes.items():
                change = _look(self._folders[name])
                if change and (not changes or (changes[-1].level, changes[-1].driven) != (change.level, change.driven)):
                    changes.append(change)


def _folder(data: Path, pin: Pin) -> Path:
    mine = {key: value for key, value in pin.table.items() if key in PwmOptions.model_fields}
    options = PwmOptions.model_validate(mine)
    return chip_of(options, data) / f"pwm{options.channel}"


def _look(folder: Path) -> Change | None:
    """Return how it is now; None: it is not there, or just being written."""
    try:
        period, duty, enabled = (int((folder / name).read_text()) for name in ("period", "duty_cycle", "enable"))
    except (OSError, ValueError):
        return None
    return Change(time.monotonic_ns(), 2 * duty > period, driven=enabled == 1)
