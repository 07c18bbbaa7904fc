"""Shows channels to clients of ThingSpeak: entries in a span of time, the last one, what is made of many.

The law of this file: a channel that is not public is shown to who has one of its own keys, whatever the network; and
an answer is made in a thread, a few at once: a plot of 8,000 entries must hold up no board.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.engine.boards import Board
from outstation.engine.site import Site
from outstation.http import Answer, Later, Request, Response
from outstation.protocols.thingspeak import query, shapes, slices, wire
from outstation.protocols.thingspeak.query import Asked, Query
from outstation.protocols.thingspeak.refusals import JSON_UTF8, TOO_MANY, in_words, not_shown
from outstation.routes import Route
from outstation.store.entries import Entries, Entry

_AT_ONCE, _MOST_WAITING = 2, 32
"""Answers of a kind that are made: 8,000 entries are some megabytes meanwhile. Past these that wait: "try again"."""

_MOST_ROWS = 250_000
"""Of a whole channel as CSV: 15 MB. Who has more asks for one span after the other."""

_ATTACHED = ((b"Content-Disposition", b"attachment; filename=feeds.csv"),)

_CHANNEL = "A channel of a board (api_key, unless it is public)"
_MANY = "Entries: feeds, fields/1, status; .json, .csv (results, days, start, end, timezone, average, round, ...)"
_ONE = "One entry or value: feeds/last, fields/1/last, fields/1/last_data_age, ...; .json, .csv, .txt"
_ENTRY = "The same, by the field or the entry's number"
_ALL = "All entries of a channel as CSV"


class Reading:
    """The doors by which entries are seen."""

    def __init__(self, site: Site, entries: Entries) -> None:
        self._boards, self._entries = site.boards, entries
        self._short, self._long = _Turns(), _Turns()  # a board waits 5 s for its one value, whatever is plotted
        self._began = clock.at()

    def routes(self) -> list[Route]:
        """Return what reading needs of the table of routes. Its wide paths stand behind all others."""
        row = partial(Route, "GET", scope=None, handler=self.get, any_host=True, any_origin=True, refuse=in_words)
        return [
            row("/channels/{channel}", summary=_CHANNEL),
            row("/channels/{channel}/{noun}", summary=_MANY),
            row("/channels/{channel}/{noun}/{part}", summary=_ONE),
            row("/channels/{channel}/{noun}/{part}/{entry}", summary=_ENTRY),
            row("/stream/channels/{channel}/feeds", summary=_ALL),
            row("/stream/channels/{channel}/feeds.csv", summary=_ALL),
        ]

    def get(self, request: Request) -> Answer:
        """Handle GET below /channels and /stream/channels. Raises RefusedError; its future StoreError."""
        asked = query.asked(request.path)
        board = self._boards.by_channel(asked.channel) if asked else None
        if asked is None or board is None:
            return _unknown(request.path)
        params = wire.parameters(request.query)
        key = wire.key(request.headers, params)
        if not self._boards.may_read(board, key):
            return self._refuse(request, asked, board, key)
        wanted = query.read(params, clock.at())
        if asked.what == "channel":
            return shapes.document(self._about(board, asked, wanted))
        if asked.whole:
            return self._long.later(lambda: self._all(board, asked, wanted))
        if not asked.entry:
            return self._long.later(lambda: self._many(board, asked, wanted))
        if asked.grouped:
            of = query.last_of(params)
            return self._short.later(lambda: self._made_one(board, asked, wanted, of))
        return self._short.later(lambda: self._single(board, asked, wanted))

    def _refuse(self, request: Request, asked: Asked, board: Board, key: str) -> Response:
        if key and self._boards.refused(key, request.peer.address, clock.moment(), board):
            return not_shown(429, TOO_MANY)
        return Response(shapes.NONE, 400, JSON_UTF8) if _is_many(asked) else shapes.nothing(asked)

    def _about(self, board: Board, asked: Asked, wanted: Query) -> dict[str, shapes.Cell]:
        last = self._entries.last_number(board.channel)
        return shapes.channel(board, asked, last=last, made_at=self._began, metadata=wanted.metadata)

    # In a thread from here on.

    def _many(self, board: Board, asked: Asked, wanted: Query) -> Response:
        shown = shapes.fields_of(board, asked)
        names = shapes.columns(asked, wanted, shown)
        found = slices.made(self._found(board, wanted, wanted.end, wanted.limit), wanted, shown)
        rows = shapes.rows(found, names, asked.form, wanted.zone)
        return shapes.many(self._about(board, asked, wanted), names, rows, asked.form)

    def _single(self, board: Board, asked: Asked, wanted: Query) -> Response:
        entry = self._entry(board.channel, asked)
        if entry is None:
            return shapes.nothing(asked)
        if asked.entry == "last_data_age":
            return shapes.age(clock.at() - entry.at, asked, wanted)
        return self._one(board, asked, wanted, entry)

    def _made_one(self, board: Board, asked: Asked, wanted: Query, of: int) -> Response:
        entries = self._found(board, wanted, wanted.end, of)
        if not entries or asked.grouped is None:
            return shapes.nothing(asked)
        return self._one(board, asked, wanted, slices.one(entries, asked.grouped, entries[0].at))

    def _one(self, board: Board, asked: Asked, wanted: Query, entry: Entry) -> Response:
        names = shapes.columns(asked, wanted, shapes.fields_of(board, asked))
        shown = entry if wanted.digits is None else slices.rounded(entry, wanted.digits)
        row = shapes.rows([shown], names, asked.form, wanted.zone)[0]
        return shapes.single(names, row, asked, wanted)

    def _entry(self, channel: int, asked: Asked) -> Entry | None:
        if not asked.entry.startswith("last"):
            return self._entries.numbered(channel, int(asked.entry))
        return self._entries.last_of_field(channel, asked.field) if asked.field else self._entries.last(channel)

    def _all(self, board: Board, asked: Asked, wanted: Query) -> Response:
        """Return all entries, read page by page from the newest on: no snapshot is held for long."""
        wanted = msgspec.structs.replace(wanted, group=None)
        shown = shapes.fields_of(board, asked)
        names = shapes.columns(asked, wanted, shown)
        pages: list[bytes] = []
        count = 0
        for page in self._pages(board, wanted):
            count += len(page)
            if count > _MOST_ROWS:
                return in_words(413, f"There are more than {_MOST_ROWS} entries; ask for less with start and end.")
            pages.append(shapes.lines(shapes.rows(slices.made(page, wanted, shown), names, asked.form, wanted.zone)))
        body = b"".join([shapes.lines([names]), *reversed(pages)])
        return Response(body, content_type=shapes.CSV, headers=_ATTACHED)

    def _pages(self, board: Board, wanted: Query) -> Iterator[list[Entry]]:
        """Yield entries page by page, the newest first; those of one moment stand on one page."""
        end = wanted.end
        while page := self._found(board, wanted, end, query.MOST):
            end = page[0].at
            whole = [entry for entry in page if entry.at > end]
            if len(page) < query.MOST or not whole:
                yield page
            else:
                yield whole
                end += 1

    def _found(self, board: Board, wanted: Query, end: Millis, limit: int) -> list[Entry]:
        if limit == 0:
            return []  # who asks for none wants to know about the channel
        return self._entries.of_channel(
            board.channel, start=wanted.start, end=end, first=wanted.first, last=wanted.last, limit=limit
        )


class _Turns:
    """Where answers wait for their turn to be made."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._here = 0

    def later(self, make: Callable[[], Response]) -> Answer:
        """Make an answer in a thread, when it is its turn."""
        if self._here >= _AT_ONCE + _MOST_WAITING:
            return in_words(503, "Too many questions wait for their answers; try again.")
        self._here += 1
        made = asyncio.ensure_future(self._in_turn(make))
        made.add_done_callback(self._leave)
        return Later(made, lambda answer: answer)

    async def _in_turn(self, make: Callable[[], Response]) -> Response:
        async with self._turn:
            return await asyncio.to_thread(make)

    def _leave(self, _: object) -> None:
        self._here -= 1


def _is_many(asked: Asked) -> bool:
    return asked.what == "channel" or not asked.entry


def _unknown(path: str) -> Response:
    """Say that there is no such channel, or nothing of that name in it."""
    last = path.rpartition("/")[2]
    if last.startswith("last") and not last.endswith(".json"):
        return not_shown(404, "")
    return in_words(404, "There is no such channel, or nothing of that name in it.")
