"""A life of a store, drawn by chance and the same each time; lived in a process of its own that may be killed.

`python -m tests.faults.life FOLDER SEED FIRST LAST [BREACH]` does the steps from FIRST until before LAST, and says what
it does as it does it: `b7` when step 7 begins, `a7` when it was answered, `f7` when it failed and is tried again. A
breach is a promise that is broken on purpose, which the tests must notice.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from outstation.clock import Trust
from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.core.retention import Limits, Now
from outstation.errors import StoreError
from outstation.store import chunks, file, forgetting, log, merging, sealer, writer
from outstation.store.database import Boot, Recorded, Store
from outstation.store.retention import Retention
from tests.faults.ledger import Clock, Forget, MakeRoom, Record, Restart, Seal, Soon, Step
from tests.store.given import MORNING

SENT, OWN = ("board/1", "board/2", "board/3"), ("own-1", "own-2")

VALUES: list[Value | None] = [1, 20.5, True, "open", None, -7]

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where a file system in memory is; None: where other temporary files are."""

FIRST = Boot("boot-0", MORNING, Trust.SYNCHRONISED)


def drawn(seed: int, steps: int) -> list[Step]:
    """Return the steps of a life."""
    return list(_Drawing(seed).steps(steps))


class _Drawing:
    """Where a life stands: `at`, the true UTC; the boot, and when that began."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._at = MORNING
        self._boot, self._began, self._kernel = FIRST, MORNING, 0
        self._sent: list[Reading] = []

    def steps(self, count: int) -> list[Step]:
        """Return so many."""
        kinds = [self._record, self._soon, self._set_clock, self._restart, Seal, self._forget]
        weights = [60, 20, 5, 4, 7, 4]
        return [self._chance.choices(kinds, weights)[0]() for _ in range(count)]

    def _record(self) -> Step:
        readings = [self._reading() for _ in range(self._chance.randint(1, 12))]
        self._sent += [reading for reading in readings if reading.sender_stamped]
        return Record(readings)

    def _reading(self) -> Reading:
        drawn = self._chance.random()
        if drawn < 0.3:
            return self._own()
        if drawn < 0.5 and self._sent:  # again, or corrected
            before = self._chance.choice(self._sent)
            return self._as_sent(before.sensor, before.at, before.value if drawn < 0.4 else self._value())
        late = self._chance.randrange(7_200_000) if drawn < 0.6 else 0
        return self._as_sent(self._chance.choice(SENT), self._on() - late, self._value())

    def _soon(self) -> Step:
        return Soon([self._own() for _ in range(self._chance.randint(1, 3))])

    def _own(self) -> Reading:
        here = self._on() - self._began + self._boot.offset
        now = here - self._boot.offset
        return Reading(self._chance.choice(OWN), self._value(), here, now, here, self._quality())

    def _as_sent(self, sensor: str, at: Millis, value: Value | None) -> Reading:
        here = self._at - self._began
        return Reading(sensor, value, at, here, here + self._boot.offset, sender_stamped=True)

    def _set_clock(self) -> Step:
        right = self._began + self._chance.choice([0, 0, 400, -90_000])
        self._boot = Boot(self._boot.kernel_id, right, self._chance.choice([Trust.RESTORED, Trust.SYNCHRONISED]))
        return Clock(self._boot)

    def _restart(self) -> Step:
        if self._chance.random() < 0.5:
            self._kernel += 1
            self._at += 60_000
            self._began = self._at
            trust = self._chance.choice([Trust.UNSET, Trust.SYNCHRONISED])
            self._boot = Boot(f"boot-{self._kernel}", self._began if trust else 0, trust)
        return Restart(self._boot)

    def _forget(self) -> Step:
        return Forget(self._at - 1_800_000)

    def _on(self) -> Millis:
        self._at += self._chance.choice([1_000, 5_000, 20_000, 20_000, 400_000])
        return self._at

    def _value(self) -> Value | None:
        return self._chance.choice([*VALUES, self._chance.randrange(1_000), self._chance.random()])

    def _quality(self) -> Quality:
        return self._chance.choice([Quality.OK, Quality.OK, Quality.OK, Quality.SPIKE])


Put = Callable[[object, str, object], object]
"""setattr, or what undoes it when a test ends."""


def make_small(put: Put = setattr) -> None:
    """Have every border come up in a life of some hundred steps."""
    for place, name, value in (
        (chunks, "CHUNK_READINGS", 40),
        (chunks, "CHUNK_ROWS", 8),
        (file, "WAL_PAGES", 60),
        (forgetting, "_SLICE_NS", 300_000),
        (log, "NEWEST_EVERY", 100),
        (merging, "BLOCK_READINGS", 30),
        (sealer, "TOGETHER", 60),
        (sealer, "SENSORS_TOGETHER", 2),
        (sealer, "LOG_READINGS", 150),
        (sealer, "_SLICE_NS", 0),
        (sealer, "_LONGEST_PAUSE_NS", 0),
        (writer, "_RETRY", 50),
    ):
        assert hasattr(place, name), name
        put(place, name, value)


class Wall:
    """The clock on the wall, UTC: it stands where the last step left it."""

    def __init__(self, at: Millis = MORNING) -> None:
        self.at = at

    def __call__(self) -> Millis:
        return self.at

    def follow(self, step: Step) -> None:
        """Go on, or back, to where a step says that it is."""
        if isinstance(step, Record | Soon):
            self.at = step.readings[-1].arrived


async def live(
    folder: Path, steps: Sequence[Step], first: int = 0, say: Callable[[str], object] = lambda _: None
) -> None:
    """Do all steps from number `first`, one after the other. What fails is said, and tried again."""
    wall = Wall()
    store = Store(folder, boot=boot_at(steps[:first]), at=wall)
    for number, step in enumerate(steps[first:], first):
        wall.follow(step)
        say(f"b{number}\n")
        while True:
            try:
                if isinstance(step, Restart):
                    store.close()
                    store = Store(folder, boot=step.boot, at=wall)
                else:
                    await do(store, step)
                break
            except StoreError:
                say(f"f{number}\n")
                await asyncio.sleep(0.1)
        if not isinstance(step, Soon):  # nobody is told of that: it is on disk with whatever is answered next
            say(f"a{number}\n")
    store.close()


def boot_at(steps: Sequence[Step]) -> Boot:
    """Return the boot and its clock after these steps."""
    return next((step.boot for step in reversed(steps) if isinstance(step, Clock | Restart)), FIRST)


async def do(store: Store, step: Step) -> None:
    """Do one step with an open store."""
    match step:
        case Record(readings):
            await store.record(readings)
        case Soon(readings):
            store.record_soon(readings)
        case Clock(boot):
            await store.flush()  # what waits over a step of the clock goes with it: that depends on when it is written
            await store.set_boot(boot)
        case Seal():
            await store.flush()  # sealing is no write where there is nothing to seal
            await store.seal(everything=True)
        case Forget(before):
            await store.flush()
            await Retention(store).by_age(Limits(1 << 40, keep=0), Now(before, trusted=True), asked=True)
        case MakeRoom(cap):
            await store.flush()
            await Retention(store).make_room(Limits(cap), store._at())


def answer_before_the_commit(put: Put = setattr) -> None:
    """Break the promise that an answer means "on disk": what is recorded is written with what comes after it."""
    record, held = Store.record, dict[Store, Sequence[Reading]]()

    def hasty(self: Store, readings: Sequence[Reading]) -> asyncio.Future[Recorded]:
        done = record(self, held.pop(self, ()))
        if not readings:  # whoever only waits for what was recorded before does wait
            return done
        held[self] = readings
        told: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        told.set_result(Recorded(len(readings)))
        return told

    put(Store, "record", hasty)


def sync_less(put: Put = setattr) -> None:
    """Break the rule that each commit is synchronised: `synchronous=NORMAL` does it at checkpoints alone."""
    opened = file.open_for_writing

    def careless(
        path: Path, *, suspect: bool = False, old: apsw.Connection | None = None
    ) -> tuple[apsw.Connection, str]:
        connection, damaged = opened(path, suspect=suspect, old=old)
        connection.pragma("synchronous", "normal")
        return connection, damaged

    put(file, "open_for_writing", careless)


BREACHES = {breach.__name__: breach for breach in (answer_before_the_commit, sync_less)}


if __name__ == "__main__":
    make_small()
    for name in sys.argv[5:]:
        BREACHES[name]()
    seed, begin, end = map(int, sys.argv[2:5])
    asyncio.run(live(Path(sys.argv[1]), drawn(seed, end), begin, lambda line: os.write(1, line.encode())))
