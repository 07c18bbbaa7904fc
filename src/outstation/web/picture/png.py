"""Has pictures drawn as PNG by a child process: matplotlib's 60 MB do not stay in this one."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import sys
from pathlib import Path

PATIENCE_S = 60.0
"""Seconds until a drawing is given up: it takes the processor only when nothing else wants it. A small board takes some
ten for its first, when matplotlib looks for fonts."""

CACHE = "matplotlib"
"""The folder beside the data file where matplotlib keeps what fonts it found: a service has no home to write to."""


def is_missing() -> bool:
    """Tell whether matplotlib, an extra, is not installed."""
    return importlib.util.find_spec("matplotlib") is None


async def png(picture: bytes, folder: Path) -> bytes | None:
    """Return a Picture in MessagePack drawn, or None: it could not be in time. folder: the node's. Raises OSError."""
    words = (sys.executable, "-P", "-m", "outstation.web.picture.png_child")
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    # One thread: NumPy's library else takes memory for as many as there are cores, before anything is computed.
    env = {**os.environ, "MPLCONFIGDIR": str(folder / CACHE), "OPENBLAS_NUM_THREADS": "1"}
    child = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=nowhere, env=env)
    try:
        async with asyncio.timeout(PATIENCE_S):
            drawn, _ = await child.communicate(picture)
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    return None if child.returncode else drawn
