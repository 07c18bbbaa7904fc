"""What is asked of a store after any fault: it is sound, and holds what the life so far says, no more and no less."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path

import msgspec

from outstation.clock import Trust
from outstation.core.readings import Millis
from outstation.store.database import Boot, Store
from outstation.store.history import History
from tests.faults.ledger import Ledger, Row, Step, in_time
from tests.faults.life import FIRST, Wall
from tests.faults.summed import difference_of_summaries
from tests.store.given import MORNING

AFTER = Boot("after", MORNING + 86_400_000, Trust.SYNCHRONISED)
"""The boot in which the file is looked at: another one, so that opening moves nothing."""


class Found(msgspec.Struct):
    """What a store answered."""

    rows: dict[str, list[Row]]
    newest: dict[str, Millis]
    count: int


class Told(msgspec.Struct):
    """How far a life got: the steps that were answered, and those that were begun; all before them were both.

    failed: those that were tried more than once.
    """

    answered: int
    begun: int
    failed: frozenset[int] = frozenset()


def told(said: bytes, first: int = 0) -> Told:
    """Return it from what the process said, of which the last line may be cut off. first: the step it began with."""
    numbers = [[int(number) for number in re.findall(rb"%b(\d+)\n" % kind, said)] for kind in (b"a", b"b", b"f")]
    answered, begun, failed = numbers
    return Told(max(answered, default=first - 1) + 1, max(begun, default=first - 1) + 1, frozenset(failed))


def judge(folder: Path, steps: Sequence[Step], how_far: Told) -> None:
    """Assert that what is left in a folder is sound, and as after one of the steps that may have been the last."""
    asyncio.run(_judge(folder, steps, how_far))


async def _judge(folder: Path, steps: Sequence[Step], how_far: Told) -> None:
    wall = Wall(AFTER.offset)
    with Store(folder, boot=AFTER, at=wall) as store:
        await store.flush()
        compare(found_in(store), steps, how_far)
        assert not (text := await difference_of_summaries(store, wall)), text


def found_in(store: Store) -> Found:
    """Ask an open store for all it has; see that its parts say the same. While it writes what waits: once more."""
    until = time.monotonic() + 5
    while True:
        before = store.stats()
        found = _look(store)
        found.count += before.waiting
        is_still = store.stats() == before and found.count == before.readings + before.waiting
        if (is_still and found.count == sum(map(len, found.rows.values()))) or time.monotonic() > until:
            break
        time.sleep(0.01)
    assert is_still, f"What is counted on disk is not {store.stats()}"
    return found


def _look(store: Store) -> Found:
    assert not store.damaged
    assert store.stats().error is None
    with store.read() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    history = History(store)
    newest = {name: reading.at for name, reading in history.latest().items()}
    rows = {
        name: [(row.at, row.value, row.quality) for row in history.of_sensor(name, limit=1_000_000).rows]
        for name in newest
    }
    return Found(rows, newest, history.count())


def compare(found: Found, steps: Sequence[Step], how_far: Told) -> int:
    """Assert that a store is as after one of the steps that may have been the last; return how many those are."""
    ledger, differences = Ledger(FIRST), []
    for number, step in enumerate((None, *steps[: how_far.begun])):
        if step is not None:
            ledger.take(step, again=number - 1 in how_far.failed)
        if number >= how_far.answered:
            differences.append(difference(found, ledger))
            if not differences[-1]:
                return number
    raise AssertionError(f"It is not what should be there after {how_far}: {differences}")


def difference(found: Found, ledger: Ledger) -> str:
    """Say what is not as the ledger has it; "": nothing. What is forgettable may be there or not."""
    if found.newest.keys() != ledger.sensors:
        return f"sensors {found.newest.keys() ^ ledger.sensors}"
    total = sum(map(len, found.rows.values()))
    if found.count != total:
        return f"{found.count} are counted, and {total} are there"
    for sensor, rows in found.rows.items():
        unsure = ledger.uncertain.get(sensor, set())
        here = [row for row in sorted(rows, key=in_time) if row[0] not in unsure]
        gone = less(ledger.rows(sensor), here, unsure)
        if excess := less(here, ledger.may_be_there(sensor)):
            return f"{sensor}: {excess[:3]} and no more of {len(excess)} should not be there"
        if lost := [row for row in gone if row[0] >= ledger.forgettable]:
            return f"{sensor}: {lost[:3]} of {len(lost)} are lost"
        if found.newest[sensor] != ledger.newest(sensor):
            return f"{sensor}: the newest is of {found.newest[sensor]}, not {ledger.newest(sensor)}"
    return ""


def less(rows: list[Row], others: list[Row], but: Container[Millis] = ()) -> list[Row]:
    """Return the rows that are not among others, but for those of some times; 1, 1.0 and True are three values."""
    left = Counter(map(repr, others))
    rest = []
    for row in rows:
        if left[repr(row)]:
            left[repr(row)] -= 1
        elif row[0] not in but:
            rest.append(row)
    return rest
