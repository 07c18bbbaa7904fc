"""The only module that asks what time it is, and how far to trust the answer.

Two clocks: `at` is UTC, which people read and which may be wrong or step; `now` is
CLOCK_BOOTTIME, which never steps and counts through suspend. Both in milliseconds.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import time
from pathlib import Path
from typing import Literal, NamedTuple

# linux/timex.h: the status word of struct timex lies 40 bytes in on 64-bit machines;
# STA_UNSYNC is 0x40; struct timex is 208 bytes long.
_TIMEX_SIZE, _TIMEX_STATUS, _STA_UNSYNC = 208, 40, 0x40


Setting = Literal["auto", "trust"]
"""What the owner says: believe the kernel's word, or believe the clock anyway."""


class Trust(enum.IntEnum):
    """How far the wall clock of this boot is to be believed. Stored: numbers stay."""

    UNSET = 0
    RESTORED = 1
    SYNCHRONISED = 2


class Moment(NamedTuple):
    """One look at both clocks: `at` in UTC milliseconds, `now` in milliseconds since boot."""

    at: int
    now: int


def at() -> int:
    """Return UTC in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def now() -> int:
    """Return the milliseconds since boot, suspend included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def moment() -> Moment:
    """Return both clocks."""
    return Moment(at(), now())


def monotonic_ns() -> int:
    """Return CLOCK_MONOTONIC in nanoseconds: the clock in which the kernel stamps GPIO edges."""
    return time.monotonic_ns()


def trust(setting: Setting = "auto") -> Trust:
    """Return how far to trust `at()`: the kernel's word (set by chrony, timesyncd, ntpd), or the owner's."""
    if setting == "trust" or _kernel_is_synchronised():
        return Trust.SYNCHRONISED
    if Path("/run/systemd/timesync/synchronized").exists():
        return Trust.SYNCHRONISED
    return Trust.UNSET


def iso(at: int) -> str:
    """Return UTC milliseconds as people and programs read them: `2026-03-01T12:00:00.000Z` (RFC 3339)."""
    minute, millis = divmod(at, 60_000)
    return _iso_minute(minute) + _SECONDS[millis // 1000] + _MILLIS[millis % 1000]


@functools.cache
def boot_id() -> str:
    """Return the kernel's random name for this boot (proc(5), /proc/sys/kernel/random/boot_id)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


_SECONDS = [f"{second:02d}" for second in range(60)]
_MILLIS = [f".{milli:03d}Z" for milli in range(1_000)]
"""Made once: tables of readings are mostly times."""


@functools.lru_cache(maxsize=256)
def _iso_minute(minute: int) -> str:
    when = time.gmtime(minute * 60)
    return f"{when.tm_year:04d}-{when.tm_mon:02d}-{when.tm_mday:02d}T{when.tm_hour:02d}:{when.tm_min:02d}:"


def _kernel_is_synchronised() -> bool:
    timex = ctypes.create_string_buffer(_TIMEX_SIZE)
    if _libc().adjtimex(timex) < 0:
        return False
    status = int.from_bytes(timex.raw[_TIMEX_STATUS : _TIMEX_STATUS + 4], "little")
    return not status & _STA_UNSYNC


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
