"""Has exports made by child processes, and hands on what they write as fast as it is taken.

The law of this file: an export costs this process no more than the pieces on their way. A client that reads slowly
makes the pipe full, and the child waits; one that leaves takes the child with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from outstation.errors import StoreError
from outstation.store.children import LENGTH, Answered
from outstation.store.database import Store
from outstation.store.export_child import ERRORS
from outstation.store.exporting import PIECE, Wanted
from outstation.store.left_out import Row

MOST = 2
"""Exports at once: each is a process of some 30 MB for as long as its client takes."""

_PATIENCE_S = 60.0
"""Seconds until the first piece: a year of readings has an index of some ten thousand rows to look through."""

_NOTES_AT_MOST = 1 << 16


@asynccontextmanager
async def exported(store: Store, wanted: Wanted) -> AsyncIterator[AsyncIterator[bytes]]:
    """Lend the pieces of an export, made as they are asked for. Raises StoreError, RefusedError."""
    opened = store.opened
    try:
        ours, theirs = os.pipe()
    except OSError as error:
        raise _refused(error) from error
    try:
        process = await _started(store, theirs)
    except OSError as error:
        os.close(ours)
        raise _refused(error) from error
    finally:
        os.close(theirs)
    try:
        yield await _begun(process, wanted)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # it only reads, and leaves nothing behind
        await process.wait()
        rows = os.read(ours, _NOTES_AT_MOST)  # whoever could write into it has gone: there is nothing to wait for
        os.close(ours)
        if rows:
            store.move_damaged(opened, msgspec.msgpack.decode(rows, type=list[Row]))


async def _started(store: Store, notes: int) -> asyncio.subprocess.Process:
    words = (sys.executable, "-P", "-m", "outstation.store.export_child", str(store.path.parent), str(notes))
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, limit=PIECE, pass_fds=(notes,))


def _refused(error: OSError) -> StoreError:
    return StoreError(f"An export cannot be made now: {error}.", cure="Try again.")


async def _begun(process: asyncio.subprocess.Process, wanted: Wanted) -> AsyncIterator[bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            process.stdin.write(msgspec.msgpack.encode(wanted))
            process.stdin.close()
            length = int.from_bytes(await process.stdout.readexactly(LENGTH), "big")
            said = msgspec.msgpack.decode(await process.stdout.readexactly(length), type=Answered)
    except (OSError, EOFError, msgspec.DecodeError) as error:  # TimeoutError is an OSError
        raise StoreError("The export could not be made.", cure="The node's log says more; try again.") from error
    if said.error is not None:
        raise ERRORS[said.error](said.message, cure=said.cure)
    return _pieces(process)


async def _pieces(process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
    assert process.stdout is not None
    while piece := await process.stdout.read(PIECE):
        yield piece
    if await process.wait():
        raise StoreError("The export broke off.", cure="The data file could not be read on; try again.")
