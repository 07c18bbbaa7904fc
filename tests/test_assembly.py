"""What a config becomes: a core that decides as its tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from outstation import defaults
from outstation.assembly import assemble
from outstation.config import load
from outstation.core.node import Node
from outstation.core.readings import Alerted, Effect, Switch
from outstation.plugins import Place
from tests.core.story import done, order, said, story, tick


@pytest.fixture
def demo(tmp_path: Path) -> Node:
    """Make the demo's greenhouse, an evening on which its outputs were opened."""
    node, _ = assemble(defaults.greenhouse(speed=defaults.DEMO_SPEED), Place(tmp_path, tmp_path))
    story(node, done(0, False, actuator="vent"), done(0, False, actuator="heater"))
    return node


def switched(effects: list[Effect]) -> list[tuple[str, object]]:
    return [(effect.actuator, effect.level) for effect in effects if isinstance(effect, Switch)]


def told(effects: list[Effect]) -> list[tuple[str, str, str]]:
    alerts = [effect for effect in effects if isinstance(effect, Alerted)]
    return [(effect.happened, effect.alert.severity, effect.alert.message) for effect in alerts]


def test_the_demos_vent_opens_above_30_degrees_and_says_so(demo: Node) -> None:
    assert switched(story(demo, said(10, 29.9), said(12, 31), said(14, 31))) == []
    opened = story(demo, tick(17))
    assert switched(opened) == [("vent", True)]
    assert told(opened) == [("raised", "warning", "31.0 °C in the greenhouse: the vent opens at 30 °C")]
    assert switched(story(demo, done(17, True, actuator="vent"), said(20, 29))) == []
    closed = story(demo, said(30, 27.9))
    assert switched(closed) == [("vent", False)]
    assert [happened for happened, _, _ in told(closed)] == ["cleared"]


def test_the_demos_heater_follows_the_recorded_air(demo: Node) -> None:
    assert switched(story(demo, said(10, 21.56))) == [("heater", True)]
    story(demo, done(10, True, actuator="heater"))
    assert switched(story(demo, said(40, 22.01))) == [("heater", False)]


def test_a_rule_that_may_claim_an_output_gives_peoples_claims_an_end(demo: Node) -> None:
    claim = demo.actuator("vent")
    story(demo, order(20, "on", actuator="vent"))
    assert claim.claim is not None
    assert claim.claim.until == 20_000 + 3_600_000


def test_an_output_that_does_not_do_what_it_is_told_raises_an_alert(tmp_path: Path) -> None:
    file = tmp_path / "outstation.toml"
    file.write_text(
        '[[sensors]]\nname = "flow"\ndriver = "gpio"\npin = 4\nsimulate = true\n'
        '[[actuators]]\nname = "pump"\nlabel = "The pump"\ndriver = "gpio"\npin = 5\nsimulate = true\n'
        'feedback = "flow"\nfeedback_within = "3s"\n'
    )
    node, _ = assemble(load(file), Place(tmp_path, tmp_path))
    story(node, done(0, False, actuator="pump"), said(0, False, sensor="flow"), order(10, "on", actuator="pump"))
    assert told(story(node, done(10, True, actuator="pump"), said(12, False, sensor="flow"))) == []
    words = "The pump does not do what it is told: it was set to on, and flow says off."
    assert told(story(node, tick(13))) == [
        ("raised", "critical", f"{words} Look at its wiring, its relay and its fuse.")
    ]
    assert [happened for happened, _, _ in told(story(node, said(14, True, sensor="flow")))] == ["cleared"]
