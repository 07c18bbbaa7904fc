"""The power goes at any moment: what was answered is there, the file is sound, whatever the disk made of the rest.

One run is recorded, and the disk is made again from it as it may have been at each of its calls.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.faults.aged import lived_before
from tests.faults.life import BREACHES, MEMORY, drawn
from tests.faults.traced import Disk, Run, needs_strace, recorded
from tests.faults.verdict import judge

pytestmark = needs_strace

SHARES = (0, 0, 0.1, 0.5, 0.9, 1)
"""Of what was not synced, how much the disk had written all the same."""

Leave = Callable[[Disk, Path], None]


def a_run(folder: Path, seed: int, first: int, last: int, *breaches: str) -> Run:
    """Return a recorded part of a life; the steps before its first are in a file of the version before."""
    data = folder / "data"
    data.mkdir()
    if first:
        lived_before(data, drawn(seed, last)[:first])
    return recorded(folder, data, seed, first, last, *breaches)


def judge_each(run: Run, moments: Iterable[int], seed: int, last: int, leave: Leave) -> int:
    """Judge what is left behind at each moment, a number of a call; return how many moments that were."""
    disk, done, count = Disk(run.before), 0, 0
    for moment in moments:
        for call in run.calls[done:moment]:
            disk.take(call)
        done, count = moment, count + 1
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            leave(disk, Path(folder))
            judge(Path(folder), drawn(seed, last), run.told(moment))
    return count


def cut(chance: random.Random) -> Leave:
    """Return what leaves behind what a power cut does."""
    return lambda disk, folder: disk.after_a_power_cut(folder, chance.choice(SHARES), chance)


def some(run: Run, count: int, chance: random.Random) -> list[int]:
    """Return some moments of a run, in order."""
    return sorted(chance.randrange(len(run.calls) + 1) for _ in range(count))


@pytest.mark.parametrize("first", [0, 30], ids=["from nothing", "with a file of the version before"])
def test_a_power_cut_loses_nothing_that_was_answered(in_memory: Path, first: int) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    run = a_run(in_memory, seed, first, first + 60)
    assert judge_each(run, some(run, 30, chance), seed, first + 60, cut(chance)) == 30


@pytest.mark.parametrize("breach", BREACHES)
def test_the_rig_notices_a_broken_promise(in_memory: Path, breach: str) -> None:
    chance = random.Random(1)
    run = a_run(in_memory, 1, 0, 60, breach)
    with pytest.raises(AssertionError, match="there"):
        judge_each(run, some(run, 40, chance), 1, 60, cut(chance))


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(10))
def test_a_power_cut_at_each_call(in_memory: Path, seed: int) -> None:
    """Some thousand calls in each of ten lives, three times each."""
    first, last, chance = 40 * (seed % 2), 200, random.Random(seed)
    run = a_run(in_memory, seed, first, last)
    for _ in range(3):
        judge_each(run, range(len(run.calls) + 1), seed, last, cut(chance))
    judge_each(run, range(len(run.calls) + 1), seed, last, lambda disk, folder: disk.after_a_kill(folder))
