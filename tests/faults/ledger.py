"""What must be on disk, kept as one would by hand: a list of our own readings, a dict of the senders', the boots."""

from __future__ import annotations

import msgspec

from outstation.clock import Trust
from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.store.database import Boot

Row = tuple[Millis, Value | None, Quality]
"""UTC, value, quality."""


class Record(msgspec.Struct, frozen=True, tag=True):
    """Readings whose answer is waited for."""

    readings: list[Reading]


class Soon(msgspec.Struct, frozen=True, tag=True):
    """Own readings that nobody waits for."""

    readings: list[Reading]


class Clock(msgspec.Struct, frozen=True, tag=True):
    """The clock was set, stepped, or is trusted now."""

    boot: Boot


class Restart(msgspec.Struct, frozen=True, tag=True):
    """The store is closed and opened again."""

    boot: Boot


class Seal(msgspec.Struct, frozen=True, tag=True):
    """All that can be sealed is."""


class Forget(msgspec.Struct, frozen=True, tag=True):
    """Readings before a moment (UTC) may go: a tenth of them, not all."""

    before: Millis


class MakeRoom(msgspec.Struct, frozen=True, tag=True):
    """What is needed to come down to so many bytes goes, the oldest first."""

    cap: int


class Gone(msgspec.Struct, frozen=True, tag=True):
    """Nothing is done: these rows were seen to be gone. From now on no others may be."""

    rows: dict[str, list[Row]]


Step = Record | Soon | Clock | Restart | Seal | Forget | MakeRoom | Gone


NEVER: Millis = -(1 << 62)


class Mine(msgspec.Struct, frozen=True):
    """A reading of our own. boot: the place in `Ledger.boots` of the one that it was taken in."""

    boot: int
    now: Millis
    value: Value | None
    quality: Quality


class Ledger:
    """The store as a list and a dict.

    twice: of our own, what may be there once more: it was tried again after an answer that said nothing for certain.
    uncertain: senders' readings that are gone; sent again, they are known for what they are or not.
    forgettable: until when readings may be gone.
    """

    def __init__(self, boot: Boot) -> None:
        self.boots = [boot]
        self.own: dict[str, list[Mine]] = {}
        self.sent: dict[str, dict[Millis, tuple[Value | None, Quality]]] = {}
        self.twice: dict[str, list[Mine]] = {}
        self.uncertain: dict[str, set[Millis]] = {}
        self.forgettable: Millis = NEVER
        self._newest_own: dict[str, Mine] = {}
        self._newest_sent: dict[str, Millis] = {}

    @property
    def offset(self) -> Millis:
        """What is in force."""
        return self.boots[-1].offset

    @property
    def sensors(self) -> set[str]:
        """All that were ever heard."""
        return self._newest_own.keys() | self._newest_sent.keys()

    def take(self, step: Step, *, again: bool = False) -> None:
        """Let it happen. again: it failed first."""
        match step:
            case Record(readings) | Soon(readings):
                for reading in readings:
                    self._put(reading)
                    if again and not reading.sender_stamped:
                        self.twice.setdefault(reading.sensor, []).append(self.own[reading.sensor][-1])
            case Clock(boot) | Restart(boot):
                self._follow(boot)
            case Forget(before):
                self._may_forget(before)
            case MakeRoom():
                self._may_forget(-NEVER)
            case Gone(rows):
                for sensor, gone in rows.items():
                    self._lose(sensor, gone)
                self.forgettable = NEVER

    def rows(self, sensor: str) -> list[Row]:
        """Return what was stored of a sensor, in order of time."""
        mine = [self._row(one) for one in self.own.get(sensor, [])]
        return sorted(mine + [(at, *said) for at, said in self.sent.get(sensor, {}).items()], key=in_time)

    def may_be_there(self, sensor: str) -> list[Row]:
        """Return the same, and what may be there twice as often as it is in it."""
        return self.rows(sensor) + [self._row(one) for one in self.twice.get(sensor, [])]

    def newest(self, sensor: str) -> Millis:
        """Return the time of the newest reading ever: of our own the one last taken, whatever its clock said."""
        mine, sent = self._newest_own.get(sensor), self._newest_sent.get(sensor)
        times = [self._at(mine)] if mine is not None else []
        return max(times if sent is None else [*times, sent])

    def _may_forget(self, before: Millis) -> None:
        self.forgettable = max(self.forgettable, before)

    def _lose(self, sensor: str, rows: list[Row]) -> None:
        for at, value, quality in rows:
            mine = [repr(self._row(one)) for one in self.own.get(sensor, [])]  # 1, 1.0 and True are three values
            if (row := repr((at, value, quality))) in mine:
                del self.own[sensor][mine.index(row)]
            else:
                del self.sent[sensor][at]
                self.uncertain.setdefault(sensor, set()).add(at)

    def _put(self, reading: Reading) -> None:
        said = reading.value, reading.quality
        sensor = reading.sensor
        if reading.sender_stamped:
            known = self.sent.setdefault(sensor, {})
            # The quality goes with the value: the same value once more changes neither.
            if reading.at not in known or repr(known[reading.at][0]) != repr(reading.value):
                known[reading.at] = said
            self._newest_sent[sensor] = max(self._newest_sent.get(sensor, reading.at), reading.at)
        else:
            mine = Mine(len(self.boots) - 1, reading.at - self.offset, *said)
            self.own.setdefault(sensor, []).append(mine)
            before = self._newest_own.get(sensor, mine)
            if (mine.boot, mine.now) >= (before.boot, before.now):
                self._newest_own[sensor] = mine

    def _row(self, mine: Mine) -> Row:
        return self._at(mine), mine.value, mine.quality

    def _at(self, mine: Mine) -> Millis:
        return mine.now + self.boots[mine.boot].offset

    def _follow(self, boot: Boot) -> None:
        last = self.boots[-1]
        has_stepped = abs(boot.offset - last.offset) > 1_000
        if boot.kernel_id != last.kernel_id:
            self.boots.append(boot)
        elif last.trust is not Trust.SYNCHRONISED:
            if boot.trust > last.trust or has_stepped:
                self.boots[-1] = Boot(last.kernel_id, boot.offset, max(last.trust, boot.trust))
        elif has_stepped:
            self.boots.append(boot)


def in_time(row: Row) -> tuple[Millis, str]:
    """Order rows by time; those of one millisecond somehow, but always alike."""
    return row[0], repr(row[1:])
