"""GET /api/stream: what happens, as it happens; who watches slowly or not at all costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from outstation.engine import feed as feeds
from outstation.engine.feed import Feed, Happening, event_of
from outstation.http import NOBODY, Peer, Request
from outstation.web.api import stream as streams
from outstation.web.api.stream import MOST, MOST_OF_ONE, MOST_OF_STRANGERS, Stream
from tests.running import KEY, Answer, Running
from tests.web.wire import Wire, request

WATCH = request("GET", "/api/stream")


class Watching:
    """One who watches; a context manager that leaves."""

    def __init__(self, node: Running, *, buffer: int = 0) -> None:
        self.wire = Wire(node.port, buffer=buffer)
        self.wire.send(WATCH)
        self.answer = self.wire.answer()
        self._read = b""
        assert self.part() == ": live\nretry: 2000"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.socket.close()

    def part(self) -> str | None:
        """Return the next event or comment; None at the end."""
        while b"\n\n" not in self._read:
            chunk = self.wire.chunk()
            if not chunk:
                return None
            self._read += chunk
        part, _, self._read = self._read.partition(b"\n\n")
        return part.decode()

    def event(self) -> tuple[str, dict[str, Any]]:
        """Return the kind and the document of the next event."""
        while (part := self.part()) is None or part.startswith(":"):
            assert part is not None
        kind, data = part.split("\n")
        return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    def of(self, sensor: str) -> Iterator[dict[str, Any]]:
        """Return what happens to one sensor."""
        while True:
            kind, document = self.event()
            if kind == "reading" and document["sensor"] == sensor:
                yield document


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("impatient") / "data", module="tests.web.impatient") as running:
        yield running


def test_readings_and_outputs_arrive_as_they_happen(node: Running) -> None:
    with Watching(node) as first, Watching(node) as second:
        assert first.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert first.answer.headers["cache-control"] == "no-store"
        node.post("/api/readings", {"sensor": "porch/a", "value": 21.5, "timestamp": "2026-03-01T12:00:00Z"})
        node.post("/api/led", {"action": "on"})
        for watching in (first, second):
            assert next(watching.of("porch/a")) == {
                "sensor": "porch/a",
                "timestamp": "2026-03-01T12:00:00.000Z",
                "value": 21.5,
                "quality": "ok",
            }
            kind, document = watching.event()
            while kind != "output":
                kind, document = watching.event()
            assert document == {
                "actuator": "led",
                "level": True,
                "error": "",
                "decided_by": "manual",
                "why": "on: environment",
            }


def test_a_text_cannot_end_its_event(node: Running) -> None:
    with Watching(node) as watching:
        text = "a\n\nevent: output\ndata: {}\r\n\r\n"
        node.post("/api/readings", {"sensor": "porch/text", "value": text})
        assert next(watching.of("porch/text"))["value"] == text


def test_what_is_refused_does_not_happen(node: Running) -> None:
    with Watching(node) as watching:
        node.post("/api/readings", [{"sensor": "porch/a", "value": -1}, {"sensor": "porch/A", "value": -1}])
        node.post("/api/readings", {"sensor": "porch/a", "value": 1})
        assert next(watching.of("porch/a"))["value"] == 1


def test_in_silence_a_comment_keeps_the_connection(impatient: Running) -> None:
    """And the server's own patience with silent clients does not end a stream."""
    with Watching(impatient) as watching:
        began, beats = time.monotonic(), 0
        while time.monotonic() - began < 3.5:
            beats += watching.part() == ": still here"
        assert beats >= 5


