"""Clients that ask for much and read nothing: all of them together fill so much of the memory, and no more."""

from __future__ import annotations

import contextlib

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
