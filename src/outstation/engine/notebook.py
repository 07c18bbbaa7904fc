"""What is kept of decisions, also in memory that outlives this process: a crash forgets nothing that the disk has not.

On a full disk or a damaged file somebody's "off", or their lock, is in no commit. The supervisor holds this memory
for the next server, which believes it more than the disk: it is newer, and of this very boot.

The law of this file: two slots are written in turn, each with its check sum; so whoever is killed while writing
leaves the one before.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Mapping, Sequence

import msgspec

from outstation.core.readings import Keep

SLOT = 8 << 20
"""Bytes of a slot: far more than the rows of a thousand rules. Only what is written takes memory."""

_AT_ONCE = frozenset({"output", "setting"})
"""What a person relies on as soon as it is answered. The rest is written with these, or with the next Tick."""

_HEAD = 16

Rows = Mapping[tuple[str, str], bytes]


class _Page(msgspec.Struct, array_like=True):
    rows: list[tuple[str, str, str]]


class Notebook:
    """The rows of one boot, behind a descriptor of memory (memfd_create(2))."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)
        self._number, self._rows = self._newest()
        self._is_written = True

    def rows(self) -> Rows | None:
        """Return what was written by a server before this one; None: nothing was."""
        return self._rows if self._number else None

    def keep(self, keeps: Sequence[Keep]) -> None:
        """Take what is kept from now on."""
        for keep in keeps:
            if keep.body is None:
                self._rows.pop((keep.kind, keep.name), None)
            else:
                self._rows[keep.kind, keep.name] = keep.body
        self._is_written = False
        if any(keep.kind in _AT_ONCE for keep in keeps):
            self.write()

    def write(self) -> None:
        """Write what was not written yet. What does not fit is left to the disk."""
        if self._is_written:
            return
        self._is_written = True
        page = _Page([(kind, name, body.decode()) for (kind, name), body in self._rows.items()])
        body = msgspec.msgpack.encode(page)
        number = self._number + 1
        with contextlib.suppress(OSError):  # no memory: the disk has it, too
            if len(body) > SLOT - _HEAD:
                os.ftruncate(self._descriptor, 0)
                return
            head = number.to_bytes(8, "little") + len(body).to_bytes(4, "little")
            sum_ = zlib.crc32(head + body).to_bytes(4, "little")
            os.pwrite(self._descriptor, head + sum_ + body, number % 2 * SLOT)
            self._number = number

    def _newest(self) -> tuple[int, dict[tuple[str, str], bytes]]:
        number, body = max((self._slot(place) for place in (0, 1)), key=lambda slot: slot[0])
        if not number:
            return 0, {}
        page = msgspec.msgpack.decode(body, type=_Page)
        return number, {(kind, name): text.encode() for kind, name, text in page.rows}

    def _slot(self, place: int) -> tuple[int, bytes]:
        """Return the number and the body of a slot; 0 where there is no whole one."""
        head = os.pread(self._descriptor, _HEAD, place * SLOT)
        size = int.from_bytes(head[8:12], "little")
        body = os.pread(self._descriptor, min(size, SLOT), place * SLOT + _HEAD)
        if len(head) < _HEAD or zlib.crc32(head[:12] + body) != int.from_bytes(head[12:], "little"):
            return 0, b""
        return int.from_bytes(head[:8], "little"), body
