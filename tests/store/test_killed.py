"""kill -9 at any moment, a failed fsync, a kill at the Nth write: nothing answered is lost, nothing is doubled."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import apsw
import pytest

from outstation.core.readings import Value
from outstation.store.database import Recorded, Store
from outstation.store.history import History
from tests.store.child import pair
from tests.store.given import in_store

ROOT = Path(__file__).parents[2]

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed: apt install strace")


def child(*words: object) -> list[str]:
    return [sys.executable, "-m", "tests.store.child", *map(str, words)]


def stored(folder: Path) -> list[Counter[Value | None]]:
    """Return how often each number is there: a sender's, our own, those that wait; and see that the file is sound."""

    async def ask(store: Store) -> list[Counter[Value | None]]:
        assert not store.damaged
        history = History(store)
        found = [
            Counter(row.value for row in history.of_sensor(name, limit=1_000_000).rows)
            for name in ("board/x", "own", "soon")
        ]
        assert history.count() == sum(counter.total() for counter in found)
        return found

    found = in_store(folder, ask)
    connection = apsw.Connection(str(folder / "outstation.db"))
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()
    return found


def kill_at_random(folder: Path, first: int) -> list[int]:
    """Let the child record, kill it, return what it was answered."""
    with subprocess.Popen(child("record_until_killed", folder, first), stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        answered = [int(process.stdout.readline())]
        time.sleep(random.uniform(0, 0.25))
        process.kill()
        answered += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    return answered


def test_kill_minus_nine_twenty_times(tmp_path: Path) -> None:
    answered: set[Value | None] = set()
    for _ in range(20):
        first = max((number for number in answered if isinstance(number, int)), default=-1) + 100
        answered |= set(kill_at_random(tmp_path, first))
        theirs, ours, _ = stored(tmp_path)
        assert answered <= theirs.keys()
        assert theirs == ours
        assert set(theirs.values()) == {1}
    assert len(answered) > 1_000


def test_what_is_sent_again_after_a_kill_is_not_doubled(tmp_path: Path) -> None:
    """A board cannot know whether its reading was stored when the answer is missing."""
    answered = kill_at_random(tmp_path, 0)
    theirs, *_ = stored(tmp_path)
    again = [pair(number)[0] for number in range(max(answered) + 20)]
    there = len(theirs)
    assert in_store(tmp_path, lambda store: store.record(again)) == Recorded(len(again) - there, duplicates=there)


EACH_RUN = {("pwrite64", 13), ("fdatasync", 3), ("fsync", 1), ("ftruncate", 1)}
"""Kills while the file is made, which those of tests/faults seldom hit; the others with --long."""

AT_EACH_CALL = [
    pytest.param(call, number, marks=() if (call, number) in EACH_RUN else pytest.mark.long)
    for call in ("pwrite64", "fdatasync", "fsync", "ftruncate")
    for number in (1, 2, 3, 5, 8, 13, 21, 34, 55)
]


@needs_strace
@pytest.mark.parametrize(("call", "number"), AT_EACH_CALL)
def test_killed_at_the_nth_call(tmp_path: Path, call: str, number: int) -> None:
    """From the first byte of a new file on: settling, migrating, recording, a checkpoint."""
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    inject += ["-e", f"inject={call}:signal=KILL:when={number}", "-P", str(tmp_path / "outstation.db")]
    inject += ["-P", str(tmp_path / "outstation.db-wal")]
    ended = subprocess.run(inject + child("record_some", tmp_path, 30), cwd=ROOT, capture_output=True, check=False)
    answered: set[Value | None] = {int(line) for line in ended.stdout.splitlines()}
    theirs, ours, soon = stored(tmp_path)
    assert answered <= theirs.keys()
    assert theirs == ours
    assert answered <= soon.keys()
    assert set(theirs.values()) | set(soon.values()) <= {1}


@needs_strace
@pytest.mark.parametrize(
    ("call", "error", "number"),
    [("fdatasync", "EIO", 6), ("fdatasync", "EIO", 14), ("pwrite64", "ENOSPC", 40), ("pwrite64", "EROFS", 55)],
)
def test_a_disk_that_fails_once(tmp_path: Path, call: str, error: str, number: int) -> None:
    """That call is answered with an error, and nothing is lost afterwards."""
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    inject += ["-e", f"inject={call}:error={error}:when={number}", "-P", str(tmp_path / "outstation.db-wal")]
    ended = subprocess.run(inject + child("record_some", tmp_path, 30), cwd=ROOT, capture_output=True, check=True)
    lines = ended.stdout.split()
    assert b"failed" in lines
    theirs, ours, soon = stored(tmp_path)
    assert theirs.keys() == set(range(30))
    assert set(theirs.values()) == {1}
    assert soon == Counter(range(30))
    assert set(ours.values()) <= {1, 2}  # one that failed may be on disk all the same, and was sent again
