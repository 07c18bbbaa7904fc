"""What some keys of a sensor may be: the quantities of a chip, points that were measured."""

from __future__ import annotations

import math
import re
import sys
from itertools import pairwise
from typing import Annotated

from pydantic import PlainValidator

from outstation.core.calibration import Point

_MOST = sys.float_info.max


def parse_quantities(value: object) -> tuple[str, ...] | dict[str, str]:
    """Return the names of quantities, with their units where these are given. Raises ValueError."""
    names = list(value) if isinstance(value, list | dict) else []
    right = all(isinstance(name, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in names)
    if not names or not right or len({name.lower() for name in names}) < len(names):
        raise ValueError('expected names such as ["temperature", "humidity"], each once')
    if not isinstance(value, dict):
        return tuple(names)
    if not all(isinstance(unit, str) for unit in value.values()):
        raise ValueError('expected a unit for each quantity, such as { temperature = "°C", humidity = "%" }')
    return value


def _points(value: object) -> tuple[Point, ...]:
    points = value if isinstance(value, list | tuple) else ()
    if len(points) < 2 or not all(map(_is_point, points)):
        raise ValueError("expected two points or more, [what it says, what is true], such as [[0.4, 0], [2.0, 100]]")
    ordered = sorted((float(point[0]), float(point[1])) for point in points)
    if not all(_is_line(one, other) for one, other in pairwise(ordered)):
        raise ValueError("expected points that differ in what the sensor says")
    return tuple(ordered)


def _is_point(point: object) -> bool:
    two = point if isinstance(point, list | tuple) else ()
    numbers = [one for one in two if isinstance(one, int | float) and not isinstance(one, bool)]
    return len(two) == len(numbers) == 2 and all(abs(one) <= _MOST for one in numbers)


def _is_line(one: Point, other: Point) -> bool:
    """Tell whether there is one between two points: neither upright, nor of numbers beyond what a computer can hold."""
    along, up = other[0] - one[0], other[1] - one[1]
    return along > 0 and all(map(math.isfinite, (along, up, up / along)))


Quantities = Annotated[tuple[str, ...] | dict[str, str], PlainValidator(parse_quantities)]
Points = Annotated[tuple[Point, ...], PlainValidator(_points)]
