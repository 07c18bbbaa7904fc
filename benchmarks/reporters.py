"""Nodes that report to a hub, as many as have to be, in a process of their own: their requests, and no more of them.

The law of this file: what they send is what a node sends (the same words, gzip, a connection for each request), and
each waits for its receipt before it goes on. Each has an address of its own in 127.0.0.0/8.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from outstation.core.readings import Millis
from outstation.core.windows import FIVE_MINUTES
from outstation.protocols.outstation import wire
from outstation.protocols.outstation.wire import About, Batch, Sender, Sent

PATIENCE_S = 60.0
_FIRST_WAIT_S = 1.0


class Found(msgspec.Struct):
    """What came of it. waits: seconds from the first try until the receipt, one for each batch, sorted."""

    summaries: int
    seconds: float
    waits: list[float]
    answers: dict[str, int]


class Reporter:
    """One node: its key, its place in its own summaries, and the token of its last receipt."""

    def __init__(self, port: int, number: int, key: str, sensors: int) -> None:
        self._port, self._key = port, key
        self._address = f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"
        self._names = [f"shelf-{each}/temperature" for each in range(sensors)]
        self._epoch, self._token, self._upto = secrets.token_hex(8), "", 0
        self.window: Millis = 0
        self._chance = random.Random(number)  # noqa: S311  the same each time

    def batch(self, windows: int) -> bytes:
        """Return the next request, of so many windows of every sensor."""
        items = tuple(self._items(windows))
        about = {name: About("°C") for name in self._names} if not self._upto else {}
        batch = Batch(
            wire.VERSION,
            int(time.time() * 1000),
            self._epoch,
            (),
            self._token,
            self._upto,
            self._upto + len(items),
            items,
        )
        batch = msgspec.structs.replace(batch, sensors=about, node=Sender("0.1.0", "synchronised"))
        return self._request(wire.packed(wire.encode(batch)))

    async def report(self, windows: int, answers: Counter[str]) -> float:
        """Send one batch until there is a receipt for it; return the seconds."""
        request, began, tries = self.batch(windows), time.perf_counter(), 0
        while True:
            answer = await self._ask(request)
            answers[answer[9:12].decode() or "cut"] += 1
            if answer[9:12] == b"200":
                break
            if answer[9:10] == b"4" and answer[9:12] != b"429":
                raise SystemExit(f"FAILED: the hub answered {answer[:800]!r}")
            tries += 1
            await asyncio.sleep(random.uniform(0, _FIRST_WAIT_S * 2**tries / 2))  # noqa: S311
        receipt = wire.decode_receipt(answer.partition(b"\r\n\r\n")[2])
        if receipt.refused:
            raise SystemExit(f"FAILED: the hub refused {receipt.refused[0]}")
        self._token, self._upto = receipt.token, receipt.cursor
        return time.perf_counter() - began

    def _items(self, windows: int) -> Iterable[Sent]:
        for _ in range(windows):
            self.window += FIVE_MINUTES
            for name in self._names:
                value = round(self._chance.gauss(20, 2), 2)
                numbers = 300, value, 7.53, value - 0.5, value + 0.5, value - 0.1, value + 0.1
                times = self.window + 312, self.window + 299_312
                yield Sent(name, self.window, FIVE_MINUTES, *numbers, *times, FIVE_MINUTES)

    def _request(self, body: bytes) -> bytes:
        head = f"POST /api/ingest HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nX-API-Key: {self._key}\r\n"
        head += "User-Agent: Outstation/0.1.0\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    async def _ask(self, request: bytes) -> bytes:
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(self._address, 0))
                try:
                    writer.write(request)
                    return await reader.read(-1)
                finally:
                    writer.transport.abort()
        except OSError:
            return b""


_known: dict[str, Reporter] = {}
"""By key. They live as long as this process: each goes on where it was."""


def _nodes(port: int, keys: Sequence[str], sensors: int, windows: int) -> list[Reporter]:
    """Return nodes that are so many windows behind, or have reported these."""
    for key in keys:
        node = _known.setdefault(key, Reporter(port, len(_known), key, sensors))
        node.window = node.window or (int(time.time() * 1000) // FIVE_MINUTES - 1 - windows) * FIVE_MINUTES
    return [_known[key] for key in keys]


def in_batches(port: int, keys: Sequence[str], sensors: int, windows: int, batches: int) -> Found:
    """Have each node send so many full batches, one after another, all nodes side by side."""

    async def story() -> Found:
        answers: Counter[str] = Counter()
        nodes = _nodes(port, keys, sensors, windows * batches)

        async def one(node: Reporter) -> list[float]:
            return [await node.report(windows, answers) for _ in range(batches)]

        began = time.perf_counter()
        waits = await asyncio.gather(*map(one, nodes))
        took = time.perf_counter() - began
        return Found(len(keys) * batches * windows * sensors, took, sorted(chain.from_iterable(waits)), dict(answers))

    return asyncio.run(story())


def at_a_pace(port: int, keys: Sequence[str], sensors: int, every_s: float, seconds: float) -> Found:
    """Have so many nodes report one window each `every_s`, evenly spread, for a while."""

    async def story() -> Found:
        answers: Counter[str] = Counter()
        nodes = _nodes(port, keys, sensors, 3)
        count, began = int(seconds * len(keys) / every_s), time.perf_counter()

        async def one(number: int) -> float:
            await asyncio.sleep(began + number * every_s / len(keys) - time.perf_counter())
            return await nodes[number % len(nodes)].report(1, answers)

        waits = await asyncio.gather(*map(one, range(count)))
        return Found(count * sensors, time.perf_counter() - began, sorted(waits), dict(answers))

    return asyncio.run(story())


def all_at_once(port: int, keys: Sequence[str], sensors: int) -> Found:
    """Have every node report one window, all in the same moment; who is refused comes again as a node does."""

    async def story() -> Found:
        answers: Counter[str] = Counter()
        nodes = _nodes(port, keys, sensors, 3)
        began = time.perf_counter()
        waits = await asyncio.gather(*(node.report(1, answers) for node in nodes))
        return Found(len(keys) * sensors, time.perf_counter() - began, sorted(waits), dict(answers))

    return asyncio.run(story())