def test_a_slow_watcher_costs_nothing_and_is_told_what_it_lost(node: Running) -> None:
    total, together = 40_000, 500  # with what else happens, less than waits for a watcher
    with Watching(node, buffer=4_096) as slow, Watching(node) as quick:
        for start in range(0, total, together):
            columns = {
                "sensor": "porch/many",
                "timestamps": list(range(start, start + together)),
                "values": list(range(start, start + together)),
            }
            began = time.monotonic()
            assert node.post("/api/readings", columns).status == 200
            assert time.monotonic() - began < 2
            for expected in range(start, start + together):
                assert next(quick.of("porch/many"))["value"] == expected
        assert node.get("/api/health").status == 200
        seen, lost = _all_of(slow, "porch/many", last=total - 1)
        assert lost > 0
        assert abs(seen + lost - total) < 100, "readings of other sensors may have been lost too"


def _all_of(watching: Watching, sensor: str, *, last: int) -> tuple[int, int]:
    """Return how many readings of a sensor arrive up to the last one, and how many are said to be lost."""
    seen = lost = 0
    while True:
        kind, document = watching.event()
        if kind == "lost":
            lost += document["count"]
        elif document.get("sensor") == sensor:
            seen += 1
            if document["value"] == last:
                return seen, lost


def test_a_watcher_that_reads_nothing_for_long_is_cut(impatient: Running) -> None:
    with Watching(impatient, buffer=4_096) as stalled:
        for number in range(30):
            texts = {"sensor": "porch/text", "timestamps": [*range(1_000)], "values": [f"{number:0255}"] * 1_000}
            assert impatient.post("/api/readings", texts).status == 200
        time.sleep(4)
        with pytest.raises((EOFError, ConnectionError)):
            _read_for(stalled, 5)
        assert impatient.get("/api/health").status == 200


