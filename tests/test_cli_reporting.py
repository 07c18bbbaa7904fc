"""`outstation nodes`: the printed table is all that a node needs; of a hub that runs, and of one that does not."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from outstation.__main__ import root
from outstation.config import load
from tests.protocols.outstation.reporter import Reporter, said, windows
from tests.running import Running
from tests.web.boards import TRUSTED


def nodes(data: Path, *words: str, status: int = 0) -> str:
    result = CliRunner().invoke(root, ["nodes", *words, "--data", str(data)])
    assert result.exit_code == status, result.output
    return result.stdout if not status else result.stderr


def table(printed: str) -> dict[str, Any]:
    """Return the table that was printed."""
    (found,) = tomllib.loads(printed[printed.index("[[") :])["uplinks"]
    return dict(found)


def test_a_running_hub(tmp_path: Path) -> None:
    with Running(tmp_path / "data", TRUSTED) as hub:
        printed = nodes(hub.data, "add", "greenhouse-1")
        uplink = table(printed)
        assert (uplink["name"], uplink["kind"]) == ("hub", "outstation")
        assert uplink["url"].endswith(f":{hub.port}")
        file = tmp_path / "node.toml"
        file.write_text(f'[node]\nname = "greenhouse-1"\n{printed[printed.index("[[") :]}')
        assert [one.name for one in load(file).uplinks] == ["hub"]
        node = Reporter(hub, "greenhouse-1", key=uplink["key"])
        node.send([said("air", windows(1)[0])])
        fresh = Reporter(hub, "greenhouse-1", key=json.loads(nodes(hub.data, "renew", "greenhouse-1", "--json"))["key"])
        assert [one.post(one.batch()).status for one in (node, fresh)] == [401, 200]
        heading, line = nodes(hub.data, "list").splitlines()
        assert heading.split()[0] == "NAME"
        assert line.startswith("greenhouse-1  20")
        assert "greenhouse-1" in nodes(hub.data, "remove", "greenhouse-1")
        assert fresh.post(fresh.batch()).status == 401
        assert "nodes list" in nodes(hub.data, "remove", "greenhouse-1", status=1)


def test_a_hub_that_is_stopped(tmp_path: Path) -> None:
    tmp_path.joinpath("data").mkdir()
    with Running(tmp_path / "data", TRUSTED):
        pass
    data = tmp_path / "data"
    uplink = table(nodes(data, "add", "shed", "--url", "https://hub.example.com"))
    assert uplink["url"] == "https://hub.example.com"
    assert "renew shed" in nodes(data, "add", "shed", status=1)
    assert "small letters" in nodes(data, "add", "Shed!", status=1)
    assert nodes(data, "list").splitlines()[1].split() == ["shed", "never", "0", "0", "0"]
    nodes(data, "renew", "shed")
    nodes(data, "remove", "shed")
    assert json.loads(nodes(data, "list", "--json")) == {"count": 0, "nodes": []}
