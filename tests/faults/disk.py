"""Disks to do harm to: a small one, and one whose power can be cut. Only root can make them.

The latter is ext4 in an image, on a file system that clones files, where a clone takes no time. A clone holds what had
reached the device at one moment, and nothing that still waited in the memory of ext4 above it. What a device forgets of
its own cache is the matter of traced.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

FICLONE = 0x40049409
"""linux/fs.h: _IOW(0x94, 9, int)."""

_NEEDED = ("mkfs.xfs", "mkfs.ext4")


class PluggedDisk:
    """The disk. folder: where programs write. cut_at: when its power was last cut, by the monotonic clock, in s."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder, self._image = folder, image
        self._numbers = itertools.count()
        self.cut_at = 0.0

    @contextlib.contextmanager
    def cut(self) -> Iterator[Path]:
        """Cut the power now; return the folder as it is when the power is back and ext4 has read its journal."""
        name = f"cut-{next(self._numbers)}"
        clone, place = self._image.with_name(f"{name}.img"), self.folder.with_name(name)
        with self._image.open("rb") as source, clone.open("wb") as target:
            fcntl.ioctl(target, FICLONE, source.fileno())
        self.cut_at = time.monotonic()
        try:
            with _mounted(clone, place):
                yield place
        finally:
            clone.unlink()


@contextlib.contextmanager
def plugged(folder: Path) -> Iterator[PluggedDisk]:
    """Make a disk below a folder, for as long as the `with` lasts. Skips the test where that cannot be."""
    for word in _NEEDED:
        if not shutil.which(word):
            pytest.skip(f"{word} is not installed: apt install xfsprogs e2fsprogs")
    outer = folder / "outer.img"
    _make(
        outer, 400 << 20, "mkfs.xfs", "-q", "-m", "reflink=1"
    )  # the least that XFS makes is 300 MB; most stays unused
    with _mounted(outer, folder / "outer"):
        image = folder / "outer" / "disk.img"
        _make(image, 48 << 20, "mkfs.ext4", "-q", "-F")
        with _mounted(image, folder / "disk"):
            yield PluggedDisk(folder / "disk", image)


@contextlib.contextmanager
def small(folder: Path, size: str) -> Iterator[Path]:
    """Make a disk of so much, "4m", for as long as the `with` lasts. Skips the test where that cannot be."""
    place = folder / "small"
    place.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "outstation-test", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def read_only(place: Path, *, yes: bool) -> None:
    """Have a disk take nothing, or take it again."""
    subprocess.run(["mount", "-o", f"remount,{'ro' if yes else 'rw'}", place], check=True)


def fill_up(place: Path) -> None:
    """Take all the room that is left, with a file named `ballast`."""
    with (place / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))


def _mount(*words: str) -> None:
    if not shutil.which("mount"):
        pytest.skip("mount is not installed")
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"only root can mount, and not in every container: {done.stderr.strip()}")


@contextlib.contextmanager
def _mounted(image: Path, place: Path) -> Iterator[None]:
    place.mkdir()
    _mount("-o", "loop", str(image), str(place))
    try:
        yield
    finally:
        _unmount(place)


def _unmount(place: Path) -> None:
    """Take a disk away. The kernel lets go of a loop device, and so of the file beneath it, some time after that."""
    for _ in range(50):
        if subprocess.run(["umount", place], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", place], check=True)


def _make(image: Path, size: int, *words: str) -> None:
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run([*words, image], check=True, capture_output=True)
