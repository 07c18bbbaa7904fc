"""Where a version takes the place of another, and by whom."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from outstation.ops.places import Places, Systemd

HEALTHY_WITHIN_S = 60.0
STEADY_S = 5.0
"""A server that answers and dies at once begins again and again: well is one that has been up for as long."""


class Node(Protocol):
    """The node that runs, asked from outside."""

    def trouble(self) -> str:
        """Return what keeps it from being well, in words; "" when nothing does."""

    def back_up(self, target: Path) -> None:
        """Have it copy its data to a file, which is replaced. Raises OutstationError."""


class Site(msgspec.Struct, frozen=True):
    """Where it is done, and by whom. say: tells people a line. within_s: what a new version has to get well."""

    places: Places
    systemd: Systemd
    node: Node
    say: Callable[[str], None]
    within_s: float = HEALTHY_WITHIN_S


def waited(site: Site) -> str:
    """Wait until the node is well; return what kept it from that for as long as it has, "": it is."""
    until = time.monotonic() + site.within_s
    while (trouble := site.node.trouble()) and time.monotonic() <= until:
        time.sleep(0.5)
    return trouble
