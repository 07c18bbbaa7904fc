"""Alerts on disk: one row a spell, a bound, and nothing that still stands is forgotten."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from outstation.core.readings import Alert, AlertState
from outstation.store import alerts as table
from outstation.store.alerts import Alerts, document, highest, put
from outstation.store.database import Store
from tests.store.given import MORNING, in_store


def hot(number: int, state: AlertState = "raised") -> Alert:
    return Alert(number, "rule", "too hot", "warning", "31.4 °C", MORNING + number, state, {"air": 31.4, "door": None})


async def write(store: Store, *alerts: Alert) -> None:
    for alert in alerts:
        await store.write(functools.partial(put, alert=alert))


def test_an_alert_is_one_row_for_its_whole_life(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        for state in ("raised", "acknowledged", "cleared"):
            await write(store, hot(1, state))
            assert Alerts(store).page(10) == [hot(1, state)]
        assert Alerts(store).one(1) == hot(1, "cleared")
        assert Alerts(store).one(2) is None

    in_store(tmp_path, story)


def test_pages_go_back_in_time(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await write(store, *(hot(number, "cleared" if number % 2 else "raised") for number in range(1, 8)))
        alerts = Alerts(store)
        assert [one.id for one in alerts.page(3)] == [7, 6, 5]
        assert [one.id for one in alerts.page(3, before=5)] == [4, 3, 2]
        assert [one.id for one in alerts.page(10, "raised")] == [6, 4, 2]
        assert [one.id for one in alerts.page(1, "cleared", before=7)] == [5]

    in_store(tmp_path, story)


def test_the_next_id_follows_the_highest_also_after_a_restart(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        assert await store.write(highest) == 0
        await write(store, hot(41), hot(7))

    async def later(store: Store) -> None:
        with store.read() as connection:
            assert highest(connection) == 41

    in_store(tmp_path, story)
    in_store(tmp_path, later)


def test_the_oldest_go_but_none_that_still_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "AT_MOST", 10)

    async def story(store: Store) -> None:
        await write(store, hot(1), hot(2, "acknowledged"), *(hot(number, "cleared") for number in range(3, 31)))
        assert [one.id for one in Alerts(store).page(99)] == [*range(30, 20, -1), 2, 1]
        await write(store, hot(1, "cleared"))
        assert [one.id for one in Alerts(store).page(99)] == [*range(30, 20, -1), 2]

    in_store(tmp_path, story)


def test_what_people_are_shown() -> None:
    assert document(hot(1)) == {
        "id": 1,
        "node": None,
        "kind": "rule",
        "subject": "too hot",
        "severity": "warning",
        "state": "raised",
        "message": "31.4 °C",
        "values": {"air": 31.4, "door": None},
        "raised_at": "2025-06-15T15:06:40.001Z",
        "acknowledged_by": None,
        "acknowledged_at": None,
        "cleared_at": None,
    }
    over = Alert(2, "rule", "x", "info", "y", MORNING, "cleared", {}, "ann", MORNING + 1_000, MORNING + 2_000)
    assert document(over)["acknowledged_by"] == "ann"
    assert document(over)["acknowledged_at"] == "2025-06-15T15:06:41.000Z"
    assert document(over)["cleared_at"] == "2025-06-15T15:06:42.000Z"
