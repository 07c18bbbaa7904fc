"""What changes about a node while it runs: a sensor has another name, or is gone; and what is wrong with itself."""

from __future__ import annotations

from outstation.core.node import SENSORS_A_DEVICE, Node
from outstation.core.readings import Alerted, Effect, Record, Tick, Trouble
from outstation.core.sensors import SensorSpec
from tests.core.story import PORCH, newest, node_of, sent, story, values

OTHER = "attic/humidity"


def test_a_renamed_sensor_goes_on_where_it_was() -> None:
    node = node_of()
    story(node, *(sent(second, second, arrived=second) for second in range(0, 50, 10)))
    rhythm = node.sensors[PORCH].stale_limit()
    node.rename(PORCH, OTHER)
    assert PORCH not in node.sensors
    assert (newest(node, OTHER).sensor, newest(node, OTHER).value) == (OTHER, 40)
    assert node.sensors[OTHER].stale_limit() == rhythm
    assert node.sensors[OTHER].spec.device == "attic"


def test_one_that_has_said_nothing_yet_can_be_renamed() -> None:
    node = node_of()
    node.rename(PORCH, OTHER)
    assert node.sensors[OTHER].newest is None


def test_a_sensor_that_was_forgotten_is_a_new_one_when_it_is_heard_again_and_leaves_its_place_to_others() -> None:
    node = Node([SensorSpec(f"porch/n{number}") for number in range(SENSORS_A_DEVICE)])
    node.forget("porch/n1")
    node.forget("porch/never")
    node.admit_all([PORCH])
    assert values(story(node, sent(20, 3))) == [3]


def trouble(second: float, text: str, subject: str = "data file") -> Trouble:
    return Trouble(subject, "critical", text, round(second * 1000), round(second * 1000))


def told(effects: list[Effect]) -> list[tuple[str, str, str, str]]:
    return [
        (one.happened, one.alert.kind, one.alert.subject, one.alert.message) for one in effects if type(one) is Alerted
    ]


def test_people_are_told_once_of_what_is_wrong_with_the_node_itself_and_when_it_is_over() -> None:
    node = node_of()
    raised = ("node", "data file", "It was damaged.")
    assert told(node.handle(trouble(0, ""))) == []
    assert told(node.handle(trouble(1, "It was damaged."))) == [("raised", *raised)]
    assert told(node.handle(trouble(2, "It was damaged."))) == []
    assert told(node.handle(trouble(3, "The stick is gone.", "backup")))[0][2] == "backup"
    assert told(node.handle(Tick(4_000, 4_000))) == [], "whoever watches over it says when it is over"
    assert told(node.handle(trouble(5, ""))) == [("cleared", *raised)]
    assert not [one for one in node.handle(trouble(6, "")) if isinstance(one, Record)]
