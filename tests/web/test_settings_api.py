"""GET /api/settings and PUT /api/settings/{name}: a number that people change, within bounds, for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from outstation.clock import Trust
from outstation.store.database import Boot, Store
from outstation.store.journal import Journal
from tests.running import KEY, Answer, Running
from tests.web.keys import make_key

CONFIG = """
[node]
clock = "trust"

[[settings]]
name = "vent_at"
label = "Vent <opens> at"
value = 30
min = 15
max = 45
unit = "°C"

[[settings]]
name = "free"
value = 1.5

[[rules]]
name = "warm"
when = "porch/temperature > vent_at"
alert = { severity = "info", message = "{porch/temperature} is above {vent_at}" }
"""


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", CONFIG) as running:
        yield running


@pytest.fixture(autouse=True)
def _as_configured(node: Running) -> Iterator[None]:
    yield
    for name in ("vent_at", "free"):
        assert put(node, None, name).status == 200


def put(node: Running, value: object, name: str = "vent_at", *, key: str | None = KEY) -> Answer:
    return node.request("PUT", f"/api/settings/{name}", {"value": value}, key=key)


def setting(node: Running, name: str = "vent_at") -> dict[str, Any]:
    (found,) = [one for one in node.get("/api/settings").json["settings"] if one["name"] == name]
    return dict(found)


def test_settings_are_listed_with_their_bounds(node: Running) -> None:
    assert setting(node) == {
        "name": "vent_at",
        "label": "Vent <opens> at",
        "value": 30,
        "unit": "°C",
        "min": 15,
        "max": 45,
        "default": 30,
        "set_by": None,
        "set_at": None,
    }
    assert (setting(node, "free")["min"], setting(node, "free")["max"]) == (None, None)


def test_a_setting_is_changed_at_once_and_by_name(node: Running) -> None:
    node.post("/api/readings", {"sensor": "porch/temperature", "value": 28})
    key = make_key(node, "control")
    answer = put(node, 27.5, key=key)
    assert (answer.status, answer.json) == (200, {"setting": "vent_at", "value": 27.5, "recorded": True})
    found = setting(node)
    assert (found["value"], found["set_by"]) == (27.5, "test")
    assert found["set_at"].endswith("Z")
    (rule,) = node.get("/api/rules").json["rules"]
    assert rule["firing"] is True


def test_the_page_shows_each_with_who_set_it(node: Running) -> None:
    put(node, 27.5)
    page = node.get("/").body.decode()
    assert "<dt>Vent &lt;opens&gt; at</dt><dd>27.5 °C · by environment</dd>" in page
    assert "<dt>warm</dt><dd>" in page


def test_what_arrives_too_late_changes_nothing(node: Running) -> None:
    for seconds, status, value in ((-1, 422, 30), (15, 200, 27.5)):
        wanted = {"value": 27.5, "before": clock.iso(clock.at() + seconds * 1_000)}
        assert node.request("PUT", "/api/settings/vent_at", wanted, key=KEY).status == status
        assert setting(node)["value"] == value


def test_null_gives_back_what_the_config_says(node: Running) -> None:
    put(node, 40)
    assert put(node, None).json["value"] == 30
    assert (setting(node)["value"], setting(node)["set_by"]) == (30, None)


@pytest.mark.parametrize("value", [14.99, 45.01, -1e308, 1e308, 10**400])
def test_out_of_its_bounds_it_is_422_and_says_them(node: Running, value: float) -> None:
    answer = put(node, value)
    assert answer.status in {400, 422}
    assert value == 10**400 or "from 15 to 45" in answer.json["error"]
    assert setting(node)["value"] == 30


@pytest.mark.parametrize("body", [b'{"value": 1e999}', b'{"value": NaN}', b'{"value": Infinity}', b"30", b"{}", b"[]"])
def test_what_is_no_number_changes_nothing(node: Running, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for name in ("vent_at", "free"):
        assert node.request("PUT", f"/api/settings/{name}", body, headers, key=KEY).status in {400, 422}
    assert (setting(node)["value"], setting(node, "free")["value"]) == (30, 1.5)


@pytest.mark.parametrize("value", ["30", True, [30], {"value": 30}])
def test_what_is_another_kind_of_value_is_422(node: Running, value: object) -> None:
    assert put(node, value).status == 422


def test_what_is_sent_besides_is_422(node: Running) -> None:
    assert node.request("PUT", "/api/settings/vent_at", {"value": 30, "unit": "K"}, key=KEY).status == 422


@pytest.mark.parametrize("name", ["nobody", "vent", "%00", "<script>", "x" * 1000])
def test_an_unknown_setting_is_404_and_says_which_there_are(node: Running, name: str) -> None:
    answer = put(node, 30, name)
    assert answer.status == 404
    assert "Known: vent_at, free." in answer.json["error"]
    assert "<" not in answer.json["error"]


def test_who_may_only_read_changes_nothing(node: Running) -> None:
    assert put(node, 40, key=None).status == 401
    assert put(node, 40, key=make_key(node, "read")).status == 403
    assert setting(node)["value"] == 30


def test_a_change_is_in_the_journal_and_outlives_a_restart(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG) as node:
        put(node, 33)
        node.stop()
        node.start()
        assert (setting(node)["value"], setting(node)["set_by"]) == (33, "environment")
    with Store(tmp_path / "data", boot=Boot("later", 0, Trust.UNSET)) as store:
        told = [note.text for note in Journal(store).newest(20) if note.kind == "setting"]
    assert told == ["from 30 to 33 °C by environment"]
