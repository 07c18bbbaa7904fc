"""What each stage of `POST /api/readings` costs, in µs: the real functions, each in a loop, and the whole beside them.

    python benchmarks/stages.py

Whole requests are handed to the real protocol as the event loop would, over a transport that only counts; the store is
a real one on this disk. Times of a thread are CPU times, so that they do not contain what others do meanwhile, and of
several runs the best counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop

from outstation import clock
from outstation.assembly import assemble
from outstation.core.node import Node
from outstation.core.readings import Reading
from outstation.defaults import device
from outstation.engine.boards import Boards
from outstation.engine.feed import Feed
from outstation.engine.retaining import Retaining
from outstation.engine.runner import Runner
from outstation.engine.site import Site
from outstation.http import Peer, Request, Response
from outstation.plugins import Place
from outstation.store.database import Boot, Recorded, Store
from outstation.store.history import History
from outstation.store.keys import Keys
from outstation.store.sessions import Sessions
from outstation.web.api.incoming import Incoming, Post
from outstation.web.application import Application
from outstation.web.security import Admission, Gate
from outstation.web.server import Protocol, Server

SENSOR = "bench/air_temperature"
BODY = b'{"sensor":"%b","value":21.37}' % SENSOR.encode()
CONNECTIONS = (1, 16, 64)

_SWITCH_INTERVAL = 0.0005
"""Seconds: as app.py sets it."""


class Row(msgspec.Struct, frozen=True):
    """One line of the table. cost: µs."""

    stage: str
    cost: float


class Whole(msgspec.Struct, frozen=True):
    """One request from first byte to answer, without the kernel's part. In µs: CPU of two threads, and the clock's."""

    loop: float
    others: float
    wall: float


class Answers:
    """Waits for a number of answers as cheaply as can be."""

    def __init__(self) -> None:
        self._missing = 0
        self._all: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def expect(self, number: int) -> asyncio.Future[None]:
        """Return what is done when so many have come."""
        self._missing = number
        self._all = asyncio.get_running_loop().create_future()
        return self._all

    def come(self) -> None:
        """Count one."""
        self._missing -= 1
        if not self._missing:
            self._all.set_result(None)


class Wire(asyncio.Transport):
    """A transport that counts answers."""

    def __init__(self, answers: Answers) -> None:
        super().__init__({"peername": ("127.0.0.1", 40_000), "sockname": ("127.0.0.1", 5_000)})
        self._answers = answers
        self.newest: bytes | bytearray | memoryview = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.newest = data
        self._answers.come()

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""


class ParserAlone(Protocol):
    """The protocol up to where a request's head is known."""

    def on_headers_complete(self) -> None:
        self._header_bytes = 0

    def on_message_complete(self) -> None:
        """End here."""


class OpenGate:
    """A gate that has admitted everything already, to a handler that has its answer ready."""

    def __init__(self, gate: Gate, admitted: Admission, answer: Response) -> None:
        self._admitted = msgspec.structs.replace(
            admitted, route=msgspec.structs.replace(admitted.route, handler=lambda _: answer)
        )
        self.cors, self.access, self.known_paths = gate.cors, gate.access, gate.known_paths

    def admit(self, _: Request) -> Admission:
        """Let it in."""
        return self._admitted


class NoRunner:
    """A runner that takes readings to nowhere."""

    def __init__(self) -> None:
        self._done: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        self._done.set_result(Recorded(1))

    def take(self, readings: Iterable[Reading]) -> asyncio.Future[Recorded]:
        """Answer as the runner does, at once."""
        return self._done


