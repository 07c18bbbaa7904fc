"""Why a rule fires, or does not, so that one who did not write it understands; the page shows what this says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from outstation import clock
from outstation.core import explaining, rules
from outstation.core.actuation import ActuatorSpec
from outstation.core.conditions import Condition, parse
from outstation.core.explaining import Claimed, Explanation
from outstation.core.node import Node
from outstation.core.readings import Command, Failed, Millis, Quality, Reading, Switch, Switched, Tick, Value, Zone
from outstation.core.rules import RuleSpec
from outstation.core.sensors import SensorSpec
from outstation.core.settings import SettingSpec
from tests.core.story import START, ms

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "rules.md").read_text()
AIR, VENT, RULE = "air_temperature", "vent", "ventilate"


def rule(name: str = RULE, when: str = f"{AIR} > vent_at", until: str | None = f"{AIR} < vent_at - 2") -> RuleSpec:
    def condition(text: str) -> Condition:
        return parse(text, actuators=[VENT], settings=["vent_at"])

    return RuleSpec(name, condition(when), condition(until) if until else None, ms(60), claims={VENT: True})


class Greenhouse:
    """A node whose vent obeys, and what happens there; times are seconds."""

    def __init__(self, *specs: RuleSpec, min_off: Millis = 0) -> None:
        air = SensorSpec(AIR, unit="°C", every=10_000)
        self.node = Node(
            [air],
            [ActuatorSpec(VENT, ruled=True, min_off=min_off)],
            rules=specs or [rule()],
            settings=[SettingSpec("vent_at", 30)],
        )
        self.second = 0.0
        self.pass_to(0)

    def pass_to(self, second: float) -> None:
        while (due := self.node.next_due()) is not None and due <= ms(second):
            self.do(Tick(START + due, due, Zone(0)))
        self.second = second
        self.do(Tick(START + ms(second), ms(second), Zone(0)))

    def do(self, event: Reading | Failed | Tick | Command) -> None:
        for effect in self.node.handle(event):
            if isinstance(effect, Switch):
                self.node.handle(Switched(effect.actuator, effect.level, event.at, event.now))

    def read(self, value: Value, *, until: float) -> None:
        while self.second < until:
            self.do(Reading(AIR, value, START + ms(self.second), ms(self.second), START + ms(self.second)))
            self.pass_to(min(until, self.second + 10))

    def order(self, action: str, duration: Millis | None = None) -> None:
        at, now = START + ms(self.second), ms(self.second)
        self.do(Command(VENT, action, "anna", at, now, duration=duration))

    def why(self, name: str = RULE) -> Explanation:
        decisions = self.node.decisions
        state, sight = decisions.rules[name], decisions.sight
        return explaining.explain(state, sight, self.node.sensors, explaining.claims(state, sight, decisions.actuators))

    def told(self, name: str = RULE) -> list[str]:
        return explaining.lines(self.why(name), in_words)


def in_words(at: Millis) -> str:
    return clock.iso(at)[11:19]


def firing() -> Greenhouse:
    shed = Greenhouse()
    shed.read(31.2, until=12 * 60 + 3)
    return shed


def holding() -> Greenhouse:
    shed = Greenhouse()
    shed.read(29.0, until=600)
    shed.read(30.4, until=618)
    return shed


def stale() -> Greenhouse:
    shed = Greenhouse()
    shed.read(29.0, until=600)
    shed.pass_to(840)
    return shed


def claimed_by_anna() -> Greenhouse:
    shed = firing()
    shed.order("off", ms(3600))
    shed.read(31.2, until=17 * 60 + 3)
    return shed


STORIES = {"A rule that fires": firing, "A hold": holding, "A stale sensor": stale, "A person's claim": claimed_by_anna}


def on_the_page(title: str) -> list[str]:
    after = PAGE.partition(f"\n**{title}**")[2]
    found = re.search(r"^```text\n(.*?)^```", after, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1].splitlines()


@pytest.mark.parametrize("title", STORIES)
def test_the_page_shows_what_it_says(title: str) -> None:
    shed = STORIES[title]()
    header, *lines = on_the_page(title)
    assert header == f'Rule "{RULE}" on 2026-01-01 at {in_words(START + ms(shed.second))} UTC'
    assert lines == shed.told()


def verdict(shed: Greenhouse) -> str:
    return shed.told()[0]


def line(shed: Greenhouse, beginning: str) -> str:
    return next(line.strip() for line in shed.told() if line.strip().startswith(beginning))


def test_a_condition_that_is_false_is_just_that() -> None:
    shed = Greenhouse()
    shed.read(29.0, until=60)
    assert verdict(shed) == "It does not fire: its condition is false."


def test_a_condition_that_was_not_looked_at_yet_is_true_only_now() -> None:
    shed = Greenhouse()
    shed.read(31.0, until=1)
    shed.node.decisions.rules[RULE].asked = None
    assert verdict(shed) == "It does not fire yet: its condition is true only now, and must be for 1m."


def test_a_firing_rule_whose_sensor_falls_silent_goes_on() -> None:
    shed = firing()
    shed.pass_to(shed.second + 120)
    assert verdict(shed) == (
        "It has been firing since 00:01:00, for 13m3s. Whether it is to clear cannot be decided: "
        "air_temperature is stale (nothing heard for 2m3s, and it counts for 30s). "
        "It goes on firing; what it claims ends with the leases of its outputs."
    )
    assert shed.why().undecided == START + ms(12 * 60 + 30) + 1
    shed.pass_to(shed.second + 600)
    assert line(shed, "vent is") == (
        "vent is off. This rule asks for on, but the end of its lease says off "
        '(rule "ventilate" could not be decided for 5m, so this is the safe state, for 23m3s).'
    )


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Failed(AIR, "The bus is busy.", START, 0), "air_temperature has a fault (The bus is busy)."),
        (Reading(AIR, "warm", START, 0, START), "the lines below say what is unknown."),
    ],
)
def test_it_says_which_sensor_has_no_value(event: Failed | Reading, words: str) -> None:
    shed = Greenhouse()
    assert verdict(shed).endswith("air_temperature was never seen.")
    assert line(shed, AIR) == "air_temperature > vent_at  (unseen > 30: unknown)"
    assert "    air_temperature: never seen" in shed.told()
    shed.do(event)
    assert verdict(shed) == f"It does not fire, for its condition cannot be decided: {words}"


def test_what_is_missing_is_named_in_a_line() -> None:
    shed = Greenhouse()
    decisions = shed.node.decisions
    assert explaining.unknowns(decisions.rules[RULE], decisions.sight) == ["air_temperature was never seen"]
    shed.read(20.0, until=1)
    assert explaining.unknowns(decisions.rules[RULE], decisions.sight) == []


@pytest.mark.parametrize(("value", "shown"), [(True, "on"), (False, "off"), (7, "7 °C"), ("warm", "warm")])
def test_what_it_looks_at_is_shown_as_it_is(value: Value, shown: str) -> None:
    shed = Greenhouse()
    shed.read(value, until=1)
    assert f"    air_temperature: {shown}, measured 00:00:00, 1s ago" in shed.told()


def test_a_fault_without_a_value_is_shown_as_such() -> None:
    shed = Greenhouse()
    shed.do(Reading(AIR, None, START, 0, START, Quality.FAULT))
    assert "    air_temperature: fault: no value, measured 00:00:00, 0ms ago" in shed.told()


def test_a_rule_that_failed_is_not_looked_at() -> None:
    shed = firing()
    state = shed.node.decisions.rules[RULE]
    rules.fail(state, ZeroDivisionError("nobody foresaw it"), ms(shed.second))
    assert verdict(shed).endswith("until the node is started anew: ZeroDivisionError: nobody foresaw it")
    assert "    air_temperature > vent_at  (not looked at: unknown)" in shed.told()
    assert explaining.truth(state, shed.node.decisions.sight) is None


def test_a_rule_that_is_disabled_is_not_looked_at() -> None:
    shed = firing()
    state = rules.begin(msgspec.structs.replace(rule(), enabled=False))
    found = explaining.explain(state, shed.node.decisions.sight, shed.node.sensors, [])
    assert explaining.lines(found, in_words)[:3] == [
        "It is disabled in the config: enabled = false.",
        "It fires when:",
        "    air_temperature > vent_at  (not looked at: unknown)",
    ]


def test_a_rule_without_a_hold_until_or_claim_is_short() -> None:
    shed = Greenhouse(msgspec.structs.replace(rule(until=None), hold=0, claims={}))
    shed.read(31.0, until=20)
    assert shed.told() == [
        "It has been firing since 00:00:00, for 20s.",
        "It fires when:",
        "    air_temperature > vent_at  (31 > 30: true)",
        "It clears when:",
        "    that is true no longer",
        "What it looks at:",
        "    air_temperature: 31 °C, measured 00:00:10, 10s ago",
        "    vent_at: 30, a setting",
    ]
    assert explaining.truth(shed.node.decisions.rules[RULE], shed.node.decisions.sight) is True


def test_another_rule_that_ranks_higher_is_named() -> None:
    other = msgspec.structs.replace(rule("storm", f"{AIR} > 0", None), hold=0, claims={VENT: False}, priority=7)
    shed = Greenhouse(rule(), other)
    shed.read(31.2, until=120)
    assert (
        line(shed, "vent is") == 'vent is off. This rule asks for on, but another rule says off (rule "storm", for 2m).'
    )


def test_a_limit_is_named_with_what_comes_next() -> None:
    shed = Greenhouse(min_off=ms(600))
    shed.read(31.2, until=120)
    assert line(shed, "vent is") == (
        "vent is off. This rule asks for on, but a limit says off (min_off: 10m from when it was seen off, 8m more, "
        'until 00:10:00). Next, at 00:10:00 at the earliest: on (rule "ventilate", for 1m).'
    )


def test_a_lock_has_no_end_that_is_known() -> None:
    shed = firing()
    shed.order("lock")
    assert line(shed, "vent is") == (
        "vent is off. This rule asks for on, but a lock-out says off (locked out by anna). "
        'Next, when that lets go: on (rule "ventilate", for 11m3s).'
    )


def test_an_output_that_does_not_obey_is_unknown() -> None:
    shed = firing()
    shed.node.handle(Switched(VENT, None, START + ms(shed.second), ms(shed.second), "the line is busy"))
    assert line(shed, "vent is") == "vent is unknown. This rule asks for on, and decides."


def test_of_the_past_the_journal_has_the_word() -> None:
    found = msgspec.structs.replace(
        firing().why(),
        since=None,
        claims=(
            Claimed(VENT, True, False, "", "off by anna", decides=False, noted_at=START),
            Claimed("fan", 0.3, 0.3, "", "", decides=False),
        ),
        lost=("what the wind said",),
    )
    told = explaining.lines(found, in_words)
    assert told[0] == "It is firing; since when is not known."
    assert told[-5:] == [
        "What it claims:",
        "    vent is off. This rule asks for on. The journal says of it, at 00:00:00: off by anna.",
        "    fan is 30 %. This rule asks for 30 %. Who decided is not known.",
        "What is not known any more:",
        "    what the wind said",
    ]


def test_looking_changes_nothing() -> None:
    """Not even where a hold runs, or nobody knows."""
    for story in STORIES.values():
        shed, twin = story(), story()
        for _ in range(3):
            shed.told()
        shed.read(33.0, until=shed.second + 300)
        twin.read(33.0, until=twin.second + 300)
        assert shed.told() == twin.told()
