"""Reports to another node: summaries, alerts and the list of sensors, in compressed batches.

The law of this file: only what is a receipt in every part is one. A page of somebody's login portal, the receipt of
another batch and half an answer are no receipts, and what was sent is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from outstation import __version__, clock
from outstation.config.values import Secret, WebhookUrl
from outstation.core.delivery import Answer, Item
from outstation.core.readings import Reading
from outstation.core.windows import FIVE_MINUTES
from outstation.plugins import About, DriverOptions, Exchange, News, Objection, Outcome, Parcel, Request, Uplink
from outstation.protocols.outstation import wire

PATH = "/api/ingest"

_GZIP_FROM = 600
"""Bytes of JSON: what is shorter fits into one packet anyway, and a small board need not unpack it."""

_READ_AT_MOST = 1024 * 1024
"""Bytes of a receipt: a hub may name each of 2,000 items as refused, with a reason."""

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a body that is not what it should be; the last for brackets in brackets in brackets."""

_LONG = 50
_MOST_SAID = 200

_Origin = Mapping[str, Sequence[tuple[Literal["items", "instead", "alerts"], int]]]
"""Of each list of a batch: where in the parcel its items stand."""


class NativeOptions(DriverOptions):
    """url: of the hub, such as `http://hub.local:5000`. key: as `outstation nodes add` printed it there.

    live: whether the newest readings are sent as well, every two seconds: while somebody looks at the hub, always, or
    never.
    """

    url: Annotated[WebhookUrl, Field(repr=False)]
    key: Annotated[Secret, Field(repr=False)]
    live: Literal["watched", "always", "off"] = "watched"


class NativeUplink(Uplink):
    """To a hub, which is a node that accepts nodes. An empty batch says that this one is alive."""

    Options = NativeOptions
    batch = 1_200  # with a pack of a day, and the newest of others, still within wire.BATCH_ITEMS
    alerts = "all"
    idle = True
    books = True
    news = 100
    shown = wire.LIVE_ITEMS

    def __init__(self, name: str, options: Any, node: str, exchange: Exchange) -> None:
        """Know nothing yet of what the hub knows of the sensors."""
        super().__init__(name, options, node, exchange)
        self._url = options.url.rstrip("/").removesuffix(PATH) + PATH
        self._known: dict[str, About] = {}
        self._shown: dict[str, About] = {}
        self.live = options.live

    async def send(self, parcel: Parcel) -> Outcome:
        """Send a batch; the hub has it when its receipt says so."""
        # In a thread where it is long: to make and pack it takes a small board 100 ms, and the rules share this loop.
        is_long = len(parcel.items) + len(parcel.ahead) + len(parcel.instead) > _LONG
        made = await asyncio.to_thread(_made, parcel, self._known) if is_long else _made(parcel, self._known)
        batch, origin, body = made
        outcome = _outcome(await self._post(body), batch, origin)
        if outcome.answer.status == 200:
            self._known |= {name: parcel.sensors[name] for name in batch.sensors}
        elif outcome.back_to is not None:
            self._known = {}
        return outcome

    async def tell(self, news: Sequence[News]) -> Outcome:
        """Send alerts alone: they wait for no summary."""
        batch = wire.Batch(wire.VERSION, clock.at(), alerts=tuple(_told(one) for one in news))
        origin: _Origin = {"alerts": [("alerts", place) for place in range(len(news))]}
        return _outcome(await self._post(_packed(batch)), batch, origin)

    async def show(self, readings: Sequence[Reading], sensors: Mapping[str, About]) -> Outcome:
        """Send live values, and what the hub may not know yet of their sensors."""
        found = {one.sensor: sensors[one.sensor] for one in readings if one.sensor in sensors}
        new = {name: about for name, about in found.items() if self._shown.get(name) != about}
        values = tuple(
            wire.Live(one.sensor, one.at, one.value, one.quality.name.lower())
            for one in readings
            if one.value is not None
        )
        batch = wire.Batch(wire.VERSION, clock.at(), live=values, sensors=_about(new))
        outcome = _outcome(await self._post(_packed(batch), live=True), batch, {})
        self._shown = self._shown | new if outcome.answer.status == 200 else {}
        return outcome

    async def _post(self, body: _Body, *, live: bool = False) -> Answer:
        content, encoding = body
        headers = {"X-API-Key": self.options.key, **encoding}
        return await self.exchange(Request(self._url, content, headers, read=_READ_AT_MOST, live=live))


_Body = tuple[bytes, dict[str, str]]
"""What goes over the line, and the headers that say how."""


def _packed(batch: wire.Batch) -> _Body:
    body = wire.encode(batch)
    return (body, {}) if len(body) < _GZIP_FROM else (wire.packed(body), {"Content-Encoding": "gzip"})


def _made(parcel: Parcel, known: Mapping[str, About]) -> tuple[wire.Batch, _Origin, _Body]:
    batch, origin = _batch(parcel, known)
    return batch, origin, _packed(batch)


