"""Who wants an output in which state: claims, their ends, and drivers that fail."""

from __future__ import annotations

import pytest

from outstation.core import actuation
from outstation.core.actuation import PULSE, ActuatorSpec, ActuatorState
from outstation.core.node import Node
from outstation.core.readings import Millis, Switch
from outstation.errors import RefusedError, UnknownActionError
from tests.core.story import HOUR, LED, START, done, levels, ms, notes, order, refused, story, tick


def started(*, default: bool = False, dimmable: bool = False) -> Node:
    """Make a node whose LED was driven to its default."""
    node = Node([], [ActuatorSpec(LED, default=default, dimmable=dimmable)])
    assert levels(story(node, tick(0))) == [default]
    story(node, done(0, default))
    return node


def led(node: Node) -> ActuatorState:
    return node.actuators[LED]


# At the start.


def test_at_the_start_the_level_is_unknown_and_the_default_is_wanted() -> None:
    node = Node([], [ActuatorSpec(LED, default=True)])
    assert led(node).level is None
    assert levels(story(node, tick(0), tick(1))) == [True]
    story(node, done(1, True))
    assert led(node).level is True
    assert led(node).changed_at == START + ms(1)


def test_an_output_that_was_opened_where_it_is_wanted_is_not_driven_again() -> None:
    node = Node([], [ActuatorSpec(LED)])
    assert levels(story(node, done(0, False), tick(1))) == []


def test_an_output_that_was_opened_elsewhere_is_driven_where_it_is_wanted() -> None:
    node = Node([], [ActuatorSpec(LED)])
    assert levels(story(node, done(0, True))) == [False]


def test_an_output_that_could_not_be_opened_is_tried_again_a_second_later() -> None:
    node = Node([], [ActuatorSpec(LED)])
    assert levels(story(node, refused(0), tick(0))) == []
    assert levels(story(node, tick(1))) == [False]


# Commands.


def test_on_off_and_release() -> None:
    node = started(default=True)
    assert levels(story(node, order(1, "off"))) == [False]
    assert led(node).wanted is False
    assert levels(story(node, order(2, "release"))) == [True]
    assert led(node).claim is None
    assert levels(story(node, order(3, "on"))) == [True]


def test_a_claim_says_who_and_since_when() -> None:
    node = started()
    story(node, order(5, "on", duration=ms(30)))
    claim = led(node).claim
    assert claim is not None
    assert (claim.who, claim.since, claim.since_at) == ("anna", ms(5), START + ms(5))
    assert (claim.until, claim.until_at) == (ms(35), START + ms(35))


@pytest.mark.parametrize("action", ["on", "ON", "On"])
def test_letter_case_does_not_matter(action: str) -> None:
    assert levels(story(started(), order(1, action))) == [True]


def test_a_command_is_noted_with_who_gave_it() -> None:
    assert notes(story(started(), order(1, "ON"))) == [("command", "on by anna")]


def test_the_same_command_again_drives_the_output_again() -> None:
    assert levels(story(started(), order(1, "on"), done(1, True), order(2, "on"))) == [True, True]


def test_toggle_turns_round() -> None:
    node = started()
    assert levels(story(node, order(1, "toggle"))) == [True]
    assert levels(story(node, done(1, True), order(2, "toggle"))) == [False]


def test_two_toggles_cancel_out_also_when_the_driver_is_busy_with_the_first() -> None:
    assert levels(story(started(), order(1, "toggle"), order(1, "toggle"), order(1, "toggle"))) == [True, False, True]


def test_toggle_with_an_unknown_level_means_off() -> None:
    assert levels(story(Node([], [ActuatorSpec(LED, default=True)]), order(0, "toggle"))) == [False]
    node = started()
    story(node, refused(1))
    assert levels(story(node, order(2, "toggle"))) == [False]


def test_toggle_of_a_dimmed_output() -> None:
    node = started(dimmable=True)
    assert levels(story(node, order(1, "set", value=0.3), done(1, 0.3), order(2, "toggle"))) == [0.3, False]
    assert levels(story(node, order(3, "set", value=0), done(3, 0.0), order(4, "toggle"))) == [0.0, True]


def test_a_pulse_ends_by_itself() -> None:
    node = started()
    assert levels(story(node, order(1, "pulse"), done(1, True))) == [True]
    assert node.next_due() == ms(1) + PULSE
    assert levels(story(node, tick(1.499))) == []
    assert levels(story(node, tick(1.5))) == [False]


def test_a_pulse_may_be_longer() -> None:
    node = started()
    story(node, order(1, "pulse", duration=ms(5)))
    assert node.next_due() == ms(6)


def test_set_takes_zero_to_one() -> None:
    node = started(dimmable=True)
    sent = levels(story(node, *[order(1, "set", value=value) for value in (0, 0.25, 1)]))
    assert sent == [0.0, 0.25, 1.0]
    assert {type(level) for level in sent} == {float}


@pytest.mark.parametrize("value", [None, -0.01, 1.01, float("nan"), float("inf")])
def test_set_takes_nothing_else_and_changes_nothing(value: float | None) -> None:
    node = started(dimmable=True)
    story(node, order(1, "on"))
    with pytest.raises(RefusedError, match='led: "set" needs a value from 0 to 1'):
        story(node, order(2, "set", value=value))
    assert led(node).wanted is True


