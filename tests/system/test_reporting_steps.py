"""A node whose clock steps, and its hub: whatever the node believed, each window is there once."""

from __future__ import annotations

from pathlib import Path

from outstation import clock
from tests.running import Running
from tests.system.reporting import HUB, NAME, Known, differences, known
from tests.system.test_time_system import Clockwork, needs_faketime
from tests.system.waiting import until


@needs_faketime
def test_a_clock_that_steps_leaves_each_window_once_at_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    with Running(tmp_path / "hub" / "data", HUB) as hub:
        url = f"http://127.0.0.1:{hub.port}"
        printed = hub.said("nodes", "add", NAME, "--url", url, "--data", str(hub.data))
        table = printed[printed.index("[[uplinks]]") :]
        with Clockwork(folder, "trust", f'\n{table}every = "10s"\n') as node:
            for offset in ("-2h", "+1h", "+20y", "-6h", "+0"):
                node.step(offset)
            until(lambda: len(_past(node)["turns"]) >= 3, 60)
            until(lambda: not differences(_past(node), known(hub.data)), 60)
            assert node.get("/api/health").json["status"] != "unhealthy"


def _past(node: Running) -> Known:
    """Return what a node has of the past: what it once took for the present, the hub knows better."""
    return {
        name: {start: one for start, one in found.items() if start < clock.at()}
        for name, found in known(node.data).items()
    }
