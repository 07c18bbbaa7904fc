"""Sensors that are worked out from others: one value for what speaks together, and why there is none."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.calibration import Calibration
from outstation.core.conditions import parse, parse_value
from outstation.core.deriving import DerivedSpec, order
from outstation.core.filters import Limits
from outstation.core.messages import parse as message
from outstation.core.node import Node
from outstation.core.readings import Alerted, Effect, Event, Failed, Quality, Reading, Tick, Value
from outstation.core.rules import AlertSpec, RuleSpec
from outstation.core.sensors import SensorSpec
from outstation.core.settings import SettingSpec
from tests.core.story import AIR, DAY, PORCH, START, failed, kept, ms, notes, said, sent, tick

HUMIDITY = "humidity"
DEW = "dew"
OWN = {AIR: 10, HUMIDITY: 10}


def derived(text: str, *, every: float = 10, sensor: str = DEW, calibration: Calibration | None = None) -> DerivedSpec:
    return DerivedSpec(sensor, parse_value(text, settings=["base"]), ms(every), calibration or Calibration())


def node_with(*specs: DerivedSpec, own: Mapping[str, float] = OWN, rules: list[RuleSpec] | None = None) -> Node:
    """Make a node with sensors of its own that speak so often, a board on the porch, and derived sensors."""
    sensors = [SensorSpec(name, every=ms(every)) for name, every in own.items()]
    learnt = [SensorSpec(spec.sensor) for spec in specs]
    settings = [SettingSpec("base", 10)]
    return Node([*sensors, SensorSpec(PORCH), *learnt], derived=specs, rules=rules or [], settings=settings)


def told(node: Node, *events: Event) -> list[Effect]:
    """Tell a node what happened, and a Tick whenever it asked for one in between."""
    effects: list[Effect] = []
    for event in events:
        while (due := node.next_due()) is not None and due < event.now:
            effects += node.handle(Tick(START + due, due))
        effects += node.handle(event)
    return effects


def of(effects: list[Effect], sensor: str = DEW) -> list[tuple[float, Value | None]]:
    """Return when, in seconds, a sensor said what."""
    return [((one.at - START) / 1000, one.value) for one in kept(effects) if one.sensor == sensor]


def test_inputs_that_speak_together_make_one_value_of_that_moment() -> None:
    node = node_with(derived(f"{AIR} - {HUMIDITY}"))
    rounds = [event for s in (0, 10, 20) for event in (said(s, 20 + s), said(s + 0.2, 5, sensor=HUMIDITY))]
    assert of(told(node, *rounds)) == [(0.2, 15), (10.2, 25), (20.2, 35)]
    assert node.sensors[DEW].newest == Reading(DEW, 35, START + 20_200, 20_200, START + 20_200)


def test_it_is_like_any_other_sensor_to_rules_spans_and_limits() -> None:
    rule = RuleSpec("damp", parse("count(dew, 1m) > 2 and dew > 9"), alert=AlertSpec(message("{dew:.2f} °C")))
    spec = derived(f"dew_point({AIR}, {HUMIDITY})")
    node = node_with(spec, rules=[rule])
    node.sensors.clear()
    for one in (SensorSpec(AIR, every=10_000), SensorSpec(HUMIDITY, every=10_000)):
        node.learn(one)
    node.learn(SensorSpec(DEW, every=10_000, limits=Limits(high=15), dead_band=0.5))
    effects = told(node, tick(0), *[event for s in range(0, 60, 10) for event in together(s, 20, 50)])
    assert [one.alert.message for one in effects if isinstance(one, Alerted)] == ["9.26 °C"]
    assert len(of(effects)) == 2  # the second is the one that raised the alert: the dead band has the others
    assert of(told(node, *together(60, 30, 90)))[0][1] == pytest.approx(28.2, abs=0.1)
    newest = node.sensors[DEW].newest
    assert newest is not None
    assert newest.quality is Quality.OUT_OF_RANGE


def together(second: float, air: Value, humidity: Value) -> tuple[Reading, Reading]:
    return said(second, air), said(second, humidity, sensor=HUMIDITY)


def test_rules_look_once_when_readings_came_in_one_body() -> None:
    rule = RuleSpec("cold", parse("dew < 3"), alert=AlertSpec(message("cold")))
    node = node_with(derived(f"{PORCH} - `porch/base`"), rules=[rule])
    node.learn(SensorSpec("porch/base"))
    node.handle_all([sent(0, 20), sent(0, 10, sensor="porch/base")])
    effects = node.handle_all([sent(300, 12), sent(300, 1, sensor="porch/base")])
    assert of(effects) == [(300, 11)]  # and not 12 - 10 on the way, which would have raised the alert
    assert not any(isinstance(one, Alerted) for one in effects)
    assert any(isinstance(one, Alerted) for one in node.handle_all([sent(600, 2), sent(600, 0, sensor="porch/base")]))


def test_rules_see_no_mixture_of_old_and_new_though_one_is_derived_from_another() -> None:
    rule = RuleSpec("apart", parse(f"abs(dew - more) > 5 or abs({AIR} - dew) > 5"), alert=AlertSpec(message("apart")))
    node = node_with(derived(f"{AIR} + 0"), derived("dew + 0", sensor="more"), rules=[rule])
    effects = told(node, tick(0), *[said(s, s) for s in range(0, 100, 10)])
    assert of(effects, "more")[-1] == (90, 90)
    assert not any(isinstance(one, Alerted) for one in effects)


def test_a_reading_that_changed_a_rule_is_stored_whatever_the_dead_band() -> None:
    rule = RuleSpec("warm", parse(f"{AIR} + {DEW} > 41"), alert=AlertSpec(message("warm")))
    node = node_with(derived(f"{AIR} + 1"), rules=[rule])
    node.forget(AIR)
    node.learn(SensorSpec(AIR, every=10_000, dead_band=5))
    effects = told(node, tick(0), said(0, 20), said(10, 20.1), said(20, 20.2))
    assert of(effects, AIR) == [(0, 20), (10, 20.1)]


def test_every_thins_out_what_quick_inputs_say() -> None:
    node = node_with(derived(f"{AIR} * 2", every=60))
    assert of(told(node, *[said(s, s) for s in range(0, 150, 10)])) == [(0, 0), (60, 120), (120, 240)]


def test_a_slow_input_counts_as_it_is() -> None:
    node = node_with(derived(f"{AIR} - {HUMIDITY}"), own={AIR: 10, HUMIDITY: 300})
    events = [*together(0, 20, 1), *[said(s, 20) for s in range(10, 40, 10)]]
    assert of(told(node, *events))[-3:] == [(10, 19), (20, 19), (30, 19)]


def test_with_a_long_every_it_waits_for_the_slow_one_too() -> None:
    node = node_with(derived(f"{AIR} - {HUMIDITY}", every=300), own={AIR: 10, HUMIDITY: 300})
    events = [*[said(s, 20 + s) for s in range(0, 40, 10)], said(35, 1, sensor=HUMIDITY)]
    assert of(told(node, *events)) == [(35, 49)]


def test_a_silent_input_is_waited_for_as_long_as_a_round_takes() -> None:
    node = node_with(derived(f"{AIR} - {HUMIDITY}"))
    told(node, *together(0, 20, 1))
    assert of(told(node, said(10, 21))) == []
    assert node.next_due() == 20_000
    assert of(told(node, tick(20))) == [(10, 20)]


def test_without_any_of_them_there_is_no_value_and_it_says_why_once() -> None:
    node = node_with(derived(f"{AIR} - {HUMIDITY}"))
    effects = told(node, *[said(s, 20) for s in range(0, 60, 10)], tick(70))
    assert of(effects) == [(10, None)]  # the mark in the history
    assert notes(effects) == [("sensor failed", "No value: humidity was never seen.")]
    assert node.sensors[DEW].error == "No value: humidity was never seen."
    back = told(node, *together(80, 20, 2))
    assert of(back) == [(80, 18)]
    assert ("sensor well", "the sensor answers again") in notes(back)


def test_an_input_that_fails_takes_it_along_at_once_and_what_is_derived_from_that() -> None:
    node = node_with(derived(f"{AIR} + 1"), derived("dew * 2", sensor="more"))
    effects = told(node, said(0, 20), failed(5, "nobody answers at 0x76."))
    assert of(effects, "more") == [(0, 42), (5, None)]
    assert node.sensors["more"].error == "No value: air_temperature has a fault (nobody answers at 0x76)."
    assert of(told(node, said(10, 21)), "more") == [(10, 44)]


def test_when_all_its_inputs_fall_silent_it_says_so_as_soon_as_it_is_stale() -> None:
    node = node_with(derived(f"{AIR} + {PORCH}"))
    told(node, sent(0, 1), *[said(s, 1) for s in range(0, 60, 10)])
    assert of(told(node, tick(80))) == []
    effects = told(node, tick(81))
    assert of(effects) == [(80.001, None)]
    assert node.sensors[DEW].error == "No value: air_temperature is stale."
    assert node.next_due() is None


def test_a_value_that_comes_seldom_outlives_no_input_that_is_stale() -> None:
    rule = RuleSpec("cold", parse("dew < 5"), alert=AlertSpec(message("cold")))
    node = node_with(derived(f"{AIR} + 0", every=3_600), rules=[rule])
    told(node, tick(0), *[said(s, 4) for s in range(0, 60, 10)])
    effects = told(node, tick(81))
    assert of(effects) == [(80.001, None)], "not three hours later"
    assert node.sensors[DEW].error == "No value: air_temperature is stale."
    assert node.decisions.rules["cold"].unknown


def test_nor_does_it_wait_for_one_until_the_next_value_is_due() -> None:
    node = node_with(derived(f"{AIR} - {HUMIDITY}", every=3_600))
    told(node, *[event for s in (0, 3_590) for event in together(s, 4, 1)])
    effects = told(node, *[said(s, 4) for s in range(3_600, 3_650, 10)])
    assert of(effects) == [(3_630, None)], "the other is stale; and not an hour later"


def test_the_first_value_waits_for_a_slow_input_that_is_about_to_speak() -> None:
    node = node_with(derived(f"{AIR} - {HUMIDITY}"), own={AIR: 10, HUMIDITY: 300})
    effects = told(node, said(0, 20), said(0.2, 1, sensor=HUMIDITY))
    assert of(effects) == [(0.2, 19)]
    assert notes(effects) == [], "no start begins with a fault"


def test_one_that_comes_seldom_is_back_as_soon_as_its_input_is() -> None:
    node = node_with(derived(f"{AIR} + 1", every=3_600))
    effects = told(node, said(0, 20), failed(5, "unplugged"), said(10, 21), said(20, 22))
    assert of(effects) == [(0, 21), (5, None), (10, 22)]


def test_what_is_missing_is_named_in_few_words_however_much_it_is() -> None:
    names = [f"chip_{number}" for number in range(5)]
    node = node_with(derived(" + ".join(names)), own=dict.fromkeys(names, 10))
    told(node, *[failed(0, "No bus.", sensor=name) for name in names[:2]])
    assert node.sensors[DEW].error == (
        "No value: chip_0 has a fault (No bus), and chip_1 has the same fault, and chip_2 was never seen, "
        "and more is missing."
    )


def test_deep_ones_and_those_that_look_twice_at_the_same_cost_no_more_than_their_number() -> None:
    deep = [derived(f"d{number} + 1", sensor=f"d{number + 1}") for number in range(600)]
    wide = [derived(f"w{number} - w{number + 1}", sensor=f"w{number + 2}") for number in range(60)]
    first = [derived(AIR, sensor="d0"), derived(AIR, sensor="w0"), derived("w0 + 0", sensor="w1")]
    node = node_with(*first, *deep, *wide)
    effects = told(node, said(0, 7), failed(5, "gone"))
    assert of(effects, "d600") == [(0, 607), (5, None)]
    assert [when for when, _ in of(effects, "w61")] == [0, 5]
    assert node.sensors["w61"].error == "No value: air_temperature has a fault (gone)."


def test_inputs_that_nobody_knows_any_more_hold_nothing_up() -> None:
    node = node_with(derived(f"count({PORCH}, 1m) + count(`porch/x`, 1m)"), derived("dew + `roof/x`", sensor="more"))
    node.learn(SensorSpec("porch/x"))
    told(node, sent(0, 1))
    node.forget(PORCH)
    node.forget("porch/x")
    assert of(told(node, tick(400), tick(700))) == [(300, 0)]
    assert node.sensors["more"].error == "No value: roof/x was never seen."


def test_what_needs_no_fresh_input_is_stale_without_a_fault() -> None:
    node = node_with(derived(f"count({AIR}, 1m)"))
    assert notes(told(node, said(0, 20), tick(DAY))) == []
    assert node.sensors[DEW].is_stale(ms(DAY))


def test_what_is_known_without_an_input_stays_so_when_that_fails() -> None:
    node = node_with(derived(f"count({AIR}, 1m)"))
    effects = told(node, said(0, 20), failed(5, "unplugged"), tick(20))
    assert of(effects) == [(0, 1)]
    assert node.sensors[DEW].error == ""


def test_one_derived_from_another_and_from_its_input_takes_both_of_one_round() -> None:
    node = node_with(derived(f"{AIR} * 2", sensor="double"), derived(f"double - {AIR}"))
    assert of(told(node, said(0, 7), said(10, 9))) == [(0, 7), (10, 9)]
    assert node.sensors[DEW].error == ""


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        (f"1 / {AIR}", 0, "there is no answer for what its sensors say, as in a division by zero"),
        (f"{AIR} * {'9' * 308}", 10, "there is no answer for what its sensors say, as in a division by zero"),
        (f"{AIR} * {' * '.join(['9' * 200] * 2)}", 10, "there is no answer for what its sensors say"),
        (f"{AIR} + 1", "open", "air_temperature is a text"),
        (f"mean({AIR}, 1d) + age({PORCH}) / 1s", 1, f"too little was heard for mean({AIR}, 1d)"),
        (f"{AIR} + {PORCH} + `roof/x`", 1, "porch/temperature was never seen, and roof/x was never seen"),
        (f"age({PORCH}) / 1s + {AIR}", 1, "there is no answer for what its sensors say"),
    ],
)
def test_why_there_is_no_value(text: str, value: Value, words: str) -> None:
    node = node_with(derived(text))
    effects = told(node, said(0, value), tick(9_000))
    assert [text for kind, text in notes(effects)][:1] == [f"No value: {words}."] or words in notes(effects)[0][1]


def test_a_spike_is_passed_over() -> None:
    node = node_with(derived(f"{AIR} + 1"))
    node.forget(AIR)
    node.learn(SensorSpec(AIR, every=10_000, limits=Limits(spike=5)))
    assert of(told(node, said(0, 20), said(10, 60), said(20, 21))) == [(0, 21), (20, 22)]


def test_late_readings_derive_nothing() -> None:
    node = node_with(derived(f"{PORCH} + 1"))
    told(node, *[sent(s, 1) for s in (0, 60, 120)])
    assert of(told(node, sent(100, 5, arrived=121), sent(0, 5, arrived=122))) == []


def test_readings_of_an_input_are_not_for_the_store_alone() -> None:
    node = node_with(derived(f"{PORCH} + 1"))
    assert not node.store_alone({PORCH: ([START], [1.0])}, START, 0)
    assert node.looks_at(PORCH)
    assert not node.looks_at(DEW)


def test_it_asks_for_a_tick_though_there_are_no_rules() -> None:
    node = node_with(derived(f"{AIR} - {HUMIDITY}"))
    assert not node.next_due_before(ms(DAY))
    told(node, said(0, 20))
    assert node.next_due_before(ms(DAY))


def test_it_counts_as_fresh_by_the_rhythm_that_it_has() -> None:
    node = node_with(derived(f"{AIR} + 1"), own={AIR: 300})
    told(node, *[said(s, 1) for s in range(0, 1_500, 300)])
    assert node.sensors[DEW].stale_limit() == ms(900)


def test_after_a_restart_it_goes_on_when_its_inputs_speak() -> None:
    node = node_with(derived(f"{AIR} - {HUMIDITY}"))
    node.learn(SensorSpec(DEW), said(-20, 3, sensor=DEW))
    assert node.sensors[DEW].newest == said(-20, 3, sensor=DEW)
    assert of(told(node, *together(0, 9, 1))) == [(0, 8)]


def test_an_input_that_is_deleted_while_others_are_waited_for_was_never_seen() -> None:
    node = node_with(derived(f"count({PORCH}, 1m) + count({HUMIDITY}, 1m)"))
    told(node, sent(0, 1))
    node.forget(PORCH)
    assert of(told(node, tick(10))) == [(10, 0)]


def test_a_setting_counts_from_the_next_value_on() -> None:
    node = node_with(derived(f"max({AIR} - base, 0)"))
    assert of(told(node, said(0, 12), said(10, 8))) == [(0, 2), (10, 0)]
    node.decisions.settings["base"] = 5
    assert of(told(node, said(20, 8))) == [(20, 3)]


def test_what_comes_out_can_be_calibrated() -> None:
    curve = Calibration(points=((0, 100), (10, 0)))
    assert of(told(node_with(derived(AIR, calibration=curve)), said(0, 4))) == [(0, 60)]


def test_a_whole_number_stays_one_as_long_as_there_is_room() -> None:
    node = node_with(derived(f"{AIR} * 2"))
    effects = told(node, said(0, 2**61), said(10, 2**62), said(20, True))
    assert [(value, type(value)) for _, value in of(effects)] == [(2**62, int), (2.0**63, float), (2, int)]


def test_a_clock_that_is_set_back_does_not_silence_it() -> None:
    node = node_with(derived(f"{AIR} + 1"))
    assert len(of(told(node, said(0, 1), said(10, 1), said(20, 1, wall=-3_600), said(30, 1, wall=-3_600)))) == 4


def test_a_sensor_stands_behind_those_that_it_is_made_of() -> None:
    assert order({"c": ["a", "b"], "b": ["a", "x"], "a": ["x"]}) == (["a", "b", "c"], [])


def test_a_circle_is_found() -> None:
    ordered, circle = order({"a": [], "b": ["c"], "c": ["d", "a"], "d": ["c"]})
    assert (ordered, circle) == (["a"], ["c", "d"])
    assert order({"a": ["a"]}) == ([], ["a"])


spoken = st.tuples(
    st.sampled_from([AIR, HUMIDITY, PORCH]),
    st.integers(0, 20_000),
    st.none() | st.integers(-5, 5) | st.floats(-1e308, 1e308) | st.booleans() | st.just("text"),
)
texts = st.sampled_from([f"{AIR} / {HUMIDITY}", f"max({AIR}, {PORCH}) * mean({AIR}, 10s)", f"exp({PORCH})", "dew + 1"])


@given(st.tuples(texts.filter(lambda text: text != "dew + 1"), texts), st.lists(spoken, max_size=40))
def test_whatever_is_said_it_is_the_same_when_it_is_lived_again(
    pair: tuple[str, str], events: list[tuple[str, int, Value | None]]
) -> None:
    def live() -> list[Effect]:
        node = node_with(derived(pair[0]), derived(pair[1], sensor="more", every=1))
        effects: list[Effect] = []
        now = 0
        for name, later, value in events:
            now += later
            event = Failed(name, "gone", START + now, now)
            effects += told(node, event if value is None else Reading(name, value, START + now, now, START + now))
        return effects

    found = live()
    assert found == live()
    for reading in kept(found):
        if reading.sensor in (DEW, "more"):
            assert reading.value is None or abs(reading.value) < float("inf")  # type: ignore[arg-type]
            assert reading.at <= reading.arrived
