"""DHT22 and DHT11: edges to bits to values, with what goes wrong on a wire, and the kernel's own driver."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outstation.devices.dht import DhtOptions, DhtSensor
from outstation.devices.dht_signal import BITS, EDGES, Climate, Kind, decoded, spoken
from outstation.devices.lines.line import Edge
from outstation.errors import DeviceError, MissingDeviceError, RefusedError
from outstation.plugins import Place

CLIMATES = st.builds(
    lambda celsius, humid: Climate(celsius / 10, humid / 10), st.integers(-400, 800), st.integers(1, 1000)
)
BEFORE_THE_BITS = 4
"""Edges: the wire let go of, and the answer's own two."""

DATA_SHEET = bytes((0b00000010, 0b10010010, 0b00000001, 0b00001101, 0b10100010))
FROST = bytes((0b00000010, 0b10010010, 0b10000000, 0b01100101, 0b01111001))
"""The examples of the AM2302's data sheet: 65.8 % at 26.9 °C, and at -10.1 °C with the sum as it must be."""


def edges(said: bytes, *, one_us: int = 70, zero_us: int = 26) -> list[Edge]:
    """Return the bits alone: somebody was late, and missed what came before them."""
    found, at_us = list[Edge](), 0
    for byte in said:
        for place in range(8):
            found += [Edge(True, at_us * 1000, len(found) + 1)]
            at_us += one_us if byte << place & 0x80 else zero_us
            found += [Edge(False, at_us * 1000, len(found) + 1)]
            at_us += 50
    return [*found, Edge(True, at_us * 1000, len(found) + 1)]


def numbered(kept: Sequence[Edge]) -> list[Edge]:
    """Return edges as a pin reports them that was too slow for some: nobody counts those."""
    return [Edge(edge.level, edge.at_ns, number) for number, edge in enumerate(kept, 1)]


def test_the_examples_of_the_data_sheet() -> None:
    assert decoded(edges(DATA_SHEET), "dht22") == Climate(26.9, 65.8)
    assert decoded(edges(FROST[:4] + bytes([sum(FROST[:4]) & 0xFF])), "dht22") == Climate(-10.1, 65.8)
    assert decoded(edges(bytes((0x2D, 0x00, 0x1C, 0x06, 0x4F))), "dht11") == Climate(28.6, 45.0)


@settings(max_examples=40)
@given(
    climate=CLIMATES,
    late=st.binary(min_size=EDGES, max_size=EDGES),
    missed=st.integers(0, BEFORE_THE_BITS),
)
def test_what_it_says_is_understood_though_each_edge_comes_a_little_late(
    climate: Climate, late: bytes, missed: int
) -> None:
    heard = [
        Edge(edge.level, edge.at_ns + 35 * by, edge.number)
        for edge, by in zip(spoken(climate, "dht22"), late, strict=True)
    ]
    assert decoded(heard[missed:], "dht22") == climate


@settings(max_examples=40)
@given(climate=CLIMATES, flipped=st.integers(0, BITS - 1))
def test_one_wrong_bit_is_never_a_value(climate: Climate, flipped: int) -> None:
    said = spoken(climate, "dht22")
    at = BEFORE_THE_BITS + 2 * flipped
    longer = 44_000 if said[at + 1].at_ns - said[at].at_ns < 49_000 else -44_000
    heard = [Edge(e.level, e.at_ns + (longer if number > at else 0), e.number) for number, e in enumerate(said)]
    with pytest.raises(DeviceError, match="checksum is wrong"):
        decoded(heard, "dht22")


@settings(max_examples=80)
@given(
    climate=CLIMATES,
    lost=st.sets(st.integers(0, EDGES - 1), min_size=1, max_size=6),
    counted=st.booleans(),
)
def test_lost_edges_are_a_fault_or_do_not_matter(climate: Climate, lost: set[int], counted: bool) -> None:
    kept = [edge for number, edge in enumerate(spoken(climate, "dht22")) if number not in lost]
    with suppress(DeviceError):
        assert decoded(kept if counted else numbered(kept), "dht22") == climate


@settings(max_examples=80)
@given(
    climate=CLIMATES,
    after=st.integers(BEFORE_THE_BITS - 1, EDGES - 1),
    wait_us=st.integers(1, 45),
    lost=st.none() | st.integers(0, EDGES - 2),
)
@example(climate=Climate(0.5, 30.0), after=EDGES - 2, wait_us=20, lost=None)
@example(climate=Climate(0.5, 30.0), after=EDGES - 1, wait_us=20, lost=None)
@example(climate=Climate(0.0, 30.0), after=EDGES - 2, wait_us=20, lost=BEFORE_THE_BITS)
def test_a_wire_that_crackles_is_a_fault_or_does_not_matter(
    climate: Climate, after: int, wait_us: int, lost: int | None
) -> None:
    """At the end one more short pulse doubles all bytes, and the sum is right again; the first bit may be lost."""
    said = spoken(climate, "dht22")
    level, at_ns = said[after].level, said[after].at_ns + wait_us * 1_000
    crackle = [Edge(not level, at_ns, 0), Edge(level, at_ns + 4_000, 0)]
    kept = said if lost is None else said[:lost] + said[lost + 2 :]
    heard = sorted([*kept, *crackle], key=lambda edge: edge.at_ns)
    with suppress(DeviceError):
        assert decoded(numbered(heard), "dht22") == climate


