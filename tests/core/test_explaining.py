"""Why a rule fires, or does not, so that one who did not write it understands; the page shows what this says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from outstation import clock
from outstation.core import explaining, rules
from outstation.core.actuation import ActuatorSpec
from outstation.core.conditions import parse
from outstation.core.explaining import Claimed, Explanation
from outstation.core.node import Node
from outstation.core.readings import Adjust, Command, Failed, Millis, Reading, Switch, Switched, Tick, Value, Zone
from outstation.core.rules import RuleSpec, SettingSpec
from outstation.core.sensors import SensorSpec
from tests.core.story import START, ms

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "rules.md").read_text()
AIR, VENT, RULE = "air_temperature", "vent", "ventilate"


def rule(name: str = RULE, when: str = f"{AIR} > vent_at", until: str | None = f"{AIR} < vent_at - 2") -> RuleSpec:
    def condition(text: str) -> rules.Condition:
        return parse(text, actuators=[VENT], settings=["vent_at"])

    return RuleSpec(name, condition(when), until and condition(until) or None, ms(60), claims={VENT: True})


class Greenhouse:
    """A node whose vent obeys, and what happens there; times are seconds."""

    def __init__(self, *specs: RuleSpec, **vent: Millis) -> None:
        air = SensorSpec(AIR, unit="°C", every=10_000)
        self.node = Node(
            [air],
            [ActuatorSpec(VENT, ruled=True, **vent)],
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

    def do(self, event: Reading | Failed | Tick | Command | Adjust) -> None:
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
        return explaining.explain(
            state, sight, self.node.sensors, explaining.claims(state, sight, decisions.actuators)
        )

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

