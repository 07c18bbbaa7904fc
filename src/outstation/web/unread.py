"""What waits unsent because its readers do not read: bounded, over all connections together.

The law of this file: what is held for those who do not take it is no more than is set aside, however many they are; and
who takes some of it now and then goes after all who take nothing.
"""

from __future__ import annotations

from typing import Any

ROOM = 16 * 1024 * 1024
"""Bytes that wait, beside what the kernel holds: 80 whole pages of 200 kB, or 128 of the streams and exports, of which
there are fewer: these wait for their readers, and 128 KiB at most for each of them."""

_READING_S = 5
"""Seconds for which one that took something counts as a reader: a radio link stands still for as long."""


def reading_for(left: int, *, before: int, unsent: int) -> int:
    """Return for how many seconds more a client counts as a reader. Asked once a second, with what waited and waits."""
    return _READING_S if before and unsent != before else max(0, left - 1)


def relieve(connections: set[Any]) -> None:
    """Cut those of uvicorn's connections that are not read and for which most waits, until the rest has room.

    Those that are read come after them; one alone has room anyhow. Called when one of them cannot send at once, and
    once a second.
    """
    waiting = [(not each.reading_for, each.transport.get_write_buffer_size(), each) for each in connections]
    excess = sum(size for _, size, _ in waiting) - ROOM
    if excess <= 0:
        return
    waiting.sort(key=lambda each: each[:2])
    while excess > 0 and len(waiting) > 1:
        _, size, greedy = waiting.pop()
        greedy.transport.abort()
        connections.discard(greedy)  # what waits for it goes with it, in a moment
        excess -= size
