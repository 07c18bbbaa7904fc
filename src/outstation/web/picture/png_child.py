"""Draws one picture as PNG: standard input to standard output, in a process of its own.

The law of this file: no text of a sensor's is read as markup: matplotlib would take what stands between dollar signs
as mathematics (matplotlib, "Writing mathematical expressions").
"""

from __future__ import annotations

import io
import os
import resource
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec

from outstation.web.picture.drawing import DASHES, LIGHT, limits, printable
from outstation.web.picture.series import Panel, Picture, Series

MEMORY = 1 << 30
"""Bytes of address space; what it uses is a tenth."""

_DPI = 100


def main() -> None:
    """Draw what standard input says."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # the loop goes first where both want the same core
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    picture = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Picture)
    sys.stdout.buffer.write(png(picture))


def png(picture: Picture) -> bytes:
    """Return the picture as PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415  an extra, and only this process pays for it

    figure = Figure(figsize=(picture.width / _DPI, picture.height / _DPI), dpi=_DPI, layout="constrained")
    weights = [0.4 if panel.words else 1.0 for panel in picture.panels]
    places = figure.subplots(len(weights), sharex=True, squeeze=False, height_ratios=weights)
    numbers = count()
    for panel, place in zip(picture.panels, places[:, 0], strict=True):
        _panel(panel, place, picture, numbers)
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return written.getvalue()


def _panel(panel: Panel, place: Any, picture: Picture, numbers: Iterator[int]) -> None:
    for series in panel.series:
        _line(series, next(numbers), place)
    lines = limits(panel, max(2, picture.height // len(picture.panels) // 50))
    place.set(xlim=(picture.start, picture.end), ylim=(lines[0], lines[-1]))
    if panel.words:
        place.set_yticks(lines, [printable(word) for word in panel.words], parse_math=False)
    else:
        place.set_yticks(lines)
    place.set_xticks([at for at, _ in picture.ticks], [text for _, text in picture.ticks])
    place.tick_params(labelsize=9, length=0)
    place.grid(color="#d7dfda")
    place.spines[:].set_visible(False)
    legend = place.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9, borderpad=0)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _line(series: Series, number: int, place: Any) -> None:
    colour = LIGHT[number]
    dashes = tuple(float(part) for part in DASHES[number].split())
    style: Any = (0, dashes) if dashes else "solid"
    # A label that begins with an underscore is left out of a legend (matplotlib, Artist.set_label).
    label = "\u200b" + printable(f"{series.label} {series.said}" if series.stretches else f"{series.label}: nothing")
    place.plot([], [], color=colour, linestyle=style, label=label)
    for stretch in series.stretches:
        place.fill_between(stretch.at, stretch.low, stretch.high, color=colour, alpha=0.2, linewidth=0)
        marker = "." if len(stretch.at) == 1 else ""
        place.plot(stretch.at, stretch.mean, color=colour, linestyle=style, linewidth=1.5, marker=marker)


if __name__ == "__main__":
    main()
