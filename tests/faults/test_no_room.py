"""The disk is full, or takes nothing, while readings come, are sealed and are deleted: all is well again by itself."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from outstation.store.database import Store
from tests.faults.disk import fill_up, read_only, small
from tests.faults.ledger import Step
from tests.faults.life import drawn, live, make_small
from tests.faults.verdict import judge, told
from tests.store.given import BOOT, sent

WELL_WITHIN_S = 10


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch.setattr)


def test_a_full_disk_costs_nothing_that_was_answered(tmp_path: Path) -> None:
    live_and_judge(tmp_path, "4m", 1)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_disk_that_is_often_full_costs_nothing_that_was_answered(tmp_path: Path) -> None:
    live_and_judge(tmp_path, "6m", 60)


def live_and_judge(folder: Path, size: str, times: int) -> None:
    """Let a life be lived on a disk that is filled up so often, and judge what is there in the end."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    steps = drawn(seed, 120 * (times + 1))
    with small(folder, size) as disk:
        said = asyncio.run(lived(disk, steps, times))
        judge(disk, steps, told("".join(said).encode()))


async def lived(disk: Path, steps: list[Step], times: int) -> list[str]:
    """Let a life be lived, fill up its disk at some moments, and see how soon it goes on; return what was said."""
    said: list[str] = []
    life = asyncio.create_task(live(disk, steps, 0, said.append))
    for time_ in range(times):
        while len(said) < 200 * (time_ + 1):  # noqa: ASYNC110  a step says two things
            await asyncio.sleep(0.001)
        failed = len(failures(said))
        while len(failures(said)) == failed:  # a store makes some room by emptying its write-ahead log
            fill_up(disk)
            await asyncio.sleep(0.001)
        (disk / "ballast").unlink()
        began, here = time.monotonic(), len(said)
        while not any(line.startswith("a") for line in said[here:]):  # noqa: ASYNC110  it must mend by itself
            await asyncio.sleep(0.01)
        assert time.monotonic() - began < WELL_WITHIN_S
    await life
    return said


def failures(said: list[str]) -> list[str]:
    return [line for line in said if line.startswith("f")]


def test_a_start_on_a_disk_that_takes_nothing_goes_on_when_it_does(tmp_path: Path) -> None:
    async def main(folder: Path) -> None:
        with Store(folder, boot=BOOT) as store:
            await store.record([sent("board/1", 0)])
        read_only(folder, yes=True)
        with Store(folder, boot=BOOT) as store:
            assert store.stats().error
            read_only(folder, yes=False)
            began = time.monotonic()
            while store.stats().error:  # noqa: ASYNC110  nobody asks: it must mend by itself
                await asyncio.sleep(0.05)
            assert time.monotonic() - began < WELL_WITHIN_S
            assert (await store.record([sent("board/1", 0), sent("board/1", 1)])).stored == 1

    with small(tmp_path, "4m") as disk:
        asyncio.run(main(disk))
