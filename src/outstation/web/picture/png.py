"""A picture as PNG: drawn in a process of its own, which takes matplotlib and its 100 MB away with it when it ends."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from outstation.errors import StoreError
from outstation.web.picture.series import Picture

MISSING = "Pictures as PNG need matplotlib: pip install 'outstation[png]' on the machine. /api/plot.svg needs nothing."

PATIENCE_S = 60.0
"""Seconds until one that says nothing is given up: a Pi Zero takes ten, and the first time looks for fonts."""


def is_installed() -> bool:
    """Tell whether there is anything to draw with, without loading it."""
    return importlib.util.find_spec("matplotlib") is not None


def drawn(picture: Picture, folder: Path) -> bytes:
    """Return the picture. Blocks. folder: where it may remember which fonts there are. Raises StoreError."""
    words = (sys.executable, "-P", "-m", "outstation.web.picture.png_child")
    env = {**os.environ, "MPLCONFIGDIR": str(folder / "matplotlib"), "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            words, input=msgspec.msgpack.encode(picture), capture_output=True, timeout=PATIENCE_S, check=True, env=env
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StoreError("The picture could not be drawn.", cure="Ask for /api/plot.svg.") from error
    return done.stdout
