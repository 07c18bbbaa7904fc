"""Going on after a restart: what was kept of rules, outputs, settings and alerts is given back to the core.

The law of this file: it comes before the outputs are opened, and a node without what was kept starts
all the same, with everything at its default.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from outstation import clock
from outstation.core.node import Node
from outstation.core.readings import Millis, Reading, Value
from outstation.core.sensors import SensorSpec
from outstation.core.summaries import Numbers
from outstation.engine.runner import Runner, stamp_now
from outstation.errors import StoreError
from outstation.store import alerts, nodes, told
from outstation.store.database import Store
from outstation.store.history import History

log = logging.getLogger(__name__)

_LONG_AGO = 86_400_000
"""The age of a reading from the future: the clock was set back, and a reading that only looks new must not count."""


_A_PAGE = 1_000


def resume(runner: Runner, setting: clock.Setting) -> None:
    """Give the core what has outlived the restart. Blocks while it reads."""
    node, store = runner.node, runner.store
    noted = runner.notebook.rows() if runner.notebook else None
    try:
        kept, then = store.kept()
        with store.read() as connection:
            node.decisions.alerts.count_from(alerts.highest(connection))
            runner.elsewhere = {alert.id: alert for alert in told.standing(connection)}
    except StoreError as error:
        log.warning("starting without what outputs, rules and settings were before: %s", error)
        kept, then = {}, None
    if noted is not None:  # of this boot, and at least as new as the disk
        kept, then = noted, stamp_now(setting)
    if then is None:
        return
    runner.do(node.restore(kept, then, stamp_now(setting)))


def remember(node: Node, history: History) -> None:
    """Give the core the newest reading of each sensor, aged by how long the node was away."""
    moment = clock.moment()
    for name, reading in _latest(history).items():
        if name in node.actuators:
            continue
        state = node.sensors.get(name)
        if state is None and "/" not in name:
            continue
        age = moment.at - reading.at
        now = moment.now - (age if age >= 0 else _LONG_AGO)
        known = Reading(name, reading.value, reading.at, now, reading.at, reading.quality, reading.sender_stamped)
        node.learn(state.spec if state else SensorSpec(name), known)


def last_value(history: History, name: str, since: Millis) -> Value | None:
    """Return the newest value of a sensor, whatever faults came after it; None: before `since`. Blocks.

    Raises StoreError.
    """
    newest = history.latest().get(name)
    cursor = None
    while newest is not None and newest.value is None:
        page = history.of_sensor(name, limit=_A_PAGE, cursor=cursor)
        newest = next((one for one in reversed(page.rows) if one.value is not None), newest)
        if (cursor := page.next) is None:
            break
    return newest.value if newest and newest.at >= since else None


def remember_reported(node: Node, store: Store) -> None:
    """Give the core the sensors that other nodes report, with the last value of their newest summaries."""
    moment = clock.moment()
    try:
        with store.read() as connection:
            for spec, newest in nodes.reported(connection):
                node.learn(spec)
                node.sensors[spec.name].spec = spec
                if newest is not None and newest.numbers is not None:
                    node.learn(spec, _last(spec.name, newest.numbers, moment))
    except StoreError as error:
        log.warning("starting without what nodes have reported: %s", error)


def _last(name: str, numbers: Numbers, moment: clock.Moment) -> Reading:
    at = numbers.last_at
    age = moment.at - at
    now = moment.now - (age if age >= 0 else _LONG_AGO)
    return Reading(name, numbers.last, at, now, at, sender_stamped=True)


def _latest(history: History) -> Mapping[str, Reading]:
    """Return the newest readings; none where there is no data file just now: outputs do not wait for one."""
    try:
        return history.latest()
    except StoreError as error:
        log.warning("starting without what was known: %s", error)
        return {}
