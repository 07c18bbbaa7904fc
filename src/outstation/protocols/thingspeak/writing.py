"""Takes entries from boards that speak ThingSpeak: one at a time, or many that were kept while the network was away.

The law of this file: a number is answered when the entry and its readings are on disk, in one commit. A write key
opens its own channel and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from outstation import clock
from outstation.core.readings import Reading
from outstation.core.sensors import MAX_AHEAD
from outstation.engine.boards import Board
from outstation.engine.site import Site
from outstation.http import JSON, TEXT, Answer, Later, Request, Response
from outstation.protocols.thingspeak import bulk, wire
from outstation.protocols.thingspeak.refusals import JSON_UTF8, TOO_MANY, in_words, not_entered, not_entered_json
from outstation.routes import BATCH, Refuse, Route
from outstation.store.entries import Entries, Entry

log = logging.getLogger(__name__)

_BODY = 16 * 1024
"""Eight fields of 255 bytes, all percent-encoded, and the other parameters, are half of this."""

_ENTER = "A board's entry (api_key, field1 to field8, status, lat, long, created_at); answers its number, or 0"
_ENTER_JSON = "The same; answers the entry as JSON, or 0"
_BULK = "Many entries of one channel (write_api_key, updates, each with created_at or delta_t)"

_WRITTEN = Response(b'{"success":true}', 202, JSON_UTF8)


_FORM = b"application/x-www-form-urlencoded"


class Taken(NamedTuple):
    """An entry on its way to the disk, and the parameters that it came with. stored: its number, in a list."""

    stored: asyncio.Future[list[int]]
    entry: Entry
    params: Mapping[str, str]


class Writing:
    """The doors by which entries come in."""

    def __init__(self, site: Site, entries: Entries) -> None:
        self._site, self._entries, self._boards = site, entries, site.boards
        self._ahead: set[int] = set()

    def routes(self) -> list[Route]:
        """Return what writing needs of the table of routes."""
        row = partial(Route, scope=None, any_host=True, any_origin=True)
        both = [("", self.update, not_entered, _ENTER), (".json", self.update_json, not_entered_json, _ENTER_JSON)]
        bulk_path = "/channels/{channel}/bulk_update"
        return [
            *(
                row(method, f"{start}/update{end}", handler=handler, refuse=refuse, summary=summary, **more)
                for end, handler, refuse, summary in both
                for start in ("", "/s")
                for method, more in (("GET", {"acts": True}), ("POST", {"body": _BODY}))
            ),
            row("POST", f"{bulk_path}.json", handler=self.bulk_json, body=BATCH, refuse=in_words, summary=_BULK),
            row("POST", f"{bulk_path}.csv", handler=self.bulk_csv, body=BATCH, refuse=in_words, summary=_BULK),
        ]

    def update(self, request: Request) -> Answer:
        """Handle GET and POST /update. Raises RefusedError, StoreError, msgspec's errors."""
        taken = self._take(request, not_entered)
        return taken if isinstance(taken, Response) else Later(taken.stored, _number)

    def update_json(self, request: Request) -> Answer:
        """Handle GET and POST /update.json. Raises RefusedError, StoreError, msgspec's errors."""
        taken = self._take(request, not_entered_json)
        return taken if isinstance(taken, Response) else Later(taken.stored, partial(_whole, taken))

    def bulk_json(self, request: Request) -> Answer:
        """Handle POST /channels/{channel}/bulk_update.json. Raises RefusedError, StoreError, msgspec's errors."""
        return self._bulk(request, bulk.from_json(request.body))

    def bulk_csv(self, request: Request) -> Answer:
        """Handle POST /channels/{channel}/bulk_update.csv. Raises RefusedError, StoreError."""
        return self._bulk(request, bulk.from_form(request.body))

    def _take(self, request: Request, refuse: Refuse) -> Taken | Response:
        params = _parameters(request)
        if params is None:
            return refuse(415, "Parameters are taken as a form or as JSON.")
        moment, key = clock.moment(), wire.key(request.headers, params)
        board = self._boards.by_write_key(key)
        if board is None:
            is_guess = self._boards.refused(key, request.peer.address, moment)
            return refuse(429, TOO_MANY) if is_guess else refuse(400, "No board writes with this key.")
        update = bulk.Update(params, wire.created_at(params))
        entry = self._entry(board, update, request.peer.address, moment)
        return Taken(self._enter(board, [entry], request, moment), entry, params)

    def _bulk(self, request: Request, posted: bulk.Posted) -> Answer:
        moment, key = clock.moment(), wire.key(request.headers, posted.params)
        number = wire.channel(request.params["channel"])
        board = None if number is None else self._boards.by_channel(number)
        if board is None:
            return in_words(404, "There is no such channel.")
        if self._boards.by_write_key(key) is not board:
            if self._boards.refused(key, request.peer.address, moment, board):
                return in_words(429, TOO_MANY)
            return in_words(401, "Please provide the write key of this channel.")
        if posted.size > bulk.MOST:
            return in_words(413, f"At most {bulk.MOST} values are taken at once; send the rest after.")
        entries = [self._entry(board, one, request.peer.address, moment) for one in posted.updates]
        return Later(self._enter(board, entries, request, moment), lambda _: _WRITTEN)

    def _enter(
        self, board: Board, entries: Sequence[Entry], request: Request, moment: clock.Moment
    ) -> asyncio.Future[list[int]]:
        self._boards.heard(board, request.peer.address, moment)
        readings: list[Reading] = []
        for entry in entries:
            readings += readings_of(board, entry, moment)
        return self._entries.enter(entries, self._site.runner.decide(readings))

    def _entry(self, board: Board, update: bulk.Update, address: str, moment: clock.Moment) -> Entry:
        """Return an entry without its number. Raises RefusedError."""
        at, params = update.at, update.params
        if at is not None and at > moment.at + MAX_AHEAD and self._is_wrong(board):
            at = None
        is_given = at is not None
        return Entry(
            board.channel,
            moment.at - update.age if at is None else at,
            wire.fields(params, address),
            wire.status(params),
            *wire.place(params),
            sender_stamped=is_given,
            offset=None if is_given else moment.at - moment.now,
        )

    def _is_wrong(self, board: Board) -> bool:
        """Tell whether a board's time ahead of ours is the wrong one: only where ours is right."""
        if clock.trust(self._site.config.node.clock) is not clock.Trust.SYNCHRONISED:
            return False
        if board.channel not in self._ahead:
            self._ahead.add(board.channel)
            log.warning("%s sends times more than ten minutes ahead; they are replaced by this node's.", board.name)
        return True


