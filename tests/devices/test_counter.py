"""Pulses that are counted: by edges of the simulated chip, by a number in a file, and over restarts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.readings import Value
from outstation.devices import gpio, pulses
from outstation.devices.counter import CounterOptions, CounterSensor
from outstation.devices.lines.simulated import SimulatedChip
from outstation.devices.pulses import Rate
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import Place

S = 1_000_000_000
PIN = 6


def counter(place: Place, **options: Any) -> CounterSensor:
    source = {} if "file" in options else {"pin": PIN, "simulate": True, "debounce": "0s"}
    return CounterSensor("rain", CounterOptions.model_validate(source | options), place)


def tip(chip: SimulatedChip, times: int) -> None:
    """Let a rain gauge's bucket tip over so often."""
    for _ in range(times):
        chip.drive_high(PIN)
        chip.drive_low(PIN)


def until(reads: Callable[[], Value], wanted: object) -> Value:
    give_up = time.monotonic() + 2
    while (value := reads()) != wanted and time.monotonic() < give_up:
        time.sleep(0.002)
    return value


def test_each_pulse_counts_once_for_what_it_is_worth(place: Place, chip: SimulatedChip) -> None:
    rain = counter(place, per_pulse=0.25)
    rain.open()
    assert rain.read() == 0
    tip(chip, 7)
    assert until(rain.read, 1.75) == 1.75
    tip(chip, 1)
    assert until(rain.read, 2.0) == 2.0
    rain.close()


def test_a_total_of_whole_numbers_stays_exact(place: Place, chip: SimulatedChip) -> None:
    litres = counter(place, per_pulse=10, start=2**60)
    litres.open()
    tip(chip, 1)
    assert until(litres.read, 2**60 + 10) == 2**60 + 10
    assert isinstance(litres.read(), int)
    litres.close()


def test_a_contact_to_ground_counts_when_it_closes(place: Place, chip: SimulatedChip) -> None:
    rain = counter(place, active_low=True, pull="up")
    rain.open()
    tip(chip, 2)
    assert until(rain.read, 2) == 2, "it ended low, which is closed"
    rain.close()


def test_a_total_goes_on_where_the_last_stored_one_ended(place: Place, chip: SimulatedChip) -> None:
    said = {"rain": 812.5}
    rain = counter(msgspec.structs.replace(place, last=lambda name, _: said.get(name)), per_pulse=0.5, start=100)
    rain.open()
    tip(chip, 3)
    assert until(rain.read, 814.0) == 814.0
    rain.close()


@pytest.mark.parametrize("last", [None, "closed", True])
def test_what_is_no_number_is_no_total_to_go_on_from(place: Place, chip: SimulatedChip, last: Value | None) -> None:
    rain = counter(msgspec.structs.replace(place, last=lambda _name, _since: last), start=100)
    rain.open()
    assert rain.read() == 100
    rain.close()


def test_a_total_that_was_reset_goes_on_from_nothing_that_is_older(place: Place, chip: SimulatedChip) -> None:
    asked = list[int]()
    rain = counter(
        msgspec.structs.replace(place, last=lambda _name, since: asked.append(since)),
        start=48_220.5,
        reset="2026-11-21T12:00:00+01:00",
    )
    rain.open()
    assert rain.read() == 48_220.5
    assert asked == [1_795_258_800_000]
    rain.close()


@pytest.mark.parametrize("reset", ["yesterday", "2026-11-21", "2026-11-21T12:00:00", 0])
def test_a_reset_is_a_moment_with_its_zone(reset: object) -> None:
    with pytest.raises(pydantic.ValidationError, match="a date and time with its zone, such as 2026"):
        CounterOptions.model_validate({"pin": PIN, "reset": reset})


def test_opened_again_after_a_fault_it_has_forgotten_nothing(place: Place, chip: SimulatedChip) -> None:
    rain = counter(msgspec.structs.replace(place, last=lambda _name, _since: 10))
    rain.open()
    tip(chip, 3)
    assert until(rain.read, 13) == 13
    rain.close()
    rain.open()
    tip(chip, 1)
    assert until(rain.read, 14) == 14
    rain.close()


def test_total_and_rate_count_on_one_pin(place: Place, chip: SimulatedChip) -> None:
    total, rate = counter(place, per_pulse=0.5), counter(place, per_pulse=0.5, quantity="rate", per="1s")
    assert total.bus == rate.bus
    total.open()
    rate.open()
    assert rate.read() == 0
    tip(chip, 4)
    assert until(total.read, 2.0) == 2.0
    assert float(rate.read()) > 2.0, "four in less than a second"
    total.close()
    tip(chip, 1)
    assert float(rate.read()) > 0
    rate.close()
    assert until(lambda: chip.holder(PIN), "") == "", "the last one lets go"


def test_two_who_count_one_pin_in_two_ways_are_told(place: Place, chip: SimulatedChip) -> None:
    total, rate = counter(place), counter(place, quantity="rate", active_low=True)
    total.open()
    with pytest.raises(DeviceError, match=r"another way\. Set the same `pull`"):
        rate.open()
    rate.close()
    total.close()


