"""A board's day against a real node: readings that wait, deep sleep, the watchdog, and the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.clients.micropython import MODULES, run
from tests.running import Running, free_port
from tests.web.boards import TRUSTED, stored, values
from tests.web.keys import make_key

SETUP = """
import board, machine, network, time
from outstation import Server, Waiting

server = Server("127.0.0.1", "{key}", port={port})
wifi = ("school", "secret")
turn = 0

def temperature():
    global turn
    turn += 1
    {happens}
    return turn

def until_off(**options):
    try:
        board.run({{"temperature": temperature}}, server, wifi, **options)
    except machine.Off as off:
        return off.args
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("node") / "data", TRUSTED) as running:
        yield running


def setup(node: Running, device: str, happens: str = "pass", port: int = 0) -> str:
    key = make_key(node, "write", device=device)
    return SETUP.format(key=key, port=port or node.port, happens=happens)


def ages(node: Running, sensor: str) -> list[float]:
    """How long ago the readings were taken, in seconds, oldest first."""
    now = time.time()
    return [now - datetime.fromisoformat(at).timestamp() for at, _ in stored(node, sensor)]


def test_what_was_read_without_a_network_comes_with_its_age(node: Running) -> None:
    said = run(
        setup(node, "porch", "network.WLAN.near = turn == 20")
        + "print(until_off(every=60, stop_after=19 * 60 + 1), network.asked[0])"
    )
    assert values(node, "porch/temperature") == list(range(1, 21))
    expected = [60 * (20 - turn) for turn in range(1, 21)]
    assert [round(age, -1) for age in ages(node, "porch/temperature")] == pytest.approx(expected, abs=25)
    assert "The network school does not let this board in." in said
    assert said.splitlines()[-1] == "('deepsleep', None) ('school', 'secret')"


def test_the_oldest_give_way_to_the_newest(node: Running) -> None:
    said = run(
        setup(node, "attic", "network.WLAN.near = turn == 9") + "until_off(every=30, keep=4, stop_after=8 * 30 + 1)"
    )
    assert values(node, "attic/temperature") == [6, 7, 8, 9]
    assert "temperature 8: 4 wait, 4 were lost for want of room" in said


def test_they_wait_through_deep_sleep_and_in_a_file_where_the_clock_has_no_room(node: Running) -> None:
    """492 bytes of an ESP8266 hold 60 readings of one sensor; the rest of its day goes to a file."""
    said = run(
        setup(node, "roof", "network.WLAN.near = turn == 80")
        + """
import os
seen = []
for _ in range(80):
    off = until_off(every=300, deep_sleep=True)
    seen.append(board._FILE in os.listdir())
    machine.wake(machine.DEEPSLEEP_RESET, off[1])
print(seen.index(True), seen[-1], off[1] <= 300000)
"""
    )
    assert said.splitlines()[-1] == "60 False True"
    assert values(node, "roof/temperature") == list(range(1, 81))
    expected = [300 * (80 - turn) for turn in range(1, 81)]
    assert ages(node, "roof/temperature") == pytest.approx(expected, abs=40)


def test_after_power_on_nothing_old_is_told_and_a_person_has_time_to_come_in(node: Running) -> None:
    said = run(
        setup(node, "shed", "network.WLAN.near = turn == 2")
        + """
until_off(deep_sleep=True)
machine.wake(machine.PWRON_RESET)
began = time.ticks_ms()
off = until_off(deep_sleep=True)
print(off, time.ticks_diff(time.ticks_ms(), began))
"""
    )
    assert values(node, "shed/temperature") == [2]
    assert said.splitlines()[-1] == "('deepsleep', 60000) 10000"


def test_it_stops_after_its_hours_those_asleep_with_them(node: Running) -> None:
    said = run(
        setup(node, "class")
        + """
while True:
    off = until_off(every=1800, deep_sleep=True, stop_after=8 * 3600)
    if off[1] is None:
        break
    machine.wake(machine.DEEPSLEEP_RESET, off[1])
"""
    )
    assert values(node, "class/temperature") == list(range(1, 18))
    assert "Stopped after 288" in said


def test_a_board_that_hangs_starts_anew(node: Running) -> None:
    said = run(setup(node, "den", "time.sleep_ms(70_000) if turn == 3 else None") + "print(until_off())")
    assert values(node, "den/temperature") == [1, 2]
    assert said.splitlines()[-1] == "('reset', None)"


