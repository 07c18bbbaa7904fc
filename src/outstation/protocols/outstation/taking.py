"""One batch on its way into the store: in the writer's thread, within a transaction.

The law of this file: where the batch moves a cursor, what it says is stored with that, item by item; what is wrong with
one item is no other's fault.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Literal

import msgspec

from outstation import clock
from outstation.core import reporting
from outstation.core.node import SENSORS_A_NODE
from outstation.core.readings import MAX_TEXT, SEVERITIES, Alert, Alerted, Millis, Severity
from outstation.core.reporting import Standing, Step
from outstation.core.sensors import SensorSpec
from outstation.core.summaries import Number, Summary
from outstation.core.windows import FIVE_MINUTES, HOUR
from outstation.protocols.outstation import wire
from outstation.protocols.outstation.wire import Batch, Refused, Told
from outstation.store import deliveries, nodes, told
from outstation.store.nodes import Report

LONGEST_MARK, LONGEST_TEXT, MOST_VALUES = 64, 2_000, 64
"""Letters of a name, letters of a message, and values of an alert that are kept of what a node says."""

EVERY_AT_LEAST: Millis = 10_000
EVERY_AT_MOST: Millis = 86_400_000


class Terms(msgspec.Struct, frozen=True):
    """On which a batch is taken. moment: of its arrival. is_sure: whether this clock is synchronised.

    takes_new: whether sensors may be new here. is_plain: who sends it need not be a node. numbers: for alerts that are
    new. asleep: as in store.told. messages: what people are told of alerts.
    """

    node: str
    moment: clock.Moment
    is_sure: bool
    takes_new: bool
    is_plain: bool
    numbers: Iterator[int]
    asleep: Collection[Severity]
    messages: Callable[[Sequence[Alerted]], list[deliveries.Delivery]]


class Taken(msgspec.Struct):
    """What a batch has come to. report: None: no node of that name may report here. cursor: for the receipt.

    conflict: why nothing was taken. newest: of each sensor, when and what it said last.
    """

    report: Report | None = None
    conflict: Standing | None = None
    refused: list[Refused] = []
    sensors: dict[str, SensorSpec] = {}
    newest: dict[str, tuple[Millis, Number]] = {}
    alerts: list[str] = []
    told: list[Alerted] = []


class Taking:
    """A batch that is being taken."""

    def __init__(self, batch: Batch, terms: Terms) -> None:
        self._batch, self._terms = batch, terms
        self._latest = terms.moment.at if terms.is_sure else None
        self._numbers: dict[str, tuple[int, str]] = {}
        self._every = nodes.EVERY
        self._taken = Taken()

    def store(self, connection: Any, log: Any) -> Taken:
        """Store the batch and what is known of its node now. Raises apsw.Error."""
        known, taken = nodes.report(connection, self._terms.node), self._taken
        if known is not None:
            taken.report = self._moved(known)
            self._every = max(taken.report.every, FIVE_MINUTES)
            nodes.keep(connection, self._terms.node, taken.report)
        if (known is None and not self._terms.is_plain) or taken.conflict:
            return taken
        self._keep_summaries(connection, log)
        self._describe(connection, log)
        if self._batch.alerts:
            self._keep_alerts(connection)
        return taken

    def _moved(self, known: Report) -> Report:
        """Return what is known of the node from now on."""
        batch, at = self._batch, self._terms.moment.at
        if not batch.epoch:
            return msgspec.structs.replace(known, at=at)
        step = Step(batch.epoch, batch.before, batch.token, batch.after, batch.upto, batch.sent_at)
        verdict, standing = reporting.followed(known.standing, step, secrets.token_urlsafe(12), at)
        if verdict != "goes on":
            self._taken.conflict = standing
            return msgspec.structs.replace(known, standing=standing if verdict == "cloned" else known.standing, at=at)
        ends = [each.start + each.width for each in (*batch.summaries, *batch.ahead)]
        until = max([known.until or 0, *(end for end in ends if end <= at + EVERY_AT_MOST)]) or None
        sender, every = batch.node, min(max(batch.node.every, EVERY_AT_LEAST), EVERY_AT_MOST)
        words = sender.program[:LONGEST_MARK], sender.clock[:LONGEST_MARK]
        counts = sender.waiting, sender.parked, sender.lost
        return Report(standing, at, until, at - batch.sent_at, *words, every, *counts)

    def _keep_summaries(self, connection: Any, log: Any) -> None:
        batch = self._batch
        five = self._fit(connection, log, "summaries", FIVE_MINUTES)
        five += self._fit(connection, log, "ahead", FIVE_MINUTES)
        hours = self._fit(connection, log, "hours", HOUR) if batch.hours else []
        if five or hours:
            log.summarising.reported(_last_words(five), _last_words(hours))

    def _fit(
        self, connection: Any, log: Any, part: Literal["summaries", "ahead", "hours"], width: Millis
    ) -> list[tuple[int, Summary]]:
        """Return what can be stored of one list of the batch, by the number of its sensor."""
        rows: list[tuple[int, Summary]] = []
        newest: dict[str, tuple[Millis, Number]] = {}
        items: Sequence[wire.Sent] = getattr(self._batch, part)
        for place, item in enumerate(items):
            sensor, error = self._numbers.get(item.sensor) or self._number(connection, log, item.sensor)
            summary = wire.summary(item)
            if error := error or reporting.fault(summary, width, self._latest):
                self._taken.refused.append(Refused(part, place, item.sensor[:LONGEST_MARK], item.start, error))
                continue
            rows.append((sensor, summary))
            if item.count and (item.sensor not in newest or newest[item.sensor][0] < item.last_at):
                newest[item.sensor] = item.last_at, item.last
        known = self._taken.newest
        for sensor_, said in newest.items():
            name = reporting.name(self._terms.node, sensor_)
            known[name] = max(said, known.get(name, said), key=lambda one: one[0])
        return rows

    def _number(self, connection: Any, log: Any, sensor: str) -> tuple[int, str]:
        """Return the number of a sensor, or why it has none."""
        name, error = reporting.name(self._terms.node, sensor), ""
        if not name:
            error = "this is no name of a sensor"
        elif not log.knows(name) and not self._terms.takes_new:
            error = "it is unknown here, and [web] accept_new_sensors is false"
        elif not log.knows(name) and log.sensors >= SENSORS_A_NODE:
            error = f"a hub has at most {SENSORS_A_NODE} sensors"
        number = 0
        if not error:
            number, self._taken.sensors[name] = nodes.begin(connection, log, name, self._every)
        self._numbers[sensor] = number, error
        return number, error

    def _describe(self, connection: Any, log: Any) -> None:
        """Keep what the node says its sensors are, also those that have said nothing yet."""
        for sensor, about in self._batch.sensors.items():
            number, error = self._numbers.get(sensor) or self._number(connection, log, sensor)
            if error:
                continue
            name, unit, label = reporting.name(self._terms.node, sensor), about.unit, about.label
            spec = msgspec.structs.replace(
                self._taken.sensors[name], unit=unit[:LONGEST_MARK], label=label[:LONGEST_MARK]
            )
            nodes.describe(connection, number, spec)
            self._taken.sensors[name] = spec

    def _keep_alerts(self, connection: Any) -> None:
        fit: list[Alert] = []
        for place, item in enumerate(self._batch.alerts):
            if error := _fault(item):
                self._taken.refused.append(Refused("alerts", place, "", item.raised_at, error))
                continue
            fit.append(_alert(item))
            self._taken.alerts.append(item.delivery)
        terms = self._terms
        self._taken.told = told.take(connection, terms.node, fit, terms.numbers, terms.asleep)
        deliveries.add(connection, terms.messages(self._taken.told))


def _last_words(rows: list[tuple[int, Summary]]) -> list[tuple[int, Summary]]:
    """Return the last of each sensor's window."""
    return list({(sensor, each.start): (sensor, each) for sensor, each in rows}.values())


