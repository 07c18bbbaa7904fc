"""What waits unsent because its readers do not read: bounded, over all connections together.

The law of this file: what is held for those who do not take it is no more than is set aside, however many they are; an
address that has most of it loses first, and of its own connections those that take nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

ROOM = 16 * 1024 * 1024
"""Bytes that wait, beside what the kernel holds: 80 whole pages of 200 kB, or 128 of the streams and exports, of which
there are fewer: these wait for their readers, and 128 KiB at most for each of them."""

_READING_S = 5
"""Seconds for which one that took something, or has just asked, counts as a reader: a radio link stands still for so
long."""


def reading_for(left: int, *, before: int, unsent: int) -> int:
    """Return for how many seconds more a client counts as a reader. Asked once a second, with what waited and waits."""
    return _READING_S if unsent != before else max(0, left - 1)


def relieve(connections: set[Any]) -> None:
    """Cut those of uvicorn's connections that are too greedy, until the rest has room: one alone has it anyhow.

    Called when one of them cannot send at once, and once a second.
    """
    unsent = {each: each.transport.get_write_buffer_size() for each in connections}
    excess = sum(unsent.values()) - ROOM
    if excess <= 0:
        return
    held: Counter[str] = Counter()
    for each, size in unsent.items():
        held[_address(each)] += size
    while excess > 0 and len(unsent) > 1:
        greedy = max(unsent, key=lambda each: (held[_address(each)], not each.reading_for, unsent[each]))
        greedy.transport.abort()
        connections.discard(greedy)  # what waits for it goes with it, in a moment
        size = unsent.pop(greedy)
        held[_address(greedy)] -= size
        excess -= size


def _address(connection: Any) -> str:
    return connection.client[0] if connection.client else ""
