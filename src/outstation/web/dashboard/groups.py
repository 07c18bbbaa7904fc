"""Sensors and outputs by device: the node's own first, then each board and each node that reports here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from outstation.core.node import Node
from outstation.core.sensors import SensorState
from outstation.web.dashboard.cards import output_card, sensor_card
from outstation.web.dashboard.view import HERE, View, address, text

SHOWN = 500
"""Sensors on the page at most: more are a list to search, not a page to read, and cost the node time at every look."""

Spark = Callable[[str], str]


def shown(node: Node, group: str | None) -> list[str]:
    """Return the names of the sensors that the page shows, in its order: the node's own first."""
    states = islice(_wanted(node, group), SHOWN)
    return [state.spec.name for state in sorted(states, key=lambda state: bool(state.spec.device))]


def by_device(node: Node, view: View) -> tuple[list[SensorState], dict[str, list[SensorState]]]:
    """Return the node's own sensors and the others by device, of those that the reader chose and the page can hold."""
    own: list[SensorState] = []
    others: dict[str, list[SensorState]] = {}
    for state in islice(_wanted(node, view.group), SHOWN):
        (others.setdefault(state.spec.device, []) if state.spec.device else own).append(state)
    return own, others


def group(title: str, states: Sequence[SensorState], view: View, spark: Spark) -> Iterator[str]:
    """Return the cards of one device."""
    cards = (sensor_card(state, view, spark(state.spec.name)) for state in states)
    return _section(title, "cards", cards) if states else iter(())


def outputs_section(node: Node, view: View) -> Iterator[str]:
    """Return the cards of the outputs."""
    cards = (output_card(state, view) for state in node.actuators.values())
    return _section("Outputs", "outputs", cards) if node.actuators else iter(())


def left_out(node: Node, view: View) -> str:
    """Return how many sensors the page could not hold, and where they are."""
    more = sum(1 for _ in _wanted(node, view.group)) - SHOWN
    return f'<p class=more>and {more} more sensors: <a href="/api/sensors">/api/sensors</a></p>\n' if more > 0 else ""


def choice_of_group(node: Node, view: View) -> str:
    """Return the links to each group, where there are several."""
    counts = Counter(map(_group_of, node.sensors.values()))
    if node.actuators:
        counts[HERE] += 0
    if len(counts) < 2:
        return ""
    links = [_link(None, "All", sum(counts.values()), view)]
    links += [_link(HERE, "This node", counts.pop(HERE), view)] if HERE in counts else []
    links += [_link(name, name, count, view) for name, count in sorted(counts.items(), key=_as_people_sort)]
    return f'<nav class=groups aria-label="Groups">{"".join(links)}</nav>\n'


def _as_people_sort(counted: tuple[str, int]) -> list[tuple[int, str]]:
    """Put porch-9 before porch-10."""
    return [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", counted[0])]


def _link(group: str | None, label: str, count: int, view: View) -> str:
    mark = " aria-current=true" if group == view.group else ""
    return f'<a href="{address(view, group=group)}" data-choice{mark}>{text(label)} <small>{count}</small></a>'


def _group_of(state: SensorState) -> str:
    return state.spec.device or HERE


def _wanted(node: Node, group: str | None) -> Iterator[SensorState]:
    return (state for state in node.sensors.values() if group in (None, _group_of(state)))


def _section(title: str, kind: str, cards: Iterable[str]) -> Iterator[str]:
    yield f'<section class=group>\n<h2>{text(title)}</h2>\n<ul class="{kind}">\n'
    yield from cards
    yield "</ul>\n</section>\n"
