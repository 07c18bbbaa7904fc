"""outstation.toml -> frozen models; an error names file, table, key, what was found and the cure.

The models say what one table may hold; `checks` and `decisions` say what the tables mean for one another;
`mistakes` finds the words; `loading` reads a file, so that `outstation check` prints the errors of a start;
`specs` makes of the tables what the core decides with.
"""

from outstation.config.loading import find, load, load_rules
from outstation.config.models import (
    RESERVED,
    ActuatorTable,
    AlertClause,
    AlertsTable,
    AppriseTable,
    Config,
    DeviceTable,
    DisplayTable,
    NodeTable,
    RuleTable,
    SensorTable,
    SettingTable,
    StoreTable,
    UplinkTable,
    WebhookTable,
    WebTable,
)
from outstation.config.values import parse_duration

__all__ = [
    "RESERVED",
    "ActuatorTable",
    "AlertClause",
    "AlertsTable",
    "AppriseTable",
    "Config",
    "DeviceTable",
    "DisplayTable",
    "NodeTable",
    "RuleTable",
    "SensorTable",
    "SettingTable",
    "StoreTable",
    "UplinkTable",
    "WebTable",
    "WebhookTable",
    "find",
    "load",
    "load_rules",
    "parse_duration",
]
