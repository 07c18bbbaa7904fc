"""Alerts of nodes that report here: each is one row of `alerts`, however often it is sent.

The law of this file: an alert goes from raised to acknowledged to cleared and never back. People are told of one that
was still active when it came, and then of how it goes on; what had come and gone by then is history. So is what came
and went while they slept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import apsw
import msgspec

from outstation.core.alerts import APART
from outstation.core.readings import Alert, Alerted, AlertState, Millis, Severity
from outstation.store import alerts

_FURTHER: tuple[AlertState, ...] = ("raised", "acknowledged", "cleared")


def take(
    connection: apsw.Connection, node: str, sent: Iterable[Alert], numbers: Iterator[int], asleep: Collection[Severity]
) -> list[Alerted]:
    """Store a node's alerts, which have the node's ids; return what is new. In a transaction.

    numbers: for new ones. asleep: the severities that people are not woken for just now.
    """
    furthest: dict[tuple[int, int], Alert] = {}
    for alert in sent:
        key = alert.id, alert.raised_at
        if key not in furthest or _rank(alert) >= _rank(furthest[key]):
            furthest[key] = alert
    all_ = (msgspec.structs.replace(alert, node=node) for alert in furthest.values())
    found = [_one(connection, alert, numbers, is_held=alert.severity in asleep) for alert in all_]
    connection.execute(_LET_GO, (alerts.AT_MOST,))
    connection.execute(_FORGET)
    return [told for told in found if told]


def standing(connection: apsw.Connection) -> list[Alert]:
    """Return the alerts of nodes that still stand."""
    rows: Any = connection.execute(_STANDING).fetchall()
    return [msgspec.json.decode(body, type=Alert) for (body,) in rows]


def held(connection: apsw.Connection, asleep: Collection[Severity]) -> list[Alerted]:
    """Return the alerts that still stand and nobody was told of, and may be now."""
    rows: Any = connection.execute(_HELD).fetchall()
    alerts_ = (msgspec.json.decode(body, type=Alert) for (body,) in rows)
    return [Alerted(alert, "raised", tell=True) for alert in alerts_ if alert.severity not in asleep]


def release(connection: apsw.Connection, told: Iterable[Alerted]) -> None:
    """Know that people are told of these. In a transaction, with the messages."""
    connection.executemany("UPDATE told SET is_told = 1 WHERE alert = ?", ((one.alert.id,) for one in told))


def forget(connection: apsw.Connection, node: str, at: Millis) -> None:
    """Have the alerts of a node be over that may report no more: nobody could clear them. In a transaction."""
    for alert in standing(connection):
        if alert.node == node:
            alerts.put(connection, msgspec.structs.replace(alert, state="cleared", cleared_at=at))
    connection.execute("DELETE FROM told WHERE node = ?", (node,))


def _one(connection: apsw.Connection, sent: Alert, numbers: Iterator[int], *, is_held: bool) -> Alerted | None:
    key = sent.node, sent.id, sent.raised_at
    known = _known(connection, sent)
    if known is None:
        alert, is_over = msgspec.structs.replace(sent, id=next(numbers)), sent.state == "cleared"
        is_told = not (is_over or is_held)
        connection.execute(_TOLD, (*key, alert.id, is_told))
        alerts.put(connection, alert)
        return Alerted(alert, "cleared" if is_over else "raised", tell=is_told)
    before, is_told = known
    if sent.raised_at == before.raised_at and _rank(sent) <= _rank(before):
        return None
    alert = msgspec.structs.replace(sent, id=before.id)
    connection.execute("UPDATE told SET raised_at = ? WHERE alert = ?", (alert.raised_at, alert.id))
    alerts.put(connection, alert)
    return Alerted(alert, alert.state, tell=is_told)


def _known(connection: apsw.Connection, sent: Alert) -> tuple[Alert, bool] | None:
    """Return which alert this is here, and whether people were told of it."""
    rows: Any = connection.execute(_KNOWN, (sent.node, sent.id)).fetchall()
    for is_told, body in rows:
        known = msgspec.json.decode(body, type=Alert)
        if known.raised_at == sent.raised_at or _flaps(known, sent):
            return known, bool(is_told)
    return None


def _flaps(known: Alert, sent: Alert) -> bool:
    """Tell whether it is the same alert, raised again before anybody was told that it was over: see core/alerts."""
    about_the_same = (known.kind, known.subject) == (sent.kind, sent.subject) and sent.raised_at > known.raised_at
    return about_the_same and (known.cleared_at is None or sent.raised_at < known.cleared_at + APART)


def _rank(alert: Alert) -> int:
    return _FURTHER.index(alert.state)


_KNOWN = """
SELECT is_told, body FROM told JOIN alerts ON alerts.id = told.alert WHERE node = ? AND told.id = ?
ORDER BY raised_at DESC
"""

_STANDING = "SELECT body FROM told JOIN alerts ON alerts.id = told.alert WHERE state <> 'cleared'"

_TOLD = "INSERT OR REPLACE INTO told (node, id, raised_at, alert, is_told) VALUES (?, ?, ?, ?, ?)"

_HELD = "SELECT body FROM told JOIN alerts ON alerts.id = told.alert WHERE NOT is_told AND state != 'cleared'"

_LET_GO = "DELETE FROM alerts WHERE id <= (SELECT max(id) FROM alerts) - ? AND id IN (SELECT alert FROM told)"
"""Also what still stands: a node that raises more and more must not fill the disk."""

_FORGET = "DELETE FROM told WHERE alert NOT IN (SELECT id FROM alerts)"
