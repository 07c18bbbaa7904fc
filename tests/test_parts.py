"""The parts of a node, as its config has them: who is in it is told, and who has left it is forgotten."""

from __future__ import annotations

from pathlib import Path

from outstation import parts
from outstation.config import load
from outstation.store.database import Store
from outstation.store.deliveries import Deliveries, Delivery, add
from tests.store.given import MORNING, in_store

CONFIG = """
[[webhooks]]
name = "pager"
url = "http://127.0.0.1:9/"
[[uplinks]]
name = "hub"
kind = "json"
url = "http://127.0.0.1:9/"
"""


def test_alerts_for_those_who_left_the_config_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "outstation.toml"
    file.write_text(CONFIG)
    receivers = ["pager", "phone", "hub", "uplink:hub", "uplink:office"]

    async def story(store: Store) -> None:
        made = [Delivery(name, 1, "info", MORNING, "{}", name) for name in receivers]
        await store.write(lambda connection: add(connection, made))
        parts._forget_others(load(file), store)
        await store.flush()
        deliveries = Deliveries(store)
        assert [name for name in receivers if deliveries.count(name)] == ["pager", "uplink:hub"]

    in_store(tmp_path, story)
