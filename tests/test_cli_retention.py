"""`outstation retention` over the file of a node that is stopped: how big, how long, when full; and a person's word."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from outstation import clock
from outstation.__main__ import root
from outstation.engine.runner import boot_now
from outstation.store.database import Store
from tests.store.given import own
from tests.store.stocked import add

CONFIG = """
[node]
clock = "trust"

[store]
keep = "30d"
keep_mb = 50

[[sensors]]
name = "soil"
driver = "system"
quantity = "cpu_load"
keep = "3650d"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    async def main() -> None:
        with Store(tmp_path, boot=boot_now("trust")) as store:
            await store.record([own("air", 1), own("soil", 1)])
            today = clock.at() - clock.at() % 86_400_000
            for sensor in ("air", "soil"):
                await add(store, sensor, [today - (back * 30 - 15) * 86_400_000 for back in range(12, 0, -1)])

    asyncio.run(main())
    (tmp_path / "outstation.toml").write_text(CONFIG)
    return tmp_path


def retention(folder: Path, *words: str) -> list[str]:
    config = str(folder / "outstation.toml")
    result = CliRunner().invoke(root, ["retention", "--data", str(folder), "--config", config, *words])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_the_figures_and_the_plan_of_a_stopped_node_and_a_persons_word(folder: Path) -> None:
    size, growth, going, more = retention(folder, "--dry-run")
    assert size.startswith("2,402 readings since 20")
    assert size.endswith(" of 50 MB.")
    assert growth.startswith("How fast it grows is known when")
    assert going.startswith("air: 200 readings that are summarised, up to 20")
    assert going.endswith(" UTC: older than 30 days")
    assert more.startswith("More is too old.")
    planned = json.loads("\n".join(retention(folder, "--now", "--dry-run", "--json")))
    assert [(one["sensor"], one["readings"]) for one in planned["going"]] == [("air", 1_100)]
    assert planned["left"] is False
    deleted, size, _, written = retention(folder, "--now")
    assert deleted == "Deleted: 1,100 readings."
    assert size.startswith("1,302 readings since 20")
    assert written.startswith("Written to the disk since the start: ")
    assert retention(folder)[2:] == ["Nothing is to be deleted."]
