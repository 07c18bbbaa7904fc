"""outstation.toml -> frozen models; an error names file, table, key, what was found and the cure.

The models say what one table may hold; `checks` says what the tables mean for one another; `mistakes`
finds the words; `loading` reads a file, so that `outstation check` prints the errors of a start.
"""

from outstation.config.loading import find, load
from outstation.config.models import (
    RESERVED,
    ActuatorTable,
    Config,
    DeviceTable,
    DisplayTable,
    NodeTable,
    SensorTable,
    StoreTable,
    WebTable,
)
from outstation.config.values import parse_duration

__all__ = [
    "RESERVED",
    "ActuatorTable",
    "Config",
    "DeviceTable",
    "DisplayTable",
    "NodeTable",
    "SensorTable",
    "StoreTable",
    "WebTable",
    "find",
    "load",
    "parse_duration",
]
