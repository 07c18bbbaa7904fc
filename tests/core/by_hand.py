"""Conditions of drawn rules, each as text and by hand: for the world of test_everything_decided.py."""

from __future__ import annotations

from tests.core.foretold import Asks
from tests.core.foretold import World as Looked


def above(sensor: str, limit: float) -> Asks:
    def asks(world: Looked, safety: bool) -> bool | None:
        value = world.value(sensor, safety=safety)
        return None if value is None else value > limit

    return asks


def below(sensor: str, limit: float) -> Asks:
    def asks(world: Looked, safety: bool) -> bool | None:
        value = world.value(sensor, safety=safety)
        return None if value is None else value < limit

    return asks


def above_bound(world: Looked, safety: bool) -> bool | None:
    return above("s", world.settings["bound"])(world, safety)


def hot_and_pump(world: Looked, safety: bool) -> bool | None:
    hot, pump = above("s", 5)(world, safety), world.on("pump")
    if hot is False or pump is False:
        return False
    return None if hot is None or pump is None else True


def low_or_fan_off(world: Looked, safety: bool) -> bool | None:
    low, fan = below("r", 4)(world, safety), world.on("fan")
    if low or fan is False:
        return True
    return None if low is None or fan is None else False


def in_two_minutes(world: Looked, _safety: bool) -> bool | None:
    minute = world.minute()
    return None if minute is None else minute in (1, 2)


CONDITIONS: list[tuple[str, Asks, str | None, Asks | None]] = [
    ("s > 5", above("s", 5), None, None),
    ("s > 5", above("s", 5), "s < 3", below("s", 3)),
    ("s > bound", above_bound, "s < 3", below("s", 3)),
    ("s > bound", above_bound, None, None),
    ("s > 5 and pump is on", hot_and_pump, None, None),
    ("r < 4 or fan is off", low_or_fan_off, None, None),
    ("age(s) > 20s", lambda world, _: world.age("s") > 20_000, None, None),
    ("between 00:01 and 00:03", in_two_minutes, None, None),
]
"""Each as text and by hand."""
