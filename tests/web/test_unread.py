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

    def __init__(self, transport: asyncio.Transport, size: int) -> None:
        self.transport, self.reading_for = transport, 0
        transport.write(bytes(size))

    def look(self, before: int) -> None:
        """A second is over."""
        unsent = self.transport.get_write_buffer_size()
        self.reading_for = unread.reading_for(self.reading_for, before=before, unsent=unsent)


def test_who_takes_some_of_a_large_answer_goes_after_all_who_take_nothing() -> None:
    async def story() -> None:
        loop, ends = asyncio.get_running_loop(), [socket.socketpair() for _ in range(9)]
        with contextlib.ExitStack() as opened:
            for pair in ends:
                opened.enter_context(contextlib.closing(pair[1]))
            transports = [(await loop.create_connection(asyncio.Protocol, sock=near))[0] for near, _ in ends]
            honest, *crowd = [Waiting(each, unread.ROOM // 6) for each in transports]
            before = honest.transport.get_write_buffer_size()
            await loop.run_in_executor(None, ends[0][1].recv, 1_000_000, socket.MSG_WAITALL)
            honest.transport.write(bytes(1_000_000))
            for each in (honest, *crowd):
                each.look(before)
            assert (honest.reading_for > 0, crowd[0].reading_for) == (True, 0)
            unread.relieve({honest, *crowd})
            assert not honest.transport.is_closing(), "though most waits for him"
            gone = [each for each in crowd if each.transport.is_closing()]
            assert len(gone) == 3
            for transport in transports:
                transport.abort()

    asyncio.run(story())


def test_who_took_something_counts_as_a_reader_for_some_seconds_and_no_longer() -> None:
    left = unread.reading_for(0, before=0, unsent=100)
    assert left == 0, "it has only begun"
    left = unread.reading_for(left, before=100, unsent=60)
    for _ in range(4):
        left = unread.reading_for(left, before=60, unsent=60)
        assert left > 0
    assert unread.reading_for(left, before=60, unsent=60) == 0
