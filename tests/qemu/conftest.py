"""A kernel of Debian's, fetched once for all that boot it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.qemu import packages


@pytest.fixture(scope="session")
def debian() -> Iterator[Path]:
    """The root that Debian's packages were unpacked into."""
    with tempfile.TemporaryDirectory(prefix="outstation-qemu-") as folder:
        try:
            packages.need_qemu()
            root = packages.fetch(Path(folder) / "debian")
        except packages.MissingError as error:
            pytest.fail(str(error), pytrace=False)
        yield root
