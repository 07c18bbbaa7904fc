"""Machines that have nothing in common but a wire: network namespaces (network_namespaces(7)), and nodes in them.

The law of this file: the files of all are in one place, since the tests look at them; what goes from one machine to
another goes over a wire that can be pulled.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.running import Answer, Running

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
"""linux/sched.h"""


def _may_have_them() -> bool:
    if os.geteuid() or not shutil.which("ip"):
        return False
    name = f"probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return not made.returncode


needs_namespaces = pytest.mark.skipif(
    not _may_have_them(), reason="network namespaces need root and ip (Debian: iproute2)"
)


class Wire:
    """Between the hub and one node. hub, node: their addresses on it."""

    def __init__(self, number: int, hub: str, node: str) -> None:
        self._there, self._device = hub, f"wire{number}"
        self.hub, self.node = f"10.77.{number}.1", f"10.77.{number}.2"
        _ip("-n", hub, "link", "add", self._device, "type", "veth", "peer", "name", "wire", "netns", node)
        _ip("-n", hub, "address", "add", f"{self.hub}/24", "dev", self._device)
        _ip("-n", node, "address", "add", f"{self.node}/24", "dev", "wire")
        _ip("-n", node, "link", "set", "wire", "up")
        self.plug()

    def plug(self) -> None:
        """Put it in."""
        _ip("-n", self._there, "link", "set", self._device, "up")

    def pull(self) -> None:
        """Pull it out."""
        _ip("-n", self._there, "link", "set", self._device, "down")


class Placed(Running):
    """A node in a namespace; it is asked from within it."""

    def __init__(self, place: str, data: Path, config: str) -> None:
        self._place = place
        super().__init__(data, config, wrapper=("ip", "netns", "exec", place))

    def request(self, *words: Any, **more: Any) -> Answer:
        return within(self._place, lambda: super(Placed, self).request(*words, **more))


def within(place: str, work: Callable[[], T]) -> T:
    """Do some work in a thread that is in a namespace."""
    found: list[T] = []
    errors: list[Exception] = []

    def enter() -> None:
        try:
            _enter(place)
            found.append(work())
        except Exception as error:  # noqa: BLE001  it is raised where it was asked for
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return found[0]


def _enter(place: str) -> None:
    """Have this thread be in a namespace (setns(2)); Python can do that by itself from 3.12 on."""
    with Path(f"/run/netns/{place}").open("rb") as handle:
        if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def namespaces(*names: str) -> Iterator[list[str]]:
    """Make namespaces with names of their own, and remove them with all wires."""
    places = [f"{name}-{os.getpid()}" for name in names]
    try:
        for place in places:
            _ip("netns", "add", place)
            _ip("-n", place, "link", "set", "lo", "up")
        yield places
    finally:
        for place in places:
            subprocess.run(["ip", "netns", "del", place], check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
