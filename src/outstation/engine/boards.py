"""All boards that report here: those in the config, and those let in by hand while the node runs or not.

The law of this file: a board is found by the digest of its key, so how long that takes says nothing about the key.
Everything is asked in memory, in the loop's thread. A board of the config goes before one in the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from outstation import clock
from outstation.config import DeviceTable
from outstation.config.boards import plain_mac
from outstation.core.readings import Millis
from outstation.engine.guesses import Guesses
from outstation.errors import RefusedError, StoreError, UnknownNameError
from outstation.store.boards import Board, Heard, StoredBoards
from outstation.store.database import Store

__all__ = ["Board", "Boards", "Refusals", "Seen"]

_HOUR: Millis = 3_600_000
_MINUTE: Millis = 60_000

_REFUSED_AT_MOST = 200
"""Senders that are remembered because they were refused: whoever makes up keys fills no memory."""

_SHOWN_OF_A_KEY = 4
"""Letters, and a third of it at most: a person knows a mistyped key by them, and nobody can send with them."""

_INTERVALS_KEPT = 9
"""Odd, so that one stands in the middle; few, so that a new rhythm is known after five."""

_ONE_WORD: Millis = 5_000
"""A board that sends field by field says one thing: what comes within this time tells nothing of its rhythm."""

_SILENT_AT_LEAST: Millis = 30_000
_SILENT_UNTIL_KNOWN: Millis = 15 * 60_000
"""As sensors have it: nobody is silent sooner, and so long until the rhythm is known, which takes three."""


class Seen(msgspec.Struct):
    """How a board does. heard: its last word, on `now`; None: none since the start.

    intervals: between the last times that it spoke, each a word or several; began: when the last of them began.
    """

    kept: Heard | None = None
    heard: Millis | None = None
    began: Millis | None = None
    intervals: list[Millis] = []

    @property
    def every(self) -> Millis | None:
        """How often it says something; None until that is known."""
        if len(self.intervals) < 2:
            return self.kept.every if self.kept else None
        return sorted(self.intervals)[(len(self.intervals) - 1) // 2]

    @property
    def silent_after(self) -> Millis:
        """How long it may say nothing before it counts as silent."""
        every = self.every
        return _SILENT_UNTIL_KNOWN if every is None else max(3 * every, _SILENT_AT_LEAST)


class Refusals(msgspec.Struct):
    """What was refused of one sender. what: "key ABCD...", or "mac ..."; minutes: how often, by minute of `now`."""

    what: str
    address: str
    board: str
    at: Millis
    minutes: dict[int, int] = {}

    def count(self, now: Millis) -> int:
        """Return how often it was refused in the last hour."""
        return sum(times for minute, times in self.minutes.items() if minute * _MINUTE > now - _HOUR)


class Boards:
    """The boards of one node."""

    def __init__(
        self, tables: Iterable[DeviceTable], store: Store, learn: Callable[[str, str], object] = lambda *_: None
    ) -> None:
        """learn: is told the names of the sensors of each board, and units, before anything is sent for them."""
        self._stored, self._learn = StoredBoards(store), learn
        self._names: dict[str, Board] = {}
        self._channels: dict[int, Board] = {}
        self._writers: dict[bytes, Board] = {}
        self._macs: dict[str, Board] = {}
        self._seen: dict[str, Seen] = {}
        self._unkept: set[str] = set()
        self.refusals: dict[tuple[str, str], Refusals] = {}
        self._guesses = Guesses()
        self._left_out: dict[str, str] = {}
        self._unread = True
        for table in tables:
            self._take(_configured(table))
        with contextlib.suppress(StoreError):
            self._remember()

    def __iter__(self) -> Iterator[Board]:
        return iter(self._names.values())

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    # What the dialects ask.

    def by_name(self, name: str) -> Board | None:
        """Return a board by its name."""
        return self._names.get(name)

    def by_channel(self, channel: int) -> Board | None:
        """Return the board whose channel this is. Raises StoreError while nobody can know it."""
        return self._channels.get(channel) or self._look_again(self._channels, channel)

    def by_write_key(self, key: str) -> Board | None:
        """Return the board that writes with this key; "" is nobody's. Raises StoreError while nobody can know it."""
        digest = _digest(key)
        return self._writers.get(digest) or self._look_again(self._writers, digest)

    def by_mac(self, mac: str) -> Board | None:
        """Return the board with this address, as a board writes it. Raises StoreError while nobody can know it."""
        try:
            plain = plain_mac(mac)
        except ValueError:
            return None
        return self._macs.get(plain) or self._look_again(self._macs, plain)

    def may_read(self, board: Board, key: str) -> bool:
        """Tell whether a channel is public, or this one of its keys."""
        return board.public or _is_one(key, (board.write_key, board.read_key))

    def may_report(self, board: Board, key: str) -> bool:
        """Tell whether a weather station has the right key."""
        return _is_one(key, (board.key or board.write_key,))

    def heard(self, board: Board, address: str, moment: clock.Moment) -> None:
        """Take note that a board was heard: what it sent was let in."""
        seen, now = self.seen(board), moment.now
        every = seen.kept.every if seen.kept else None
        if seen.began is None:
            seen.began = now
        elif now - seen.began >= _ONE_WORD:
            seen.intervals = [*seen.intervals, now - seen.began][-_INTERVALS_KEPT:]
            seen.began, every = now, seen.every
        seen.heard, seen.kept = now, Heard(moment.at, address, every)
        self._unkept.add(board.name)

    def refused(self, key_or_mac: str, address: str, moment: clock.Moment, board: Board | None = None) -> bool:
        """Take note that a sender was refused; tell whether it is to wait: it was too often within a minute.

        board: whom it spoke for, where its address or channel says so.
        """
        what, is_guess = _shown(key_or_mac), self._guesses.are_too_many(address, key_or_mac)
        if is_guess and (what, address) not in self.refusals:
            what, board = "other keys", None  # so that whoever makes up keys hides nobody
        found = self.refusals.pop((what, address), None) or Refusals(what, address, "", moment.at)
        found.at, found.board = moment.at, board.name if board else found.board
        minute = moment.now // _MINUTE
        oldest = minute - _HOUR // _MINUTE
        found.minutes = {one: times for one, times in found.minutes.items() if one > oldest}
        found.minutes[minute] = found.minutes.get(minute, 0) + 1
        self.refusals[what, address] = found  # the latest last
        if len(self.refusals) > _REFUSED_AT_MOST:
            del self.refusals[next(iter(self.refusals))]
        return is_guess

    # What people ask.

    def seen(self, board: Board) -> Seen:
        """Return how a board does."""
        return self._seen.get(board.name) or self._seen.setdefault(board.name, Seen())

    def last_channel(self) -> int:
        """Return the highest number that any channel ever had. Blocks. Raises StoreError."""
        return max(self._stored.last_channel(), *self._channels, 0)

    def clash(self, board: Board) -> str:
        """Say what of a new board another one has, or "". Who may read must not be able to write."""
        if board.read_key == board.write_key and board.read_key:
            return "its read key is its write key"
        same = (
            ("name", self._names.get(board.name)),
            ("channel", self._channels.get(board.channel)),
            ("write key", self._writers.get(_digest(board.write_key)) or self._reads_with(board.write_key)),
            ("read key", self._writers.get(_digest(board.read_key)) if board.read_key else None),
            ("mac", self._macs.get(board.mac) if board.mac else None),
        )
        return next((f"its {what} is that of the board {other.name}" for what, other in same if other), "")

    def _reads_with(self, key: str) -> Board | None:
        return next((board for board in self if key and board.read_key == key), None)

    def troubles(self) -> list[str]:
        """Return what is wrong, in words."""
        return list(self._left_out.values())

    async def add(self, boards: Sequence[Board]) -> None:
        """Let boards in, all of them or none. Raises RefusedError, StoreError."""
        taken: list[Board] = []
        try:
            for board in boards:
                self._take_new(board)
                taken.append(board)
            await self._stored.add(boards)
        except (RefusedError, StoreError):
            for board in taken:
                self._drop(board)
            raise
        for board in boards:
            self._left_out.pop(board.name, None)

    def _take_new(self, board: Board) -> None:
        if clash := self.clash(board):
            raise RefusedError(f'The board "{board.name}" cannot be let in: {clash}.')
        self._take(board)

    async def remove(self, name: str) -> None:
        """Let a board report here no more; its history stays. Raises UnknownNameError, RefusedError, StoreError."""
        board = self._names.get(name)
        if name in self._left_out:
            board = None
        elif board is None:
            raise UnknownNameError(f'There is no board "{name[:80]}".', cure="`outstation devices list` shows them.")
        elif board.configured:
            raise RefusedError(f'The board "{name}" stands in the config.', cure="Remove its [[devices]] there.")
        else:
            self._drop(board)  # first: whoever asked may be gone before the commit
        try:
            await self._stored.remove(name)
        except StoreError:
            if board:
                self._take(board)
            raise
        self._left_out.pop(name, None)

    async def keep(self) -> None:
        """Write which boards were heard since this was last called. Raises StoreError."""
        names, self._unkept = self._unkept & self._names.keys(), set()
        rows = {name: kept for name in names if (kept := self._seen[name].kept)}
        if not rows:
            return
        try:
            await self._stored.keep_heard(rows)
        except StoreError:
            self._unkept |= names
            raise

    def _look_again(self, boards: Mapping[Any, Board], key: object) -> Board | None:
        """Find a board that could not be read at the start: it must not be refused for that."""
        if self._unread:
            self._remember()
        return boards.get(key)

    def _remember(self) -> None:
        """Take what the store has. Raises StoreError."""
        stored, heard = self._stored.all(), self._stored.heard()
        self._unread = False
        for board in stored:
            if clash := self.clash(board):
                self._left_out[board.name] = f"The board {board.name} of `outstation devices` is left out: {clash}."
            else:
                self._take(board)
        self._seen = {name: Seen(kept) for name, kept in heard.items()} | self._seen

    def _take(self, board: Board) -> None:
        for field, name in zip(board.fields, board.sensors, strict=True):
            self._learn(name, board.unit(field))
        self._names[board.name] = self._channels[board.channel] = board
        if board.write_key:
            self._writers[_digest(board.write_key)] = board
        if board.mac:
            self._macs[board.mac] = board

    def _drop(self, board: Board) -> None:
        del self._names[board.name], self._channels[board.channel]
        self._writers.pop(_digest(board.write_key), None)
        self._macs.pop(board.mac, None)
        self._seen.pop(board.name, None)


def _configured(table: DeviceTable) -> Board:
    return Board(
        table.name,
        table.channel,
        write_key=table.write_key,
        read_key=table.read_key or "",
        public=table.public,
        fields=table.fields,
        key=table.key or "",
        mac=table.mac or "",
        expected=table.expected,
        expected_when=table.expected_when or "",
        group=table.group or "",
        configured=True,
        units=table.units,
    )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def _is_one(key: str, right: Sequence[str]) -> bool:
    given = _digest(key)
    alike = [hmac.compare_digest(given, _digest(one)) for one in right if one]  # with all of them, whichever it is
    return any(alike)


def _shown(text: str) -> str:
    """Return what people are shown of a key or an address that is refused."""
    if not text:
        return "no key"
    try:
        return f"mac {plain_mac(text)}"
    except ValueError:
        return f"key {text[: min(_SHOWN_OF_A_KEY, len(text) // 3)]}..."
