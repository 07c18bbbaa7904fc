"""What a DHT22 or DHT11 says on its one wire, as edges with their times, to what it measured: pure.

Forty bits, each 50 µs low and then high: 26 µs for a 0, 70 µs for a 1 (Aosong, AM2302 data sheet, "Single-bus signal
characteristics"). The last byte is the sum of the four before it. A frame counts only if nothing of it was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from outstation.devices.lines.line import Edge
from outstation.errors import DeviceError

Kind = Literal["dht22", "dht11"]

BITS = 40

EDGES = 2 * BITS + 5
"""At most: the wire let go of, the answer of 80 µs low and 80 µs high, the bits, and the wire let go of again."""

_ONE_NS = 49_000
"""A longer pulse is a 1: as the kernel's driver has it (drivers/iio/humidity/dht11.c, DHT11_THRESHOLD)."""

_LASTS_NS = {True: (10_000, 100_000), False: (30_000, 80_000)}
"""How long a bit is high, and low before that: 22 to 75 and 48 to 55 µs, and an interrupt that came late."""

_ANSWER_NS = 60_000
"""High for 80 µs before the first bit, which itself is always a short one: nothing has more than 100 %."""

_LIMITS: dict[Kind, tuple[float, float]] = {"dht22": (-40, 80), "dht11": (-20, 60)}
"""In °C (Aosong, AM2302 and DHT11 data sheets)."""


class Climate(msgspec.Struct, frozen=True):
    """One measurement: in °C, and in percent of relative humidity."""

    temperature: float
    humidity: float


def decoded(edges: Sequence[Edge], kind: Kind) -> Climate:
    """Return what was measured. Raises DeviceError: nobody spoke, edges are missing, the sum is wrong, ..."""
    said = _bytes(_bits(edges))
    if sum(said[:4]) & 0xFF != said[4]:
        raise DeviceError(f"Its checksum is wrong: {said.hex(' ')}.")
    climate = _climate(said, kind)
    low, high = _LIMITS[kind]
    if not any(said) or not low <= climate.temperature <= high or not 0 <= climate.humidity <= 100:
        raise DeviceError(f"It said {said.hex(' ')}, which a {kind.upper()} does not measure: is it of another kind?")
    return climate


def _bits(edges: Sequence[Edge]) -> list[bool]:
    if not edges:
        raise DeviceError("It does not answer.")
    heard = edges[: -1 if edges[-1].level else None]
    said, frame = heard[-2 * BITS - 2 :], heard[-2 * BITS :]
    if len(frame) < 2 * BITS:
        raise DeviceError(f"It said {len(frame) // 2} of {BITS} bits.")
    answered = len(said) < 2 * BITS + 2 or _lasts_ns(said[0], said[1]) >= _ANSWER_NS
    if not answered or not all(map(_is_phase, said, said[1:])):
        raise DeviceError("Some of its edges were missed, or the wire crackles.")
    return [_lasts_ns(rise, fall) > _ONE_NS for rise, fall in zip(frame[::2], frame[1::2], strict=True)]


def _is_phase(begin: Edge, end: Edge) -> bool:
    shortest, longest = _LASTS_NS[begin.level]
    follows = end.number == begin.number + 1 and end.level != begin.level
    return follows and shortest <= _lasts_ns(begin, end) <= longest


def _lasts_ns(begin: Edge, end: Edge) -> int:
    return end.at_ns - begin.at_ns


def _bytes(bits: Sequence[bool]) -> bytes:
    return bytes(sum(bit << 7 - place for place, bit in enumerate(bits[at : at + 8])) for at in range(0, BITS, 8))


def _climate(said: bytes, kind: Kind) -> Climate:
    if kind == "dht22":
        celsius = ((said[2] & 0x7F) << 8 | said[3]) / 10
        return Climate(-celsius if said[2] & 0x80 else celsius, (said[0] << 8 | said[1]) / 10)
    celsius = said[2] + (said[3] & 0x7F) / 10
    return Climate(-celsius if said[3] & 0x80 else celsius, said[0] + said[1] / 10)


def spoken(climate: Climate, kind: Kind) -> list[Edge]:
    """Return the edges with which a chip says this, from when the wire is let go of."""
    tenths, humid = round(abs(climate.temperature) * 10), round(climate.humidity * 10)
    minus = 0x80 if climate.temperature < 0 else 0
    if kind == "dht22":
        said = [humid >> 8, humid & 0xFF, tenths >> 8 | minus, tenths & 0xFF]
    else:
        said = [humid // 10, humid % 10, tenths // 10, tenths % 10 | minus]
    phases = [30, 80, 80]
    for byte in (*said, sum(said) & 0xFF):
        for place in range(8):
            phases += [50, 70 if byte << place & 0x80 else 26]
    return _edges([*phases, 50])


def _edges(phases_us: Sequence[int]) -> list[Edge]:
    edges, at_ns, level = [Edge(True, 0, 1)], 0, True
    for phase in phases_us:
        at_ns, level = at_ns + phase * 1_000, not level
        edges.append(Edge(level, at_ns, len(edges) + 1))
    return edges
