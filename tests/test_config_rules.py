"""Rules, settings and limits of a config: what arrives, and every way in which they cannot be meant."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.config import load
from outstation.config.specs import actuator_spec, rule_specs, ruled, setting_specs
from outstation.core.conditions import parse
from outstation.errors import ConfigError
from tests.test_config import actuator, board, loaded, mistakes, sensor


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


DOOR = '[[sensors]]\nname = "door"\ndriver = "gpio"\npin = 22\nsimulate = true\n'
HOUSE = sensor("") + DOOR + actuator("") + actuator("", name="heater", pin=18)


def rule(keys: str = 'claim = { vent = "on" }', *, name: str = "ventilate", when: str = "air > 30") -> str:
    return f"[[rules]]\nname = \"{name}\"\nwhen = '{when}'\n{keys}\n"


def setting(keys: str = "value = 30", *, name: str = "vent_at") -> str:
    return f'[[settings]]\nname = "{name}"\n{keys}\n'


# What arrives.


def test_every_key_of_a_rule_arrives() -> None:
    config = loaded(
        HOUSE
        + setting('value = 30\nmin = 10\nmax = 40\nunit = "°C"\nlabel = "Vent at"')
        + "[alerts]\nrepeat = '6h'\n"
        + rule(
            'until = "air < vent_at - 2"\nhold = "1m"\npriority = 5\nenabled = false\nafter_restart = "restart"\n'
            'claim = { vent = "on", heater = "off" }\nalert = { severity = "critical", message = "{air:.1f} °C" }',
            when="air > vent_at",
        )
        + rule('priority = "safety"\nalert = { message = "Open", repeat = "5m" }', name="door.1", when="door is on")
    )
    first, second = rule_specs(config)
    assert (first.name, first.hold, first.priority, first.safety) == ("ventilate", 60_000, 5, False)
    assert (first.enabled, first.hold_anew, first.claims) == (False, True, {"vent": True, "heater": False})
    assert first.when == parse("air > vent_at", settings=["vent_at"])
    assert first.until == parse("air < vent_at - 2", settings=["vent_at"])
    assert first.alert is not None
    assert (first.alert.severity, first.alert.message.text, first.alert.repeat) == (
        "critical",
        "{air:.1f} °C",
        21_600_000,
    )
    assert (second.safety, second.priority, second.hold, second.until, second.enabled) == (True, 0, 0, None, True)
    assert second.alert is not None
    assert (second.alert.severity, second.alert.repeat) == ("warning", 300_000)
    (vent_at,) = setting_specs(config)
    assert (vent_at.name, vent_at.default, vent_at.low, vent_at.high) == ("vent_at", 30, 10, 40)
    assert (vent_at.unit, vent_at.label) == ("°C", "Vent at")
    assert ruled(config) == {"vent", "heater"}


def test_every_limit_of_an_output_arrives() -> None:
    config = loaded(
        sensor("")
        + actuator(
            'min_on = "30s"\nmin_off = "1m"\nmax_on = "15m"\ninterlock = ["heater", "mains"]\nlease = "2m"\n'
            'manual_for = "8h"\nsafe = "on"\ndefault = "on"\nlabel = "Vent"'
        )
        + actuator('interlock = ["mains"]', name="heater", pin=18)
    )
    spec = actuator_spec(config.actuators[0], dimmable=True, ruled=True)
    assert (spec.safe, spec.default, spec.dimmable, spec.ruled, spec.label) == (True, True, True, True, "Vent")
    assert (spec.min_on, spec.min_off, spec.max_on) == (30_000, 60_000, 900_000)
    assert (spec.interlock, spec.lease, spec.manual_for) == (("heater", "mains"), 120_000, 28_800_000)
    plain = actuator_spec(config.actuators[1], dimmable=False, ruled=False)
    assert (plain.min_on, plain.max_on, plain.lease, plain.manual_for) == (0, None, 300_000, None)


def test_feedback_becomes_a_rule_with_words() -> None:
    config = loaded(
        HOUSE + actuator('feedback = "door"\nfeedback_within = "2s"\nlabel = "The {pump}"', name="on", pin=19)
    )
    (spec,) = rule_specs(config)
    assert (spec.name, spec.hold) == ("feedback of on", 2_000)
    assert spec.when.text == "(`on` is on and door is off) or (`on` is off and door is on)"
    assert spec.alert is not None
    assert spec.alert.severity == "critical"
    assert spec.alert.message.names == {"on", "door"}
    assert spec.alert.message.parts[0] == "The "


@pytest.mark.parametrize("name", ["open the windows", "a", "x" * 64, "Vent.1_b-2"])
def test_names_of_rules(name: str) -> None:
    assert loaded(HOUSE + rule(name=name)).rules[0].name == name


def test_a_device_that_may_come_may_be_named_and_one_that_may_not_is_a_mistake() -> None:
    text = sensor("") + rule('alert = { message = "{cellar/air}" }', when="porch/air < air - 1")
    assert len(loaded(text).rules) == 1
    closed = "[web]\naccept_new_sensors = false\n" + text
    assert [line.partition(":")[0] for line in mistakes(closed)] == [
        'outstation.toml, [[rules]] 1 "ventilate", key "when"',
        'outstation.toml, [[rules]] 1 "ventilate", key "alert.message"',
    ]
    (line,) = mistakes(board() + rule('alert = { message = "x" }', when="porch/temprature < 1"))
    assert 'found "porch/temprature", which nobody knows; did you mean "porch/temperature"?' in line


# What is refused.


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (HOUSE + rule(name="a/b"), 'key "name": expected a name such as "open the windows": 1 to 64 letters, digits'),
        (HOUSE + rule(name=" a"), 'key "name": expected a name such as "open the windows"'),
        (HOUSE + rule(name="x" * 65), 'key "name": expected a name such as "open the windows"'),
        (HOUSE + rule() + rule(), 'expected one of its own, found "ventilate", which [[rules]] 1 "ventilate" has.'),
        (HOUSE + rule(""), '[[rules]] 1 "ventilate": expected a claim or an alert: without either it does nothing.'),
        (HOUSE + rule("claim = {}"), '[[rules]] 1 "ventilate": expected a claim or an alert'),
        (HOUSE + rule('claim = "vent"'), 'key "claim": expected a table, found the text "vent".'),
        (
            HOUSE + rule('claim = { vnt = "on" }'),
            'key "claim": expected the name of an output, found "vnt"; did you mean',
        ),
        (HOUSE + rule('claim = { door = "on" }'), 'found "door"; outputs: vent, heater.'),
        (rule('claim = { x = "on" }', when="count(p/a, 1h) > 1"), 'found "x"; outputs: none.'),
        (HOUSE + rule("claim = { vent = true }"), 'key "claim.vent": expected "on", "off" or, for an output that can'),
        (HOUSE + rule("claim = { vent = 1.5 }"), 'key "claim.vent": expected "on", "off" or, for an output that can'),
        (
            HOUSE + rule("claim = { vent = 0.5 }"),
            'key "claim.vent": expected "on" or "off", found 0.5: it cannot be dim',
        ),
        (
            HOUSE + rule('claim = { vent = "on" }\npriority = "high"'),
            'key "priority": expected a number, the higher the',
        ),
        (
            HOUSE + rule('claim = { vent = "on" }\npriority = true'),
            'key "priority": expected a number, the higher the mo',
        ),
        (HOUSE + rule('claim = { vent = "on" }\nhold = "0s"'), 'key "hold": expected a duration longer than zero'),
        (
            HOUSE + rule('claim = { vent = "on" }\nafter_restart = "stop"'),
            'key "after_restart": expected "continue" or',
        ),
        (
            HOUSE + rule('claim = { vent = "on" }\nuntill = "air < 1"'),
            'key "untill": nobody reads this key; did you mean',
        ),
        (HOUSE + rule('alert = "hot"'), 'key "alert": expected a table, found the text "hot".'),
        (HOUSE + rule("alert = {}"), 'key "alert.message": expected, but missing.'),
        (
            HOUSE + rule('alert = { mesage = "x", message = "x" }'),
            'key "alert.mesage": nobody reads this key; did you mea',
        ),
        (
            HOUSE + rule('alert = { message = "x", severity = "bad" }'),
            'key "alert.severity": expected "info", "warning" ',
        ),
        (HOUSE + rule('alert = { message = "x", repeat = "soon" }'), 'key "alert.repeat": expected a duration such as'),
        (
            HOUSE + rule('alert = { message = "x", repeat = "59s" }'),
            'key "alert.repeat": expected "1m" or longer, found "59s".',
        ),
        (
            HOUSE + '[[rules]]\nname = "x"\nclaim = { vent = "on" }',
            '[[rules]] 1 "x", key "when": expected, but missing.',
        ),
        # Settings.
        (setting("value = 'x'"), '[[settings]] 1 "vent_at", key "value": expected a number, found the text "x".'),
        (setting("value = 5\nmin = 10"), 'key "value": expected a number of at least min, which is 10, found 5.'),
        (setting("value = 50\nmax = 40"), 'key "value": expected a number of at most max, which is 40, found 50.'),
        (setting("value = 5\nmin = 9\nmax = 1"), 'key "min": expected a number of at most max, which is 1, found 9.'),
        (setting(""), '[[settings]] 1 "vent_at", key "value": expected, but missing.'),
        (setting(name="rules"), 'key "name": expected a name that the API does not use itself, found "rules".'),
        (HOUSE + setting(name="door"), 'expected one of its own, found "door", which [[sensors]] 2 "door" has.'),
        # Limits.
        (actuator('min_on = "2h"\nmax_on = "1h"'), '[[actuators]] 1 "vent", key "min_on": it cannot stay on for 2h'),
        (actuator('interlock = ["vent"]'), 'key "interlock": an output cannot exclude itself: name the others.'),
        (actuator('interlock = ["well"]'), 'key "interlock": there is no actuator "well", and no other actuator has'),
        (actuator('interlock = "well"'), 'key "interlock": expected a list in brackets, found the text "well".'),
        (actuator('default = "on"\nmax_on = "1h"'), 'key "max_on": with default = "on" it would come on again at once'),
        (
            DOOR + actuator('feedback = "dor"'),
            'key "feedback": expected a sensor of this node, found "dor"; did you mean',
        ),
        (actuator('feedback = "vent"'), 'expected a sensor of this node, found "vent"; own sensors: none.'),
        (
            DOOR
            + actuator('feedback = "door"')
            + rule('alert = { message = "x" }', name="feedback of vent", when="vent is on"),
            'expected one of its own, found "feedback of vent", which [[actuators]] 1 "vent" has.',
        ),
        # The node's place, alerts.
        ("[node]\nplace = [52.5]", 'key "place": expected latitude and longitude in degrees, such as [52.52, 13.41]'),
        (
            "[node]\nplace = [120, 13]",
            'key "place": expected a latitude from -90 to 90 and a longitude from -180 to 180',
        ),
        (
            "[alerts]\nquiet = ['22:00']",
            '[alerts], key "quiet": expected two local times from "00:00" to "23:59", such as',
        ),
        ("[alerts]\nquiet = ['22:00', '7:00']", '[alerts], key "quiet": expected two local times from "00:00" to'),
        ("[alerts]\nquiet = ['24:00', '07:00']", '[alerts], key "quiet": expected two local times from "00:00" to'),
        ("[alerts]\nquiet = ['07:00', '07:00']", "expected two different times: from one to itself is either never or"),
    ],
)
def test_a_mistake_says_where_what_and_what_instead(text: str, mistake: str) -> None:
    (line,) = mistakes(text)
    assert line.startswith("outstation.toml")
    assert mistake in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("keys", "when", "mistake", "pointed"),
    [
        ("", "air > 30 and humidty < 40", 'key "when": expected the name of a sensor, an output or a sett', "humidty"),
        ("", "air > 30 and door is on or vent is on", 'key "when": expected parentheses where and meets or', "or"),
        ("", "air > 30 and", 'key "when": expected a sensor, a setting or a number, found the end.', ""),
        ("", "air > load", "expected a number in °C, as on the left, found a number in %.", "load"),
        ("", "air > share", "expected a number in °C, as on the left, found a number in %.", "share"),
        ("", "between sunset and sunrise", "expected a node that knows its place", "sunset"),
        ("", "air > 30 and air < 20", "expected a condition that can be true: no value", "air > 30 and air < 20"),
        ("until = 'air < 31'", "air > 30", 'key "until": expected a condition that is false wherever', "air < 31"),
        ("until = 'air < cold'", "air > 30", 'key "until": expected the name of a sensor', "cold"),
        ("alert = { message = 'Hot: {ari}' }", "air > 30", 'key "alert.message": expected the name of a sens', "{ari}"),
        ("alert = { message = 'Hot: {air:>9}' }", "air > 30", 'key "alert.message": expected a form such', "{air:>9}"),
    ],
)
def test_a_mistake_in_a_text_is_pointed_at(keys: str, when: str, mistake: str, pointed: str) -> None:
    load_sensor = '[[sensors]]\nname = "load"\ndriver = "system"\nquantity = "cpu_load"\n'
    text = HOUSE + load_sensor + setting('value = 3\nunit = "%"', name="share")
    first, *below = mistakes(text + rule(f"{keys}\nclaim = {{ vent = 'on' }}", when=when))[0].split("\n")
    assert mistake in first
    shown, carets = below
    start = carets.index("^")
    assert shown[start : start + carets.count("^")] == pointed


def test_a_rule_that_clicks_for_ever_is_refused_and_one_that_waits_is_not() -> None:
    [mistake] = mistakes(HOUSE + rule(when="vent is off"))
    assert "it claims vent and looks at it" in mistake
    loaded(HOUSE + rule('claim = { vent = "off" }\nhold = "10m"', when="vent is on"))


def test_what_is_compared_with_itself_never_changes() -> None:
    [mistake] = mistakes(HOUSE + rule(when="air > air"))
    assert "this one never changes" in mistake


def test_the_same_units_and_the_drivers_own_match() -> None:
    own = '[[sensors]]\nname = "a"\ndriver = "recorded"\nfile = "x.csv"\ncolumn = "t"\nunit = "°C"\n'
    assert loaded(HOUSE + own + rule(when="air > a")).rules


def test_one_mistake_in_a_claim_or_an_alert_hides_no_other() -> None:
    keys = 'claim = { vnt = "on", vent = "wide" }\nalert = { severity = "bad", message = "{ari}" }'
    places = [line.partition(":")[0].partition("key ")[2] for line in mistakes(HOUSE + rule(keys))]
    assert sorted(places) == ['"alert.message"', '"alert.severity"', '"claim"', '"claim.vent"']


def test_what_is_missing_in_one_table_is_no_mistake_of_another() -> None:
    text = (
        '[[actuators]]\nname = "vent"\nmin_on = "2h"\nmax_on = "1h"\n'
        '[[sensors]]\nname = "air"\ndriver = "system"\n'
        '[[rules]]\nwhen = "air > 30"\nuntil = "air > 20"\nalert = { message = "{nobody}" }\n'
        + rule(name="b")
        + '[[settings]]\nname = "x"\nmin = "low"\n'
        + actuator('interlock = ["vent"]', name="heater", pin=18)
    )
    places = [line.partition(":")[0].removeprefix("outstation.toml, ") for line in mistakes(text)]
    assert sorted(places) == sorted(
        [
            '[[actuators]] 1 "vent", key "driver"',
            '[[sensors]] 1 "air", key "quantity"',
            '[[rules]] 1, key "name"',
            '[[rules]] 1, key "until"',
            '[[rules]] 1, key "alert.message"',
            '[[settings]] 1 "x", key "min"',
            '[[settings]] 1 "x", key "value"',
        ]
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [("[[actuators]]\nname = 5\nfeedback = 'on'", 2), ("[[sensors]]\nname = 5\ndriver = 12:00:00", 2)],
)
def test_what_once_broke_the_reader(text: str, count: int) -> None:
    assert len(mistakes(text)) == count


VALUES = st.sampled_from(
    ["5", "-1.5", "nan", "true", '""', '"on"', '"air"', '"vent"', '"gpio"', '"1m"', '"air > 30"', '"{air}"', "[]",
     "[1, 2]", '["22:00", "07:00"]', "{}", '{ vent = "on" }', "{ vent = [] }", '{ message = "{x}" }', "12:00:00"]
)  # fmt: skip
KEYS = st.sampled_from(
    "name driver pin quantity unit min_on max_on interlock feedback safe default when until hold priority claim alert "
    "value min max url secret severity place quiet fields channel".split()
)
TABLES = st.sampled_from(["node", "alerts", "web"]).map("[{}]".format) | st.sampled_from(
    "sensors actuators devices settings rules webhooks apprise".split()
).map("[[{}]]".format)


@given(st.lists(st.tuples(TABLES, st.dictionaries(KEYS, VALUES)), max_size=6))
def test_no_tables_whatsoever_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, tables: list[tuple[str, dict[str, str]]]
) -> None:
    file = tmp_path_factory.getbasetemp() / "any_tables.toml"
    lines = ["\n".join([table, *(f"{key} = {value}" for key, value in keys.items())]) for table, keys in tables]
    file.write_text(HOUSE + "\n".join(lines))
    with contextlib.suppress(ConfigError):
        load(file)
