"""Draws one picture as PNG with matplotlib, in a process of its own, which takes that one's memory away when it ends.

The law of this file: it draws what drawing.py lays out, at the same pixels. The picture comes by standard input and
goes by standard output. What came from a sensor, a board or the config is text: no formula, and no setting of
matplotlib's own files counts.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from itertools import count
from typing import Any

import matplotlib as mpl
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from outstation.web.picture import drawing
from outstation.web.picture.drawing import LIGHT, RIGHT, ROW, TOP, Frame
from outstation.web.picture.series import Panel, Picture, Series

MEMORY = 512 << 20
"""Bytes of address space: 2000 by 2000 pixels of six sensors take 350 MB of it."""

CPU_S = 60
"""Seconds: the node kills one that is late; this one also ends where the node has gone."""

TEXT, SOFT, GRID = "#17211c", "#55625b", "#d7dfda"

_DPI = 100
_PIXEL = 72 / _DPI
"""Points, matplotlib's unit of widths and letters."""

_LETTERS = 11 * _PIXEL
"""DejaVu Sans is wider than what people's machines have: 11 pixels of it are as long as 12 of theirs."""

_DASHES = ((0, ()), (0, (7, 3)), (0, (2, 3)), (0, (9, 3, 2, 3)), (0, (4, 2)), (0, (1, 2)))


def main() -> None:
    """Draw what standard input says."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # the loop goes first where both want the same core
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    picture = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Picture)
    mpl.rcdefaults()  # a matplotlibrc lies in whichever folder the node was started in, or in its owner's home
    mpl.rcParams.update({"text.parse_math": False, "font.size": _LETTERS, "text.color": TEXT})
    drawn(picture).savefig(sys.stdout.buffer, format="png")


def drawn(picture: Picture) -> Figure:
    """Return the picture: one plot over all of it, whose unit is the pixel, counted from the top left."""
    figure = Figure((picture.width / _DPI, picture.height / _DPI), dpi=_DPI)
    paper = figure.add_axes((0, 0, 1, 1), xlim=(0, picture.width), ylim=(picture.height, 0))
    paper.axis("off")
    numbers, left = count(), drawing.axis(picture)
    width = picture.width - left - RIGHT
    for panel, top, height in drawing.rooms(picture, left):
        lines = drawing.limits(panel, max(2, int(height // 36)))
        frame = Frame(left, top, width, height, picture.start, picture.end, lines[0], lines[-1])
        _across(paper, panel, lines, frame)
        _times(paper, picture, frame, is_last=panel is picture.panels[-1])
        mine = [(next(numbers), series) for series in panel.series]
        _legend(paper, mine, frame)
        for number, series in mine:
            _series(paper, number, series, frame)
    _write(paper, picture.width - RIGHT, TOP + 13, picture.until, color=SOFT, ha="right")
    return figure


def _across(paper: Axes, panel: Panel, lines: Sequence[float], frame: Frame) -> None:
    for value, text in zip(lines, drawing.written(panel, lines), strict=True):
        y = frame.y + frame.down(value)
        paper.plot([frame.x, frame.x + frame.width], [y, y], color=GRID, linewidth=_PIXEL)
        _write(paper, frame.x - 8, y + 4, text, color=SOFT, ha="right")


def _times(paper: Axes, picture: Picture, frame: Frame, *, is_last: bool) -> None:
    bottom = frame.y + frame.height
    for at, text in picture.ticks:
        x = frame.x + frame.across(at)
        paper.plot([x, x], [frame.y, bottom], color=GRID, linewidth=_PIXEL)
        if is_last and frame.x + 14 < x < picture.width - 18:
            _write(paper, x, bottom + 17, text, color=SOFT, ha="center")


def _legend(paper: Axes, mine: Sequence[tuple[int, Series]], frame: Frame) -> None:
    waiting = iter(mine)
    rows = drawing.wrapped([series for _, series in mine], frame.width)
    for row, shown in enumerate(rows):
        x, y = frame.x, frame.y - 4 - (len(rows) - row - 1) * ROW
        for _ in shown:
            number, series = next(waiting)
            paper.plot([x, x + 22], [y - 4, y - 4], **_stroke(number))
            _write(paper, x + 28, y, drawing.told(series))
            x += drawing.entry(series)


def _series(paper: Axes, number: int, series: Series, frame: Frame) -> None:
    inside = Rectangle((frame.x, frame.y), frame.width, frame.height, transform=paper.transData)
    for stretch in series.stretches:
        across = [frame.x + frame.across(at) for at in stretch.at]
        mean, high, low = (
            [frame.y + frame.down(value) for value in values] for values in (stretch.mean, stretch.high, stretch.low)
        )
        paper.fill_between(across, low, high, color=LIGHT[number], alpha=0.2, linewidth=0, clip_path=inside)
        dot: dict[str, Any] = {"marker": ".", "markersize": 3 * _PIXEL} if len(across) == 1 else {}
        paper.plot(across, mean, clip_path=inside, **_stroke(number), **dot)


def _stroke(number: int) -> dict[str, Any]:
    return {"color": LIGHT[number], "linewidth": 1.75 * _PIXEL, "linestyle": _DASHES[number]}


def _write(paper: Axes, x: float, y: float, text: str, *, color: str = TEXT, ha: str = "left") -> None:
    paper.text(x, y, drawing.printable(text), color=color, ha=ha, va="baseline")


if __name__ == "__main__":
    main()