def _alert(item: Told) -> Alert:
    return msgspec.convert(
        {
            "id": item.id,
            "kind": item.kind,
            "subject": item.subject,
            "severity": item.severity,
            "message": item.message[:LONGEST_TEXT],
            "raised_at": item.raised_at,
            "state": item.state,
            "values": {name: _shortened(value) for name, value in item.values.items()},
            "acknowledged_by": item.acknowledged_by,
            "acknowledged_at": item.acknowledged_at,
            "cleared_at": item.cleared_at,
        },
        Alert,
    )


def _shortened(value: Number | str | None) -> Number | str | None:
    return value[:MAX_TEXT] if isinstance(value, str) else value


def _fault(item: Told) -> str:
    """Say what is wrong with an alert that was sent, or ""."""
    if item.severity not in SEVERITIES:
        return f"its severity is none of {', '.join(SEVERITIES)}"
    if item.state not in ("raised", "acknowledged", "cleared"):
        return "its state is none of raised, acknowledged, cleared"
    times = (item.raised_at, item.acknowledged_at or 0, item.cleared_at or 0)
    if not (0 <= item.id <= reporting.MOST and all(0 <= at <= reporting.LATEST for at in times)):
        return "its id or its times cannot be"
    words = (item.kind, item.subject, item.acknowledged_by, item.delivery, *item.values)
    if len(item.values) > MOST_VALUES or any(len(word) > 2 * LONGEST_MARK for word in words):
        return "it has too many values, or too long names"
    return ""