def test_a_chip_that_is_pulled_out_is_a_fault_and_comes_back(place: Place) -> None:
    total, rate = counter(place), counter(place, quantity="rate")
    total.open()
    rate.open()
    with SimulatedChip(gpio.simulated_chip(place.data, None)) as chip:
        tip(chip, 2)
        assert until(total.read, 2) == 2
        chip.stop()
    with pytest.raises(DeviceError, match="gone"):
        until(total.read, None)
    total.close()
    total.open()
    with pytest.raises(DeviceError, match="gone"):
        rate.read()
    rate.close()
    assert total.read() == 2
    total.close()
    with SimulatedChip(gpio.simulated_chip(place.data, None)) as chip:
        chip.stop()


def test_a_missing_pin_is_a_fault(place: Place) -> None:
    with pytest.raises(MissingDeviceError, match="gpiochip99"):
        counter(place, simulate=False, chip="/dev/gpiochip99").open()


def test_the_numbers_of_the_kernels_edges_go_round() -> None:
    """Two thousand edges a second of a flow meter take 25 days for that."""
    assert pulses.edges(2**32 - 3, 2) == 5
    assert pulses.edges(7, 9) == 2


@given(first=st.booleans(), kept=st.lists(st.booleans(), min_size=1, max_size=60))
def test_edges_that_a_slow_reader_missed_are_counted_all_the_same(first: bool, kept: list[bool]) -> None:
    """The kernel keeps 16 and numbers all. The last one is always there."""
    kept[-1] = True
    levels = [first ^ bool(number % 2) for number in range(len(kept))]
    seen = [(number + 1, level) for number, level in enumerate(levels) if kept[number]]
    counted, before = 0, 0
    for number, level in seen:
        counted, before = counted + pulses.pulses(number - before, level), number
    assert counted == sum(levels)


@given(
    start=st.integers(0, 65_535), growth=st.lists(st.integers(0, 32_767), max_size=30), wrap=st.sampled_from([65_536])
)
def test_a_number_that_goes_round_is_followed(start: int, growth: list[int], wrap: int) -> None:
    before, total = start, 0
    for step in growth:
        now = (before + step) % wrap
        total, before = total + pulses.steps(before, now, wrap), now
    assert total == sum(growth)


def test_a_number_that_begins_anew_is_not_taken_for_one_that_went_round() -> None:
    assert pulses.steps(before=900, now=5, wrap=None) == 5
    assert pulses.steps(before=900, now=5, wrap=65_536) == 5
    assert pulses.steps(before=65_530, now=5, wrap=65_536) == 11


def test_a_number_that_is_set_back_is_not_counted_twice() -> None:
    """A program that is restarted goes on from what it had kept some minutes ago."""
    assert pulses.steps(before=48_213, now=48_200, wrap=None) == 0
    assert pulses.steps(before=48_200, now=48_201, wrap=None) == 1


def test_a_number_in_a_file_is_followed(place: Place) -> None:
    file = place.base / "count"
    file.write_text("65530\n")
    energy = counter(place, file="count", wrap=65_536, per_pulse=0.001, start=12.0)
    energy.open()
    assert energy.read() == 12.0, "what was there before is not ours"
    file.write_text("4\n")
    assert energy.read() == 12.01
    file.write_text("65536\n")
    with pytest.raises(DeviceError, match="Set `wrap`"):
        energy.read()
    file.write_text("much\n")
    with pytest.raises(DeviceError, match="no whole number"):
        energy.read()
    file.unlink()
    with pytest.raises(MissingDeviceError, match="There is no file"):
        energy.read()
    energy.close()


def test_a_rate_is_that_of_the_pulses_and_falls_when_they_stay_away() -> None:
    rate = Rate(0, still_ns=300 * S, count=0)
    assert rate.at(10 * S, 0, 0) == 0
    assert rate.at(20 * S, 1, 15 * S) == pytest.approx(0.1), "the first: one within ten seconds"
    assert rate.at(26 * S, 5, 25 * S) == pytest.approx(0.4), "four in ten seconds, from pulse to pulse"
    assert rate.at(27 * S, 5, 25 * S) == pytest.approx(0.4)
    assert rate.at(125 * S, 5, 25 * S) == pytest.approx(0.01), "else there would have been one"
    assert rate.at(324 * S, 5, 25 * S) > 0
    assert rate.at(325 * S, 5, 25 * S) == 0
    assert rate.at(900 * S, 6, 899 * S) == pytest.approx(1 / 575), "after a rest: one since the last look"


def test_options_that_make_no_sense_are_refused(place: Place) -> None:
    for wrong in ({}, {"pin": 5, "file": "x"}, {"pin": 5, "wrap": 100}, {"pin": 5, "per_pulse": 0}, {"pin": -1}):
        with pytest.raises(pydantic.ValidationError):
            CounterOptions.model_validate(wrong)
