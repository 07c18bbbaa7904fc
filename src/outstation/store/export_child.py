"""Writes an export to its standard output: a process of its own, so that its work takes no turn from the node's loop.

The law of this file: it only reads, and where nobody takes what it wrote it waits, with no snapshot held. What is
wanted comes by standard input, in MessagePack. It says first whether it can, as engine/clerk.py's children do: a
length (4 bytes, big-endian) and MessagePack; then the text. It exits 0 only after the last of it. Which damaged rows it
went on without goes through a pipe of its own.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import msgspec

from outstation.errors import OutstationError, RefusedError, StoreError, UnknownNameError
from outstation.store import exporting, left_out
from outstation.store.children import MEMORY, ROWS_TOLD, Answered
from outstation.store.replay import opened

ERRORS: tuple[type[OutstationError], ...] = (UnknownNameError, RefusedError, StoreError)
"""What it may say instead of a table; the narrower ones first."""


def main() -> None:
    """Write what is wanted; the arguments are the data folder, and where to write which damaged rows were left out."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # the loop goes first where both want the same core
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    wanted = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=exporting.Wanted)
    try:
        _write(Path(sys.argv[1]), wanted, int(sys.argv[2]))
    except BrokenPipeError:
        os._exit(1)  # whoever asked has gone: nothing is left to say to anybody, not even what is buffered


def _write(folder: Path, wanted: exporting.Wanted, notes: int) -> None:
    has_begun = False
    try:
        with opened(folder) as connection:
            for piece in exporting.text(connection, wanted):
                if not has_begun:
                    has_begun = True
                    _say(Answered())
                sys.stdout.buffer.write(piece.encode())
                sys.stdout.buffer.flush()
            os.write(notes, msgspec.msgpack.encode(sorted(left_out.taken(connection))[:ROWS_TOLD]))
    except ERRORS as error:
        if not has_begun:
            kind = next(number for number, each in enumerate(ERRORS) if isinstance(error, each))
            _say(Answered(0, kind, error.message, error.cure))
        sys.exit(1)


def _say(answered: Answered) -> None:
    sys.stdout.buffer.write(answered.packed())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
