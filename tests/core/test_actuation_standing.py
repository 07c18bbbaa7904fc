"""What a person reads who asks why an output is as it is."""

from __future__ import annotations

import pytest

from outstation.core import actuation, standing
from outstation.core.actuation import ActuatorState
from outstation.core.standing import duration_words, level_words
from tests.core.plant import PUMP, VALVE, Plant, output
from tests.core.story import START, ms


def test_nobody_asks() -> None:
    plant = Plant(output())
    found = plant.stands()
    assert (found.line, found.level, found.who, found.since, found.until) == ("default", False, "", None, None)
    assert found.text == "off: nobody asks, it is the default"
    assert found.pending is None


def test_an_output_that_was_never_looked_at_has_an_answer() -> None:
    state = ActuatorState(output(default=True))
    assert standing.who(state, at=START, now=0).text == "on: nobody asks, it is the default"


def test_a_person_asks() -> None:
    plant = Plant(output())
    plant.order(100, "on", duration=ms(1_800))
    plant.wait(400)
    found = plant.stands()
    assert found.text == "on: anna, for 5m, 25m more"
    assert (found.who, found.since, found.until) == ("anna", START + ms(100), START + ms(1_900))


def test_a_rule_asks() -> None:
    plant = Plant(output(dimmable=True))
    plant.fire(100, "dry", level=0.4)
    plant.wait(160)
    assert plant.stands().text == '40 %: rule "dry", for 1m'
    plant.doubt(160, "dry")
    plant.wait(220)
    assert plant.stands().text == '40 %: rule "dry", which cannot be decided just now, for 2m, 4m more'


def test_a_safety_rule_asks_and_what_it_outranks_is_pending() -> None:
    plant = Plant(output())
    plant.fire(100, "flood", safety=True)
    plant.wait(160)
    assert plant.stands().text == 'on: safety rule "flood", for 1m'
    assert plant.stands().pending is None
    plant.fire(160, "night", level=False)
    pending = plant.stands().pending
    assert pending is not None
    assert (pending.level, pending.who, pending.effective_at) == (False, "night", None)
    assert pending.text == 'off: rule "night"'


def test_a_limit_keeps_back() -> None:
    plant = Plant(output(min_on=30, min_off=60, max_on=90))
    plant.order(10, "on", who="ben")
    assert plant.stands().text == "off: min_off: 1m from when it was seen off, 50s more"
    pending = plant.stands().pending
    assert pending is not None
    assert (pending.text, pending.effective_at) == ("on: ben, 1h more", START + ms(60))
    plant.order(70, "off", who="ben")
    assert plant.stands().text == "on: min_on: 30s from when it was seen on, 20s more"
    plant.fire(80, "dry")
    plant.order(80, "release")
    plant.wait(160)
    assert plant.stands().text == 'off: max_on: it was on for 1m30s, and rests until the rule "dry" lets go'


def test_what_does_not_answer_may_have_been_on() -> None:
    plant = Plant(output(max_on=90))
    plant.failing.add(PUMP)
    plant.fire(10, "dry")
    plant.wait(110)
    assert plant.stands().text == "off: max_on: it may have been on for 1m30s, and was not seen off since"


def test_an_interlock_and_a_lock_out() -> None:
    plant = Plant(output(interlock=(VALVE,)), output(VALVE))
    plant.order(10, "on", VALVE)
    plant.fire(20, "dry")
    assert plant.stands().text == "off: interlock: it waits for valve"
    plant.order(30, "lock")
    plant.wait(3_690)
    assert plant.stands().text == "off: locked out by anna, for 1h1m"


def test_several_limits_end_when_the_last_does() -> None:
    plant = Plant(output(min_off=60, interlock=(VALVE,)), output(VALVE))
    plant.order(10, "on")
    assert plant.pending() == (True, 60)
    plant.order(20, "on", VALVE)
    assert plant.pending() == (True, 60)
    plant.wait(60)
    assert plant.pending() == (True, None)


def test_what_moves_an_output_other_than_a_person_is_noted() -> None:
    plant = Plant(output(min_on=30))
    plant.fire(10, "dry")
    plant.clear(20, "dry")
    plant.wait(60)
    plant.order(70, "on", duration=ms(30))
    plant.wait(200)
    plant.order(200, "lock")
    assert plant.notes == [
        ("decided", 'on: rule "dry"'),
        ("decided", "off: nobody asks, it is the default"),
        ("command", "on by anna"),
        ("claim ended", "the claim of anna ended"),
        ("command", "lock by anna"),
    ]


@pytest.mark.parametrize(
    ("millis", "words"),
    [(-5, "0ms"), (500, "500ms"), (1_999, "1s"), (90_000, "1m30s"), (3_600_000, "1h"), (90_061_000, "1d1h")],
)
def test_durations(millis: int, words: str) -> None:
    assert duration_words(millis) == words


@pytest.mark.parametrize(
    ("level", "words"), [(True, "on"), (False, "off"), (0.0, "off"), (1.0, "on"), (0.5, "50 %"), (0.125, "12.5 %")]
)
def test_levels(level: float, words: str) -> None:
    assert level_words(level) == words


def test_actions_are_listed_in_one_order() -> None:
    assert actuation.valid(output(dimmable=True)) == list(actuation.ACTIONS)
