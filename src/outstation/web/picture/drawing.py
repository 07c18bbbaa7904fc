"""A picture as SVG: a line of means with its band from the lowest to the highest, and nothing where nothing was heard.

The law of this file: what came from a sensor, a board or the config is text, by `_text` alone; a picture runs no
script, loads nothing, and is as good in the dark as it is in the light.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import count

import msgspec

from outstation.web.picture import scales
from outstation.web.picture.series import Panel, Picture, Series, Stretch

MOST_SERIES = 6
"""So many colours can be told from one another by everybody."""

LOWEST_PANEL = 40
"""Pixels: a panel that is lower shows nothing."""

# Okabe and Ito, "Color Universal Design" (2008), darker in the light and lighter in the dark for a contrast of 3:1.
LIGHT = ("#004992", "#831500", "#007c5a", "#aa4b8a", "#8a6a00", "#3c3c3c")
DARK = ("#74c7ff", "#dc8033", "#1da378", "#d28cb6", "#e8d051", "#d3dfe4")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")

_STYLE = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','Liberation Sans',Arial,sans-serif;"
    "fill:#17211c}.ground{fill:#fff}.soft{fill:#55625b}.grid{stroke:#d7dfda}.band{fill:currentColor;fill-opacity:.2}"
    ".line{fill:none;stroke:currentColor;stroke-width:1.75;stroke-linejoin:round;stroke-linecap:round}"
    + "".join(f".s{number}{{color:{colour}}}" for number, colour in enumerate(LIGHT))
    + "@media(prefers-color-scheme:dark){text{fill:#e9efeb}.ground{fill:#19211d}.soft{fill:#9dada4}"
    ".grid{stroke:#2c3832}" + "".join(f".s{number}{{color:{colour}}}" for number, colour in enumerate(DARK)) + "}"
)

POLICY = (
    b"default-src 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest())
    + b"'"
)
"""What a browser is told that opens one as a page: nothing is run or loaded, and no style but its own counts."""

_LEAST = 0.01

RIGHT, TOP, ROW = 14, 8, 18
_BOTTOM, _LETTER = 24, 6.6


class Frame(msgspec.Struct, frozen=True):
    """Where values and times are: pixels from the top left. x, y: of the plot's own corner."""

    x: float
    y: float
    width: float
    height: float
    start: float
    end: float
    low: float
    high: float

    def across(self, at: float) -> float:
        """Return how far to the right of its corner a time is."""
        return (at - self.start) / (self.end - self.start) * self.width

    def down(self, value: float) -> float:
        """Return how far below its corner a value is. Each is divided first: their distance may be no number."""
        span = self.high / self.height - self.low / self.height
        return self.height - (value / span - self.low / span) if span else self.height / 2


def line(stretch: Stretch, frame: Frame) -> str:
    """Return the path of the means; a column alone is a dot."""
    spots = [
        f"{frame.across(at):.1f} {frame.down(mean):.1f}" for at, mean in zip(stretch.at, stretch.mean, strict=True)
    ]
    return f"M{'L'.join(spots)}" + ("h.01" if len(spots) == 1 else "")


def band(stretch: Stretch, frame: Frame) -> str:
    """Return the path around all from the lowest to the highest."""
    across = [f"{frame.across(at):.1f}" for at in stretch.at]
    above = [f"{x} {frame.down(value):.1f}" for x, value in zip(across, stretch.high, strict=True)]
    below = [f"{x} {frame.down(value):.1f}" for x, value in zip(across, stretch.low, strict=True)]
    return f"M{'L'.join([*above, *reversed(below)])}z"


def svg(picture: Picture) -> str:
    """Return the picture as a document."""
    width, height = picture.width, picture.height
    shown = ", ".join(series.label for panel in picture.panels for series in panel.series)
    until, body = _text(picture.until), "".join(_panels(picture))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' role="img"><title>{_text(shown)}, until {until}</title><style>{_STYLE}</style>'
        f'<rect class="ground" width="{width}" height="{height}" rx="8"/>{body}'
        f'<text class="soft" x="{width - RIGHT}" y="{TOP + 13}" text-anchor="end">{until}</text></svg>\n'
    )


def is_too_low(picture: Picture) -> bool:
    """Tell whether its panels would be too low to be read."""
    return min(height for _, _, height in rooms(picture, axis(picture))) < LOWEST_PANEL


def limits(panel: Panel, most: int) -> list[float]:
    """Return where the lines of a panel's axis stand."""
    if panel.words:
        return [0.0, 1.0]
    every = [stretch for series in panel.series for stretch in series.stretches]
    if not every:
        return [0.0, 1.0]
    return scales.numbers(*extent(every), most)


def extent(every: Sequence[Stretch]) -> tuple[float, float]:
    """Return from where to where to draw, a hundredth of the values at least: what hardly moves is a level line."""
    low, high = min(min(each.low) for each in every), max(max(each.high) for each in every)
    least = max(abs(low), abs(high)) * _LEAST or 1.0
    if high - low >= least:
        return low, high
    middle = low / 2 + high / 2
    return middle - least / 2, middle + least / 2


