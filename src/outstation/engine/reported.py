"""What other nodes report, when it is in the store: looked at by the rules, shown to whoever watches, told of.

The law of this file: nothing here is recorded as a reading, but what is derived from it. What comes too late decides
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from outstation import clock
from outstation.core.readings import SEVERITIES, Alerted, Reading, Record, Severity
from outstation.core.sensors import SensorSpec
from outstation.engine.feed import Happening
from outstation.engine.runner import Runner
from outstation.store import alerts, deliveries, told
from outstation.store.deliveries import Delivery


def describe(runner: Runner, sensors: Sequence[SensorSpec]) -> None:
    """Know sensors that nodes report as they are now."""
    for spec in sensors:
        runner.node.learn(spec)
        runner.node.sensors[spec.name].spec = spec


def hear(runner: Runner, readings: Sequence[Reading]) -> None:
    """Have rules look at the newest of what was reported, of sensors that are known."""
    node = runner.node
    heard = {reading.sensor for reading in readings}
    effects = node.handle_all(readings)
    runner.settle([one for one in effects if not isinstance(one, Record) or one.reading.sensor not in heard])
    for reading in readings:
        state = node.sensors[reading.sensor]
        if state.newest is None or state.newest.at < reading.at:  # too late to decide anything, and still the newest
            node.learn(state.spec, reading)
    if runner.feed.watched:
        runner.feed.publish([Happening("reading", _document(reading)) for reading in readings])


def asleep(runner: Runner) -> tuple[Severity, ...]:
    """Return the severities that people are not woken for just now."""
    decisions = runner.node.decisions
    return tuple(one for one in SEVERITIES if decisions.alerts.quiet_for(one, decisions.sight))


async def tell_held(runner: Runner) -> None:
    """Tell people in the morning of what nodes have reported at night, and still stands. Raises StoreError."""
    quiet = asleep(runner)

    def is_any() -> bool:
        with runner.store.read() as connection:
            return bool(told.held(connection, quiet))

    def work(connection: Any) -> list[Alerted]:
        found = told.held(connection, quiet)
        told.release(connection, found)
        deliveries.add(connection, messages(runner, found))
        return found

    if await asyncio.to_thread(is_any):
        tell(runner, await runner.store.write(work))


def messages(runner: Runner, found: Sequence[Alerted]) -> list[Delivery]:
    """Return what is to be stored with alerts of nodes, for those whom they concern. In any thread."""
    return [message for one in found for message in runner.teller.deliveries(one)] if runner.teller else []


def tell(runner: Runner, found: Sequence[Alerted]) -> None:
    """Show alerts of nodes that are stored, and deliver what was stored with them."""
    for one in found:
        if one.happened == "cleared":
            runner.elsewhere.pop(one.alert.id, None)
        else:
            runner.elsewhere[one.alert.id] = one.alert
    if runner.feed.watched:
        documents = ({"happened": one.happened, **alerts.document(one.alert)} for one in found)
        runner.feed.publish([Happening("alert", document) for document in documents])
    if runner.teller and found:
        runner.teller.wake()


def forget_others(runner: Runner, names: Collection[str]) -> None:
    """Show no alerts of nodes that may report here no more: nobody could clear them."""
    runner.elsewhere = {number: alert for number, alert in runner.elsewhere.items() if alert.node in names}


def _document(reading: Reading) -> dict[str, object]:
    return {
        "sensor": reading.sensor,
        "timestamp": clock.iso(reading.at),
        "value": reading.value,
        "quality": reading.quality.name.lower(),
    }
