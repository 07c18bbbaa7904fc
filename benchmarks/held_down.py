"""A Raspberry Pi Zero 2 W, as far as this machine can be one: a control group with its memory and a part of a core.

Linux knows two ways to make one, and both are tried: cgroups(7), version 2 and version 1. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

MEMORY = 512 * 1024 * 1024
"""Bytes: what the board has. (Its kernel takes some of that, ours does not.)"""

CORE = 0.25
"""Of one core of this machine."""

_PERIOD = 100_000
"""Microseconds over which the share of a core holds: the kernel's default."""

_QUOTA = round(_PERIOD * CORE)

_NEW = {"memory.max": f"{MEMORY}", "cpu.max": f"{_QUOTA} {_PERIOD}"}
_OLD = {
    "memory": {"memory.limit_in_bytes": f"{MEMORY}"},
    "cpu": {"cpu.cfs_period_us": f"{_PERIOD}", "cpu.cfs_quota_us": f"{_QUOTA}"},
}
"""The files to write: version 2 has one folder, version 1 one for each controller."""


class ImpossibleError(Exception):
    """This machine cannot be held down; says why."""


@contextmanager
def held_down() -> Iterator[Sequence[str]]:
    """Give the beginning of a command line that runs the rest of it, with all its children, held down."""
    if os.geteuid() != 0:
        raise ImpossibleError("only root may make a control group")
    groups = _groups()
    try:
        _make(groups)
        yield ["sh", "-c", _JOIN, "sh", *map(str, groups), "--"]
    finally:
        for group in groups:
            _remove(group)


_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"'


def _groups() -> dict[Path, dict[str, str]]:
    """Return the folders to make, and for each the files to write."""
    name = f"outstation-benchmark-{os.getpid()}"
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for _, place, kind, *_ in mounts:
        if kind == "cgroup2" and {"cpu", "memory"} <= _words(Path(place) / "cgroup.controllers"):
            return {Path(place) / name: _NEW}
    return {_old_folder(mounts, controller) / name: files for controller, files in _OLD.items()}


def _make(groups: Mapping[Path, Mapping[str, str]]) -> None:
    try:
        for group, files in groups.items():
            if files is _NEW:
                (group.parent / "cgroup.subtree_control").write_text("+cpu +memory")
            group.mkdir()
            for file, text in files.items():
                (group / file).write_text(text)
    except OSError as error:
        raise ImpossibleError(f"{error.filename}: {error.strerror}") from error


def _words(file: Path) -> set[str]:
    return set(file.read_text(encoding="utf-8").split()) if file.exists() else set()


def _old_folder(mounts: Sequence[Sequence[str]], controller: str) -> Path:
    """Return the folder of version 1 that this process is in for that controller: limits there hold below too."""
    place = next((mount[1] for mount in mounts if mount[2] == "cgroup" and controller in mount[3].split(",")), None)
    if place is None:
        raise ImpossibleError(f'the kernel gives no control groups for "{controller}" here')
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(place) / path.strip("/")
    return Path(place)


def _remove(group: Path) -> None:
    for _ in range(50):  # its last process may still be on its way out
        with contextlib.suppress(FileNotFoundError):
            try:
                group.rmdir()
            except OSError:
                time.sleep(0.1)
                continue
        return