def _panels(picture: Picture) -> Iterator[str]:
    numbers = count()
    left = axis(picture)
    for panel, top, height in rooms(picture, left):
        lines = limits(panel, max(2, int(height // 36)))
        width = picture.width - left - RIGHT
        frame = Frame(left, top, width, height, picture.start, picture.end, lines[0], lines[-1])
        mine = [(next(numbers), series) for series in panel.series]
        yield from _legend(mine, frame, wrapped(panel.series, picture.width - left - RIGHT))
        yield from _across(panel, lines, frame)
        yield from _times(picture, frame, is_last=panel is picture.panels[-1])
        yield f'<svg x="{frame.x}" y="{frame.y:.1f}" width="{frame.width:.1f}" height="{frame.height:.1f}">'
        yield from (_drawn(number, series, frame) for number, series in mine)
        yield "</svg>"


def axis(picture: Picture) -> int:
    """Return how wide the widest number at the left is."""
    texts = [text for panel in picture.panels for text in written(panel, limits(panel, 5))]
    return round(16 + max(_wide(text) for text in texts))


def rooms(picture: Picture, left: int) -> list[tuple[Panel, float, float]]:
    """Return the panels, how far down each begins, and how high it is: that of a switch is lower."""
    rows = [len(wrapped(panel.series, picture.width - left - RIGHT)) for panel in picture.panels]
    weights = [0.4 if panel.words else 1.0 for panel in picture.panels]
    free = picture.height - TOP - _BOTTOM - sum(count * ROW + 8 for count in rows)
    found, top = [], float(TOP)
    for panel, row, weight in zip(picture.panels, rows, weights, strict=True):
        height = free * weight / sum(weights)
        top += row * ROW + 4
        found.append((panel, top, height))
        top += height + 4
    return found


def wrapped(series: Sequence[Series], width: float) -> list[list[Series]]:
    """Return the rows of a legend. The first leaves room for the date at the right."""
    rows: list[list[Series]] = [[]]
    used = 150.0
    for each in series:
        if rows[-1] and used + entry(each) > width:
            rows.append([])
            used = 0.0
        rows[-1].append(each)
        used += entry(each)
    return rows


def entry(series: Series) -> float:
    """Return how wide a series is in a legend."""
    return 42 + _wide(told(series))


def told(series: Series) -> str:
    """Return what a legend says of a series."""
    return f"{series.label} {series.said}" if series.stretches else f"{series.label}: nothing in this time"


def _legend(mine: Sequence[tuple[int, Series]], frame: Frame, rows: Sequence[Sequence[Series]]) -> Iterator[str]:
    waiting = iter(mine)
    for row, shown in enumerate(rows):
        x, y = frame.x, frame.y - 4 - (len(rows) - row - 1) * ROW
        for _ in shown:
            number, series = next(waiting)
            yield f'<g class="s{number}"><path class="line" d="M{x:.0f} {y - 4:.1f}h22"{_dash(number)}/></g>'
            value = f' <tspan font-weight="600">{_text(series.said)}</tspan>' if series.stretches else ""
            words = _text(series.label) + value if value else _text(told(series))
            yield f'<text x="{x + 28:.0f}" y="{y:.1f}">{words}</text>'
            x += entry(series)


def _across(panel: Panel, lines: Sequence[float], frame: Frame) -> Iterator[str]:
    for value, text in zip(lines, written(panel, lines), strict=True):
        y = frame.y + frame.down(value)
        yield f'<path class="grid" d="M{frame.x} {y:.1f}h{frame.width:.1f}"/>'
        yield f'<text class="soft" x="{frame.x - 8}" y="{y + 4:.1f}" text-anchor="end">{_text(text)}</text>'


def written(panel: Panel, lines: Sequence[float]) -> list[str]:
    """Return what stands at the lines of a panel's axis."""
    if panel.words:
        return list(panel.words)
    return [scales.number_text(value, lines[1] - lines[0]) for value in lines]


def _times(picture: Picture, frame: Frame, *, is_last: bool) -> Iterator[str]:
    bottom = frame.y + frame.height
    for at, text in picture.ticks:
        x = frame.x + frame.across(at)
        yield f'<path class="grid" d="M{x:.1f} {frame.y:.1f}V{bottom:.1f}"/>'
        if is_last and frame.x + 14 < x < picture.width - 18:
            yield f'<text class="soft" x="{x:.1f}" y="{bottom + 17:.1f}" text-anchor="middle">{_text(text)}</text>'


def _drawn(number: int, series: Series, frame: Frame) -> str:
    bands = "".join(band(each, frame) for each in series.stretches)
    lines = "".join(line(each, frame) for each in series.stretches)
    return f'<g class="s{number}"><path class="band" d="{bands}"/><path class="line" d="{lines}"{_dash(number)}/></g>'


def _dash(number: int) -> str:
    return f' stroke-dasharray="{DASHES[number]}"' if DASHES[number] else ""


def _wide(text: str) -> float:
    """Return about how many pixels a text takes: nobody here knows the reader's font."""
    return _LETTER * sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _text(anything: str) -> str:
    """Return a text as it may stand in the document."""
    return html.escape(printable(anything), quote=True)


def printable(text: str) -> str:
    """Return a text without what XML has no way to write, and fonts have no sign for."""
    return _NOT_XML.sub("\ufffd", text)


# XML 1.0, section 2.2; and of what it allows, what moves a cursor.
_NOT_XML = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
