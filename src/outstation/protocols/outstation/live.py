"""What nodes show of themselves while somebody watches: the newest of each sensor, taken in and never stored.

The law of this file: it waits for no disk, and what is wrong with one value is passed over. A restart forgets it: what
is known of a sensor for good came with a summary.
"""

from __future__ import annotations

from outstation import clock
from outstation.core import reporting
from outstation.core.node import SENSORS_A_NODE
from outstation.core.readings import MAX_TEXT, Millis, Quality, Reading
from outstation.core.sensors import MAX_AHEAD, SensorSpec
from outstation.engine import reported
from outstation.engine.site import Site
from outstation.protocols.outstation.taking import LONGEST_MARK
from outstation.protocols.outstation.wire import About, Batch, Live
from outstation.store.nodes import EVERY

NODES = 50
"""They may be live at once: of more nobody sees the page, and a hub has 2,000."""

_ASKED: Millis = 10_000
"""So long a node that was asked for live values counts as one that sends them."""

_QUALITIES = {one.name.lower(): one for one in Quality}


class Audience:
    """Which nodes are asked for live values: some of them, while somebody looks."""

    def __init__(self, site: Site) -> None:
        self._feed = site.feed
        self._asked: dict[str, Millis] = {}

    def watches(self, node: str, now: Millis) -> bool:
        """Tell whether a node is to send them from now on."""
        if not self._feed.attended(now):
            return False
        self._asked = {name: at for name, at in self._asked.items() if now - at < _ASKED}
        if node not in self._asked and len(self._asked) >= NODES:
            return False
        self._asked[node] = now
        return True


def is_live(batch: Batch) -> bool:
    """Tell whether a batch has live values, and nothing that moves or is stored."""
    return bool(batch.live) and not (batch.epoch or batch.alerts)


def hear(site: Site, node: str, batch: Batch, moment: clock.Moment, *, is_sure: bool) -> None:
    """Take in the live values of a batch. is_sure: whether this clock is synchronised."""
    latest = moment.at + MAX_AHEAD if is_sure else reporting.LATEST
    readings = []
    for item in batch.live:
        name = reporting.name(node, item.sensor)
        if name and _is_fit(item, latest) and _knows(site, name, batch.sensors.get(item.sensor)):
            quality = _QUALITIES.get(item.quality, Quality.OK)
            readings.append(Reading(name, item.value, item.at, moment.now, moment.at, quality, sender_stamped=True))
    if readings:
        reported.hear(site.runner, readings)


def _is_fit(item: Live, latest: Millis) -> bool:
    value = item.value
    if isinstance(value, str):
        return 0 <= item.at <= latest and len(value.encode("utf-8", "replace")) <= MAX_TEXT
    return 0 <= item.at <= latest and -(2**63) <= value < 2**63


def _knows(site: Site, name: str, about: About | None) -> bool:
    """Tell whether a sensor is known, or may be from now on."""
    state = site.node.sensors.get(name)
    if state is None and (not site.config.web.accept_new_sensors or len(site.node.sensors) >= SENSORS_A_NODE):
        return False
    if about is not None or state is None:
        every = EVERY if state is None or state.spec.every is None else state.spec.every
        unit, label = (about.unit, about.label) if about else ("", "")
        reported.describe(site.runner, [SensorSpec(name, label[:LONGEST_MARK], unit[:LONGEST_MARK], every)])
    return True
