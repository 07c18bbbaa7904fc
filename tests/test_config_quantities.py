"""One table for a chip that measures several things is several sensors, before anybody looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from outstation.config import load_rules
from tests.test_config import loaded, mistakes, place, sensor

__all__ = ["place"]

TWO = '[[sensors]]\nname = "pi"\nlabel = "The Pi"\ndriver = "system"\nevery = "1m"\n'
RULE = '[[rules]]\nname = "hot"\nwhen = "pi_cpu_temp > 80"\nalert = { message = "{pi_cpu_load} %" }\n'


def test_each_quantity_is_a_sensor_of_its_own(place: Path) -> None:
    config = loaded(TWO + 'quantities = ["cpu_temp", "cpu_load"]\n' + RULE)
    hot, busy = config.sensors
    assert [(one.name, one.label, one.options) for one in (hot, busy)] == [
        ("pi_cpu_temp", "The Pi cpu temp", {"quantity": "cpu_temp"}),
        ("pi_cpu_load", "The Pi cpu load", {"quantity": "cpu_load"}),
    ]
    assert (hot.every, busy.every, hot.quantities) == (60_000, 60_000, None)


def test_a_rule_that_names_the_chip_is_told_what_its_sensors_are_called(place: Path) -> None:
    found = mistakes(TWO + 'quantities = ["cpu_temp", "cpu_load"]\n' + RULE.replace("pi_cpu_temp", "pi"))
    assert 'found "pi", which nobody knows; did you mean "pi_cpu_load"?' in found[0]


def test_a_table_of_quantities_gives_their_units(place: Path) -> None:
    config = loaded('[[sensors]]\nname = "pi"\ndriver = "system"\nquantities = { cpu_temp = "K", uptime = "h" }\n')
    assert [(one.name, one.label, one.unit) for one in config.sensors] == [
        ("pi_cpu_temp", "", "K"),
        ("pi_uptime", "", "h"),
    ]


def test_rules_are_tried_on_sensors_of_one_table(place: Path) -> None:
    Path("rules.toml").write_text(TWO + 'quantities = ["cpu_temp", "cpu_load"]\n' + RULE)
    assert [one.name for one in load_rules(Path("rules.toml"), []).sensors] == ["pi_cpu_temp", "pi_cpu_load"]


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ('quantities = "cpu_temp"', 'expected names such as ["temperature", "humidity"], each once, found "cpu_temp".'),
        ("quantities = []", 'expected names such as ["temperature", "humidity"], each once, found [].'),
        ("quantities = { cpu_temp = 1 }", 'such as { temperature = "°C", humidity = "%" }, found a table.'),
        ('quantities = { cpu_temp = "C" }', 'expected a unit that others know, found "C"; did you mean "°C"?'),
        ('quantities = ["cpu_temp", "heat"]', 'key "quantities": expected "cpu_temp", "cpu_load", "memory_used",'),
        ('quantities = ["cpu_temp", "uptime"]\nquantity = "uptime"', "expected the quantity in quantities alone,"),
        (
            'quantities = { uptime = "h" }\nunit = "s"',
            'key "unit": expected the units in quantities alone, found both.',
        ),
        ('quantities = ["cpu_temp", "uptime"]\ncolour = "red"', 'key "colour": nobody reads this key;'),
        ('quantities = ["cpu_temp", "uptime"]\nevery = "soon"', 'expected a duration such as "30s",'),
        ('quantites = ["cpu_temp"]\nquantity = "uptime"', 'did you mean "quantities"?'),
    ],
)
def test_what_is_wrong_in_it_is_said_once(place: Path, keys: str, mistake: str) -> None:
    found = mistakes(f'[[sensors]]\nname = "pi"\ndriver = "system"\n{keys}\n')
    told = [line for line in found if mistake in line]
    assert len(told) == 1, found
    assert told[0].startswith('outstation.toml, [[sensors]] 1 "pi", key "')


def test_the_name_of_one_of_them_may_be_taken(place: Path) -> None:
    found = mistakes(sensor("", name="pi_uptime") + TWO + 'quantities = ["cpu_temp", "uptime"]\n')
    told = 'expected one of its own, found "pi_uptime", which [[sensors]] 1 "pi_uptime" has.'
    assert found == [f'outstation.toml, [[sensors]] 2 "pi", key "name": {told}']


def test_what_hangs_on_one_pin_may_have_several_quantities_and_nobody_else(place: Path) -> None:
    dht = '[[sensors]]\nname = "shed"\ndriver = "dht"\npin = 4\nquantities = ["temperature", "humidity"]\n'
    assert [one.name for one in loaded(dht).sensors] == ["shed_temperature", "shed_humidity"]
    found = mistakes(dht + '[[sensors]]\nname = "button"\ndriver = "gpio"\npin = 4\n')
    (line,) = found
    assert line.endswith('"button", key "pin": expected one of its own, found 4, which [[sensors]] 1 "shed" has.')


def test_a_total_takes_no_dead_band_and_says_why(place: Path) -> None:
    rain = '[[sensors]]\nname = "rain"\ndriver = "counter"\npin = 6\ndead_band = 0.5\n'
    words = 'key "dead_band": expected none for a total, found 0.5; a total goes on from its last reading on disk.'
    for table, name in ((rain, "rain"), (rain + 'quantities = ["total", "rate"]\n', "rain")):
        [found] = mistakes(table)
        assert found.startswith(f'outstation.toml, [[sensors]] 1 "{name}", {words}')
        assert found.endswith("Leave it out, or give it to a rate in its own table.")
    assert loaded(rain + 'quantity = "rate"\n').sensors[0].dead_band == 0.5
