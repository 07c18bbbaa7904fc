"""What each uplink has not had yet: no copy of it, but the summaries themselves, above the uplink's cursor.

The law of this file: a summary of five minutes is under way until a cursor has passed its number, and each revision
has a higher one; so nothing is lost, and what is sent twice is the same again. What is read for one request is read
from one snapshot, and a receipt moves the cursor only in the epoch that it was read in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from outstation.core.delivery import Item
from outstation.core.readings import Millis, Note
from outstation.core.summaries import Summary, decode, encode, summary
from outstation.core.windows import FIVE_MINUTES, Tier, Window
from outstation.store import journal, packs, tiers, unsent

if TYPE_CHECKING:
    from outstation.store.database import Store

PARKED_AT_MOST = 10_000
"""Of one uplink, about 2 MB: where all is refused, the oldest are given up."""


class Load(msgspec.Struct, frozen=True):
    """What an uplink is to have next, from one snapshot.

    epochs: the newest first. token: of its last receipt. after, upto: `items` are all summaries of five minutes whose
    numbers are above the one, up to the other, in order; `upto` may be higher than the last of them, and there may be
    none. is_more: there are others above `upto`. ahead: the newest summary of each sensor, of those above `upto`.
    instead: out of order: hours in the place of five minutes that were deleted unsent, and five-minute ones that a
    person wants sent again; they are done when `taken` names them.
    """

    epochs: tuple[str, ...]
    token: str
    after: int
    upto: int
    items: tuple[Item, ...] = ()
    instead: tuple[Item, ...] = ()
    ahead: tuple[Item, ...] = ()
    is_more: bool = False


class Parked(msgspec.Struct, frozen=True):
    """A summary that the other side refused. reason: in its words. at: when, UTC."""

    sensor: str
    summary: Summary
    reason: str
    at: Millis


class Account(msgspec.Struct, frozen=True):
    """How an uplink stands. waiting, parked, lost: summaries not sent, refused, gone unsent.

    traffic: as it was last given to `taken` or `remember`; "": it never was.
    """

    cursor: int
    waiting: int
    parked: int
    lost: int = 0
    traffic: str = ""


class Outbox:
    """The summaries that one store's uplinks are to have. What returns no future blocks, and raises StoreError.

    An uplink that the file does not know begins at 0: `learn` has a new one begin at the newest number instead.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def learn(self, names: Collection[str], at: Millis) -> asyncio.Future[None]:
        """Know these uplinks and no others, from the start: new ones begin now, what others had is forgotten."""
        return self._store.write(partial(_learn, names=names, at=at))

    def load(self, name: str, limit: int, *, ahead: bool = False) -> Load:
        """Return what an uplink is to have next.

        limit: of `items`, of `instead` and of `ahead` each. What is in one pack has one place in the order, and is not
        cut: so `items` may be some hundred more. ahead: with the newest of those that are left, if there are any.
        """
        with self._store.read() as connection:
            after, token = _place(connection, name)
            items, upto, is_more = _next(connection, after, limit)
            newest = _newest(connection, upto, limit) if ahead and is_more else ()
            return Load(
                _epochs(connection), token, after, upto, items, _instead(connection, name, limit), newest, is_more
            )

    def account(self, name: str) -> Account:
        """Return how an uplink stands."""
        with self._store.read() as connection:
            after, _ = _place(connection, name)
            kept: Any = connection.execute("SELECT lost, traffic FROM uplinks WHERE name = ?", (name,)).fetchone()
            asked = {"name": name, "after": after, "width": FIVE_MINUTES}
            waiting, parked = next(connection.execute(_COUNTS, asked))
            return Account(after, waiting, parked, *(kept or ()))

    def parked(self, name: str, limit: int = 100) -> list[Parked]:
        """Return what the other side refused, the newest first."""
        with self._store.read() as connection:
            rows: Any = connection.execute(_PARKED, (name, limit)).fetchall()
        return [Parked(sensor, decode(Window(start, width), body), *why) for sensor, width, start, body, *why in rows]

    def taken(
        self,
        name: str,
        load: Load,
        token: str = "",
        *,
        upto: int | None = None,
        instead: Sequence[Item] | None = None,
        parked: Sequence[Parked] = (),
        notes: Sequence[Note] = (),
        traffic: str | None = None,
    ) -> asyncio.Future[None]:
        """Take note that the other side has a load: the cursor moves and all else is written in one commit.

        token: of the receipt. upto: a part of it only, up to this number. instead: of those these only; with `upto`
        none unless given. parked: what it refused of it. If the file has another epoch by now, nothing moves.
        """
        if instead is None:
            instead = load.instead if upto is None else ()
        done = _Done(name, load.epochs[0], token, load.upto if upto is None else upto, instead, parked)

        def work(connection: apsw.Connection) -> None:
            if _epochs(connection)[0] == done.epoch:
                _move(connection, done)
            if traffic is not None:
                _remember(connection, name, traffic)
            journal.insert(connection, notes)

        return self._store.write(work)

    def back(self, name: str, cursor: int) -> asyncio.Future[str]:
        """Begin a new epoch, and go on from this number, or from where the uplink stands if that is before."""
        return self._store.write(partial(_back, name=name, cursor=cursor))

    def resend(self, name: str) -> asyncio.Future[int]:
        """Have what was refused sent again; return how many. It comes with the next loads, in `instead`."""
        return self._store.write(partial(_resend, name=name))

    def remember(self, name: str, traffic: str) -> asyncio.Future[None]:
        """Keep an uplink's traffic over a restart."""
        return self._store.write(partial(_remember, name=name, traffic=traffic))


