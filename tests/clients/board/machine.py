"""The chip: its bus with what is wired to it, timers, the memory of its clock, sleep and reset."""

import time

PWRON_RESET, WDT_RESET, DEEPSLEEP_RESET = 0, 1, 5

_cause = PWRON_RESET
wired = {}  # by address on the bus: registers, a dict of bytes


class Off(Exception):  # noqa: N818  nothing is wrong
    """The board sleeps deeply, for so many milliseconds (None: for ever), or starts anew."""


def wake(cause: int, slept: int = 0) -> None:
    """Let the board start again: whatever was in its heap is gone, and what was in its timers."""
    global _cause  # noqa: PLW0603  of the last start
    time.timers.clear()
    time.sleep_ms(slept)
    _cause = cause


def reset_cause() -> int:
    """Return why the board started."""
    return _cause


def deepsleep(millis: int | None = None) -> None:
    """Switch all off but the clock."""
    raise Off("deepsleep", millis)


def reset() -> None:
    """Start anew."""
    raise Off("reset", None)


class Pin:
    """A pin."""

    def __init__(self, number: int) -> None:
        self.number = number


class I2C:
    """A bus: each part on it has registers, which count on by themselves while they are read."""

    def __init__(self, scl: Pin, sda: Pin) -> None:
        self.pins = scl, sda

    def readfrom_mem(self, address: int, register: int, count: int) -> bytes:
        """Read so many bytes."""
        if address not in wired:
            raise OSError(19)  # ENODEV, as boards say it
        return wired[address](register, count)

    def writeto_mem(self, address: int, register: int, data: bytes) -> None:
        """Write bytes."""
        if address not in wired:
            raise OSError(19)
        wired[address](register, 0, data)


class Timer:
    """A timer in software."""

    PERIODIC = 1

    def __init__(self, number: int) -> None:
        self.number = number

    def init(self, period: int, mode: int, callback: callable) -> None:
        """Start it."""
        self.period, self.mode, self.callback = period, mode, callback
        self.due = time.ticks_ms() + period
        time.timers.append(self)

    def deinit(self) -> None:
        """Stop it."""
        time.timers.remove(self)


class RTC:
    """The clock's memory: of an ESP8266."""

    SIZE = 492
    _kept = b""

    def memory(self, data: bytes | None = None) -> bytes | None:
        """Return what is kept; or keep this."""
        if data is None:
            return RTC._kept
        if len(data) > self.SIZE:
            raise ValueError("buffer too long")
        RTC._kept = data
        return None
