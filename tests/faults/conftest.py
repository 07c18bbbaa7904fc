"""What the rigs share: a folder in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.life import MEMORY


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """Lend a folder where nothing waits for a disk: for harm that is done to the program, and not to its disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)
