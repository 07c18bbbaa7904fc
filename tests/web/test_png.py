"""GET /api/plot.png: the picture for what shows no SVG, drawn by a process that does not stay."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.running import Answer, Running
from tests.web.asking import ask

CONFIG = """
[node]
clock = "trust"

[web]
reads = "key"
public = ["/api/plot.png"]

[[sensors]]
name = "air"
label = "$\\\\frac{1}{0$ <b>air</b>"
driver = "system"
quantity = "memory_used"
every = "1s"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("png") / "data", CONFIG) as running:
        running.post("/api/readings", {"sensor": "porch/leak", "value": True})
        yield running


def drawn(node: Running, query: str) -> Answer:
    return ask(node, "GET", f"/api/plot.png?{query}")


def test_it_is_a_png_of_the_size_that_was_asked_for_and_no_label_is_a_formula(node: Running) -> None:
    answer = drawn(node, "sensor=air&sensor=porch/leak&last=1h&width=640&height=400")
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert answer.body[:8] == b"\x89PNG\r\n\x1a\n"  # PNG (third edition), section 5.2
    assert struct.unpack(">II", answer.body[16:24]) == (640, 400)


def test_who_drew_it_is_gone(node: Running) -> None:
    assert drawn(node, "sensor=air&last=1h").status == 200
    words = [" ".join(child.cmdline()) for child in psutil.Process(node.pid).children(recursive=True)]
    assert not [said for said in words if "png_child" in said]


@pytest.mark.parametrize("query", ["sensor=nobody", "sensor=air&width=9", "sensor=air&last=x"])
def test_what_cannot_be_drawn_is_refused_as_for_svg(node: Running, query: str) -> None:
    assert drawn(node, query).status in (404, 422)


def test_without_matplotlib_it_says_what_to_type(tmp_path: Path) -> None:
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys\nsys.modules['matplotlib'] = None\n")  # as if it were missing
    paths = os.pathsep.join(filter(None, (str(without), os.environ.get("PYTHONPATH"))))
    with Running(tmp_path / "data", CONFIG, env={"PYTHONPATH": paths}) as node:
        answer = drawn(node, "sensor=air")
        assert answer.status == 501
        assert "pip install 'outstation[png]'" in answer.json["error"]
        assert "/api/plot.svg" in answer.json["error"]
