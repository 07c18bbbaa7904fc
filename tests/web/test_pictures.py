"""GET /api/plot.svg: a plot as a picture, whose words are text, and which says no more than was asked for."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import KEY, Answer, Running
from tests.web.asking import ask

CONFIG = """
[node]
name = "pictured"
clock = "trust"
timezone = "Europe/Zurich"

[web]
reads = "key"
public = ["/api/plot.svg"]

[[sensors]]
name = "air"
label = "<img src=x onerror=alert(1)> & air"
driver = "system"
quantity = "memory_used"
every = "1s"

[[sensors]]
name = "door"
driver = "gpio"
pin = 27
simulate = true
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("pictured") / "data", CONFIG) as running:
        running.post("/api/readings", {"sensor": "porch/temperature", "value": 21.5})
        yield running


def drawn(node: Running, query: str) -> Answer:
    return ask(node, "GET", f"/api/plot.svg?{query}")


def test_it_is_a_picture_that_stands_alone(node: Running) -> None:
    answer = drawn(node, "sensor=air&sensor=door&sensor=porch/temperature&last=1h&height=600")
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(answer.body).iter()}
    assert {"svg", "text"} <= tags
    assert not tags & {"script", "image", "a", "foreignObject", "use"}


def test_a_label_is_text(node: Running) -> None:
    picture = drawn(node, "sensor=air&last=1h").body
    assert b"<img" not in picture
    assert "<img src=x" in "".join(ET.fromstring(picture).itertext())


def test_everybody_may_see_it_where_the_owner_says_so_and_nothing_else(node: Running, tmp_path: Path) -> None:
    assert drawn(node, "sensor=air").status == 200
    assert ask(node, "HEAD", "/api/plot.svg?sensor=air").status == 200
    assert ask(node, "GET", "/api/readings?sensor=air").status == 401
    assert ask(node, "POST", "/api/plot.svg?sensor=air").status == 405
    with Running(tmp_path / "data", CONFIG.replace("public =", "# ")) as closed:
        assert drawn(closed, "sensor=air").status == 401
        assert closed.get("/api/plot.svg?sensor=air", key=KEY).headers["cache-control"] == "private, max-age=60"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("sensor=nobody", 404),
        ("sensor=air&lst=1h", 422),
        ("sensor=air&last=soon", 422),
        ("sensor=air&last=1h&start=2026-01-01T00:00:00Z", 422),
        ("sensor=air&width=20000", 422),
        ("sensor=air&" + "&".join(f"sensor=s{number}" for number in range(7)), 422),
    ],
)
def test_what_cannot_be_drawn_is_told_in_words(node: Running, query: str, status: int) -> None:
    answer = drawn(node, query)
    assert (answer.status, bool(answer.json["error"])) == (status, True)
