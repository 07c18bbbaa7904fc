"""The browser's words for values are the node's: the same units, the same rounding, the same ages and times."""

from __future__ import annotations

import random

import msgspec
import pytest
from playwright.sync_api import Browser

from outstation.web.dashboard import wording
from tests.browser.alone import run_module

UNITS = [wording.Units(), wording.Units("f"), wording.Units("c", "inhg"), wording.Units("f", "inhg")]
EDGES = [0, 0.0, -0.0, -0.04, 5.25, 5.75, -5.25, 0.049, 0.05, 0.00042, 1e-7, 72, -3, 999999999, 10**9, 1e9, -1e300, 2.5]


@pytest.fixture(scope="module")
def values() -> list[float]:
    chance = random.Random(8)
    found = [chance.choice((1.0, 0.01, 1000.0, 1e8)) * chance.uniform(-9, 9) for _ in range(60)]
    return [*EDGES, *found, *(chance.randrange(-4000, 4000) / 8 for _ in range(40)), *range(-5, 5)]


def test_a_value_has_the_words_that_the_node_has_for_it(browser: Browser, values: list[float]) -> None:
    cases = [
        (value, unit, isinstance(value, int), units)
        for value in values
        for unit in ("°C", "°F", "hPa", "inHg", "%", "A", "")
        for units in UNITS
    ]
    asked = [(value, unit, whole, msgspec.structs.asdict(units)) for value, unit, whole, units in cases]
    shown = run_module(browser, "units.js", "all => all.map(each => module.valueAndUnit(...each))", asked)
    for (value, unit, _, units), found in zip(cases, shown, strict=True):
        assert tuple(found) == wording.value_and_unit("x", value, unit, units), (value, unit, units)


def test_ages_and_times_are_told_alike(browser: Browser) -> None:
    ages = [0, 999, 1_000, 59_999, 60_000, 3_599_999, 3_600_000, 172_799_999, 172_800_000, 10**10]
    assert run_module(browser, "units.js", "all => all.map(module.age)", ages) == [wording.age(age) for age in ages]
    noon = 1_767_268_800_000
    moments = [[noon, noon, 0], [noon, noon, 780], [noon, noon + 86_400_000, -300]]
    shown = run_module(browser, "units.js", "all => all.map(each => module.clockTime(...each))", moments)
    assert shown == ["12:00:00", "01:00:00", "2026-01-01 07:00:00"]
