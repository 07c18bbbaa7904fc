"""The power goes under a real file system: what was answered is there when it has read its journal."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.store.database import Store
from outstation.store.history import History
from tests.faults.disk import PluggedDisk, plugged
from tests.faults.life import BREACHES, drawn
from tests.faults.traced import ROOT, life
from tests.faults.verdict import Told, judge, told
from tests.store.given import in_store

STEPS = 3_000
"""More than are done before the last cut."""

LOSE_AT_MOST_MS = 400

LATE_MS = 400
"""How much later a busy machine may come to do it."""


def test_ten_power_cuts_lose_nothing_that_was_answered(tmp_path: Path) -> None:
    with plugged(tmp_path) as disk:
        cut_often(disk, tmp_path, 10, random.randrange(1 << 32))


@pytest.mark.parametrize("breach", BREACHES)
def test_the_rig_notices_a_broken_promise(tmp_path: Path, breach: str) -> None:
    with plugged(tmp_path) as disk, pytest.raises(AssertionError, match="there"):
        cut_often(disk, tmp_path, 50, 1, breach)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_five_hundred_power_cuts_lose_nothing_that_was_answered(tmp_path: Path) -> None:
    with plugged(tmp_path) as disk:
        for seed in range(20):
            cut_often(disk, tmp_path, 25, seed)


def test_no_more_of_our_own_readings_are_lost_than_was_agreed(tmp_path: Path) -> None:
    with plugged(tmp_path) as disk:
        assert max(lost_to_cuts(disk, tmp_path, LOSE_AT_MOST_MS, cuts=6)) <= LOSE_AT_MOST_MS + LATE_MS


def test_the_rig_notices_when_more_of_our_own_readings_are_lost(tmp_path: Path) -> None:
    with plugged(tmp_path) as disk:
        assert max(lost_to_cuts(disk, tmp_path, 60_000, cuts=15)) > LOSE_AT_MOST_MS + LATE_MS


def cut_often(disk: PluggedDisk, folder: Path, cuts: int, seed: int, *breaches: str) -> None:
    """Let a life be lived on a disk, cut its power at some moments of it, and judge what is there then."""
    print(f"seed {seed}")
    steps, said = drawn(seed, STEPS), folder / "said"
    with living(disk, said, life(disk.folder / "data", seed, 0, STEPS, *breaches)):
        for _ in range(cuts):
            time.sleep(random.uniform(0, 0.02))
            answered = told(said.read_bytes()).answered
            with disk.cut() as place:
                begun = told(said.read_bytes()).begun
                judge(place / "data", steps, Told(answered, begun))


def lost_to_cuts(disk: PluggedDisk, folder: Path, lose_at_most: int, cuts: int) -> Iterator[float]:
    """Have a reading handed over now and then; return for each cut the age of the oldest that was lost, in ms."""
    said, seen = folder / "said", list[float]()
    command = [sys.executable, "-m", "tests.faults.trickle", str(disk.folder / "data"), str(lose_at_most)]
    with living(disk, said, command):
        for _ in range(cuts):
            for _ in range(random.randint(5, 25)):
                time.sleep(0.01)
                seen += [time.monotonic()] * (said.read_bytes().count(b"\n") - len(seen))
            with disk.cut() as place:
                there = in_store(place / "data", count)
            yield (disk.cut_at - seen[there]) * 1_000 if there < len(seen) else 0


async def count(store: Store) -> int:
    """Return how many readings there are."""
    assert not store.damaged
    return History(store).count()


@contextlib.contextmanager
def living(disk: PluggedDisk, said: Path, command: list[str]) -> Iterator[None]:
    """Run a program that begins to write into `data` on the disk, and kill it in the end."""
    data = disk.folder / "data"
    data.mkdir()
    with said.open("wb") as output, subprocess.Popen(command, cwd=ROOT, stdout=output) as process:
        try:
            while not said.stat().st_size:
                time.sleep(0.01)
            yield
            assert process.poll() is None
        finally:
            process.kill()
    shutil.rmtree(data)
