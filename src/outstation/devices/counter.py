"""Counters: rain, energy, water, wind: what has come in all, and how fast it comes.

The law of this file: the total is nowhere but in the readings. It goes on from the last one that was stored, so that
a restart costs the pulses of one `every` at most, a power cut those of `lose_at_most` as well, and neither a write.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from outstation import clock
from outstation.config import parse_duration
from outstation.config.values import parse_moment
from outstation.core.readings import Millis, Value
from outstation.devices.gpio import BOUNCE, Debounce, open_line
from outstation.devices.lines.line import Line, Pull, Wanted
from outstation.devices.pulses import CountedElsewhere, CountedLine, Rate, SharedLines, Source
from outstation.errors import DeviceError
from outstation.plugins import DriverOptions, Place, SensorDriver

_PERIODS = {"1s": 1, "1m": 60, "1h": 3_600, "1d": 86_400}

_LINES = SharedLines()
"""Two sensors, one of the total and one of the rate, count on one pin."""


class CounterOptions(DriverOptions):
    """`pin` counts pulses on a line, `file` follows a number that somebody else counts; one of the two.

    per_pulse: what one pulse is worth. start: the total where none is known. reset: what was known before that moment
    counts no more: the total began anew. per: the time that a rate is for. still: so long after the last pulse the
    rate is 0. wrap: where the number in the file goes round.
    """

    quantity: Literal["total", "rate"] = "total"
    pin: Annotated[int, Field(ge=0, le=1023)] | None = None
    chip: str | None = None
    active_low: bool = False
    pull: Pull | None = None
    debounce: Debounce = parse_duration(BOUNCE)
    simulate: bool = False
    file: str | None = None
    wrap: Annotated[int, Field(ge=2)] | None = None
    per_pulse: Annotated[int | float, Field(gt=0)] = 1
    start: int | float = 0
    reset: Annotated[Millis, BeforeValidator(parse_moment)] | None = None
    per: Literal["1s", "1m", "1h", "1d"] = "1h"
    still: Annotated[Millis, BeforeValidator(parse_duration)] = parse_duration("5m")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.pin is None) == (self.file is None):
            raise ValueError("expected pin or file, one of the two")
        if self.file is None and self.wrap is not None:
            raise ValueError("wrap belongs to file: pulses on a pin are counted without end")
        return self

    @property
    def is_total(self) -> bool:
        """Whether it needs its own last reading."""
        return self.quantity == "total"


class CounterSensor(SensorDriver):
    """A total, which only grows, or a rate."""

    Options = CounterOptions
    options: CounterOptions

    def __init__(self, name: str, options: CounterOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self.simulated = options.simulate
        self._key = (place.data, options.chip, options.pin, options.simulate)
        self.bus = f"counter:{options.file or (options.chip or 'header', options.pin)}"
        self._source: Source | None = None
        self._rate: Rate | None = None
        self._base: int | float | None = None
        self._first = 0
        self._wished: Value | None = None

    def open(self) -> None:
        """Begin to count, where the last total ended."""
        self.close()
        if self._base is None and self.options.is_total:
            self._base = self._last()
        self._source = self._begun()
        self._first = self._source.count
        self._rate = Rate(clock.monotonic_ns(), self.options.still * 1_000_000, self._first)

    def read(self) -> Value:
        """Return the total, or the rate, now."""
        if self._source is None or self._rate is None:
            raise DeviceError(f"The counter {self.name} is not open.")
        now_ns = clock.monotonic_ns()
        count, last_ns = self._source.look(now_ns)
        rate = self._rate.at(now_ns, count, last_ns)
        if self._wished is not None:
            return self._wished
        if self.options.quantity == "rate":
            return rate * self.options.per_pulse * _PERIODS[self.options.per]
        return self._total(count)

    def close(self) -> None:
        """Count no more; what was counted is remembered."""
        source, self._source = self._source, None
        if source is None:
            return
        self._base = self._total(source.count)
        if isinstance(source, CountedLine):
            _LINES.let_go(self._key, source)
        else:
            source.close()

    def simulate(self, value: Value | None) -> None:
        """Have it read `value`; what is counted meanwhile shows when it is let go of."""
        if not self.simulated:
            super().simulate(value)
        self._wished = value

    def _last(self) -> int | float:
        last = self.place.last(self.name, self.options.reset or 0)
        return self.options.start if last is None or isinstance(last, bool | str) else last

    def _total(self, count: int) -> int | float:
        return (self._base or 0) + (count - self._first) * self.options.per_pulse

    def _begun(self) -> Source:
        if self.options.file is not None:
            return CountedElsewhere(self.place.base / self.options.file, self.options.wrap)
        how = self.options.active_low, self.options.pull, self.options.debounce
        return _LINES.hold(self._key, how, self._line)

    def _line(self) -> Line:
        options = self.options
        wanted = Wanted(
            pin=options.pin or 0,
            holder=f"outstation {self.name}",
            active_low=options.active_low,
            pull=options.pull,
            debounce=options.debounce,
        )
        return open_line(options.chip, self.place, wanted, simulate=options.simulate)
