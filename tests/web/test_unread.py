"""Clients that ask for much and read nothing: all of them together fill so much of the memory, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import psutil

from outstation.web import unread
from outstation.web.dashboard.files import Files
from tests.running import Running
from tests.web.wire import Wire, request

LARGE = request("GET", "/docs/swagger-ui-bundle.js")
SOME = request("GET", Files().address("plot.js"))
STREAM = request("GET", "/api/stream")


def test_what_nobody_reads_is_bounded_and_who_waits_for_little_is_not_cut(node: Running) -> None:
    """A hundred files of 1.5 MB would wait, ten of them may. What was held a moment ago the allocator may keep."""
    server = psutil.Process(node.server_pid)
    with contextlib.ExitStack() as opened:
        watcher, slow = (opened.enter_context(Wire(node.port, buffer=4_096)) for _ in range(2))
        watcher.send(STREAM)
        slow.send(SOME * 16)
        before = server.memory_info().rss
        for _ in range(100):
            opened.enter_context(Wire(node.port, buffer=4_096)).send(LARGE * 2)
        assert node.get("/api/health").status == 200
        assert len(server.net_connections("tcp")) < 40
        assert server.memory_info().rss - before < 5 * unread.ROOM
        assert all(slow.answer().status == 200 for _ in range(16))
        assert watcher.answer().status == 200
        assert node.post("/api/readings", {"sensor": "porch/temperature", "value": 21.5}).status == 200
        while b"porch/temperature" not in watcher.chunk():
            pass


class Waiting:
    """A connection with so many bytes that its client has not read, nor the kernel taken."""

    def __init__(self, transport: asyncio.Transport, size: int, address: str, reading_for: int = 0) -> None:
        self.transport, self.client, self.reading_for = transport, (address, 1), reading_for
        transport.write(bytes(size))


def gone_of(*crowd: tuple[str, int, int]) -> list[int]:
    """Relieve connections of such addresses, with so many sixteenths of the room unsent, that read; who is cut?"""

    async def story() -> list[int]:
        loop, ends = asyncio.get_running_loop(), [socket.socketpair() for _ in crowd]
        with contextlib.ExitStack() as opened:
            for pair in ends:
                opened.enter_context(contextlib.closing(pair[1]))
            transports = [(await loop.create_connection(asyncio.Protocol, sock=near))[0] for near, _ in ends]
            waiting = [
                Waiting(transport, size * unread.ROOM // 16, address, reading)
                for transport, (address, size, reading) in zip(transports, crowd, strict=True)
            ]
            unread.relieve(set(waiting))
            gone = [number for number, transport in enumerate(transports) if transport.is_closing()]
            for transport in transports:
                transport.abort()
            return gone

    return asyncio.run(story())


def test_an_address_that_has_most_of_it_loses_first_though_it_takes_a_little_now_and_then() -> None:
    assert gone_of(("honest", 3, 0), *[("crowd", 2, 5)] * 8)[0] > 0


def test_who_takes_some_of_a_large_answer_goes_after_all_of_his_address_who_take_nothing() -> None:
    assert set(gone_of(("home", 4, 3), *[("home", 2, 0)] * 8)).isdisjoint({0})


def test_of_strangers_those_with_most_go_first_and_no_more_than_must() -> None:
    assert gone_of(("a", 3, 5), ("b", 5, 5), ("c", 6, 5), ("d", 4, 5), ("e", 2, 5)) == [2]
    assert gone_of(("a", 20, 0)) == []


def test_who_took_something_counts_as_a_reader_for_some_seconds_and_no_longer() -> None:
    assert unread.reading_for(0, before=0, unsent=100) > 0, "it has only begun"
    left = unread.reading_for(0, before=100, unsent=60)
    for _ in range(4):
        left = unread.reading_for(left, before=60, unsent=60)
        assert left > 0
    assert unread.reading_for(left, before=60, unsent=60) == 0
