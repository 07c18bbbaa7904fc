"""What waits for one receiver of alerts: told in order, again and again until it has it.

The law of this file: what is stored leaves the store only by a receipt or with a line in the
journal; and a receiver that fails holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from outstation import clock
from outstation.core.delivery import Answer, Verdict, judge
from outstation.core.readings import Alerted, Millis, Note
from outstation.engine.failing import Failing
from outstation.errors import StoreError
from outstation.store.database import Store
from outstation.store.deliveries import Deliveries, Delivery

log = logging.getLogger(__name__)

CARRIED_AT_MOST = 1_000
"""Deliveries in memory while they cannot be stored: half a megabyte."""

STORE_AGAIN = 5.0
"""Seconds until the store is asked again after it failed."""

_CLOSE_S = 0.8
"""Seconds that tasks have to end when the node stops: its outputs are safe by then, and streams are closed."""

_LONG_AGO: tuple[Millis, Millis] = (-(1 << 62), -(1 << 62))


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait for them, not long. There may be none."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_CLOSE_S)


class Queue(msgspec.Struct, frozen=True):
    """How a receiver does. waiting: messages that it has not confirmed. last_ok: UTC; None: not since the start."""

    waiting: int
    last_error: str
    last_ok: Millis | None


UPLINK = "uplink:"
"""Before the name of an uplink among the receivers of alerts, whose names have no colon."""

Send = Callable[[Sequence[Delivery]], Awaitable[tuple[Answer, Mapping[int, str]]]]
"""Tries once to deliver, all of them with one answer; and which of them are never taken, by place, and why not."""


class Way(msgspec.Struct, frozen=True):
    """How messages get to one receiver.

    key: what its deliveries are stored under. name: as people know it. at_once: messages in one try at most. missing:
    what is in the way of any message, or "". judge: as core.delivery.judge. reached: called after each success.
    apart: in so long there are two messages about one alert at most, for it may flap: it was raised, and is over.
    """

    key: str
    name: str
    send: Send
    at_once: int = 1
    missing: str = ""
    judge: Callable[[int, Answer, float], Verdict] = judge
    reached: Callable[[], None] = lambda: None
    apart: Millis = 0


class Teller(Protocol):
    """Somebody who takes alerts from the runner."""

    def deliveries(self, told: Alerted) -> list[Delivery]:
        """Return what is to be stored with an alert."""

    def carry(self, deliveries: Sequence[Delivery]) -> None:
        """Take those of its own that could not be stored."""

    def wake(self) -> None:
        """Something was stored: deliver it."""


class Tellers:
    """Several of them as one."""

    def __init__(self, tellers: Sequence[Teller]) -> None:
        self._tellers = tellers

    def deliveries(self, told: Alerted) -> list[Delivery]:
        """Return what is to be stored with an alert, for whomever."""
        return [delivery for teller in self._tellers for delivery in teller.deliveries(told)]

    def carry(self, deliveries: Sequence[Delivery]) -> None:
        """Have each take its own."""
        for teller in self._tellers:
            teller.carry(deliveries)

    def wake(self) -> None:
        """Wake them all."""
        for teller in self._tellers:
            teller.wake()


class Line:
    """What waits for one receiver, and how that goes."""

    def __init__(self, store: Store, way: Way, note: Callable[[Note], object]) -> None:
        self.way, self.woken = way, asyncio.Event()
        self._deliveries = Deliveries(store)
        self._carried: dict[str, Delivery] = {}
        self._settled: dict[str, Note | None] = {}  # done or parked, and the store does not know yet
        self._failing = Failing(way.name, "receiver", "alerts", note)
        self._known = 0
        self._hurry, self._tried = asyncio.Event(), asyncio.Event()
        self._is_pausing = False
        self._attempt = 0
        self._sent: dict[int, tuple[Millis, Millis]] = {}  # by alert the last but one and the last, on `now`

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            try:
                await self._deliver_all()
            except Exception:
                # A mistake of ours over one message must not silence all later ones.
                log.exception("Receiver %s: delivering failed.", self.way.name)
                await asyncio.sleep(STORE_AGAIN)

    def carry(self, delivery: Delivery) -> None:
        """Take one that is not stored, or perhaps not; too many: the oldest goes, and that is said."""
        if delivery.replaces:
            self._carried = {key: one for key, one in self._carried.items() if one.alert != delivery.alert}
        self._carried[delivery.key] = delivery
        if len(self._carried) > CARRIED_AT_MOST:
            del self._carried[next(iter(self._carried))]
            self._failing.say(
                "delivery dropped", "a message was given up: it could not be stored, and too many wait in memory"
            )
        self.woken.set()

    def hurry(self) -> None:
        """The receiver can be reached again: whoever waits for the next try waits no longer."""
        self._hurry.set()

    async def go_first(self) -> None:
        """If it waits for its next try, have it try now, and wait for what comes of that: alerts go before all else."""
        if self._is_pausing:
            self._tried.clear()
            self._hurry.set()
            await self._tried.wait()

    def queue(self) -> Queue:
        """Return how it does."""
        with contextlib.suppress(StoreError):
            # By key: the store may know already, or not yet, what is settled or carried.
            self._known = self._deliveries.count(self.way.key, but={*self._settled, *self._carried})
        return Queue(self._known + len(self._carried), self._failing.error or self.way.missing, self._failing.last_ok)

    def trouble(self) -> str:
        """Return a sentence when somebody should look, or ""."""
        if not self._failing.is_long and not self.way.missing:
            return ""
        waiting = self.queue().waiting
        return f'Alerts do not reach "{self.way.name}": {self._failing.error or self.way.missing}; {waiting} wait.'

    async def _deliver_all(self) -> None:
        self.woken.clear()
        waiting, is_well = await self._waiting()
        due = [one for one in waiting if not self._is_too_soon(one)]
        for start in range(0, len(due), self.way.at_once):
            await self._deliver(due[start : start + self.way.at_once])
        if due:
            return
        again = STORE_AGAIN if not is_well else self.way.apart / 1000 if waiting else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(again):
                await self.woken.wait()

    def _is_too_soon(self, delivery: Delivery) -> bool:
        """Tell whether a message would follow too soon on the last two about the same alert."""
        return clock.now() - self._sent.get(delivery.alert, _LONG_AGO)[0] < self.way.apart

    async def _waiting(self) -> tuple[list[Delivery], bool]:
        """Return what is to be sent next, and whether the store does as it is told."""
        is_well, stored = True, []
        try:
            await self._tell_store()  # first: what it knows to be done is not read any more
        except StoreError:
            is_well = False
        try:
            stored = await asyncio.to_thread(self._deliveries.waiting, self.way.key, 100 + len(self._settled))
        except StoreError:
            is_well = False
        found = {one.key: one for one in (*stored, *self._carried.values()) if one.key not in self._settled}
        # What is carried may be older than some that were stored since.
        return (sorted(found.values(), key=lambda one: one.made) if self._carried else list(found.values())), is_well

    async def _deliver(self, group: Sequence[Delivery]) -> None:
        verdict, answer, refused = Verdict("again"), Answer(None), dict[int, str]()
        while verdict.then == "again":
            await self._pause(verdict.after, is_asked=answer.retry_after is not None)
            if self._attempt and not (group := await self._not_replaced(group)):
                self._tried.set()
                return
            self._attempt += 1
            try:
                answer, objections = await self.way.send(group)
            finally:
                self._tried.set()
            refused = dict(objections)
            verdict = self.way.judge(self._attempt, answer, random.random())  # noqa: S311  spreads load, guards nothing
            if verdict.then == "again":
                self._failing.fail(answer.error, urgent=verdict.urgent)
        self._attempt = 0
        if verdict.then == "park" and len(group) > 1:
            half = len(group) // 2
            await self._deliver(group[:half])
            await self._deliver(group[half:])
            return
        if verdict.then == "park":
            refused = {0: answer.error}
        self._settle(group, refused)
        # Only now: whatever fails from here on makes no double.
        self._failing.recover(answer.error, taken=verdict.then == "done")
        if verdict.then == "done":
            self.way.reached()
        with contextlib.suppress(StoreError):  # before the next round, then
            await self._tell_store()

    async def _not_replaced(self, group: Sequence[Delivery]) -> Sequence[Delivery]:
        """Return what of it is still to be told: an alert may be over since the last try, and is history then."""
        waiting, is_well = await self._waiting() if self.way.apart else (group, True)
        keys = {one.key for one in waiting}
        return [one for one in group if one.key in keys] if is_well else group

    def _settle(self, group: Sequence[Delivery], refused: Mapping[int, str]) -> None:
        now = clock.now()
        self._sent = {alert: sent for alert, sent in self._sent.items() if now - sent[1] < self.way.apart}
        for place, delivery in enumerate(group):
            self._sent[delivery.alert] = self._sent.get(delivery.alert, _LONG_AGO)[1], now
            self._carried.pop(delivery.key, None)
            self._settled[delivery.key] = self._parked(delivery, refused[place]) if place in refused else None

    async def _pause(self, wait: Millis, *, is_asked: bool) -> None:
        """Wait so long; less when the receiver can be reached again, unless it has asked for that itself."""
        if is_asked or not wait:
            await asyncio.sleep(wait / 1000)
            return
        self._hurry.clear()
        self._is_pausing = True
        try:
            async with asyncio.timeout(wait / 1000):
                await self._hurry.wait()
        except TimeoutError:
            pass
        finally:
            self._is_pausing = False

    async def _tell_store(self) -> None:
        """Have the store forget what is settled. Raises StoreError."""
        settled = dict(self._settled)
        if settled:
            await self._deliveries.done(settled, self.way.key, [note for note in settled.values() if note])
            self._settled = {key: note for key, note in self._settled.items() if key not in settled}

    def _parked(self, delivery: Delivery, error: str) -> Note:
        text = f"it does not want the message about alert {delivery.alert}: {error}; it is not sent again"
        log.warning("Receiver %s: %s.", self.way.name, text)
        return Note("delivery refused", self.way.name, text, clock.at())
