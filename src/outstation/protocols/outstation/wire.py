"""What nodes and hubs say to each other: batches one way, receipts the other. JSON, gzip where it is long.

The law of this file: a field that is added has a default, and an unknown one is passed over: a node of before goes on
reporting to a hub of today, and the other way round. What would change a meaning takes a new `VERSION`.

Times are UTC milliseconds. docs/reference/reporting.md describes it for those who write another sender.
"""

from __future__ import annotations

import zlib

import msgspec

from outstation.core.readings import Millis, Value
from outstation.core.summaries import NO_BAD, Number, Numbers, Summary
from outstation.errors import RefusedError

VERSION = 1

BATCH_ITEMS = 2_000
"""Summaries in a batch at most; what is longer is refused."""

LIVE_ITEMS = 500
"""Live values in a batch at most."""

BATCH_BYTES = 1024 * 1024
"""Of a batch, once it is unpacked."""

_GZIP = 31
"""zlib's wbits for a gzip header and the largest window."""


class TooLongError(RefusedError):
    """A body is longer, once it is unpacked, than anything that may be sent."""


class Sent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A summary on its way. Fields as in core.summaries.Summary and Numbers; count 0: no number was said.

    An item that is all defaults after `width` is a tombstone: there is nothing in that window any more.
    """

    sensor: str
    start: Millis
    width: Millis
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    min: Number = 0
    max: Number = 0
    first: Number = 0
    last: Number = 0
    first_at: Millis = 0
    last_at: Millis = 0
    heard: Millis = 0
    on: Millis | None = None
    texts: int = 0
    bad: tuple[int, ...] = NO_BAD


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """An alert on its way, as it is now. delivery: the same at every try. happened: as core.readings.Happened."""

    delivery: str
    happened: str
    id: int
    kind: str
    subject: str
    severity: str
    message: str
    state: str
    raised_at: Millis
    values: dict[str, float | int | bool | str | None] = {}
    acknowledged_by: str = ""
    acknowledged_at: Millis | None = None
    cleared_at: Millis | None = None


class Live(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a sensor says right now, for whoever watches. It is not kept. quality: in one word."""

    sensor: str
    at: Millis
    value: Value
    quality: str = "ok"


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the hub shows of a sensor beside its summaries."""

    unit: str = ""
    label: str = ""


class Sender(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a node does. every: between batches, ms. waiting, parked, lost: summaries not sent, refused, gone unsent."""

    program: str = ""
    clock: str = ""
    every: Millis = 300_000
    waiting: int = 0
    parked: int = 0
    lost: int = 0


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node sends. summaries: all whose numbers are above `after`, up to `upto`, in the order of their numbers.

    epoch: which file of the node the numbers are of; before: the epochs that this one follows, the newest first.
    token: of the last receipt. ahead: newest summaries from further on, so that the hub's picture is current: they
    come again when it is their turn. hours: those of an hour in the place of five-minute ones that are gone.
    sensors: what is new about those that are in it. Alerts alone go without an epoch, and move nothing; so do live
    values, which are taken of a batch that has nothing else but `sensors`.
    """

    version: int
    sent_at: Millis
    epoch: str = ""
    before: tuple[str, ...] = ()
    token: str = ""
    after: int = 0
    upto: int = 0
    summaries: tuple[Sent, ...] = ()
    ahead: tuple[Sent, ...] = ()
    hours: tuple[Sent, ...] = ()
    alerts: tuple[Told, ...] = ()
    live: tuple[Live, ...] = ()
    sensors: dict[str, About] = {}
    node: Sender = Sender()


class Refused(msgspec.Struct, frozen=True):
    """One item that the hub did not take. list: of the batch; item: its place there, from 0."""

    list: str
    item: int
    sensor: str
    start: Millis
    error: str


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the hub answers to a batch that it has on disk, refused items aside.

    epoch, cursor: all up to this number are done. clock: how far the hub trusts its time. alerts: deliveries it has.
    watched: somebody looks at the hub just now, and live values are welcome.
    """

    version: int
    epoch: str
    cursor: int
    token: str
    timestamp: Millis
    clock: str = ""
    refused: tuple[Refused, ...] = ()
    alerts: tuple[str, ...] = ()
    watched: bool = False


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """In the problem document of a 409, its field `standing`: where the hub stands with a node that it cannot follow.

    The node takes a new epoch and goes on from `cursor`, or from where itself stands if that is before. cloned: two
    senders take turns; neither goes on until a person has looked.
    """

    epoch: str
    cursor: int
    cloned: bool = False


_encoder = msgspec.json.Encoder()
_batches = msgspec.json.Decoder(Batch)
_receipts = msgspec.json.Decoder(Receipt)


def sent(sensor: str, summary: Summary) -> Sent:
    """Return a summary as it travels."""
    numbers = summary.numbers
    rest = summary.heard, summary.on, summary.texts, summary.bad
    if numbers is None:
        return Sent(sensor, summary.start, summary.width, 0, 0.0, 0.0, 0, 0, 0, 0, 0, 0, *rest)
    spread = numbers.count, numbers.mean, numbers.squares, numbers.lowest, numbers.highest
    ends = numbers.first, numbers.last, numbers.first_at, numbers.last_at
    return Sent(sensor, summary.start, summary.width, *spread, *ends, *rest)


def summary(item: Sent) -> Summary:
    """Return what travelled as it was. It is not checked."""
    numbers = None
    if item.count:
        ends = item.first, item.last, item.first_at, item.last_at
        numbers = Numbers(item.count, item.mean, item.squares, item.min, item.max, *ends)
    return Summary(item.start, item.width, numbers, item.heard, item.on, item.texts, item.bad)


def encode(document: Batch | Receipt) -> bytes:
    """Return JSON."""
    return _encoder.encode(document)


def decode_batch(body: bytes | bytearray) -> Batch:
    """Read a batch. Raises msgspec's errors for what is none."""
    return _batches.decode(body)


def decode_receipt(body: bytes | bytearray) -> Receipt:
    """Read a receipt. Raises msgspec's errors for what is none."""
    return _receipts.decode(body)


def packed(body: bytes) -> bytes:
    """Return a body as gzip (RFC 1952), without a time or a name in it."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


def unpacked(body: bytes | bytearray, at_most: int = BATCH_BYTES) -> bytes:
    """Undo gzip, and no more of it than `at_most` bytes. Raises RefusedError: it is none, is cut off, or is longer."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        found = unpacker.decompress(body, at_most + 1)
    except zlib.error as error:
        raise RefusedError("The body is not gzip, though its Content-Encoding says so.") from error
    if len(found) > at_most:
        raise TooLongError(f"The body is longer than {at_most} bytes, once it is unpacked; send less at once.")
    if not unpacker.eof or unpacker.unused_data:
        raise RefusedError("The body is gzip that is cut off, or more comes after its end; send it again.")
    return found