def test_whom_a_person_interrupts_leaves_the_person_alone(node: Running) -> None:
    said = run(
        setup(node, "desk")
        + """
def interrupted():
    raise KeyboardInterrupt
try:
    board.run({"temperature": interrupted}, server, wifi)
except KeyboardInterrupt:
    time.sleep_ms(100_000)
    print("peace")
"""
    )
    assert said == "peace\n"


def test_a_sensor_that_fails_takes_no_other_with_it(node: Running) -> None:
    run(
        setup(node, "hall")
        + """
def broken():
    raise OSError(19)
sensors = {"temperature": broken, "humidity": temperature, "pressure": lambda: float("nan")}
try:
    board.run(sensors, server, wifi, stop_after=1)
except machine.Off:
    pass
"""
    )
    assert values(node, "hall/humidity") == [1, 2]
    assert (values(node, "hall/temperature"), values(node, "hall/pressure")) == ([], [])


def test_a_refusal_that_passes_costs_nothing_and_one_that_does_not_costs_one_reading(node: Running) -> None:
    said = run(
        setup(node, "loft")
        + """
waiting = Waiting(["temperature"], 20)
for i in range(12):
    waiting.add(i, [i])
good, server.key = server.key, "wrong"
print(server.send(waiting, lambda: 20, lambda: None), len(waiting))
server.key = good
waiting._times[3] = 99  # it is read in the future, by its age
print(server.send(waiting, lambda: 20, lambda: None), len(waiting))
"""
    )
    assert "The server says 401" in said
    assert "False 12" in said
    assert said.splitlines()[-1] == "True 0"
    assert values(node, "loft/temperature") == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]


class Portal(BaseHTTPRequestHandler):
    """What answers in place of everybody until one has logged in."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write("<title>Schön, dass Sie da sind</title>".encode("latin-1"))

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002
        pass


def test_whoever_else_answers_gets_no_reading(node: Running) -> None:
    with HTTPServer(("127.0.0.1", 0), Portal) as portal:
        threading.Thread(target=portal.serve_forever, args=(0.05,)).start()
        said = run(setup(node, "cafe", port=portal.server_port) + "until_off(stop_after=1)")
        portal.shutdown()
    assert "The server says 200: <title>Schn, dass Sie da sind</title>" in said
    assert "2 wait, 0 were lost" in said


def test_while_nobody_listens_all_is_kept(node: Running) -> None:
    said = run(setup(node, "yard", port=free_port()) + "until_off(every=60, stop_after=121)")
    assert "The server 127.0.0.1" in said
    assert "3 wait, 0 were lost" in said


def test_the_example_runs_as_it_is_but_for_what_is_in_capitals(node: Running) -> None:
    example = (MODULES / "main.py").read_text()
    for capitals, here in {
        '"192.168.1.10"': '"127.0.0.1"',
        "KEY": make_key(node, "write", device="first"),
        "port=5000": f"port={node.port}",
        "8 * 3600": "60",
    }.items():
        assert example.count(capitals) == 1
        example = example.replace(capitals, here)
    thermometer = """
import machine, struct
registers = {5: 0x0150, 6: 0x0054, 7: 0x0400}
machine.wired[0x18] = lambda register, count, data=None: struct.pack(">H", registers[register])
"""
    said = run(f"{thermometer}\ntry:\n    exec({example!r})\nexcept machine.Off:\n    pass\n")
    assert values(node, "first/temperature") == [21.0, 21.0]
    assert said.startswith("temperature 21.0: sent\n")


def test_a_wire_that_is_loose_at_the_start_is_no_end(node: Running) -> None:
    said = run(
        setup(node, "cold")
        + """
import struct
from mcp9808 import MCP9808
thermometer = MCP9808(machine.I2C(scl=machine.Pin(5), sda=machine.Pin(4)))
registers = {5: 0x0150, 6: 0x0054, 7: 0x0400}

def temperature():
    if time.ticks_ms() > 60_000:
        machine.wired[0x18] = lambda register, count, data=None: struct.pack(">H", registers[register])
    return thermometer.temperature()

until_off(every=60, stop_after=61)
"""
    )
    assert values(node, "cold/temperature") == [21.0]
    assert "temperature cannot be read: " in said
