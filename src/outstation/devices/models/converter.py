"""What models of converters have in common: the way back through a formula, and inputs that differ."""

from __future__ import annotations

from collections.abc import Callable

from outstation.devices.models.model import Measuring


def halved(formula: Callable[[int], float], wanted: float, bits: int) -> int:
    """Return the number of so many bits whose formula comes nearest to what is wanted; it may rise or fall."""
    low, high = 0, (1 << bits) - 1
    rises = formula(high) > formula(low)
    while high - low > 1:
        middle = (low + high) // 2
        if (formula(middle) < wanted) == rises:
            low = middle
        else:
            high = middle
    return min(low, high, key=lambda number: abs(formula(number) - wanted))


class Inputs(Measuring):
    """Volts at each input: `a0`. A difference, `a0_a1`, is made by moving the first of the two."""

    def set(self, quantity: str, value: float | None) -> None:
        plus, _, minus = quantity.partition("_")
        if minus and value is not None:
            value += self.values[minus]
        super().set(plus, value)
