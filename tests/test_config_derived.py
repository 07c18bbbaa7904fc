"""Derived sensors and calibration in the config: what is right, what is wrong, in which unit they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from outstation.assembly import assemble
from outstation.config import load_rules
from outstation.plugins import Place
from tests.test_config import board, loaded, mistakes, place, sensor

__all__ = ["place"]

INPUTS = (
    sensor('unit = "°C"')
    + sensor('unit = "%"', name="humidity")
    + '[[settings]]\nname = "base"\nvalue = 10\nunit = "°C"\n'
)


def derived(value: str, keys: str = "", *, name: str = "dew") -> str:
    return f'[[sensors]]\nname = "{name}"\ndriver = "derived"\nvalue = "{value}"\n{keys}\n'


def test_a_node_is_put_together_with_them_and_with_the_units_that_follow(place: Path) -> None:
    text = INPUTS + derived("air - dew", name="spread") + derived("dew_point(air, humidity)", 'every = "1m"')
    text += derived("air / base", name="share") + derived("air * 2", 'unit = "K"\nscale = 0.5', name="half")
    node, hardware = assemble(loaded(text), Place(place, place))
    units = {name: (state.spec.unit, state.spec.every) for name, state in node.sensors.items()}
    assert units == {
        "air": ("°C", 10_000),
        "humidity": ("%", 10_000),
        "spread": ("°C", None),
        "dew": ("°C", None),
        "share": ("", None),
        "half": ("K", None),
    }
    assert [one.name for one in hardware.sampled()] == ["air", "humidity"]
    assert node.looks_at("dew")


def test_rules_and_boards(place: Path) -> None:
    rule = '[[rules]]\nname = "damp"\nwhen = "spread < 2 and mean(spread, 1h) < 3"\nalert = { message = "{spread}" }\n'
    config = loaded(INPUTS + board() + derived("air - porch/temperature + later/x", name="spread") + rule)
    assert len(config.sensors) == 3


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (derived("air +"), '"dew", key "value": expected a sensor, a setting or a number, found the end.'),
        (derived("dew_point(air, humidty)"), 'found "humidty", which nobody knows; did you mean "humidity"?'),
        (derived("dew_point(humidity, air)"), "expected a number in °C in dew_point(...), found a number in %."),
        (derived("base * 2"), "expected a sensor in it: this one never changes."),
        (derived("age(air)"), "expected a number, found a duration; divide it by one, such as age(x) / 1s."),
        (derived("air > 3"), 'expected "+", "-", "*", "/" or the end, found ">"'),
        (
            derived("air * 1", 'unit = "%"') + derived("dew + air", name="more"),
            "expected a number in %, as on the left",
        ),
        (derived("air + 1", 'unit = "°F"'), '"dew", key "unit": expected "°C", in which its value is, found "°F".'),
        (derived("dew + 1"), '"dew", key "value": expected no circle: dew, which is made of dew.'),
        (
            derived("b + 1", name="a") + derived("c + air", name="b") + derived("a - 1", name="c"),
            'key "value": expected no circle: a, which is made of b, which is made of c, which is made of a.',
        ),
        ('[[sensors]]\nname = "dew"\ndriver = "derived"\n', '"dew", key "value": expected, but missing.'),
        ('[[sensors]]\nname = "dew"\ndriver = "derived"\nvalue = 3\n', 'key "value": expected a text in quotes,'),
        (derived("air", 'pin = 3\nevery = "1m"'), 'key "pin": nobody reads this key;'),
        (
            derived("air", 'quantities = ["a"]'),
            'key "quantities": nobody reads this key; this driver says one thing alone.',
        ),
    ],
)
def test_what_is_wrong_with_one(place: Path, text: str, mistake: str) -> None:
    found = mistakes(INPUTS + text)
    assert mistake in found[0]
    assert len(found) == 1 + ("humidity, air" in text), found


def test_a_rules_file_may_bring_some_of_its_own(place: Path) -> None:
    rule = '[[rules]]\nname = "damp"\nwhen = "dew > 10"\nalert = { message = "!" }\n'
    Path("rules.toml").write_text(derived("dew_point(air, humidity)") + rule)
    assert load_rules(Path("rules.toml"), ["air", "humidity"]).sensors[0].options == {
        "value": "dew_point(air, humidity)"
    }


def test_points_are_read_in_their_order(place: Path) -> None:
    soil = loaded(sensor("points = [[2.0, 100], [0.4, 0]]")).sensors[0]
    assert list(soil.points or ()) == [(0.4, 0), (2.0, 100)]
    assert soil.calibration.true(1.2) == pytest.approx(50)


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ("points = [[1, 2]]", "expected two points or more, [what it says, what is true], such as"),
        ("points = [[1, 2], [3]]", "expected two points or more,"),
        ("points = [[1, 2], [3, true]]", "expected two points or more,"),
        ("points = [[1, 2], [3, inf]]", "expected two points or more,"),
        ("points = 7", "expected two points or more,"),
        (f"points = [[1{'0' * 400}, 0], [1, 5]]", "expected two points or more,"),
        ("points = [[-1e308, 0], [1e308, 5]]", "expected points that differ in what the sensor says"),
        ("points = [[1e-320, 0], [2e-320, 5]]", "expected points that differ in what the sensor says"),
        ("points = [[1, 2], [1, 3]]", "expected points that differ in what the sensor says"),
        ("points = [[1, 2], [3, 4]]\noffset = 1", 'key "points": expected either points or offset, found both.'),
    ],
)
def test_points_that_are_none(place: Path, keys: str, mistake: str) -> None:
    found = mistakes(sensor(keys))
    assert len(found) == 1
    assert mistake in found[0]
