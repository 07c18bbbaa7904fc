"""The small picture on a card: six hours in a line, gaps left out, and the newest reading at its end."""

from __future__ import annotations

import re
import time

from outstation.core.summaries import Numbers, Summary
from outstation.core.windows import FIVE_MINUTES, HOUR
from outstation.web.picture.sparks import AT_ONCE, JOINED, sparkline
from tests.running import Running

END = 1_750_000_200_000
START = END - 6 * HOUR


def column(place: int, value: float) -> Summary:
    at = START + place * FIVE_MINUTES
    return Summary(at, FIVE_MINUTES, Numbers(1, value, 0.0, value, value, value, value, at, at), FIVE_MINUTES)


def silence(place: int) -> Summary:
    return Summary(START + place * FIVE_MINUTES, FIVE_MINUTES)


def strokes(svg: str) -> list[list[tuple[float, float]]]:
    """Return where the lines go, one list a stroke."""
    path = re.findall(r' d="([^"]*)"', svg)[-1]
    return [[(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", part)] for part in path.split("M")[1:]]


def test_a_silence_is_a_gap_and_the_newest_reading_goes_on_with_the_line() -> None:
    columns = [column(0, 1), column(1, 2), silence(2), column(3, 3)]
    svg = sparkline(columns, START, START + 5 * FIVE_MINUTES, (START + 5 * FIVE_MINUTES, 5.0))
    first, second = strokes(svg)
    assert [x for x, _ in first] == [12, 36]
    assert second == [(84, 14), (120, 0)]
    assert 'data-low="1" data-high="5"' in svg


def test_a_reading_after_a_long_silence_stands_alone_and_an_older_one_changes_nothing() -> None:
    columns = [column(0, 1), column(1, 2)]
    middle = columns[-1].start + FIVE_MINUTES // 2
    assert len(strokes(sparkline(columns, START, END, (middle + JOINED, 3.0)))) == 1
    assert len(strokes(sparkline(columns, START, END, (middle + JOINED + 1, 3.0)))) == 2
    assert sparkline(columns, START, END, (middle, 3.0)) == sparkline(columns, START, END)
    assert sparkline([], START, END) == ""


def test_of_a_crowd_each_card_has_its_picture_soon(node: Running) -> None:
    names = [f"crowd/s{number}" for number in range(AT_ONCE + 5)]
    node.post("/api/readings", [{"sensor": name, "value": 1} for name in names])
    until = time.monotonic() + 10
    while (found := node.get("/").body.decode()).count("<svg class=spark") < len(names):
        assert time.monotonic() < until
        time.sleep(0.1)
    cards = re.findall(r'data-sensor="(crowd/[^"]*)".*?</li>', found, re.DOTALL)
    assert cards == names
