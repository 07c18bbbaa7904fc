"""What waits unsent because its readers do not read: bounded, over all connections together.

The law of this file: what is held for those who do not take it is no more than is set aside, however many they are.
"""

from __future__ import annotations

from typing import Any

ROOM = 16 * 1024 * 1024
"""Bytes that wait, beside what the kernel holds: 80 whole pages of 200 kB, or 128 of the streams and exports, of which
there are fewer: these wait for their readers, and 128 KiB at most for each of them."""


def relieve(connections: set[Any]) -> None:
    """Cut those of uvicorn's connections for which most waits, until the rest has room; one alone has it anyhow.

    Called when one of them cannot send at once, and once a second.
    """
    waiting = [(each.transport.get_write_buffer_size(), each) for each in connections]
    excess = sum(size for size, _ in waiting) - ROOM
    if excess <= 0:
        return
    waiting.sort(key=lambda each: each[0])
    while excess > 0 and len(waiting) > 1:
        size, greedy = waiting.pop()
        greedy.transport.abort()
        connections.discard(greedy)  # what waits for it goes with it, in a moment
        excess -= size