def test_only_a_dimmable_output_can_be_set() -> None:
    with pytest.raises(UnknownActionError, match="cannot be set") as caught:
        story(started(), order(1, "set", value=1))
    assert caught.value.valid == ["on", "off", "toggle", "pulse", "release", "lock", "unlock"]


def test_an_unknown_action_changes_nothing_and_lists_those_there_are() -> None:
    node = started(dimmable=True)
    with pytest.raises(UnknownActionError, match='led knows no action "explode"') as caught:
        story(node, order(1, "explode"))
    assert caught.value.valid == ["on", "off", "toggle", "pulse", "set", "release", "lock", "unlock"]
    assert led(node).claim is None


# A claim ends.


def test_a_claim_for_a_time_ends_with_a_tick_and_the_default_is_wanted_again() -> None:
    node = started(default=True)
    story(node, order(1, "off", duration=ms(60)), done(1, False))
    assert node.next_due() == ms(61)
    assert story(node, tick(60)) == []
    effects = story(node, tick(61))
    assert levels(effects) == [True]
    assert notes(effects) == [("claim ended", "the claim of anna ended")]
    assert node.next_due() is None


def test_a_claim_without_a_time_stays() -> None:
    node = started()
    story(node, order(1, "on"))
    assert node.next_due() is None
    assert story(node, tick(1e6)) == []
    assert led(node).wanted is True


def test_a_claim_that_ends_where_the_default_is_drives_nothing() -> None:
    node = started()
    story(node, order(1, "off", duration=ms(1)), done(1, False))
    assert levels(story(node, tick(2))) == []


def test_a_new_command_takes_the_place_of_the_one_before_and_of_its_end() -> None:
    node = started()
    story(node, order(1, "on", duration=ms(10)), order(2, "on"))
    assert story(node, tick(HOUR)) == []


def test_the_wall_clock_does_not_end_a_claim() -> None:
    node = started()
    story(node, order(1, "on", duration=ms(60)))
    later = tick(2)
    assert story(node, type(later)(later.at + ms(1e9), later.now)) == []


# The driver.


def test_a_failure_makes_the_level_unknown() -> None:
    node = started()
    effects = story(node, order(1, "on"), refused(2))
    assert notes(effects)[1:] == [("output failed", "the line is busy")]
    assert led(node).level is None
    assert led(node).error == "the line is busy"
    assert led(node).changed_at == START + ms(2)
    story(node, refused(3))
    assert led(node).changed_at == START + ms(2)


def test_a_failed_output_is_tried_again_after_1_s_doubling_to_60() -> None:
    node = started()
    now: Millis = ms(1)
    story(node, order(1, "on"), refused(1))
    waits = []
    for _ in range(8):
        due = node.next_due()
        assert due is not None
        assert story(node, tick((due - 1) / 1000)) == []
        assert levels(story(node, tick(due / 1000))) == [True]
        assert node.next_due() is None
        waits.append((due - now) // 1000)
        story(node, refused(due / 1000))
        now = due
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_failure_is_noted_once_for_its_reason() -> None:
    node = started()
    effects = story(node, refused(1), refused(2), refused(4, "no line"), refused(8, "no line"))
    assert notes(effects) == [("output failed", "the line is busy"), ("output failed", "no line")]


def test_well_again_is_noted_and_the_next_failure_waits_1_s_again() -> None:
    node = started()
    effects = story(node, refused(1), refused(2), refused(4), done(8, False))
    assert notes(effects)[-1] == ("output well", "the output answers again")
    assert (led(node).level, led(node).error, led(node).changed_at) == (False, "", START + ms(8))
    assert node.next_due() is None
    story(node, refused(10))
    assert node.next_due() == ms(11)


def test_a_claim_outlives_the_failure_of_its_output() -> None:
    node = started()
    assert levels(story(node, order(1, "on"), refused(1), tick(2), done(2, True))) == [True, True]
    assert led(node).level is True


def test_a_command_does_not_wait_for_the_next_attempt() -> None:
    node = started()
    story(node, refused(1), refused(2))
    assert levels(story(node, order(3, "on"))) == [True]
    assert node.next_due() is None


def test_a_claim_that_ends_while_its_output_fails_is_not_driven_any_more() -> None:
    node = started()
    story(node, order(1, "on", duration=ms(1.5)), refused(1))
    assert node.next_due() == ms(2)
    assert levels(story(node, tick(2), refused(2), tick(2.5))) == [True, False]


def test_a_new_command_while_the_driver_is_busy_is_what_counts() -> None:
    node = started()
    assert levels(story(node, order(1, "on"), order(2, "off"))) == [True, False]
    assert story(node, done(3, True))[:-1] == []
    assert led(node).level is True
    assert levels(story(node, done(4, False))) == []
    assert led(node).level is False


def test_a_claim_that_ends_while_the_driver_is_busy_is_followed_at_once() -> None:
    node = started()
    assert levels(story(node, order(1, "pulse"), tick(2), done(3, True), done(4, False))) == [True, False]


def test_an_old_order_that_fails_does_not_bring_itself_back() -> None:
    node = started()
    story(node, order(1, "on"), order(2, "off"), refused(3))
    assert story(node, tick(4)) == [Switch(LED, False)]


def test_what_an_output_takes_depends_on_its_kind() -> None:
    assert "set" in actuation.valid(ActuatorSpec(LED, dimmable=True))
    assert "set" not in actuation.valid(ActuatorSpec(LED))
