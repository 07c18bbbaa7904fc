"""How long a stored reading speaks for the time after it: what spans and summaries count as heard."""

from __future__ import annotations

from outstation.core.node import Node
from outstation.core.readings import Millis
from outstation.core.sensors import STALE_UNTIL_KNOWN, SensorState
from outstation.core.summing import LONGEST_REACH


def reach(state: SensorState) -> Millis:
    """Return how long a stored reading of a sensor speaks."""
    if state.spec.dead_band is None:
        return state.stale_limit()
    # What the dead band kept from the store was said all the same.
    return max(state.stale_limit(), state.spec.heartbeat + (state.spec.every or 0))


class Reaches:
    """The same by name, for the store, which is there before the node is. Asked in the writer's thread."""

    def __init__(self) -> None:
        self.node: Node | None = None

    def __call__(self, name: str) -> Millis:
        """Return how long a reading of a sensor speaks; the level of an output holds until it is driven again."""
        node = self.node
        if node is None:
            return STALE_UNTIL_KNOWN
        if name in node.actuators:
            return LONGEST_REACH
        state = node.sensors.get(name)
        return STALE_UNTIL_KNOWN if state is None else reach(state)
