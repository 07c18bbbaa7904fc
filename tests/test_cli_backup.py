"""`backup`, `restore` and `sensors`, against a node: running, and then stopped."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from outstation.__main__ import root
from tests.running import Running

CONFIG = """
[node]
name = "shed"
clock = "trust"

[[sensors]]
name = "door"
driver = "gpio"
pin = 22
simulate = true

[[devices]]
name = "porch"
channel = 1
write_key = "MZ7T4KQ9WPX2B6RD"
fields = ["humidity"]

[[settings]]
name = "damp_at"
value = 90

[[rules]]
name = "damp"
when = "attic/humidity > 90"
alert = { message = "It is damp" }
"""


def outstation(*words: str | Path, data: Path, status: int = 0) -> str:
    done = CliRunner().invoke(root, [*map(str, words), "--data", str(data)], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done.output


def answer(*words: str | Path, data: Path) -> Any:
    return json.loads(outstation(*words, "--json", data=data))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A node with readings of three sensors of a board that nobody configured."""
    folder = tmp_path_factory.mktemp("node")
    with Running(folder / "data", CONFIG) as running:
        begin = int(time.time()) - 5
        for name in ("attic/temp", "attic/humidity", "attic/old"):
            for at in range(3):
                body = {"sensor": name, "value": at, "timestamp": begin + at}
                assert running.post("/api/readings", body).status == 200
        yield running


def names(node: Running) -> list[str]:
    return [one["name"] for one in answer("sensors", "list", data=node.data)["sensors"]]


def test_a_backup_is_made_from_the_machine_itself_and_never_over_the_network(node: Running, tmp_path: Path) -> None:
    target = tmp_path / "monday.db"
    assert node.post("/api/backup", {"file": str(target)}).status == 422
    assert not target.exists()
    made = answer("backup", target, data=node.data)
    assert (made["file"], made["bytes"]) == (str(target), target.stat().st_size)
    assert made["readings"] >= 9
    assert "is there already" in outstation("backup", target, data=node.data, status=1)
    assert outstation("backup", "--force", target, data=node.data).startswith(f"{target}: ")
    assert "There is no folder" in outstation("backup", tmp_path / "usb" / "x.db", data=node.data, status=1)
    assert "belong to process" in outstation("restore", target, data=node.data, status=1)


def test_a_sensor_of_a_board_is_renamed_with_its_history(node: Running) -> None:
    assert "is now attic/temperature" in outstation(
        "sensors", "rename", "attic/temp", "attic/temperature", data=node.data
    )
    assert node.get("/api/sensors/attic/temp").status == 404
    assert node.get("/api/sensors/attic/temperature").json["value"] == 2
    rows = node.get("/api/readings?sensor=attic/temperature").json["readings"]
    assert [row["value"] for row in rows] == [0, 1, 2]
    assert node.get("/api/readings?sensor=attic/temp").status == 404
    body = {"sensor": "attic/temperature", "value": 2, "timestamp": rows[2]["timestamp"]}
    assert node.post("/api/readings", body).json.get("duplicates") == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("rename", "attic/none", "attic/x"), "has no history"),
        (("rename", "attic/old", "attic/humidity"), "has a history of its own. If nobody needs that"),
        (("rename", "attic/humidity", "attic/x"), "A rule or a derived sensor looks at"),
        (("rename", "attic/old", "door"), '"door" is in the config. Stop the node, then: outstation sensors rename'),
        (("rename", "attic/old", "porch/humidity"), "is in the config"),
        (("rename", "attic/old", "damp_at"), "is in the config"),
        (("rename", "attic/old", "Attic Old"), "in small letters"),
        (("rename", "attic/old", "timestamp"), "the API uses itself"),
        (("delete", "--yes", "door"), '"door" is in the config'),
        (("delete", "--yes", "attic/none"), "has no history"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_renamed_or_deleted_is_said_with_what_to_do(
    node: Running, words: tuple[str, ...], why: str
) -> None:
    assert why in outstation("sensors", *words, data=node.data, status=1)
    assert {"attic/old", "attic/humidity", "door"} <= set(names(node))


def test_a_sensor_is_deleted_when_its_owner_says_yes_and_comes_back_as_a_new_one(node: Running) -> None:
    before = node.get("/api/health").json["readings_stored"]
    assert "Aborted" in outstation("sensors", "delete", "attic/old", data=node.data, status=1)
    assert "and its 3 readings" in outstation("sensors", "delete", "--yes", "attic/old", data=node.data)
    assert "attic/old" not in names(node)
    assert node.get("/api/sensors/attic/old").status == 404
    assert node.get("/api/readings?sensor=attic/old").status == 404
    assert "attic/old" not in json.dumps(node.get("/api/readings").json)
    assert node.get("/api/health").json["readings_stored"] == before - 3
    again = node.post("/api/readings", {"sensor": "attic/old", "value": 7, "timestamp": int(time.time())}).json
    assert again["created"] == ["attic/old"]
    assert [row["value"] for row in node.get("/api/readings?sensor=attic/old").json["readings"]] == [7]


def test_the_same_of_a_node_that_does_not_run(node: Running, tmp_path: Path) -> None:
    """The last of these tests: it stops the node."""
    assert node.stop() == 0
    copy = tmp_path / "copy.db"
    made = answer("backup", copy, data=node.data)
    for name in ("=1+1", "a,b", "a/b/c", "timestamp"):
        outstation("sensors", "rename", "door", name, data=node.data, status=1)
    assert answer("sensors", "rename", "door", "gate", data=node.data) == {"renamed": "door", "to": "gate"}
    assert answer("sensors", "delete", "--yes", "attic/humidity", data=node.data)["readings"] == 3
    assert {"gate", "attic/temperature"} <= set(names(node))
    done = answer("restore", copy, data=node.data)
    assert (done["file"], done["readings"]) == (str(copy), made["readings"])
    assert done["until"] is not None
    assert {"door", "attic/humidity"} <= set(names(node))
    undone = outstation("restore", done["aside"], data=node.data)
    assert "To have that back: outstation restore" in undone
    assert {"gate", "attic/temperature"} <= set(names(node))


def test_a_machine_that_begins_with_a_backup_needs_no_data(node: Running, tmp_path: Path) -> None:
    outstation("backup", tmp_path / "copy.db", data=node.data)
    done = answer("restore", tmp_path / "copy.db", data=tmp_path / "new")
    assert done["aside"] is None
    assert (tmp_path / "new" / "outstation.db").exists()


def test_where_there_are_no_data_it_says_so(tmp_path: Path) -> None:
    assert "There are no data" in outstation("backup", tmp_path / "copy.db", data=tmp_path / "none", status=1)
    assert "No node runs" in outstation("sensors", "rename", "a/b", "a/c", data=tmp_path, status=1)
    assert "There is no file" in outstation("restore", tmp_path / "copy.db", data=tmp_path / "new", status=1)
    assert not (tmp_path / "new" / "outstation.db").exists()