def _read_for(watching: Watching, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        watching.part()


def test_streams_end_when_the_node_stops(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as node:
        with Watching(node) as first, Watching(node) as second:
            began = time.monotonic()
            assert node.stop() == 0
            assert time.monotonic() - began < 5
            for watching in (first, second):
                while watching.part() is not None:
                    pass
                assert watching.wire.is_closed()
        assert "Traceback" not in node.log.read_text()


def test_a_stalled_watcher_does_not_keep_a_node_from_stopping(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as node, Watching(node, buffer=4_096):
        for number in range(30):
            texts = {"sensor": "porch/text", "timestamps": [*range(1_000)], "values": [f"{number:0255}"] * 1_000}
            assert node.post("/api/readings", texts).status == 200
        began = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - began < 5


def test_head_tells_what_there_is_and_ends(node: Running) -> None:
    with Wire(node.port) as wire:
        wire.send(request("HEAD", "/api/stream"), request("GET", "/api/status"))
        assert wire.answer(head=True).headers["content-type"].startswith("text/event-stream")
        assert wire.answer().json["node"]


def test_a_stream_needs_what_a_read_needs(node: Running) -> None:
    with Wire(node.port) as wire:
        assert wire.ask(request("GET", "/api/stream", "Via: 1.1 proxy")).status == 401
        wire.send(request("GET", "/api/stream", "Via: 1.1 proxy", f"X-API-Key: {KEY}"))
        assert wire.answer().status == 200


def happening(number: int) -> Happening:
    return Happening("reading", {"number": number})


def test_nobody_watches_a_feed_that_was_left() -> None:
    feed = Feed()
    with feed.watch():
        assert feed.watched
    assert not feed.watched


def test_a_feed_keeps_the_newest_for_a_slow_watcher_and_counts_the_rest() -> None:
    async def story() -> list[bytes]:
        feed = Feed()
        with feed.watch() as slow:
            for number in range(feeds._KEPT + 500):
                feed.publish([happening(number)])
            found = await slow.next(1)
            assert await slow.next(0.01) == []
        return found

    lost, *kept = asyncio.run(story())
    assert lost == event_of(Happening("lost", {"count": 500}))
    assert kept == [event_of(happening(number)) for number in range(500, feeds._KEPT + 500)]


def test_many_happenings_at_once_are_encoded_once_for_many_watchers() -> None:
    """Ten thousand readings for nine hundred watchers do not keep the loop."""

    async def story() -> tuple[list[bytes], list[bytes]]:
        feed = Feed()
        with contextlib.ExitStack() as stack:
            first, last, *_ = [stack.enter_context(feed.watch()) for _ in range(900)]
            feed.publish([happening(-1)])
            began = time.monotonic()
            feed.publish([happening(number) for number in range(10_000)])
            assert time.monotonic() - began < 0.5
            return await first.next(1), await last.next(1)

    first, last = asyncio.run(story())
    assert first[0] == event_of(Happening("lost", {"count": 10_001 - feeds._KEPT}))
    assert first[1:] == [event_of(happening(number)) for number in range(10_000 - feeds._KEPT, 10_000)]
    assert all(one is other for one, other in zip(first[1:], last[1:], strict=True))


def _watch_from(node: Running, stack: contextlib.ExitStack, source: str, key: str = "") -> Answer:
    wire = stack.enter_context(Wire(node.port, source=source))
    wire.send(request("GET", "/api/stream", *([f"X-API-Key: {key}"] if key else [])))
    return wire.answer()


def test_one_address_cannot_take_every_stream(node: Running) -> None:
    with contextlib.ExitStack() as stack:
        of_one = [_watch_from(node, stack, "127.3.0.1").status for _ in range(MOST_OF_ONE)]
        assert of_one == [200] * MOST_OF_ONE
        refused = _watch_from(node, stack, "127.3.0.1")
        assert (refused.status, refused.headers["content-type"]) == (503, "application/problem+json")
        assert int(refused.headers["retry-after"]) > 0
        assert _watch_from(node, stack, "127.3.0.2").status == 200


def test_who_comes_through_a_proxy_is_counted_by_where_they_come_from(tmp_path: Path) -> None:
    with (
        Running(tmp_path / "data", '[web]\ntrusted_proxies = ["127.0.0.1"]\n') as node,
        contextlib.ExitStack() as stack,
    ):

        def watch(address: str) -> int:
            wire = stack.enter_context(Wire(node.port))
            wire.send(request("GET", "/api/stream", f"X-Forwarded-For: {address}", f"X-API-Key: {KEY}"))
            return wire.answer().status

        assert [watch("203.0.113.1") for _ in range(MOST_OF_ONE + 1)] == [200] * MOST_OF_ONE + [503]
        assert watch("203.0.113.2") == 200


def test_there_are_only_so_many_streams_and_a_place_is_free_again(node: Running) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(MOST_OF_STRANGERS):
            assert _watch_from(node, stack, f"127.4.0.{number // MOST_OF_ONE + 1}").status == 200
        assert _watch_from(node, stack, "127.4.1.1").status == 503
        for _ in range(MOST - MOST_OF_STRANGERS):
            assert _watch_from(node, stack, "127.4.0.1", KEY).status == 200, "the same address, and a key"
        assert _watch_from(node, stack, "127.4.1.1", KEY).status == 503
        assert node.get("/api/health").status == 200
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with contextlib.ExitStack() as stack:
            if _watch_from(node, stack, "127.4.0.1").status == 200:
                return
        time.sleep(0.05)
    pytest.fail("no place was free again")


def test_a_watcher_that_takes_too_long_over_what_it_was_sent_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a byte now and then, it would look alive to the connection for ever."""
    monkeypatch.setattr(streams, "_BEAT", 0.01)
    monkeypatch.setattr(streams, "_PATIENCE", 0.05)

    async def story() -> None:
        feed, stuck, sent = Feed(), asyncio.Event(), list[dict[str, Any]]()
        arrived = iter([{"type": "http.request"}])

        async def receive() -> dict[str, Any]:
            for message in arrived:
                return message
            await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if message.get("body") == b": still here\n\n":
                await stuck.wait()

        asked = Request("GET", "/api/stream", b"", [], Peer("192.0.2.1"))
        asked.principal = NOBODY
        scope = {"method": "GET", "outstation": asked}
        async with asyncio.timeout(2):
            await Stream(feed, lambda _: True)(scope, receive, send)
        assert not feed.watched
        assert "more_body" not in sent[-1]

    asyncio.run(story())