@given(st.lists(st.builds(Edge, st.booleans(), st.integers(0, 10**7), st.integers(1, 200)), max_size=200))
def test_noise_is_a_fault(noise: list[Edge]) -> None:
    with pytest.raises(DeviceError):
        decoded(noise, "dht22")


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (bytes(5), "dht22", "another kind"),
        (bytes((0x2D, 0, 0x1C, 0, 0x49)), "dht22", "another kind"),
        (DATA_SHEET[:4] + b"\x00", "dht22", "checksum is wrong: 02 92 01 0d 00"),
    ],
)
def test_what_makes_no_sense_is_a_fault(said: bytes, kind: Kind, words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        decoded(edges(said), kind)


def test_silence_and_half_an_answer_are_told_apart() -> None:
    with pytest.raises(DeviceError, match="does not answer"):
        decoded([], "dht22")
    with pytest.raises(DeviceError, match="said 20 of 40 bits"):
        decoded(edges(DATA_SHEET)[:40], "dht22")


def probe(place: Place, quantity: str, **options: Any) -> DhtSensor:
    given = {"pin": 4, "quantity": quantity, "simulate": True} | options
    return DhtSensor(f"porch_{quantity}", DhtOptions.model_validate(given), place)


@pytest.mark.parametrize("kind", ["dht22", "dht11"])
def test_both_quantities_come_with_one_answer(place: Place, kind: Kind) -> None:
    warmth, damp = probe(place, "temperature", kind=kind), probe(place, "humidity", kind=kind)
    assert (warmth.bus, warmth.unit, damp.unit) == (damp.bus, "°C", "%")
    warmth.open()
    damp.open()
    assert (warmth.read(), damp.read()) == (21.0, 50.0)
    warmth.simulate(-3.5)
    damp.simulate(91)
    assert (damp.read(), warmth.read()) == (91.0, -3.5)
    with pytest.raises(RefusedError, match="measures no texts"):
        damp.simulate("wet")
    warmth.simulate(None)
    damp.simulate(101)
    with pytest.raises(DeviceError, match=r"at pin 4 was asked 3 times.+another kind"):
        warmth.read()


class Garbled(DhtSensor):
    """A chip whose answers are garbled so many times."""

    rest_s = 0.01
    bad = 0

    def _edges(self) -> list[Edge]:
        self.bad -= 1
        return edges(DATA_SHEET[:4] + (b"\x00" if self.bad >= 0 else DATA_SHEET[4:]))


def test_a_garbled_answer_is_asked_for_again_before_it_is_a_fault(place: Place) -> None:
    sensor = Garbled("porch", DhtOptions(pin=4, quantity="humidity"), place)
    sensor.open()
    sensor.bad = 2
    began = time.monotonic()
    assert sensor.read() == 65.8
    assert time.monotonic() - began >= 0.02, "the chip rests between two questions"
    sensor.bad = 3
    with pytest.raises(DeviceError, match=r"The DHT22 at pin 4 was asked 3 times: Its checksum .+10 kΩ"):
        sensor.read()


def test_a_pin_that_cannot_be_had_is_asked_for_once(place: Place) -> None:
    sensor = probe(place, "humidity", simulate=False, chip="/dev/gpiochip99")
    sensor.open()
    began = time.monotonic()
    with pytest.raises(MissingDeviceError, match="no /dev/gpiochip99"):
        sensor.read()
    assert time.monotonic() - began < 1


def test_the_kernels_own_driver_is_asked_where_it_has_the_pin(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, pin in enumerate((17, 4)):
        device = tmp_path / f"iio:device{number}"
        (device / "of_node").mkdir(parents=True)
        (device / "name").write_text(f"dht11@{pin:x}\n")
        (device / "of_node" / "gpios").write_bytes(bytes((0, 0, 0, 7, 0, 0, 0, pin, 0, 0, 0, 0)))
        (device / "in_temp_input").write_text(f"-{pin}100\n")
        (device / "in_humidityrelative_input").write_text("54300\n")
    (tmp_path / "iio:device2").mkdir()
    monkeypatch.setattr(DhtSensor, "iio", tmp_path)
    monkeypatch.setattr(DhtSensor, "rest_s", 0.0)
    sensor = probe(place, "temperature", simulate=False)
    sensor.open()
    assert sensor.read() == -4.1
    for name in ("in_temp_input", "in_humidityrelative_input"):
        (tmp_path / "iio:device1" / name).write_text("0\n")
    with pytest.raises(DeviceError, match="nothing but zeros"):
        sensor.read()
    (tmp_path / "iio:device1" / "in_temp_input").write_text("")
    with pytest.raises(DeviceError, match="The kernel's driver says"):
        sensor.read()