def _batch(parcel: Parcel, known: Mapping[str, About]) -> tuple[wire.Batch, _Origin]:
    """Return a parcel in the hub's words, and where everything in it comes from."""
    again = [place for place, item in enumerate(parcel.instead) if item.summary.width == FIVE_MINUTES]
    hours = [place for place, item in enumerate(parcel.instead) if item.summary.width != FIVE_MINUTES]
    heard = known.keys() | {item.sensor for item in (*parcel.items, *parcel.ahead, *parcel.instead)}
    changed = {name: one for name, one in parcel.sensors.items() if name in heard and known.get(name) != one}
    doing = parcel.node
    batch = wire.Batch(
        version=wire.VERSION,
        sent_at=parcel.at,
        epoch=parcel.epoch,
        before=parcel.before,
        token=parcel.token,
        after=parcel.after,
        upto=parcel.upto,
        summaries=_sent([*parcel.items, *(parcel.instead[place] for place in again)]),
        ahead=_sent(parcel.ahead),
        hours=_sent(parcel.instead[place] for place in hours),
        sensors=_about(changed),
        node=wire.Sender(__version__, doing.clock, doing.every, doing.waiting, doing.parked, doing.lost),
    )
    items: list[tuple[Literal["items", "instead"], int]] = [("items", place) for place in range(len(parcel.items))]
    return batch, {
        "summaries": [*items, *(("instead", place) for place in again)],
        "hours": [("instead", place) for place in hours],
    }


def _sent(items: Iterable[Item]) -> tuple[wire.Sent, ...]:
    return tuple(wire.sent(item.sensor, item.summary) for item in items)


def _about(sensors: Mapping[str, About]) -> dict[str, wire.About]:
    return {name: wire.About(one.unit, one.label) for name, one in sensors.items()}


def _told(news: News) -> wire.Told:
    alert = news.alert
    return wire.Told(
        news.key,
        news.happened,
        alert.id,
        alert.kind,
        alert.subject,
        alert.severity,
        alert.message,
        alert.state,
        alert.raised_at,
        alert.values,
        alert.acknowledged_by,
        alert.acknowledged_at,
        alert.cleared_at,
    )


def _outcome(answer: Answer, batch: wire.Batch, origin: _Origin) -> Outcome:
    """Read an answer: a receipt, where the hub stands, or neither."""
    if answer.status is None or 300 <= answer.status < 400:
        return Outcome(answer)
    if answer.status >= 400:
        return _refusal(answer)
    receipt = _receipt(answer)
    if receipt is None:
        return Outcome(_no_receipt(answer, "is there a login page in between?"))
    objections = tuple(
        Objection(*origin[one.list][one.item], _harmless(one.error))
        for one in receipt.refused
        if 0 <= one.item < len(origin.get(one.list, ()))
    )
    if wrong := _wrong(receipt, batch, {one.item for one in objections if one.list == "alerts"}):
        return Outcome(_no_receipt(answer, wrong))
    return Outcome(answer, objections, receipt.token, receipt.cursor, watched=receipt.watched)


def _no_receipt(answer: Answer, why: str) -> Answer:
    return msgspec.structs.replace(answer, status=None, error=f"its answer is no receipt: {why}")


def _receipt(answer: Answer) -> wire.Receipt | None:
    if answer.status != 200 or answer.type != "application/json":
        return None
    try:
        return wire.decode_receipt(answer.body)
    except _UNREADABLE:
        return None


def _wrong(receipt: wire.Receipt, batch: wire.Batch, refused: Collection[int]) -> str:
    """Return why this is not the receipt of that batch, or "". refused: places of alerts that the hub does not want."""
    if batch.epoch and receipt.epoch != batch.epoch:
        return "it is for another file of summaries"
    if batch.epoch and not batch.after <= receipt.cursor <= batch.upto:
        return f"it is up to {receipt.cursor}, which was not sent"
    if batch.epoch and receipt.cursor == batch.after < batch.upto:
        return "nothing of what was sent is done"
    missing = [one for place, one in enumerate(batch.alerts) if place not in refused]
    return "" if {one.delivery for one in missing} <= set(receipt.alerts) else "an alert is missing in it"


class _Problem(msgspec.Struct, frozen=True):
    """As much of a problem document (RFC 9457) as is read here."""

    error: str = ""
    standing: wire.Standing | None = None


_problems = msgspec.json.Decoder(_Problem)


def _refusal(answer: Answer) -> Outcome:
    """Take from a refusal what the hub says about it, and where it stands."""
    try:
        problem = _problems.decode(answer.body)
    except _UNREADABLE:
        return Outcome(answer)
    if problem.error:
        answer = msgspec.structs.replace(answer, error=f"{answer.error}: {_harmless(problem.error)}")
    where = problem.standing if answer.status == 409 else None
    if where is None:
        return Outcome(answer)
    return Outcome(answer, back_to=None if where.cloned else where.cursor, cloned=where.cloned)


def _harmless(text: str) -> str:
    """Return another program's words as they may stand in a log: short, and nothing that moves a cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_MOST_SAID])
