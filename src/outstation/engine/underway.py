"""What is on its way to one uplink: a load in parts, how large these are, and what is done and not written down yet.

The law of this file: of what is done nothing is forgotten before the store knows of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from outstation import clock
from outstation.core.delivery import Item, piece
from outstation.core.readings import Note
from outstation.errors import StoreError
from outstation.store.outbox import Load, Outbox, Parked

log = logging.getLogger(__name__)


class Part(msgspec.Struct, frozen=True):
    """What goes into one parcel. upto: all numbers up to this one are done with it."""

    items: Sequence[Item]
    upto: int
    is_instead: bool = False

    def until(self, cursor: int | None) -> Part:
        """Return what of it the other side has, by its own word: all of it, where it says nothing."""
        if cursor is None or cursor >= self.upto or self.is_instead:
            return self
        return Part([item for item in self.items if item.number <= cursor], cursor)


class Underway(msgspec.Struct):
    """A load that is being sent: what is left of it, and what is done and the store does not know yet.

    had: up to this number the other side has it. What it refused in one piece is passed over here, and not there: a
    protocol with books goes on from `had`, and with an empty parcel if need be.
    """

    load: Load
    items: Sequence[Item]
    instead: Sequence[Item]
    token: str
    upto: int
    had: int
    done: list[Item] = []
    parked: list[Parked] = []
    is_unstored: bool = False

    def part(self, limit: int) -> Part:
        """Return what is next: first what is out of order, for it is the oldest."""
        if self.instead:
            return Part(self.instead[:limit], self.upto, is_instead=True)
        return Part(*piece(self.items, limit, self.upto, self.load.upto))

    def passed(self, part: Part, *, is_had: bool = True) -> None:
        """A part is done."""
        self.is_unstored = True
        if part.is_instead:
            self.instead = self.instead[len(part.items) :]
            self.done += part.items
        else:
            self.items, self.upto = self.items[len(part.items) :], part.upto
        if is_had:
            self.had = self.upto

    def park(self, item: Item, error: str) -> None:
        """The other side does not want one of them."""
        self.is_unstored = True
        self.parked.append(Parked(item.sensor, item.summary, error, clock.at()))

    async def stored(self, outbox: Outbox, name: str, traffic: str) -> None:
        """Have the store know what is done. Raises StoreError: then nothing more of this load is sent."""
        notes = list(self._notes(name))
        self.is_unstored = False
        try:
            await outbox.taken(
                name,
                self.load,
                self.token,
                upto=self.had,
                instead=self.done,
                parked=self.parked,
                notes=notes,
                traffic=traffic,
            )
        except StoreError:
            self.is_unstored, self.items, self.instead = True, (), ()
            self.load = msgspec.structs.replace(self.load, upto=self.upto)  # what else is in it was not sent
            raise
        for note in notes:
            log.warning("Uplink %s: %s.", name, note.text)
        self.done, self.parked = [], []

    def _notes(self, name: str) -> Iterator[Note]:
        """Return what the journal of this node says of those refused: a line for each reason, however many they are."""
        for reason, group in groupby(self.parked, key=lambda one: one.reason):
            yield Note("summary refused", name, _in_words(list(group), reason), clock.at())


class Size:
    """How many summaries go at once: fewer while a bad one is looked for, or where the link is slow.

    in_a_row: so many were refused one by one since any was taken.
    """

    def __init__(self, most: int) -> None:
        self.limit = self._most = most
        self.in_a_row = 0
        self._suspects = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing is looked for."""
        return self.limit == self._most

    def taken(self, count: int) -> None:
        """So many got through."""
        self.in_a_row = 0
        self._suspects -= count
        if self._suspects <= 0:
            self.limit = self._most

    def halve(self, count: int, least: int = 1) -> None:
        """So many did not get through together."""
        self._suspects = max(self._suspects, count)
        self.limit = max(least, count // 2)

    def parked(self) -> None:
        """A bad one was found. Where one is next to another, a third is likely."""
        self.in_a_row += 1
        self._suspects = 0
        self.limit = self._most if self.in_a_row == 1 else 1


def _in_words(parked: Sequence[Parked], reason: str) -> str:
    first = parked[0]
    if len(parked) == 1:
        which = f"{first.sensor} at {clock.iso(first.summary.start)}"
    else:
        starts = [one.summary.start for one in parked]
        which = f"{len(parked)} summaries, {clock.iso(min(starts))} to {clock.iso(max(starts))}, such as {first.sensor}"
    return f"it does not want {which}: {reason}; kept, not sent again"
