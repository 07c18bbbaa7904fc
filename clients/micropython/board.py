"""What a board does all day: read, connect, send, sleep; and start anew when it hangs.

For ESP8266, ESP32 and Pico W with MicroPython 1.24 or newer.
"""

import os
import struct
import sys
import time

import machine
import network

from outstation import Server, Waiting

_HANGS_AFTER = 60  # seconds without a sign of life
_JOINS_WITHIN = 20  # seconds: a network that is there lets a board in within ten
_MAGIC = 0x4F535431
_HEAD = "<II"  # the magic, and seconds since the first start
_FILE = "waiting.bin"  # where the memory of the clock does not suffice, or is none
_WOKE = getattr(machine, "DEEPSLEEP_RESET", machine.WDT_RESET)  # Pico W: ports/rp2/modmachine.c resets to wake
_LET_IN = 10  # seconds awake after power on: time for mpremote, before a board that sleeps is out of reach


class Clock:
    """Seconds since the first start, those asleep with them. To be asked once in six days or more often."""

    def __init__(self, before: int) -> None:
        self._seconds, self._millis, self._last = before, 0, time.ticks_ms()

    def now(self) -> int:
        """Return whole seconds."""
        ticks = time.ticks_ms()
        self._millis += time.ticks_diff(ticks, self._last)  # the counter begins anew after 12.4 days
        self._last = ticks
        self._seconds += self._millis // 1000
        self._millis %= 1000
        return self._seconds


class Watchdog:
    """Starts the board anew after a minute without a sign of life.

    ESP32: its own. The others' bite within 3 s or 8 s, and joining a network takes longer: there, a timer counts.
    """

    def __init__(self) -> None:
        self._own = machine.WDT(timeout=_HANGS_AFTER * 1000) if sys.platform == "esp32" else None
        self._silent = 0
        if self._own is None:
            self._timer = machine.Timer(-1)
            self._timer.init(period=1000, mode=machine.Timer.PERIODIC, callback=self._count)

    def alive(self) -> None:
        """Say that all is well."""
        self._silent = 0
        if self._own is not None:
            self._own.feed()

    def stop(self) -> None:
        """Let a person work on the board. The watchdog of an ESP32 cannot be stopped: it bites within a minute."""
        if self._own is None:
            self._timer.deinit()

    def _count(self, _: machine.Timer) -> None:
        self._silent += 1
        if self._silent > _HANGS_AFTER:
            machine.reset()


class Board:
    """One board: its sensors, its way to the server, and what it could not send yet."""

    def __init__(self, sensors: dict, server: Server, wifi: tuple, keep: int) -> None:
        self._sensors, self._server, self._wifi = sensors, server, wifi
        slept, packed = _recall()
        if machine.reset_cause() != _WOKE:
            slept, packed = 0, b""  # it was off, nobody knows how long; or the reset button says that it begins
        self.has_just_begun = not slept
        self.clock, self.dog, self.waiting = Clock(slept), Watchdog(), Waiting(list(sensors), keep)
        self.waiting.unpack(packed)

    def turn(self) -> None:
        """Read and send."""
        self.dog.alive()
        values = [_value(name, read) for name, read in self._sensors.items()]
        if any(value is not None for value in values):
            self.waiting.add(self.clock.now(), values)
        if self._join():
            self._server.send(self.waiting, self.clock.now, self.dog.alive)
        told = ", ".join([f"{name} {value}" for name, value in zip(self._sensors, values)])
        where = f"{len(self.waiting)} wait, {self.waiting.lost} were lost for want of room" if self.waiting else "sent"
        print(f"{told}: {where}")

    def pause(self, seconds: int) -> None:
        """Wait, awake."""
        for _ in range(seconds):
            self.dog.alive()
            time.sleep_ms(1000)

    def sleep(self, seconds: int) -> None:
        """Sleep deeply. The board starts anew afterwards, and goes on."""
        _remember(self.clock.now() + seconds, self.waiting.pack())
        _off(seconds * 1000)

    def _join(self) -> bool:
        """Tell whether the board is in the network; join it first where it is not."""
        own, station = network.WLAN(network.AP_IF), network.WLAN(network.STA_IF)
        if own.active():
            own.active(False)  # an ESP8266 opens a network of its own unless told otherwise
        if not station.active():
            station.active(True)
        if station.isconnected():
            return True
        try:
            station.connect(*self._wifi)
        except OSError:
            pass  # an ESP32 says so when it is trying already
        for _ in range(_JOINS_WITHIN * 4):
            self.dog.alive()
            if station.isconnected():
                return True
            time.sleep_ms(250)
        print(f"The network {self._wifi[0]} does not let this board in.")
        return False


def run(
    sensors: dict,
    server: Server,
    wifi: tuple,
    every: int = 60,
    keep: int = 120,
    deep_sleep: bool = False,
    stop_after: int = 0,
) -> None:
    """Read the sensors `every` so many seconds and send what they say, for `stop_after` seconds (0: for ever).

    sensors: functions by name; wifi: name and password; keep: readings at most, while the server cannot be reached.
    """
    board = Board(sensors, server, wifi, keep)
    try:
        if deep_sleep and board.has_just_begun:
            board.pause(_LET_IN)
        _work(board, every, deep_sleep, stop_after)
    except KeyboardInterrupt:
        board.dog.stop()
        raise
    print(f"Stopped after {board.clock.now()} s, as told. The reset button starts it again.")
    _off()


def _work(board: Board, every: int, deep_sleep: bool, stop_after: int) -> None:
    while True:
        began = board.clock.now()
        board.turn()
        now = board.clock.now()
        if stop_after and now >= stop_after:
            return
        rest = max(1, every - (now - began))
        if deep_sleep:
            board.sleep(rest)
        board.pause(rest)


def _value(name: str, read: callable) -> float | None:
    try:
        return read()
    except OSError as error:
        print(f"{name} cannot be read: {error}")
        return None


def _off(*millis: int) -> None:
    if sys.platform == "rp2":
        network.WLAN(network.STA_IF).active(False)  # or it wakes a Pico W (ports/rp2/modmachine.c)
    machine.deepsleep(*millis)


def _remember(seconds: int, packed: bytes) -> None:
    """Keep this through deep sleep: in the memory of the clock (ESP8266: 492 bytes, ESP32: 2 kB), else in a file."""
    kept = struct.pack(_HEAD, _MAGIC, seconds) + packed
    try:
        machine.RTC().memory(kept)
    except (AttributeError, ValueError):  # it has none (Pico W), or too little
        with open(_FILE, "wb") as file:
            file.write(kept)


def _recall() -> tuple:
    """Return what was kept, and forget it: after a crash nothing old is sent as new."""
    kept = b""
    try:
        with open(_FILE, "rb") as file:
            kept = file.read()
        os.remove(_FILE)
    except OSError:
        try:
            kept = machine.RTC().memory()
            machine.RTC().memory(b"")
        except AttributeError:
            pass
    head = struct.calcsize(_HEAD)
    if len(kept) < head or struct.unpack_from(_HEAD, kept)[0] != _MAGIC:
        return 0, b""
    return struct.unpack_from(_HEAD, kept)[1], kept[head:]