class Rig:
    """The default device, its hardware not started, and one request of each kind to it."""

    def __init__(self, folder: Path, store: Store, keys: Keys, key: str) -> None:
        config, feed = device(simulate=True), Feed()
        node, hardware = assemble(config, Place(folder, folder))
        _hear_once(node)
        self.runner = Runner(node, store, hardware.outputs, feed)
        self.site = Site(
            config=config,
            name="bench",
            node=node,
            runner=self.runner,
            store=store,
            history=History(store),
            keys=keys,
            sessions=Sessions(store, keys),
            feed=feed,
            started=clock.now(),
            simulated=hardware.simulated,
            troubles=list,
            simulate=hardware.simulate,
            retaining=Retaining(store, config),
            boards=Boards(config.devices, store),
            flat=config.flat_keys,
        )
        self.server = Server(Application(self.site), drain=1)
        self.gate: Gate = self.server.config.app.gate  # type: ignore[union-attr]
        self.headers = [(b"Host", b"127.0.0.1:5000"), (b"X-API-Key", key.encode())]
        self.headers += [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(BODY))]
        self.raw = _wire_format(b"POST /api/readings HTTP/1.1", self.headers, BODY)
        self.raw_status = _wire_format(b"GET /api/status HTTP/1.1", self.headers[:2], b"")

    def protocol(self, kind: type[Protocol], answers: Answers) -> Protocol:
        """Return a connection that was just opened."""
        protocol = kind(self.server.config, self.server.server_state, {})
        protocol.connection_made(Wire(answers))
        return protocol

    def request(self) -> Request:
        """Return the request as the gate gets it."""
        headers = [(name.lower(), value) for name, value in self.headers]
        return Request("POST", "/api/readings", b"", headers, Peer("127.0.0.1"))


def _hear_once(node: Node) -> None:
    """Let each sensor have said something: a status of nothing would be quicker."""
    moment = clock.moment()
    for name in node.sensors:
        node.handle(Reading(name, 21.5, moment.at, moment.now, moment.at))


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description="µs of each stage of POST /api/readings.")
    parser.add_argument("--requests", type=int, default=4_000, help="in each run (4000)")
    parser.add_argument("--runs", type=int, default=7, help="of which the best counts (7)")
    options = parser.parse_args()
    sys.setswitchinterval(_SWITCH_INTERVAL)
    print(f"{os.cpu_count()} CPUs; load average {os.getloadavg()[0]:.2f}; best of {options.runs} x {options.requests}")
    with tempfile.TemporaryDirectory(prefix="outstation-stages-") as folder:
        uvloop.run(_measure_all(Path(folder), options.requests, options.runs))
    return 0


async def _measure_all(folder: Path, number: int, runs: int) -> None:
    moment = clock.moment()
    boot = Boot(clock.boot_id(), moment.at - moment.now, clock.trust())
    with Store(folder, boot=boot) as store:
        keys = Keys(store)
        _, key = await keys.create("bench", {"read", "write"})
        rig = Rig(folder, store, keys, key)
        answer = await _try_once(rig)
        wholes = {count: await _whole(rig, rig.raw, count, number, runs) for count in CONNECTIONS}
        known = await _stages(rig, number, runs)
        receive, send = _network(rig.raw, answer, number)
        status = await _whole(rig, rig.raw_status, 16, number, runs)
        _print_stages([Row("receive (kernel)", receive), *known], Row("send (kernel)", send), wholes[16])
        _print_wholes(wholes, status)


async def _try_once(rig: Rig) -> bytes:
    """Send two requests, and see that they were stored: what follows measures the right thing. Return the answer."""
    answers = Answers()
    protocol = rig.protocol(Protocol, answers)
    for _ in range(2):  # the first one makes the sensor known
        answered = answers.expect(1)
        protocol.data_received(rig.raw)
        await answered
    answer = bytes(cast("Wire", protocol.transport).newest)
    if not answer.endswith(b'{"accepted":1}') or rig.site.store.stats().readings != 2:
        raise SystemExit(f"FAILED: the node answered {answer!r}")
    return answer


async def _stages(rig: Rig, number: int, runs: int) -> list[Row]:
    """Return the stages that can be called alone, in their order."""
    request = rig.request()
    admitted = rig.gate.admit(request)
    assert isinstance(admitted, Admission), admitted
    request.body, request.principal = BODY, admitted.principal
    decoder = msgspec.json.Decoder(Post | list[Post])
    incoming = Incoming(msgspec.structs.replace(rig.site, runner=cast("Any", NoRunner())))
    moment = clock.moment()
    reading = Reading(SENSOR, 21.37, moment.at, moment.now, moment.at)
    parser = rig.protocol(ParserAlone, Answers())
    answering = rig.protocol(Protocol, Answers())
    answering.gate = cast("Gate", OpenGate(rig.gate, admitted, Response(b'{"accepted":1}')))

    parse = _best(lambda: parser.data_received(rig.raw), number, runs)
    decode = _best(lambda: decoder.decode(BODY), number, runs)
    handle = _best(lambda: rig.site.node.handle(reading), number, runs)
    return [
        Row("parse HTTP", parse),
        Row("gate: host, key, caps", _best(lambda: rig.gate.admit(request), number, runs)),
        Row("decode JSON", decode),
        Row("check, make the reading", _best(lambda: incoming.post(request), number, runs) - decode),
        Row("core: handle", handle),
        Row("hand over to the store", await _take(rig, reading, number, runs) - handle),
        Row("request object, answer's bytes", _best(lambda: answering.data_received(rig.raw), number, runs) - parse),
    ]


