"""Deliveries on disk: in order, by receiver, bounded, and none that leaves without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from outstation.core.readings import Note, Severity
from outstation.store import deliveries as table
from outstation.store.database import Store
from outstation.store.deliveries import Deliveries, Delivery, add
from outstation.store.file import PAGE_SIZE
from outstation.store.journal import Journal
from tests.store.given import MORNING, in_store


def one(number: int, receiver: str = "phone", severity: Severity = "warning") -> Delivery:
    return Delivery(receiver, number, severity, MORNING + number, f'{{"number":{number}}}', f"key{number}")


async def write(store: Store, *deliveries: Delivery) -> None:
    await store.write(lambda connection: add(connection, deliveries))


def test_what_waits_comes_back_as_it_was_the_oldest_first_also_after_a_restart(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await write(store, one(2), one(1, "hub"), one(3))
        await write(store, one(1, severity="critical"))

    async def later(store: Store) -> None:
        deliveries = Deliveries(store)
        assert deliveries.waiting("phone") == [one(2), one(3), one(1, severity="critical")]
        assert deliveries.waiting("phone", 1) == [one(2)]
        assert deliveries.waiting("hub") == [one(1, "hub")]
        assert (deliveries.count("phone"), deliveries.count("nobody")) == (3, 0)

    in_store(tmp_path, story)
    in_store(tmp_path, later)


def test_what_is_done_is_gone_for_that_receiver_alone(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        deliveries, refused = Deliveries(store), Note("delivery refused", "phone", "it does not want it", MORNING)
        await write(store, one(1), one(1, "hub"), one(2), one(3))
        await deliveries.done(["key1"], "phone")
        await deliveries.done(["key3", "key9"], "phone", [refused])
        assert deliveries.waiting("phone") == [one(2)]
        assert deliveries.count("phone", but=["key1", "key9"]) == 1
        assert deliveries.count("phone", but=["key2"]) == 0
        assert deliveries.waiting("hub") == [one(1, "hub")]
        assert Journal(store).newest(9) == [refused]

    in_store(tmp_path, story)


def test_a_delivery_is_stored_with_its_alert_or_not_at_all(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        def fail(connection: apsw.Connection) -> None:
            add(connection, [one(1)])
            raise ValueError("the alert could not be written")

        with pytest.raises(ValueError, match="alert"):
            await store.write(fail)
        assert Deliveries(store).count("phone") == 0

    in_store(tmp_path, story)


def test_a_full_queue_loses_the_least_urgent_then_the_oldest_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "AT_MOST", 10)
    monkeypatch.setattr(table, "_AT_ONCE", 2)

    async def story(store: Store) -> None:
        severities: list[Severity] = ["critical", "info", "warning", "info", "critical", "info", "critical", "warning"]
        await write(store, *(one(number, severity=severity) for number, severity in enumerate(severities)))
        await write(store, one(8), one(9), one(0, "hub", "info"))
        assert Deliveries(store).count("phone") == 10
        assert Journal(store).newest(9) == []
        await write(store, one(10))  # three go, so that there is some room
        await write(store, one(11), one(12))
        assert [kept.alert for kept in Deliveries(store).waiting("phone")] == [0, 2, 4, 6, 7, 8, 9, 10, 11, 12]
        await write(store, one(13))
        assert [kept.alert for kept in Deliveries(store).waiting("phone")] == [0, 4, 6, 9, 10, 11, 12, 13]
        assert Deliveries(store).count("hub") == 1
        assert [note.text[:30] for note in Journal(store).newest(9)] == ["3 messages that it did not tak"] * 2

    in_store(tmp_path, story)


def test_receivers_that_are_in_the_config_no_more_are_forgotten_and_that_is_said(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        deliveries = Deliveries(store)
        await write(store, one(1), one(2, "pager"), one(3, "pager"))
        assert await deliveries.forget_others(["phone", "hub"], MORNING) == 2
        assert deliveries.waiting("phone") == [one(1)]
        assert deliveries.count("pager") == 0
        text = "2 messages were given up: it is not in the config any more"
        assert Journal(store).newest(9) == [Note("delivery dropped", "pager", text, MORNING)]

    in_store(tmp_path, story)


def test_what_waits_outlives_a_file_that_is_removed_or_damaged(tmp_path: Path) -> None:
    file = tmp_path / "outstation.db"

    async def story(store: Store) -> None:
        await write(store, one(1))
        file.unlink()
        await write(store, one(2))
        assert Deliveries(store).waiting("phone") == [one(1), one(2)]

    async def later(store: Store) -> None:
        assert store.damaged
        assert Deliveries(store).waiting("phone") == [one(1), one(2)]

    in_store(tmp_path, story)
    connection = apsw.Connection(str(file))
    page: Any = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'log'").get
    connection.close()
    with file.open("r+b") as damaged:
        damaged.seek((page - 1) * PAGE_SIZE)
        damaged.write(b"\xff" * PAGE_SIZE)
    in_store(tmp_path, later)
