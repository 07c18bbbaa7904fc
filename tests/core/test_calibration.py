"""What a sensor says is brought to what is true, by a line or by points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.calibration import Calibration

SOIL = Calibration(points=((0.4, 0.0), (1.2, 50.0), (2.0, 60.0)))
"""Volts of a probe, and percent: steep at first."""


@pytest.mark.parametrize(
    ("volts", "percent"), [(0.4, 0), (0.8, 25), (1.2, 50), (1.6, 55), (2.0, 60), (2.8, 70), (0.0, -25)]
)
def test_points_are_met_and_lines_go_on_beyond_them(volts: float, percent: float) -> None:
    assert SOIL.true(volts) == pytest.approx(percent)
    assert SOIL.raw(percent) == pytest.approx(volts)


def test_without_any_a_number_stays_what_it_is() -> None:
    assert Calibration().true(2**62 + 1) == 2**62 + 1
    assert Calibration().raw(2**62 + 1) == 2**62 + 1


def test_a_scale_and_an_offset() -> None:
    fahrenheit = Calibration(1.8, 32)
    assert (fahrenheit.true(100), fahrenheit.raw(212)) == (212, 100)


def test_a_curve_that_falls_tells_what_was_said() -> None:
    thermistor = Calibration(points=((0.5, 80.0), (1.0, 40.0), (3.0, -10.0)))
    assert thermistor.raw(15) == pytest.approx(2.0)


@pytest.mark.parametrize("points", [((0, 1), (1, 3), (2, 1)), ((0, 1), (1, 3), (2, 2)), ((0, 1), (1, 1))])
def test_where_a_value_comes_twice_nobody_knows_what_was_said(points: tuple[tuple[float, float], ...]) -> None:
    assert Calibration(points=points).raw(1.5) is None


numbers = st.integers(-1000, 1000)


@given(st.dictionaries(numbers, numbers, min_size=2), st.floats(-2000, 2000))
def test_between_two_points_a_value_is_between_theirs(known: dict[int, int], raw: float) -> None:
    points = tuple(sorted((float(one), float(other)) for one, other in known.items()))
    calibration = Calibration(points=points)
    below, above = [point for point in points if point[0] <= raw], [point for point in points if point[0] >= raw]
    if below and above:
        low, high = sorted((below[-1][1], above[0][1]))
        assert low - 1e-6 <= calibration.true(raw) <= high + 1e-6
    assert [calibration.true(one) for one, _ in points] == pytest.approx([other for _, other in points])
