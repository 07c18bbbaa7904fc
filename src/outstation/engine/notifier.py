"""Tells receivers of alerts: each in a task of its own, in order, again and again until it has them.

The law of this file: what is stored leaves the store only by a receipt or with a line in the
journal; and a receiver that fails holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import socket
from collections.abc import Callable, Sequence

import msgspec

from outstation import clock
from outstation.core.delivery import Answer, Verdict, judge
from outstation.core.readings import SEVERITIES, Alert, Alerted, Millis, Note
from outstation.engine.outgoing import LookUp
from outstation.engine.receivers import Receiver, Sender, message, trouble
from outstation.errors import StoreError, UnknownNameError
from outstation.store.database import Store
from outstation.store.deliveries import Deliveries, Delivery

log = logging.getLogger(__name__)

FAILING_AFTER: Millis = 60_000
"""A receiver that fails for longer than this is a trouble of the node."""

CARRIED_AT_MOST = 1_000
"""Deliveries in memory while they cannot be stored: half a megabyte."""

STORE_AGAIN = 5.0
"""Seconds until the store is asked again after it failed."""

_CLOSE_S = 0.8


class Queue(msgspec.Struct, frozen=True):
    """How a receiver does. waiting: messages that it has not confirmed. last_ok: UTC; None: not since the start."""

    waiting: int
    last_error: str
    last_ok: Millis | None


class Trial(msgspec.Struct, frozen=True):
    """What came of a test. error: "" when the receiver has confirmed it."""

    receiver: str
    error: str


class Notifier:
    """Delivers to the receivers of one node. `close()` may be called twice."""

    def __init__(
        self,
        store: Store,
        receivers: Sequence[Receiver],
        node: str,
        note: Callable[[Note], object],
        look_up: LookUp = socket.getaddrinfo,
    ) -> None:
        self._store, self._node, self._sender = store, node, Sender(look_up)
        self._lines = {one.name: _Line(store, one, note, self._sender) for one in receivers}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin with whatever the last run left."""
        self._tasks = [asyncio.create_task(line.run()) for line in self._lines.values()]
        self._tasks.append(asyncio.create_task(self._forget_others()))

    def deliveries(self, told: Alerted) -> list[Delivery]:
        """Return what is to be stored with an alert (store.deliveries.add): one for each whom it concerns."""
        alert, keys = told.alert, {name: secrets.token_hex(16) for name in self._lines}
        return [
            Delivery(name, alert.id, alert.severity, clock.at(), message(self._node, alert, told.happened, key), key)
            for name, key in keys.items()
            if SEVERITIES.index(alert.severity) >= SEVERITIES.index(self._lines[name].receiver.severity)
        ]

    def wake(self) -> None:
        """Something was stored: deliver it."""
        for line in self._lines.values():
            line.woken.set()

    def carry(self, deliveries: Sequence[Delivery]) -> None:
        """Deliver what could not be stored: a full disk is no reason for silence. A restart forgets it."""
        for one in deliveries:
            self._lines[one.receiver].carry(one)

    def queue(self) -> dict[str, Queue]:
        """Return how each receiver does."""
        return {name: line.queue() for name, line in self._lines.items()}

    def troubles(self) -> list[str]:
        """Return a sentence for each receiver that fails for a minute, or that a person must see to."""
        return [words for line in self._lines.values() if (words := line.trouble())]

    async def test(self, receiver: str | None = None) -> list[Trial]:
        """Send one test message now, past the queues; return what came of it. Raises UnknownNameError."""
        if receiver is not None and receiver not in self._lines:
            known = ", ".join(sorted(self._lines)) or "none"
            raise UnknownNameError(f'There is no receiver "{receiver[:80]}".', cure=f"In the config: {known}.")
        names = list(self._lines) if receiver is None else [receiver]
        return list(await asyncio.gather(*(self._test(self._lines[name].receiver) for name in names)))

    async def close(self) -> None:
        """Stop; what is not delivered stays stored."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_S)

    async def _test(self, receiver: Receiver) -> Trial:
        key = secrets.token_hex(16)
        alert = Alert(0, "test", "test", "info", f"This is a test from {self._node}.", clock.at())
        answer = await self._sender.send(receiver, key, message(self._node, alert, "test", key))
        return Trial(receiver.name, "" if judge(1, answer, 0).then == "done" else answer.error)

    async def _forget_others(self) -> None:
        with contextlib.suppress(StoreError):  # the next start tries again
            await Deliveries(self._store).forget_others(self._lines, clock.at())


class _Line:
    """What waits for one receiver, and how that goes."""

    def __init__(self, store: Store, receiver: Receiver, note: Callable[[Note], object], sender: Sender) -> None:
        self.receiver, self.woken = receiver, asyncio.Event()
        self._deliveries, self._note, self._sender = Deliveries(store), note, sender
        self._carried: dict[str, Delivery] = {}
        self._settled: dict[str, Note | None] = {}  # done or parked, and the store does not know yet
        self._missing = trouble(receiver)
        self._error, self._is_urgent, self._is_noted = "", False, False
        self._failing_since: Millis | None = None
        self._last_ok: Millis | None = None
        self._known = 0

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            try:
                await self._deliver_all()
            except Exception:
                # A mistake of ours over one message must not silence all later ones.
                log.exception("Receiver %s: delivering failed.", self.receiver.name)
                await asyncio.sleep(STORE_AGAIN)

    def carry(self, delivery: Delivery) -> None:
        """Take one that is not stored, or perhaps not; too many: the oldest goes, and that is said."""
        self._carried[delivery.key] = delivery
        if len(self._carried) > CARRIED_AT_MOST:
            del self._carried[next(iter(self._carried))]
            self._say("delivery dropped", "a message was given up: it could not be stored, and too many wait in memory")
        self.woken.set()

    def queue(self) -> Queue:
        """Return how it does."""
        with contextlib.suppress(StoreError):
            # By key: the store may know already, or not yet, what is settled or carried.
            self._known = self._deliveries.count(self.receiver.name, but={*self._settled, *self._carried})
        return Queue(self._known + len(self._carried), self._error or self._missing, self._last_ok)

    def trouble(self) -> str:
        """Return a sentence when somebody should look, or ""."""
        if not self._is_failing() and not self._missing:
            return ""
        waiting = self.queue().waiting
        return f'Alerts do not reach "{self.receiver.name}": {self._error or self._missing}; {waiting} wait.'

    async def _deliver_all(self) -> None:
        self.woken.clear()
        waiting, is_well = await self._waiting()
        for delivery in waiting:
            await self._deliver(delivery)
        if waiting:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if is_well else STORE_AGAIN):
                await self.woken.wait()

    async def _waiting(self) -> tuple[list[Delivery], bool]:
        """Return what is to be sent next, and whether the store does as it is told."""
        is_well, stored = True, []
        try:
            await self._tell_store()  # first: what it knows to be done is not read any more
        except StoreError:
            is_well = False
        try:
            stored = await asyncio.to_thread(self._deliveries.waiting, self.receiver.name, 100 + len(self._settled))
        except StoreError:
            is_well = False
        found = {one.key: one for one in (*stored, *self._carried.values()) if one.key not in self._settled}
        # What is carried may be older than some that were stored since.
        return (sorted(found.values(), key=lambda one: one.made) if self._carried else list(found.values())), is_well

    async def _deliver(self, delivery: Delivery) -> None:
        attempt, verdict, answer = 0, Verdict("again"), Answer(None)
        while verdict.then == "again":
            await asyncio.sleep(verdict.after / 1000)
            attempt += 1
            answer = await self._sender.send(self.receiver, delivery.key, delivery.body)
            verdict = judge(attempt, answer, random.random())  # noqa: S311  spreads load, guards nothing
            if verdict.then == "again":
                self._fail(answer.error, verdict)
        self._carried.pop(delivery.key, None)
        self._settled[delivery.key] = self._parked(delivery, answer) if verdict.then == "park" else None
        self._recover(answer, verdict)  # only now: whatever fails from here on makes no double
        with contextlib.suppress(StoreError):  # before the next round, then
            await self._tell_store()

    async def _tell_store(self) -> None:
        """Have the store forget what is settled. Raises StoreError."""
        settled = dict(self._settled)
        if settled:
            await self._deliveries.done(settled, self.receiver.name, [note for note in settled.values() if note])
            self._settled = {key: note for key, note in self._settled.items() if key not in settled}

    def _parked(self, delivery: Delivery, answer: Answer) -> Note:
        text = f"it does not want the message about alert {delivery.alert}: {answer.error}; it is not sent again"
        log.warning("Receiver %s: %s.", self.receiver.name, text)
        return Note("delivery refused", self.receiver.name, text, clock.at())

    def _recover(self, answer: Answer, verdict: Verdict) -> None:
        was_noted = self._is_noted
        self._error, self._is_urgent, self._is_noted, self._failing_since = answer.error, False, False, None
        if verdict.then == "done":
            self._last_ok = clock.at()
        if was_noted:
            self._say("receiver well", "alerts reach it again")

    def _fail(self, error: str, verdict: Verdict) -> None:
        self._error, self._is_urgent = error, verdict.urgent
        if self._failing_since is None:
            self._failing_since = clock.now()
        if self._is_failing() and not self._is_noted:
            self._is_noted = True
            self._say("receiver failed", f"alerts do not reach it: {error}")

    def _is_failing(self) -> bool:
        since = self._failing_since
        return since is not None and (self._is_urgent or clock.now() - since >= FAILING_AFTER)

    def _say(self, kind: str, text: str) -> None:
        self._note(Note(kind, self.receiver.name, text, clock.at()))
