"""Tells receivers of alerts: each in a line of its own (engine/line)."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence

import msgspec

from outstation import clock
from outstation.core.delivery import Answer, judge
from outstation.core.readings import SEVERITIES, Alert, Alerted, Note
from outstation.engine.line import Line, Queue, Way, end
from outstation.engine.outgoing import LookUp
from outstation.engine.receivers import Receiver, Sender, message, trouble
from outstation.errors import UnknownNameError
from outstation.store.database import Store
from outstation.store.deliveries import Delivery


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
        self._node, self._sender = node, Sender(look_up)
        self._receivers = {one.name: one for one in receivers}
        self._lines = {one.name: Line(store, self._way(one), note) for one in receivers}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin with whatever the last run left."""
        self._tasks = [asyncio.create_task(line.run()) for line in self._lines.values()]

    def deliveries(self, told: Alerted) -> list[Delivery]:
        """Return what is to be stored with an alert (store.deliveries.add): one for each whom it concerns."""
        if not told.tell:
            return []
        alert, keys = told.alert, {name: secrets.token_hex(16) for name in self._lines}
        return [
            Delivery(name, alert.id, alert.severity, clock.at(), message(self._node, alert, told.happened, key), key)
            for name, key in keys.items()
            if SEVERITIES.index(alert.severity) >= SEVERITIES.index(self._receivers[name].severity)
        ]

    def wake(self) -> None:
        """Something was stored: deliver it."""
        for line in self._lines.values():
            line.woken.set()

    def carry(self, deliveries: Sequence[Delivery]) -> None:
        """Deliver what could not be stored: a full disk is no reason for silence. A restart forgets it."""
        for one in deliveries:
            if one.receiver in self._lines:
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
        return list(await asyncio.gather(*(self._test(self._receivers[name]) for name in names)))

    async def close(self) -> None:
        """Stop; what is not delivered stays stored."""
        tasks, self._tasks = self._tasks, []
        await end(tasks)

    async def _test(self, receiver: Receiver) -> Trial:
        key = secrets.token_hex(16)
        alert = Alert(0, "test", "test", "info", f"This is a test from {self._node}.", clock.at())
        answer = await self._sender.send(receiver, key, message(self._node, alert, "test", key))
        return Trial(receiver.name, "" if judge(1, answer, 0).then == "done" else answer.error)

    def _way(self, receiver: Receiver) -> Way:
        async def send(group: Sequence[Delivery]) -> tuple[Answer, dict[int, str]]:
            return await self._sender.send(receiver, group[0].key, group[0].body), {}

        return Way(receiver.name, receiver.name, send, missing=trouble(receiver))
