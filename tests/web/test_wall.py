"""The wall: numbers for whoever passes by, complete without a script."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.running import Answer, Running

CONFIG = """
[node]
name = "green"
timezone = "Europe/Berlin"
clock = "trust"

[web]
reads = "key"
public = ["/wall"]

[[sensors]]
name = "cpu_load"
driver = "system"
quantity = "cpu_load"

[[sensors]]
name = "air"
label = "<b>Air</b>"
driver = "i2c"
chip = "mcp9808"
simulate = true
every = "500ms"

[[sensors]]
name = "gone"
driver = "recorded"
file = "secret/nowhere.csv"
column = "a"

[[devices]]
name = "porch"
channel = 1
write_key = "Q7WK2ZB9XHT40001"
fields = ["temperature"]
units = ["°C"]
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("wall") / "data", CONFIG) as running:
        assert running.get("/update?api_key=Q7WK2ZB9XHT40001&field1=-4.25").body == b"1"
        yield running


def wall(node: Running, query: str = "") -> Answer:
    return node.get(f"/wall{query}", key=None)


def names(answer: Answer) -> list[str]:
    return re.findall('<li class="one[^"]*" title="([^"]*)"', answer.body.decode())


def test_everybody_sees_the_first_sensors_and_the_computers_own_come_last(node: Running) -> None:
    answer = wall(node)
    assert answer.status == 200
    assert names(answer) == ["air", "gone", "porch/temperature"]
    assert "/wall?sensor=NAME" in answer.body.decode()
    assert node.get("/", key=None).status == 401
    assert node.get("/api/status", key=None).status == 401


def test_it_shows_what_is_asked_for_in_that_order_each_once_and_in_the_readers_units(node: Running) -> None:
    page = wall(node, "?sensor=porch/temperature&sensor=air&sensor=air&units=f")
    assert names(page) == ["porch/temperature", "air"]
    text = page.body.decode()
    assert "porch · Temperature" in text
    assert '<data value="24.4">24.4</data><span class=unit> °F</span>' in text
    assert '<a href="/wall?sensor=porch%2Ftemperature&amp;sensor=air&amp;units=c&amp;pressure=hpa">in °C</a>' in text


def test_what_is_not_there_takes_nothing_else_from_the_wall(node: Running) -> None:
    text = wall(node, "?sensor=%3Cimg%20src=x%3E&sensor=air").body.decode()
    assert "&lt;img src=x&gt;" in text
    assert "There is no sensor of this name." in text
    assert "&lt;b&gt;Air&lt;/b&gt;" in text


def test_a_fault_is_said_to_everybody_and_its_details_to_nobody(node: Running) -> None:
    text = wall(node, "?sensor=gone").body.decode()
    assert "<li class=failed>failed</li>" in text
    assert "secret" not in text


def test_too_many_are_refused_in_words(node: Running) -> None:
    answer = wall(node, "?" + "&".join(f"sensor=s{number}" for number in range(25)))
    assert answer.status == 422
    assert answer.json["error"].startswith("A wall has room for 24 sensors.")


def test_nothing_runs_but_its_own_script_and_its_style_is_there_for_everybody(node: Running) -> None:
    answer = wall(node)
    assert b"<script>" not in answer.body
    assert b"style=" not in answer.body
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    style, script = re.findall(r'(?:href|src)="(/ui/[^"]+)"', answer.body.decode())
    assert (node.get(style, key=None).status, node.get(script, key=None).status) == (200, 200)
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in answer.body.decode()
