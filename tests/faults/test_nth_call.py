"""Killed in its Nth write, or told by the disk that this one failed: nothing answered is lost, nothing is doubled."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.aged import lived_before
from tests.faults.life import drawn
from tests.faults.traced import ROOT, life, needs_strace
from tests.faults.verdict import Told, judge, told

pytestmark = needs_strace

STEPS = 60

CALLS = {"pwrite64": 1_380, "fdatasync": 110, "ftruncate": 16, "unlink": 7}
"""About how often each is called in so many steps; a quarter of them make the file."""

PAUSES = {"pwrite64": (41, 97), "fdatasync": (7, 17), "ftruncate": (5, 7)}
"""Calls from one failure to the next: a transaction of more writes than that would never get through."""

ERRORS = [
    ("fdatasync", "EIO"),
    ("pwrite64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("pwrite64", "EROFS"),
    ("ftruncate", "EIO"),
]


def lived(folder: Path, seed: int, call: str, fault: str, *breaches: str, first: int = 0) -> tuple[int, Told]:
    """Live a part of a life with a fault in it; return how the process ended, and what it had said until then.

    fault: in strace's words. The steps before `first` are in a file of the version before.
    """
    folder.mkdir()
    if first:
        lived_before(folder, drawn(seed, first))
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{fault}"]
    words += files(folder)
    words += life(folder, seed, first, first + STEPS, *breaches)
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    return ended.returncode, told(ended.stdout, first)


def files(folder: Path) -> list[str]:
    """Return the words by which strace looks at a store's files alone."""
    return [word for suffix in ("", "-wal", "-journal") for word in ("-P", f"{folder}/outstation.db{suffix}")]


@pytest.mark.parametrize("first", [0, 30], ids=["from nothing", "with a file of the version before"])
def test_killed_in_the_nth_call(in_memory: Path, first: int) -> None:
    for call in ("pwrite64", "pwrite64", "fdatasync"):
        seed, number = random.randrange(1 << 32), random.randint(1, CALLS[call])
        print(f"seed {seed}, {call} {number}")
        killed_in(in_memory / str(seed), seed, call, number, first=first)


def test_the_rig_notices_an_answer_before_the_commit(in_memory: Path) -> None:
    def kill_often() -> None:
        for number in range(10, 70, 5):
            killed_in(in_memory / str(number), 1, "fdatasync", number, "answer_before_the_commit")

    with pytest.raises(AssertionError, match="there"):
        kill_often()


@pytest.mark.parametrize(("call", "error"), ERRORS[:2])
def test_a_disk_that_fails_once(in_memory: Path, call: str, error: str) -> None:
    """Who waits for that call is told of it. Tried again, all is there, and nothing twice that is known by its time."""
    seed = random.randrange(1 << 32)
    numbers = random.sample(range(CALLS[call] // 4, CALLS[call] // 3), 5)  # after the start; some lives are short
    print(f"seed {seed}, {call} {numbers}")
    # Some are of a checkpoint, which nobody waits for, and which is made again.
    runs = (failed_in(in_memory / str(number), seed, call, f"error={error}:when={number}") for number in numbers)
    assert any(how_far.failed for how_far in runs)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("first", [0, 30])
def test_killed_in_each_call(in_memory: Path, call: str, first: int) -> None:
    number, seed = 1, 7
    while killed_in(in_memory / str(number), seed, call, number, first=first):
        number += 1
    assert number > 1


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("call", "error"), ERRORS)
def test_a_disk_that_fails_in_each_call(in_memory: Path, call: str, error: str) -> None:
    """Once, at each of the calls; and from time to time."""
    for number in range(1, CALLS[call]):
        failed_in(in_memory / str(number), 7, call, f"error={error}:when={number}")
    for pause in PAUSES[call]:
        failed_in(in_memory / f"+{pause}", 7, call, f"error={error}:when={CALLS[call] // 3}+{pause}")


def test_the_calls_are_about_as_many_as_stands_here(in_memory: Path) -> None:
    """Where they are more, the last steps are never hit."""
    trace = in_memory / "trace"
    (in_memory / "life").mkdir()
    words = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={','.join(CALLS)}", *files(in_memory / "life")]
    subprocess.run([*words, *life(in_memory / "life", 7, 0, STEPS)], cwd=ROOT, capture_output=True, check=True)
    found = Counter(line.partition(" ")[2].partition("(")[0].strip() for line in trace.read_text().splitlines())
    assert all(0.8 < found[call] / CALLS[call] < 1.3 for call in CALLS), found


def killed_in(folder: Path, seed: int, call: str, number: int, *breaches: str, first: int = 0) -> bool:
    """Kill a life in a call, and judge what it left behind; say whether it came that far."""
    status, how_far = lived(folder, seed, call, f"signal=KILL:when={number}", *breaches, first=first)
    judge(folder, drawn(seed, first + STEPS), how_far)
    shutil.rmtree(folder)
    return status != 0


def failed_in(folder: Path, seed: int, call: str, fault: str) -> Told:
    """Have a call fail, see that life goes on to its end, and judge that."""
    status, how_far = lived(folder, seed, call, fault)
    assert (status, how_far.begun) == (0, STEPS)
    judge(folder, drawn(seed, STEPS), how_far)
    shutil.rmtree(folder)
    return how_far
