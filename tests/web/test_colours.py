"""The page's colours: read by weak eyes, told apart by the colour-blind, in the light and in the dark."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from outstation.web import dashboard
from outstation.web.picture import drawing

Colour = tuple[float, float, float]
Matrix = tuple[Colour, Colour, Colour]

_CSS = "".join(Path(dashboard.__file__).with_name(name).read_text() for name in ("page.css", "plot.css"))
_LIGHT, _DARK = (
    "".join(re.findall(pattern, _CSS, re.DOTALL | re.MULTILINE))
    for pattern in (r"^:root \{(.*?)^\}", r"^@media \(prefers-color-scheme: dark\) \{\s+:root \{(.*?)^  \}")
)

EYES: dict[str, Matrix] = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
"""On linear RGB, severity 1.0: Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color
Vision Deficiency" (IEEE TVCG 15, 2009), the matrices published with it."""

TOLD_APART = 18
"""CIE 1976 colour difference, for thin lines: eight times what is just seen side by side (2.3; Mahy et al., 1994)."""

READ = [
    *itertools.product(("ink", "soft", "accent", "warn", "bad"), ("card", "ground", "sunk")),
    ("ink", "warn-ground"), ("soft", "warn-ground"), ("warn", "warn-ground"), ("accent", "lit-ground"),
    ("ink", "bad-ground"), ("soft", "bad-ground"), ("bad", "bad-ground"), ("on-accent", "accent"),
    *((f"series-{number}", "card") for number in range(1, 7)),
]  # fmt: skip
"""What is written in which colour, and on which ground; on a series stands its number, in the colour of the card."""

SCHEMES = pytest.mark.parametrize("style", [_LIGHT, _DARK], ids=["light", "dark"])


@SCHEMES
def test_words_have_the_contrast_of_wcag_aa(style: str) -> None:
    """4.5:1 (WCAG 2.2, 1.4.3); 3:1 for what shows where a field is (1.4.11)."""
    ratios = {pair: contrast(*(named(style, name) for name in pair)) for pair in READ}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}
    assert contrast(named(style, "edge"), named(style, "card")) >= 3


@SCHEMES
@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("names", [[f"series-{number}" for number in range(1, 7)], ["accent", "warn", "bad"]])
def test_whoever_looks_tells_any_two_apart(style: str, eyes: str, names: list[str]) -> None:
    seen = {name: lab(through(EYES[eyes], named(style, name))) for name in names}
    apart = {pair: difference(seen[pair[0]], seen[pair[1]]) for pair in itertools.combinations(names, 2)}
    assert {pair: apart[pair] for pair in apart if apart[pair] < TOLD_APART} == {}


def test_a_plot_and_its_picture_have_the_same_colours() -> None:
    for style, colours in ((_LIGHT, drawing.LIGHT), (_DARK, drawing.DARK)):
        assert tuple(re.findall(r"--series-\d: (#\w+);", style)) == colours


def named(style: str, name: str) -> Colour:
    """Return a colour of the style in linear RGB (IEC 61966-2-1, as WCAG has it)."""
    found = re.search(rf"--{name}: #(\w\w)(\w\w)(\w\w);", style)
    assert found, name
    red, green, blue = (int(part, 16) / 255 for part in found.groups())
    return _linear(red), _linear(green), _linear(blue)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def through(eyes: Matrix, colour: Colour) -> Colour:
    red, green, blue = (min(1.0, max(0.0, _sum(row, colour))) for row in eyes)
    return red, green, blue


def _sum(row: Colour, colour: Colour) -> float:
    return sum(a * b for a, b in zip(row, colour, strict=True))


_XYZ: Matrix = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE = (0.9505, 1.0, 1.089)
"""sRGB (IEC 61966-2-1): its primaries, and its white, D65."""


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio (WCAG 2.2, "contrast ratio" and "relative luminance")."""
    darker, lighter = sorted(_sum(_XYZ[1], colour) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def lab(colour: Colour) -> Colour:
    """Return a colour in CIE 1976 L*a*b* (CIE 15:2004, 8.2.1)."""
    x, y, z = (_root(_sum(row, colour) / white) for row, white in zip(_XYZ, _WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _root(share: float) -> float:
    return float(share ** (1 / 3)) if share > (6 / 29) ** 3 else share / (3 * (6 / 29) ** 2) + 4 / 29


def difference(one: Colour, other: Colour) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)