def _best(work: Callable[[], object], number: int, runs: int) -> float:
    """Return the µs of CPU that one call takes."""
    times = []
    for _ in range(runs):
        started = time.thread_time_ns()
        for _ in range(number):
            work()
        times.append(time.thread_time_ns() - started)
    return min(times) / number / 1000


async def _take(rig: Rig, reading: Reading, number: int, runs: int) -> float:
    """Return the µs that the runner takes to take a reading; the commits that follow are not counted."""
    times = []
    for _ in range(runs):
        started = time.thread_time_ns()
        futures = [rig.runner.take((reading,)) for _ in range(number)]
        times.append(time.thread_time_ns() - started)
        await futures[-1]
    return min(times) / number / 1000


async def _whole(rig: Rig, raw: bytes, connections: int, number: int, runs: int) -> Whole:
    """Return what one request costs when so many connections each send the next one after the answer."""
    answers = Answers()
    protocols = [rig.protocol(Protocol, answers) for _ in range(connections)]
    rounds = max(1, number // connections)
    seen = []
    for _ in range(runs):
        before = time.thread_time_ns(), time.process_time_ns(), time.perf_counter_ns()
        for _ in range(rounds):
            answered = answers.expect(connections)
            for protocol in protocols:
                protocol.data_received(raw)
            await answered
        after = time.thread_time_ns(), time.process_time_ns(), time.perf_counter_ns()
        loop, process, wall = (
            (end - start) / rounds / connections / 1000 for start, end in zip(before, after, strict=True)
        )
        seen.append(Whole(loop, process - loop, wall))
    return min(seen, key=lambda whole: whole.loop)


def _network(raw: bytes, answer: bytes, number: int) -> tuple[float, float]:
    """Return the µs of receiving a request and of sending an answer, over TCP on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    received = sent = 0
    with client, server:
        for connection in (client, server):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(number):
            client.send(raw)
            started = time.thread_time_ns()
            server.recv(65_536)
            middle = time.thread_time_ns()
            server.send(answer)
            sent += time.thread_time_ns() - middle
            received += middle - started
            client.recv(65_536)
    return received / number / 1000, sent / number / 1000


def _print_stages(known: list[Row], send: Row, whole: Whole) -> None:
    """Print the stages in order. What the whole costs more than its known parts is the way back from the writer."""
    rest = whole.loop - sum(row.cost for row in known[1:])
    rows = [*known, Row("the rest: wake up, call back", rest), send]
    total = sum(row.cost for row in rows)
    print(f"\n{'POST of one reading, in the thread of the loop':38}     µs  share")
    for row in [*rows, Row("all", total)]:
        print(f"  {row.stage:36} {row.cost:6.2f}   {row.cost / total:4.0%}")
    print(f"  so one loop can answer at most {1e6 / total:,.0f} a second")


def _print_wholes(wholes: dict[int, Whole], status: Whole) -> None:
    print(f"\n{'Whole requests without the kernel, µs':38}   loop's CPU  writer's CPU  by the clock")
    for connections, whole in wholes.items():
        print(f"  {f'POST, {connections} at once':38} {whole.loop:10.2f}  {whole.others:12.2f}  {whole.wall:12.2f}")
    print(f"  {'GET /api/status':38} {status.loop:10.2f}  {status.others:12.2f}  {status.wall:12.2f}")


def _wire_format(first: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    return b"\r\n".join([first, *(name + b": " + value for name, value in headers), b"", body])


if __name__ == "__main__":
    sys.exit(main())