def _parameters(request: Request) -> dict[str, str] | None:
    """Return the parameters of a query and of a body, a form or JSON; None: the body is neither."""
    if request.method == "GET":
        return wire.parameters(request.query)
    kind = request.header(b"content-type")
    if kind is None or kind == _FORM:
        return wire.parameters(request.query, request.body)
    kind = kind.partition(b";")[0].strip().lower()
    if kind == JSON:
        return {**wire.parameters(request.query), **wire.json_parameters(request.body)}
    return None if kind == b"multipart/form-data" else wire.parameters(request.query, request.body)


def readings_of(board: Board, entry: Entry, moment: clock.Moment) -> list[Reading]:
    """Return the readings of the fields that have a name here; other fields belong to the entry alone."""
    at, now, arrived, is_given = entry.at, moment.now, moment.at, entry.sender_stamped
    return [
        Reading(f"{board.name}/{name}", wire.value(text), at, now, arrived, sender_stamped=is_given)
        for name, text in zip(board.fields, entry.fields, strict=False)
        if text is not None
    ]


def _number(numbers: Sequence[int]) -> Response:
    return Response(b"%d" % numbers[0], content_type=TEXT)


def _whole(taken: Taken, numbers: Sequence[int]) -> Response:
    _, entry, params = taken
    document = {
        "channel_id": entry.channel,
        **{f"field{field}": text for field, text in enumerate(entry.fields, 1)},
        "created_at": wire.created(entry.at, wire.zone(params)),
        "entry_id": numbers[0],
        "status": entry.status,
        "latitude": entry.latitude,
        "longitude": entry.longitude,
        "elevation": entry.elevation,
    }
    return Response(msgspec.json.encode(document), content_type=JSON_UTF8)