class _Done(msgspec.Struct, frozen=True):
    """What the other side has, or refused."""

    name: str
    epoch: str
    token: str
    upto: int
    instead: Sequence[Item]
    parked: Sequence[Parked]


def _next(connection: apsw.Connection, after: int, limit: int) -> tuple[tuple[Item, ...], int, bool]:
    """Return the next summaries, up to which number these are all, and whether there are others."""
    items: list[Item] = []
    for _, some in merge(_rows(connection, after, limit), _packed(connection, after, limit), key=itemgetter(0)):
        if len(items) >= limit:
            return tuple(items), items[-1].number, True
        items.extend(some)
    newest: int = connection.execute("SELECT number FROM sequence").get
    return tuple(items), max(after, newest), False


def _rows(connection: apsw.Connection, after: int, limit: int) -> Iterator[tuple[int, Iterable[Item]]]:
    rows: Any = connection.execute(_ROWS, (after, limit + 1)).fetchall()
    for number, *row in rows:
        yield number, (_item(number, *row),)


def _packed(connection: apsw.Connection, after: int, limit: int) -> Iterator[tuple[int, Iterable[Item]]]:
    rows: Any = connection.execute(_PACKS, (after, limit + 1)).fetchall()
    for number, sensor, pack in rows:
        found = packs.whole(connection, pack, Tier.FIVE_MINUTES)
        yield number, [Item(number, sensor, summary(Window(start, width), row)) for start, width, row in found]


def _newest(connection: apsw.Connection, above: int, limit: int) -> tuple[Item, ...]:
    """Return the newest summary of each sensor, of those above a number. It is never packed."""
    rows: Any = connection.execute(_NEWEST, (above, limit)).fetchall()
    return tuple(_item(*row) for row in rows)


def _item(number: int, sensor: str, start: Millis, width: Millis, body: bytes) -> Item:
    return Item(number, sensor, decode(Window(start, width), body))


def _instead(connection: apsw.Connection, name: str, limit: int) -> tuple[Item, ...]:
    """Return what is sent out of order, as it is stored now; or as it was, where it is not stored any more."""
    rows: Any = connection.execute(_INSTEAD, (name,))
    found = (
        Item(0, sensor, now)
        for number, sensor, start, width, body in rows
        if (now := _stored(connection, number, Window(start, width), body))
    )
    return tuple(islice(found, limit))


def _stored(connection: apsw.Connection, sensor: int, window: Window, body: bytes | None) -> Summary | None:
    found = next(tiers.rows(connection, sensor, window.tier, window.start, window.start + 1), None)
    return found or (decode(window, body) if body else None)


def _place(connection: apsw.Connection, name: str) -> tuple[int, str]:
    """Return the cursor and the token of an uplink."""
    row: Any = connection.execute("SELECT cursor, token FROM uplinks WHERE name = ?", (name,)).fetchone()
    return row or (0, "")


def _epochs(connection: apsw.Connection) -> tuple[str, ...]:
    return tuple(epoch for (epoch,) in connection.execute("SELECT epoch FROM epochs ORDER BY id DESC"))


def _learn(connection: apsw.Connection, names: Collection[str], at: Millis) -> None:
    known = {name for (name,) in connection.execute("SELECT name FROM uplinks")}
    for name in sorted(known.difference(names)):
        connection.execute("DELETE FROM uplinks WHERE name = ?", (name,))
        connection.execute("DELETE FROM aside WHERE uplink = ?", (name,))
        text = "It is not in the config any more: what it had not had is not kept for it."
        journal.insert(connection, [Note("uplink forgotten", name, text, at)])
    new = [(name,) for name in names if name not in known]
    connection.executemany("INSERT INTO uplinks (name, cursor) SELECT ?, number FROM sequence", new)


