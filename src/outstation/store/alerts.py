"""Alerts, one row a spell: the newest 20,000, and whichever older ones of this node still stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Alert, AlertState

if TYPE_CHECKING:
    from outstation.store.database import Store

AT_MOST = 20_000
"""About 8 MB: twenty a day for almost three years."""


class Alerts:
    """The alerts of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, limit: int, state: AlertState | None = None, before: int | None = None) -> list[Alert]:
        """Return alerts, the newest first: those in `state`, and those made before the one with id `before`. Blocks."""
        with self._store.read() as connection:
            rows: Any = connection.execute(_PAGE, {"limit": limit, "state": state, "before": before}).fetchall()
        return [_alert(body) for (body,) in rows]

    def one(self, number: int) -> Alert | None:
        """Return the alert with this id, or None. Blocks."""
        with self._store.read() as connection:
            row: Any = connection.execute("SELECT body FROM alerts WHERE id = ?", (number,)).fetchone()
        return None if row is None else _alert(row[0])


def put(connection: apsw.Connection, alert: Alert) -> None:
    """Write an alert as it is now, in the transaction of whatever changed it, and let the oldest cleared ones go."""
    connection.execute(_PUT, (alert.id, alert.state, msgspec.json.encode(alert).decode()))
    connection.execute(_LET_GO, (AT_MOST,))


def highest(connection: apsw.Connection) -> int:
    """Return the highest id that any alert has, 0 before the first: the next one follows it."""
    row: Any = connection.execute("SELECT coalesce(max(id), 0) FROM alerts").fetchone()
    return int(row[0])


def document(alert: Alert) -> dict[str, object]:
    """Return an alert as people and programs are shown it: its times as RFC 3339 has them."""
    return {
        "id": alert.id,
        "node": alert.node or None,
        "kind": alert.kind,
        "subject": alert.subject,
        "severity": alert.severity,
        "state": alert.state,
        "message": alert.message,
        "values": alert.values,
        "raised_at": clock.iso(alert.raised_at),
        "acknowledged_by": alert.acknowledged_by or None,
        "acknowledged_at": None if alert.acknowledged_at is None else clock.iso(alert.acknowledged_at),
        "cleared_at": None if alert.cleared_at is None else clock.iso(alert.cleared_at),
    }


def _alert(body: str) -> Alert:
    return msgspec.json.decode(body, type=Alert)


_PAGE = """
SELECT body FROM alerts
WHERE (:state IS NULL OR state = :state) AND (:before IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit
"""

_PUT = """
INSERT INTO alerts (id, state, body) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body
"""

_LET_GO = "DELETE FROM alerts WHERE id <= (SELECT max(id) FROM alerts) - ? AND state = 'cleared'"
