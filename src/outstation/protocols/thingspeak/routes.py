"""Serves boards that speak ThingSpeak: an entry goes in, its number comes back.

The law of this file: a number is answered when the readings and the number itself are on disk;
the number is written with the readings or before them, never after, so none is given twice.
`last.txt` answers what the board wrote, to the letter (`72.30` is not `72.3`), also after a
restart. It knows the entries alone: a reading that came in by another door is none.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from functools import partial

from outstation import clock
from outstation.config import DeviceTable
from outstation.core.readings import Millis, Reading
from outstation.core.sensors import MAX_AHEAD
from outstation.engine.site import Site
from outstation.errors import StoreError
from outstation.http import TEXT, Answer, Later, Request, Response
from outstation.protocols.thingspeak import wire
from outstation.routes import Route
from outstation.store.channels import Channel, Channels

log = logging.getLogger(__name__)

_BODY = 16 * 1024
"""Eight fields of 255 bytes, all percent-encoded, and the other parameters, are half of this."""

_ENTER = "A board's entry (api_key, field1 to field8, created_at); answers its number, or 0"
_LAST = "The newest text of a field (api_key, unless the channel is public), or -1"

_NO_FORM = (b"application/json", b"multipart/form-data")


def routes(site: Site) -> list[Route]:
    """Return what the boards of this node need of the table of routes; nothing where there are none."""
    if not site.config.devices:
        return []
    boards = Boards(site)
    row = partial(Route, scope=None, any_host=True, any_origin=True)
    not_entered, not_shown = partial(_refuse, b"0"), partial(_refuse, b"-1")
    field = "/channels/{channel}/fields/{field}"
    return [
        row("GET", "/update", handler=boards.update, acts=True, refuse=not_entered, summary=_ENTER),
        row("POST", "/update", handler=boards.update, body=_BODY, refuse=not_entered, summary=_ENTER),
        row("GET", f"{field}/last", handler=boards.last, refuse=not_shown, summary=_LAST),
        row("GET", f"{field}/last.txt", handler=boards.last, refuse=not_shown, summary=_LAST),
    ]


class Boards:
    """The configured boards and their channels."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._channels = Channels(site.store)
        self._known = self._remembered()
        self._by_number = {device.channel: device for device in site.config.devices}
        self._writers = {_digest(device.write_key): device for device in site.config.devices}
        self._ahead: set[int] = set()

    def _remembered(self) -> dict[int, Channel]:
        """Return the channels as they were; none without a data file: the numbers on disk count all the same."""
        try:
            return self._channels.all()
        except StoreError:
            return {}

    def update(self, request: Request) -> Answer:
        """Handle GET and POST /update. Raises RefusedError, StoreError."""
        if _is_no_form(request):
            return _refuse(b"0", 415, "Parameters are taken as a form.")
        params = wire.parameters(request.query, request.body)
        device = self._writers.get(_digest(wire.key(request.headers, params)))
        if device is None:
            return _refuse(b"0", 400, "No board writes with this key.")
        texts = wire.texts(params, request.peer.address)
        readings = self._readings(device, texts, wire.created_at(params))
        after = self._known.get(device.channel, Channel()).last_entry_id
        entered = self._channels.enter(device.channel, {str(field): text for field, text in texts.items()}, after=after)
        stored = asyncio.gather(entered, self._site.runner.take(readings))
        return Later(stored, lambda done: self._answer(device.channel, done[0]))

    def last(self, request: Request) -> Answer:
        """Handle GET /channels/{channel}/fields/{field}/last.txt: the newest text of a field."""
        device = self._device(request.params["channel"])
        if device is None:
            return _refuse(b"-1", 404, "There is no such channel.")
        field = wire.field(request.params["field"])
        texts = self._known.get(device.channel, Channel()).texts
        if not _may_read(device, wire.key(request.headers, wire.parameters(request.query))) or field is None:
            return Response(b"-1", content_type=TEXT)
        return Response(texts.get(str(field), "-1").encode(), content_type=TEXT)

    def _device(self, channel: str) -> DeviceTable | None:
        is_number = channel.isascii() and channel.isdecimal() and len(channel) < 12
        return self._by_number.get(int(channel)) if is_number else None

    def _readings(self, device: DeviceTable, texts: dict[int, str], at: Millis | None) -> list[Reading]:
        """Return the readings of the fields that have a name here; other fields belong to the entry alone."""
        moment = clock.moment()
        if at is not None and at > moment.at + MAX_AHEAD and self._is_wrong(device):
            at = None
        return [
            Reading(
                f"{device.name}/{name}",
                wire.value(texts[number]),
                moment.at if at is None else at,
                moment.now,
                moment.at,
                sender_stamped=at is not None,
            )
            for number, name in enumerate(device.fields, 1)
            if number in texts
        ]

    def _is_wrong(self, device: DeviceTable) -> bool:
        """Tell whether a board's time ahead of ours is the wrong one: only where ours is right."""
        if clock.trust(self._site.config.node.clock) is not clock.Trust.SYNCHRONISED:
            return False
        if device.channel not in self._ahead:
            self._ahead.add(device.channel)
            log.warning("%s sends times more than ten minutes ahead; they are replaced by this node's.", device.name)
        return True

    def _answer(self, number: int, channel: Channel) -> Response:
        if channel.last_entry_id > self._known.get(number, Channel()).last_entry_id:
            self._known[number] = channel
        return Response(b"%d" % channel.last_entry_id, content_type=TEXT)


def _digest(key: str) -> bytes:
    """Return what a key is looked up by: how long a look takes says nothing about the key then."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def _may_read(device: DeviceTable, key: str) -> bool:
    keys = (device.write_key, device.read_key) if device.read_key else (device.write_key,)
    allowed = [hmac.compare_digest(_digest(key), _digest(one)) for one in keys]
    return device.public or any(allowed)


def _is_no_form(request: Request) -> bool:
    kind = request.header(b"content-type") or b""
    return kind.partition(b";")[0].strip().lower() in _NO_FORM


def _refuse(body: bytes, status: int, _: str) -> Response:
    """Refuse in the dialect's words: it has no reasons, 400 for most things, and 503 for "try again"."""
    status = {422: 400, 507: 503}.get(status, status)
    headers = ((b"Retry-After", b"5"),) if status == 503 else ()
    return Response(body, status, TEXT, headers)