def _move(connection: apsw.Connection, done: _Done) -> None:
    connection.execute(_MOVE, (done.name, done.upto, done.token))
    connection.executemany(_SENT, [(done.name, each.sensor, *_window(each.summary)) for each in done.instead])
    rows = [
        (done.name, *_window(each.summary), each.reason, each.at, encode(each.summary), each.sensor)
        for each in done.parked
    ]
    connection.executemany(_PARK, rows)
    if rows and (over := _parked(connection, done.name) - PARKED_AT_MOST) > 0:
        connection.execute(_GIVE_UP, (done.name, done.name, over))
        connection.execute("UPDATE uplinks SET lost = lost + ? WHERE name = ?", (over, done.name))
        text = f"{over} summaries that were refused are given up, the oldest of {PARKED_AT_MOST}."
        journal.insert(connection, [Note("uplink skipped", done.name, text, rows[-1][4])])


def _window(found: Summary) -> tuple[Millis, Millis]:
    return found.width, found.start


def _parked(connection: apsw.Connection, name: str) -> int:
    count: int = connection.execute("SELECT count(*) FROM aside WHERE uplink = ? AND reason IS NOT NULL", (name,)).get
    return count


def _back(connection: apsw.Connection, name: str, cursor: int) -> str:
    connection.execute("UPDATE uplinks SET cursor = min(cursor, ?) WHERE name = ?", (cursor, name))
    return unsent.begin_epoch(connection)


def _resend(connection: apsw.Connection, name: str) -> int:
    connection.execute("UPDATE aside SET reason = NULL WHERE uplink = ? AND reason IS NOT NULL", (name,))
    count: int = connection.changes()
    return count


def _remember(connection: apsw.Connection, name: str, traffic: str) -> None:
    connection.execute("UPDATE uplinks SET traffic = ? WHERE name = ?", (traffic, name))


# CROSS JOIN: in this order (sqlite.org/optoverview.html), by the index.
_ROWS = """
SELECT number, name, start, width, body FROM summaries CROSS JOIN sensors ON id = sensor
WHERE tier = 1 AND number > ? ORDER BY number LIMIT ?
"""

_PACKS = """
SELECT number, name, packs.id FROM packs CROSS JOIN sensors ON sensors.id = sensor
WHERE tier = 1 AND number > ? ORDER BY number LIMIT ?
"""

_NEWEST = """
SELECT number, name, start, width, body FROM sensors CROSS JOIN summaries ON sensor = id AND tier = 1
    AND start = (SELECT start FROM summaries WHERE sensor = id AND tier = 1 ORDER BY start DESC LIMIT 1)
WHERE number > ? LIMIT ?
"""

_INSTEAD = """
SELECT id, name, start, width, body FROM aside JOIN sensors ON id = sensor
WHERE uplink = ? AND reason IS NULL ORDER BY start
"""

_PARKED = """
SELECT name, width, start, body, reason, at FROM aside JOIN sensors ON id = sensor
WHERE uplink = ? AND reason IS NOT NULL ORDER BY at DESC, start DESC LIMIT ?
"""

_COUNTS = """
SELECT (SELECT count(*) FROM summaries WHERE tier = 1 AND number > :after)
           + (SELECT coalesce(sum((last - start) / :width + 1), 0) FROM packs WHERE tier = 1 AND number > :after)
           + (SELECT count(*) FROM aside WHERE uplink = :name AND reason IS NULL),
       (SELECT count(*) FROM aside WHERE uplink = :name AND reason IS NOT NULL)
"""

_MOVE = """
INSERT INTO uplinks (name, cursor, token) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET cursor = excluded.cursor,
                          token = CASE WHEN excluded.token = '' THEN token ELSE excluded.token END
"""

_SENT = """
DELETE FROM aside
WHERE uplink = ? AND sensor = (SELECT id FROM sensors WHERE name = ?) AND width = ? AND start = ? AND reason IS NULL
"""

_PARK = """
INSERT OR REPLACE INTO aside (uplink, width, start, reason, at, body, sensor)
SELECT ?, ?, ?, ?, ?, ?, id FROM sensors WHERE name = ?
"""

_GIVE_UP = """
DELETE FROM aside WHERE uplink = ? AND reason IS NOT NULL AND (sensor, width, start) IN (
    SELECT sensor, width, start FROM aside WHERE uplink = ? AND reason IS NOT NULL ORDER BY at, start LIMIT ?)
"""
