"""Sends what matters elsewhere: for each uplink one task for its summaries, a line for its alerts, and live values.

The law of this file: an uplink's cursor moves only over what the other side has, or what stands in the journal as
refused; an uplink that fails holds up nobody but itself; and alerts wait for no summary.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence

import msgspec

from outstation import clock
from outstation.core.delivery import Answer, judge_uplink
from outstation.core.readings import Alerted, Millis, Note
from outstation.engine import outgoing
from outstation.engine.forwarding import Facts, Forwarding, Report
from outstation.engine.line import STORE_AGAIN, UPLINK, Line, Way, end
from outstation.engine.live import Live
from outstation.engine.traffic import Meter
from outstation.errors import StoreError, UnknownNameError
from outstation.plugins import Exchange, News, Request, Uplink
from outstation.store.database import Store
from outstation.store.deliveries import Delivery
from outstation.store.outbox import Outbox

_APART: Millis = 5_000
"""In so long two messages about one alert at most, to those that take every change: it may flap ten times a second."""

Make = Callable[[Exchange], Uplink]


class Sending(msgspec.Struct, frozen=True):
    """An uplink of the config. make: gives it what it sends its requests with. every, timeout: ms."""

    name: str
    make: Make
    every: Millis
    timeout: Millis


class Forwarder:
    """All uplinks of one node. `close()` may be called twice."""

    def __init__(
        self,
        store: Store,
        sendings: Sequence[Sending],
        facts: Facts,
        note: Callable[[Note], object],
        look_up: outgoing.LookUp = socket.getaddrinfo,
    ) -> None:
        self._outbox = Outbox(store)
        self._ways = {one.name: _Connected(store, one, facts, note, look_up) for one in sendings}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin with whatever the last run left."""
        lines = [way.line.run() for way in self._ways.values() if way.uplink.alerts != "none"]
        live = [way.live.run() for way in self._ways.values() if way.uplink.live != "off"]
        self._tasks = [asyncio.create_task(work) for work in (*lines, *live, self._forward())]

    def deliveries(self, told: Alerted) -> list[Delivery]:
        """Return what is to be stored with an alert: one for each uplink that wants it."""
        return [way.delivery(told) for way in self._ways.values() if way.wants(told)]

    def carry(self, deliveries: Sequence[Delivery]) -> None:
        """Deliver what could not be stored. A restart forgets it."""
        for one in deliveries:
            way = self._ways.get(one.receiver.removeprefix(UPLINK)) if one.receiver.startswith(UPLINK) else None
            if way:
                way.line.carry(one)

    def wake(self) -> None:
        """An alert was stored: deliver it."""
        for way in self._ways.values():
            way.line.woken.set()

    async def reports(self) -> dict[str, Report]:
        """Return how each uplink does. Raises StoreError."""
        return {name: await way.report() for name, way in self._ways.items()}

    def troubles(self) -> list[str]:
        """Return a sentence for each uplink that fails for long, or that a person must see to."""
        return [words for way in self._ways.values() for words in way.troubles()]

    async def resend(self, name: str) -> int:
        """Have what an uplink refused sent again; return how many. Raises UnknownNameError, StoreError."""
        if name not in self._ways:
            known = ", ".join(sorted(self._ways)) or "none"
            raise UnknownNameError(f'There is no uplink "{name[:80]}".', cure=f"In the config: {known}.")
        number = await self._outbox.resend(name)
        self._ways[name].forwarding.wake()
        return number

    async def _forward(self) -> None:
        """Have the store know of which uplinks it is to keep what; only then does any of them read what is new."""
        names = [name for name, way in self._ways.items() if way.uplink.batch]
        while True:
            try:
                await self._outbox.learn(names, clock.at())
                break
            except StoreError:
                await asyncio.sleep(STORE_AGAIN)
        await asyncio.gather(*(way.forwarding.run() for way in self._ways.values()))

    async def close(self) -> None:
        """Stop; what is not sent stays where it is."""
        tasks, self._tasks = self._tasks, []
        await end(tasks)
        for way in self._ways.values():
            way.uplink.close()


class _Connected:
    """One uplink with all that belongs to it."""

    def __init__(
        self, store: Store, sending: Sending, facts: Facts, note: Callable[[Note], object], look_up: outgoing.LookUp
    ) -> None:
        self._last, self._one_by_one = 0, asyncio.Lock()
        self._sending, self._look_up = sending, look_up
        self.uplink = sending.make(self._exchange)
        self.meter = Meter()
        self.forwarding = Forwarding(store, sending.name, self.uplink, sending.every, facts, note, self.meter)
        way = Way(
            UPLINK + sending.name,
            sending.name,
            self._tell,
            at_once=self.uplink.news,
            judge=judge_uplink,
            reached=self.forwarding.hurry,
            apart=_APART if self.uplink.alerts == "all" else 0,
        )
        self.line = Line(store, way, note)
        self.forwarding.reached = self.line.hurry
        self.live = Live(self.uplink, facts.newest, facts.sensors)
        self.forwarding.heard = self.live.heard
        self.forwarding.alerts_first = self.line.go_first

    def wants(self, told: Alerted) -> bool:
        """Tell whether it takes such an alert."""
        return self.uplink.alerts == "all" or (self.uplink.alerts == "told" and told.tell)

    def delivery(self, told: Alerted) -> Delivery:
        """Return what is stored of an alert for it."""
        alert, key = told.alert, secrets.token_hex(16)
        body = msgspec.json.encode(News(key, told.happened, alert)).decode()
        is_all = self.uplink.alerts == "all"
        return Delivery(UPLINK + self._sending.name, alert.id, alert.severity, clock.at(), body, key, replaces=is_all)

    async def report(self) -> Report:
        """Return how it does. Raises StoreError."""
        report = await self.forwarding.report()
        if self.uplink.alerts == "none":
            return report
        queue = self.line.queue()
        error = report.last_error or queue.last_error
        return msgspec.structs.replace(report, alerts=queue.waiting, last_error=error)

    def troubles(self) -> list[str]:
        """Return what somebody should look at: of summaries and alerts that fail together only one."""
        return [words for words in (self.forwarding.trouble() or self.line.trouble(),) if words]

    async def _tell(self, group: Sequence[Delivery]) -> tuple[Answer, Mapping[int, str]]:
        try:
            news = [msgspec.json.decode(one.body, type=News) for one in group]
        except msgspec.DecodeError:  # stored by another version of this program: nobody is to wait behind it
            return Answer(422, "it is in a form that this version cannot read"), {}
        outcome = await self.uplink.tell(news)
        self.live.heard(outcome)
        return outcome.answer, {one.item: one.error for one in outcome.objections if one.list == "alerts"}

    async def _exchange(self, request: Request) -> Answer:
        """Send a request: apart from the last one as its kind wants it, within its time, and counted."""
        within = self._sending.timeout / 1000
        if self.uplink.apart:
            async with self._one_by_one:
                await asyncio.sleep(max(0, self._last + self.uplink.apart - clock.now()) / 1000)
                self._last = clock.now()
        answer = await outgoing.exchange(request, within=within, look_up=self._look_up)
        self.meter.count(request, answer)
        return answer
