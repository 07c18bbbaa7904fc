"""From what a driver says to what is true: a straight line, or straight lines between points that were measured."""

from __future__ import annotations

from bisect import bisect_right

import msgspec

Point = tuple[float, float]
"""What the sensor said, and what was true."""


class Calibration(msgspec.Struct, frozen=True):
    """value = raw * scale + offset; or by points, rising by what the sensor said, two or more.

    Between two points it is the straight line through both, beyond the first and the last the line goes on.
    """

    scale: float = 1.0
    offset: float = 0.0
    points: tuple[Point, ...] = ()

    def true(self, raw: float) -> float:
        """Return what is true when the sensor says this: the same number where nothing is calibrated."""
        if self.points:
            return _on_lines(self.points, raw)
        return raw if self.scale == 1 and self.offset == 0 else raw * self.scale + self.offset

    def raw(self, value: float) -> float | None:
        """Return what the sensor said when this was true; None where points do not tell: the same value comes twice."""
        if not self.points:
            return value if self.scale == 1 and self.offset == 0 else (value - self.offset) / self.scale
        swapped = sorted((true, raw) for raw, true in self.points)
        raws = [raw for _, raw in swapped]
        distinct = len({true for true, _ in swapped}) == len(swapped)
        return _on_lines(swapped, value) if distinct and raws in (sorted(raws), sorted(raws, reverse=True)) else None


def _on_lines(points: list[Point] | tuple[Point, ...], x: float) -> float:
    right = min(max(bisect_right(points, x, key=lambda point: point[0]), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[right - 1 : right + 1]
    return y0 + (x - x0) * ((y1 - y0) / (x1 - x0))
