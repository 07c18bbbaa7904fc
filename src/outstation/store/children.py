"""What the node's children answer with, before their page or table: a length (4 bytes, big-endian) and MessagePack.

The law of this file: it imports next to nothing, for a child begins with each export.
"""

from __future__ import annotations

import msgspec

from outstation.store.left_out import Row

LENGTH = 4
"""Bytes that say how many follow."""

MEMORY = 384 << 20
"""Bytes of address space: the biggest page within reason, and less than what a small machine has."""

ROWS_TOLD = 200
"""Damaged rows that are told with one answer; the next one tells of more."""


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """What comes before the page. error: which of the child's ERRORS; None: none, and the page follows."""

    page: int = 0
    error: int | None = None
    message: str = ""
    cure: str = ""
    is_damaged: bool = False
    left_out: tuple[Row, ...] = ()

    def packed(self) -> bytes:
        """Return it as it is sent."""
        head = msgspec.msgpack.encode(self)
        return len(head).to_bytes(LENGTH, "big") + head
