"""What goes over the wire, to the byte: each paragraph of the dialect has a transcript in `transcripts/`.

Lines with `>` are sent, lines with `<` are the answer; `*` stands for what nobody can foresee. Every answer is also
framed as all of them are: a Content-Length that is true, nothing chunked, and the headers for pages of any origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.running import Running

FOLDER = Path(__file__).parent / "transcripts"

CONFIG = """
[node]
clock = "trust"

[[devices]]
name = "porch"
channel = 254616
write_key = "Q7WK2ZB9XHT4RM6C"
public = true
fields = ["temperature", "humidity"]

[[devices]]
name = "cellar"
channel = 3
write_key = "M9TR4KX2ZQ8WB6HC"
read_key = "A1PD8SJ3VNE5GU0L"
fields = ["level"]
"""

ANY_ORIGIN = {
    "Access-Control-Allow-Origin: *",
    "Access-Control-Allow-Methods: GET, POST, PUT, OPTIONS, DELETE, PATCH",
    (
        "Access-Control-Allow-Headers: origin, content-type, X-Requested-With, "
        "X-API-Key, Authorization, X-THINGSPEAKAPIKEY"
    ),
    "Access-Control-Max-Age: 1800",
}


WRITTEN = (
    "key=Q7WK2ZB9XHT4RM6C&created_at=2026-03-01T12:01:00Z&field1=72.30&field2=41&lat=52.5&long=13.4&elevation=34&status=on",
    "key=Q7WK2ZB9XHT4RM6C&created_at=2026-03-01T12:08:30Z&field1=73.1",
    'key=Q7WK2ZB9XHT4RM6C&created_at=2026-03-01T12:31:00Z&field1=21,5&field2=broken&status=caf%C3%A9,+"new"',
    "key=M9TR4KX2ZQ8WB6HC&created_at=2026-03-01T12:00:00Z&field1=5",
)
"""What the boards have sent before."""


class Exchange(NamedTuple):
    """One question and its answer."""

    sent: bytes
    answered: list[str]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("transcripts") / "data", CONFIG) as running:
        for form in WRITTEN:
            assert running.request("POST", "/update", form).status == 200
        yield running


def exchanges(text: str) -> list[Exchange]:
    blocks = re.findall(r"((?:^>.*\n)+)((?:^<.*\n)+)", text, re.MULTILINE)
    return [Exchange("\r\n".join(_said(sent)).encode(), _said(answered)) for sent, answered in blocks]


def _said(block: str) -> list[str]:
    return [line[2:] for line in block.splitlines()]


def heard(raw: bytes) -> list[str]:
    """Return an answer by lines, without the headers that all have, once these are seen to be right."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert set(lines) >= ANY_ORIGIN, "every answer is for pages of any origin"
    assert f"Content-Length: {len(body)}" in lines or " 204 " in lines[0]
    assert "chunked" not in head.decode().lower()
    return [*(line for line in lines if line not in ANY_ORIGIN), "", *body.decode().split("\n")]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.txt")))
def test_what_is_said_is_what_was_written_down(node: Running, name: str) -> None:
    for exchange in exchanges((FOLDER / f"{name}.txt").read_text()):
        answer = heard(node.raw(exchange.sent))
        assert len(answer) == len(exchange.answered), (exchange.sent, answer)
        for found, wanted in zip(answer, exchange.answered, strict=True):
            pattern = re.escape(wanted).replace(r"\*", ".*")
            assert re.fullmatch(pattern, found), f"{exchange.sent!r}\nwanted {wanted}\nfound  {found}"
