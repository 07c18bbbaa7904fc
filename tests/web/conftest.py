"""What the tests of the web begin with: a node of the default device, one for each file of tests."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.devices.lines.simulated import SimulatedChip
from outstation.errors import DeviceError
from tests.running import Running
from tests.web.wire import Wire

_devices = itertools.count(1)


@pytest.fixture(autouse=True, scope="module")
def _chips_end_with_their_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A simulated chip outlives its node by a minute, on purpose."""
    yield
    for door in tmp_path_factory.getbasetemp().rglob("*.sim"):
        with contextlib.suppress(DeviceError), SimulatedChip(door) as chip:
            chip.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("node") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the configured nodes of one file of tests."""
    return tmp_path_factory.mktemp("configured")


@pytest.fixture
def wire(node: Running) -> Iterator[Wire]:
    """A connection to the node."""
    with Wire(node.port) as connected:
        yield connected


@pytest.fixture
def device() -> str:
    """The name of a device that sent nothing before."""
    return f"board-{next(_devices)}"
