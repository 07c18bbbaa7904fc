"""A real node is backed up, loses its disk, and goes on from the backup."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tests.running import KEY, Running
from tests.system.test_damaged_disk import garbage
from tests.system.waiting import until

CONFIG = """
[node]
name = "shed"
clock = "trust"

[[sensors]]
name = "load"
driver = "system"
quantity = "cpu_load"
every = "1s"

[[settings]]
name = "warm_at"
value = 20
"""

BY_THE_CLOCK = """
[backup]
folder = "{folder}"
keep = 2
"""


def test_what_was_lost_with_a_disk_comes_back_from_the_backup(tmp_path: Path) -> None:
    """Readings, keys and settings; and what was there is kept."""
    copy = tmp_path / "copy.db"
    with Running(tmp_path / "data", CONFIG) as node:
        made = node.post("/api/keys", {"name": "phone", "scopes": ["read"]}).json["key"]
        node.request("PUT", "/api/settings/warm_at", {"value": 33}, key=KEY)
        node.post("/api/readings", [{"sensor": "porch/temperature", "value": at} for at in range(500)])
        node.said("backup", str(copy), "--data", str(node.data))
        node.post("/api/readings", {"sensor": "porch/later", "value": 1})
        node.kill()
        garbage(node.data)
        node.said("restore", str(copy), "--data", str(node.data))
        node.start()
        rows = node.get("/api/readings?sensor=porch/temperature&limit=1000").json["readings"]
        assert [row["value"] for row in rows] == list(range(500))
        assert node.get("/api/health", key=made).status == 200
        assert node.get("/api/settings").json["settings"][0]["value"] == 33
        assert node.get("/api/sensors/porch/later").status == 404
        assert len(list(node.data.glob("outstation.db.before-restore-*Z"))) == 1


@pytest.mark.long
def test_a_stick_that_is_pulled_is_a_problem_and_an_alert_until_it_is_back(tmp_path: Path) -> None:
    usb = tmp_path / "usb"
    with Running(tmp_path / "data", CONFIG + BY_THE_CLOCK.format(folder=usb)) as node:
        problems = until(
            lambda: [one for one in node.get("/api/health").json["problems"] if "backup" in one.lower()], 60
        )
        assert f"The folder {usb} cannot be used" in problems[0]
        assert not usb.exists()
        (raised,) = until(lambda: node.get("/api/alerts?state=raised").json["alerts"])
        assert (raised["kind"], raised["subject"], raised["severity"]) == ("node", "backup", "warning")
        usb.mkdir()
        until(lambda: list(usb.glob("shed-*Z.db")), 90)
        until(lambda: not node.get("/api/alerts?state=raised").json["alerts"])


@pytest.mark.long
def test_a_big_backup_holds_nobody_up(tmp_path: Path) -> None:
    """While 200 MB are copied, senders are answered as before."""
    with Running(tmp_path / "data", CONFIG) as node:
        noise = os.urandom(100).hex()
        for first in range(0, 600_000, 3_000):
            body = [{"sensor": "porch/noise", "value": f"{at:08}{noise}"} for at in range(first, first + 3_000)]
            assert node.post("/api/readings", body).status == 200
        began = time.monotonic()
        slowest = 0.0
        words = ("backup", str(tmp_path / "copy.db"), "--data", str(node.data))
        backing = threading.Thread(target=node.said, args=words)
        backing.start()
        while backing.is_alive():
            asked = time.monotonic()
            assert node.post("/api/readings", {"sensor": "porch/live", "value": 1}).status == 200
            slowest = max(slowest, time.monotonic() - asked)
        size = (tmp_path / "copy.db").stat().st_size / 1e6
        print(f"{size:.0f} MB in {time.monotonic() - began:.1f} s, the slowest answer after {slowest * 1000:.0f} ms")
