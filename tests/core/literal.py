"""The order of outputs read literally: from all that ever happened to them, keeping nothing in between.

Slow, and written from the words of docs/reference/outputs.md alone, so that the program can be held
against it. A history is a list of entries, the oldest first, with times on `now` of the present boot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from outstation.core.actuation import ActuatorSpec, Want
from outstation.core.readings import Level, Millis


class Told(NamedTuple):
    """The driver was told to drive the output to a level."""

    now: Millis
    level: Level


class Seen(NamedTuple):
    """The driver answered: the output is at a level; None: it failed."""

    now: Millis
    level: Level | None


class Claimed(NamedTuple):
    """A person has claimed the output until then (None: for good); level None: they let go."""

    now: Millis
    level: Level | None = None
    until: Millis | None = None


class Locked(NamedTuple):
    """A person has locked the output; empty: unlocked it."""

    now: Millis
    who: str


class Wanted(NamedTuple):
    """These rules claim the output from now on."""

    now: Millis
    wants: tuple[Want, ...]


class Died(NamedTuple):
    """The program died then, the output went safe, and the program is back now. known: how long that took."""

    now: Millis
    known: bool
    then: Millis


Entry = Told | Seen | Claimed | Locked | Wanted | Died
History = Sequence[Entry]
Place = tuple[int, bool, Millis, str]


def on(level: Level | None) -> bool:
    return level is not None and level > 0


def shifted(entry: Entry, shift: Millis) -> Entry:
    """Return an entry with its times on the clock of another boot."""
    later = entry._replace(now=entry.now + shift)
    if isinstance(later, Claimed) and later.until is not None:
        return later._replace(until=later.until + shift)
    if isinstance(later, Died):
        return later._replace(then=later.then + shift)
    if isinstance(later, Wanted):
        return later._replace(wants=tuple(moved(want, shift) for want in later.wants))
    return later


def moved(want: Want, shift: Millis) -> Want:
    return Want(want.rule, want.priority, want.safety, want.level, want.since + shift, want.decided)


class Literal:
    """What the order asks of each output at one moment."""

    def __init__(self, specs: Sequence[ActuatorSpec], histories: dict[str, list[Entry]], now: Millis) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.histories = histories
        self.now = now

    # The order, from above.

    def level(self, name: str) -> Level:
        if self.lock(name):
            return False
        safety = self.safety(name)
        if safety is not None and not (on(safety) and self.waits(name)):
            return safety
        return False if self.waits(name) else self.untied(name)

    def untied(self, name: str) -> Level:
        """What would be asked of it if it were interlocked with nothing, nor a matter of safety."""
        if self.run_is_over(name) or self.must_rest(name):
            return False
        claimed = self.claimed(name)
        if self.must_run_on(name):
            return claimed if on(claimed) else self.ran_at(name)
        return claimed

    def claimed(self, name: str) -> Level:
        """What its claims ask for, and else its default."""
        claim, rule = self.claim(name), self.strongest(name)
        if claim and claim.level is not None:
            return claim.level
        return self.want_level(name, rule) if rule else self.specs[name].default

    # Lock-out and safety.

    def lock(self, name: str) -> str:
        return next((entry.who for entry in reversed(self.histories[name]) if isinstance(entry, Locked)), "")

    def safety(self, name: str) -> Level | None:
        want = self.first(name, [want for want in self.wants(name) if want.safety])
        return self.want_level(name, want) if want else None

    # Interlock.

    def partners(self, name: str) -> list[str]:
        mine = self.specs[name]
        return [
            other.name
            for other in self.specs.values()
            if other.name != name
            and (set(mine.interlock) & set(other.interlock) or other.name in mine.interlock or name in other.interlock)
        ]

    def waits(self, name: str) -> bool:
        place = self.place(name)
        return place is not None and any(self.is_kept_off(place, partner) for partner in self.partners(name))

    def is_kept_off(self, place: Place, partner: str) -> bool:
        other = self.place(partner)
        if other is not None and other < place and not self.waits(partner):
            return True
        if place[0] == 0:
            return False
        return self.may_be_on(partner) or (other is not None and other[0] < place[0])

    def place(self, name: str) -> Place | None:
        """Safety first, then claims, then defaults; of these what is on; of these the earliest."""
        running = on(told(self.histories[name]))
        if self.lock(name):
            return None
        if self.safety(name) is not None:
            want = self.first(name, [want for want in self.wants(name) if want.safety])
            assert want is not None
            return (0, not running, want.since, name) if on(self.safety(name)) else None
        if not on(self.untied(name)):
            return None
        claim, rule = self.claim(name), self.strongest(name)
        if not on(self.claimed(name)):
            return 1, not running, seen_on_since(self.histories[name], self.specs[name].safe) or 0, name
        if claim:
            return 1, not running, claim.now, name
        if rule:
            return 1, not running, rule.since, name
        return (1 if self.must_run_on(name) else 2), not running, 0, name

    def may_be_on(self, name: str) -> bool:
        entries = self.histories[name]
        for number in reversed(range(len(entries))):
            entry = entries[number]
            if isinstance(entry, Died):
                return True
            if is_settled_off(entries, number):
                return False
            if puts_in_doubt(entry):
                return True
        return True

    # max_on, min_off, min_on.

    def run_is_over(self, name: str) -> bool:
        spec = self.specs[name]
        since = maybe_on_since(self.histories[name])
        return spec.max_on is not None and since is not None and self.now >= since + spec.max_on

    def run_ended(self, name: str) -> Millis | None:
        """When a run last reached max_on that it was asked to be on at that moment, or after it."""
        entries, spec, ended = self.histories[name], self.specs[name], None
        if spec.max_on is None:
            return None
        for number in range(len(entries) + 1):
            before, entry = entries[:number], entries[number] if number < len(entries) else None
            since = maybe_on_since(before)
            moment = self.now if entry is None else entry.then if isinstance(entry, Died) else entry.now
            if on(told(before)) and since is not None and moment >= since + spec.max_on:
                ended = since + spec.max_on
        return ended

    def must_rest(self, name: str) -> bool:
        spec, entries = self.specs[name], self.histories[name]
        if not spec.min_off or on(told(entries)):
            return False
        if told(entries) is None and seen_on_since(entries, spec.safe) is not None:
            return False
        since = seen_off_since(entries, spec.safe)
        return since is None or self.now < since + spec.min_off

    def must_run_on(self, name: str) -> bool:
        spec, entries = self.specs[name], self.histories[name]
        last = told(entries)
        if not spec.min_on or (last is not None and not on(last)):
            return False
        since = seen_on_since(entries, spec.safe)
        if since is not None:
            return self.now < since + spec.min_on
        return on(last) and last_seen(entries) is not None

    def ran_at(self, name: str) -> Level:
        levels = [entry.level for entry in self.histories[name] if isinstance(entry, Told) and on(entry.level)]
        return levels[-1] if levels else True

    # Claims.

    def claim(self, name: str) -> Claimed | None:
        for entry in reversed(self.histories[name]):
            if isinstance(entry, Died) and not entry.known:
                return None
            if isinstance(entry, Claimed):
                over = entry.until is not None and self.now >= entry.until
                return None if entry.level is None or over or self.is_spent(name, entry.level, entry.now) else entry
        return None

    def wants(self, name: str) -> tuple[Want, ...]:
        for entry in reversed(self.histories[name]):
            if isinstance(entry, Died):
                return ()
            if isinstance(entry, Wanted):
                return entry.wants
        return ()

    def strongest(self, name: str) -> Want | None:
        wants = [want for want in self.wants(name) if not want.safety]
        worth = [want for want in wants if not self.is_spent(name, self.want_level(name, want), want.since)]
        return self.first(name, worth)

    def first(self, name: str, wants: list[Want]) -> Want | None:
        """The highest priority; then whoever asks for what is safe; then the earliest; then by name."""
        safe = self.specs[name].safe
        wants = sorted(wants, key=lambda want: want.rule)
        wants.sort(key=lambda want: want.since)
        wants.sort(key=lambda want: on(self.want_level(name, want)) == safe, reverse=True)
        wants.sort(key=lambda want: want.priority, reverse=True)
        return wants[0] if wants else None

    def is_spent(self, name: str, level: Level, since: Millis) -> bool:
        ended = self.run_ended(name)
        return on(level) and ended is not None and since < ended

    def want_level(self, name: str, want: Want) -> Level:
        if want.decided:
            return want.level
        spec, since = self.specs[name], self.undecided_since(name, want.rule)
        return want.level if self.now < since + spec.lease else spec.safe

    def undecided_since(self, name: str, rule: str) -> Millis:
        since = self.now
        for entry in reversed(self.histories[name]):
            if isinstance(entry, Died) and not entry.known:
                return since
            if isinstance(entry, Wanted):
                if not any(want.rule == rule and not want.decided for want in entry.wants):
                    return since
                since = entry.now
        return since

    # What a person may not do.

    def keeps_too_long(self, name: str, claim: Claimed) -> bool:
        """Whether a limit keeps the output from what a person claims until the claim is over."""
        spec, entries = self.specs[name], self.histories[name]
        if claim.until is None:
            return False
        if on(claim.level):
            since = seen_off_since(entries, spec.safe)
            return self.must_rest(name) and since is not None and since + spec.min_off >= claim.until
        since = seen_on_since(entries, spec.safe)
        running = self.must_run_on(name) and not self.run_is_over(name) and not self.must_rest(name)
        return running and since is not None and since + spec.min_on >= claim.until


# What was told, and what was seen.


def told(entries: History) -> Level | None:
    """What the driver was told last, since the program started."""
    for entry in reversed(entries):
        if isinstance(entry, Died):
            return None
        if isinstance(entry, Told):
            return entry.level
    return None


def last_seen(entries: History) -> Level | None:
    for entry in reversed(entries):
        if isinstance(entry, Died):
            return None
        if isinstance(entry, Seen):
            return entry.level
    return None


def puts_in_doubt(entry: Entry) -> bool:
    """Whether the output may be on from here: it was told to be, or was not seen off."""
    if isinstance(entry, Told):
        return on(entry.level)
    return isinstance(entry, Seen) and (entry.level is None or on(entry.level))


def is_settled_off(entries: History, number: int) -> bool:
    """Whether this entry says that the output is off, when it was last told to be."""
    entry, last = entries[number], told(entries[:number])
    return isinstance(entry, Seen) and not puts_in_doubt(entry) and last is not None and not on(last)


def seen_off_since(entries: History, safe: bool) -> Millis | None:
    found = None
    for number in reversed(range(len(entries))):
        entry = entries[number]
        if isinstance(entry, Died) and not safe:
            before = seen_off_since(entries[:number], safe) if entry.known else None
            return entry.now if before is None else before
        if is_settled_off(entries, number):
            found = entry.now
        elif isinstance(entry, Died) or puts_in_doubt(entry):
            return found
    return found


def seen_on_since(entries: History, safe: bool) -> Millis | None:
    found = None
    for number in reversed(range(len(entries))):
        entry = entries[number]
        if isinstance(entry, Died):
            if not safe:
                return found
            last = told(entries[:number])
            stayed = entry.known and (last is None or on(last))
            before = seen_on_since(entries[:number], safe) if stayed else None
            return entry.now if before is None else before
        if isinstance(entry, Seen):
            if not on(entry.level):
                return found
            found = entry.now
    return found


def maybe_on_since(entries: History) -> Millis | None:
    found = None
    for number in reversed(range(len(entries))):
        entry = entries[number]
        if isinstance(entry, Died):
            before = maybe_on_since(entries[:number])
            return found if before is None else before
        if is_settled_off(entries, number):
            return found
        if puts_in_doubt(entry):
            found = entry.now
    return found
