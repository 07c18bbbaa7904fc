"""A sensor in one file: how long the sun is up today, in hours, at 52 degrees north."""

from __future__ import annotations

import datetime
import math

LATITUDE = math.radians(52)
TILT = math.radians(23.44)


def read() -> float:
    """Return the hours from sunrise to sunset, by the sunrise equation without refraction."""
    day = datetime.datetime.now(datetime.UTC).timetuple().tm_yday
    declination = TILT * math.sin(math.tau * (day - 81) / 365.25)
    hour_angle = math.acos(-math.tan(LATITUDE) * math.tan(declination))
    return 24 * hour_angle / math.pi
