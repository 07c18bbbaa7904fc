"""A node whose page has everything on it at once, and whose every text is markup."""

from __future__ import annotations

import time
from pathlib import Path

from tests.running import Running

MARKUP = "<img src=x onerror=alert(1)>"
"""As text it is shown. As markup it would ask the node for a file named x, which the browser complains of."""

CONFIG = f"""
[[sensors]]
name = "door"
label = "{MARKUP}door"
driver = "gpio"
pin = 27
simulate = true

[[sensors]]
name = "air"
label = "{MARKUP}air"
driver = "command"
command = ["echo", "21.5"]
every = "1s"
unit = "°C"

[[sensors]]
name = "broken"
driver = "command"
command = ["echo", "{MARKUP}printed"]
every = "1s"

[[sensors]]
name = "doubtful"
driver = "command"
command = ["echo", "99"]
every = "1s"
valid = [0, 50]

[[actuators]]
name = "vent"
label = "{MARKUP}vent"
driver = "gpio"
pin = 17
simulate = true

[[actuators]]
name = "pump"
driver = "gpio"
pin = 22
simulate = true
min_off = "1h"

[[actuators]]
name = "fan"
driver = "pwm"
channel = 0
simulate = true

[[settings]]
name = "vent_at"
label = "{MARKUP}vent_at"
value = 30
min = 15
max = 45
unit = "°C"

[[rules]]
name = "ventilate"
when = "porch/temperature > vent_at"
claim = {{ vent = "on", fan = 0.4 }}
alert = {{ severity = "critical", message = "{MARKUP}message" }}

[[rules]]
name = "noted"
when = "porch/temperature > 1"
alert = {{ severity = "warning", message = "Above 1 °C" }}

[[rules]]
name = "attic"
when = "attic/temperature > vent_at"
alert = {{ severity = "info", message = "Never" }}

[[rules]]
name = "soon"
when = "porch/temperature > 2"
hold = "1h"
alert = {{ severity = "info", message = "Above 2 °C" }}
"""


class Crowded(Running):
    """That node."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "data", CONFIG)

    def start(self) -> None:
        super().start()
        now = int(time.time())
        for sensor, value, at in (
            ("porch/temperature", 31.5, now),
            ("porch/note", f"{MARKUP}note", now),
            ("cellar/temperature", -3.2, now - 7200),
        ):
            assert self.post("/api/readings", {"sensor": sensor, "value": value, "timestamp": at}).status == 200
        assert self.post("/api/actuators/pump", {"action": "on"}).status == 202
