"""Chips that are unplugged, garble, are others, or share an address: one sensor's fault, and the others go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outstation.devices.i2c import I2cOptions, I2cSensor
from outstation.devices.models import world
from outstation.devices.models.model import SimulatedI2C
from outstation.devices.models.sht4x import Sht4x
from outstation.devices.wiring import library
from outstation.engine import sampler as engine
from outstation.engine.sampler import Sampled
from outstation.errors import DeviceError, UnpluggedError
from outstation.plugins import Place
from tests.engine.sampling import EVERY, Heard, sampling


def sensor(folder: Path, chip: str, quantity: str = "temperature", address: int | None = None) -> I2cSensor:
    options = {"chip": chip, "quantity": quantity, "simulate": True, "address": address}
    return I2cSensor(f"{chip}_{quantity}", I2cOptions.model_validate(options), Place(folder, folder))


@pytest.fixture
def bus(tmp_path: Path) -> SimulatedI2C:
    return world.i2c(tmp_path, 1)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FIRST_BACKOFF", 0.05)
    monkeypatch.setattr(engine, "PLUGGED_IN_SEEN_S", 0.05)


@contextmanager
def beside_a_good_one(folder: Path, *bad: I2cSensor) -> Iterator[Heard]:
    """Have the sensors asked, and an MCP9808 on the same bus; that one must have gone on at the end."""
    good = Sampled("good", sensor(folder, "mcp9808"), EVERY)
    with sampling(good, *(Sampled("it", each, EVERY) for each in bad)) as heard:
        heard.values(1, "good")
        yield heard
        heard.values(len(heard.readings("good")) + 2, "good")


def test_a_chip_that_is_unplugged_is_a_fault_and_answers_again_when_it_is_back(
    tmp_path: Path, bus: SimulatedI2C
) -> None:
    with beside_a_good_one(tmp_path, sensor(tmp_path, "sht4x")) as heard:
        heard.values(2)
        chip = bus.unplug(0x44)
        assert heard.errors(2) == [
            (
                "The sht4x at 0x44 on simulated /dev/i2c-1 does not answer (Remote I/O error, EREMOTEIO). "
                "Look at its wiring: a wire may be loose."
            ),
            (
                "Nobody answers at 0x44 on simulated /dev/i2c-1, where the sht4x should be. "
                "Look at its wiring, its power and its address; `outstation scan` lists who answers."
            ),
        ]
        before = len(heard.readings())
        bus.plug(0x44, chip)
        heard.values(before + 2)


def test_what_is_unplugged_is_looked_for_every_few_seconds(tmp_path: Path, bus: SimulatedI2C) -> None:
    lost = sensor(tmp_path, "sht4x")
    bus.unplug(0x44)
    with pytest.raises(UnpluggedError, match="Nobody answers at 0x44"):
        lost.open()
    lost.close()


def test_an_address_where_nobody_is_says_where_the_chip_could_be(tmp_path: Path, bus: SimulatedI2C) -> None:
    lost = sensor(tmp_path, "sht4x")
    bus.plug(0x46, bus.unplug(0x44))
    with beside_a_good_one(tmp_path, lost) as heard:
        (error,) = heard.errors(1)
    assert error.startswith("Nobody answers at 0x44 on simulated /dev/i2c-1, where the sht4x should be.")
    assert "set address = 0x46" in error


def test_a_chip_that_does_not_acknowledge_for_a_moment_is_back_soon(tmp_path: Path, bus: SimulatedI2C) -> None:
    with sampling(sensor(tmp_path, "sht4x")) as heard:
        heard.values(1)
        bus.naks = 1
        assert "does not answer" in heard.errors(1)[0]
        heard.values(len(heard.readings()) + 2)


def test_what_is_garbled_on_its_way_is_no_value(tmp_path: Path, bus: SimulatedI2C) -> None:
    with beside_a_good_one(tmp_path, sensor(tmp_path, "sht4x")) as heard:
        heard.values(1)
        bus.noise = lambda address, said: said[:-1] + b"\x00" if address == 0x44 and said else said
        assert "Invalid CRC calculated" in heard.errors(1)[0]
        bus.noise = None
        heard.values(len(heard.readings()) + 1)
    assert {reading.value for reading in heard.readings()} == {heard.readings()[0].value}


@pytest.mark.parametrize(("chip", "address"), [("bme680", 0x76), ("ahtx0", 0x38), ("scd4x", 0x62), ("tsl2591", 0x29)])
def test_another_chip_at_the_address_is_told_from_the_one_that_should_be_there(
    tmp_path: Path, bus: SimulatedI2C, chip: str, address: int
) -> None:
    quantity = "lux" if chip == "tsl2591" else "temperature"
    wrong = sensor(tmp_path, chip, quantity, address)
    bus.unplug(address)
    bus.plug(address, Sht4x())
    with beside_a_good_one(tmp_path, wrong) as heard:
        (error,) = heard.errors(1)
    assert f"0x{address:02x} on simulated /dev/i2c-1" in error
    assert "`outstation scan`" in error or "wiring" in error
    assert heard.readings() == []


def test_a_chip_that_is_busy_for_ever_is_let_go(
    tmp_path: Path, bus: SimulatedI2C, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its library would ask it for ever, and nobody else on the bus would be asked again."""
    busy = sensor(tmp_path, "ahtx0")
    with beside_a_good_one(tmp_path, busy) as heard:
        heard.values(1)
        monkeypatch.setattr(library, "_ENDLESS_S", 0.2)
        bus.noise = lambda address, said: said and bytes([said[0] | 0x80 * (address == 0x38)]) + said[1:]
        assert "is never ready: it is asked again and again" in heard.errors(1)[0]


def test_two_chips_at_one_address_are_told_apart_and_both_named(tmp_path: Path) -> None:
    """A config says so before; two of other packages may meet here."""
    first, second = sensor(tmp_path, "sht4x"), sensor(tmp_path, "sht31d", address=0x44)
    first.open()
    with beside_a_good_one(tmp_path, second) as heard:
        (error,) = heard.errors(1)
    assert error == (
        '0x44 on simulated /dev/i2c-1 is taken: "sht4x_temperature" reads a sht4x there, and "sht31d_temperature" '
        "would read it as a sht31d. Two chips cannot share an address: mend one of the two tables."
    )
    first.close()


def test_the_end_of_a_converters_range_is_no_voltage(tmp_path: Path) -> None:
    """With a gain of 2 it ends at 2.048 V, which looks right."""
    soil = I2cSensor(
        "soil",
        I2cOptions.model_validate({"chip": "ads1115", "quantity": "a0", "settings": {"gain": 2}, "simulate": True}),
        Place(tmp_path, tmp_path),
    )
    soil.open()
    soil.simulate(2.0)
    assert soil.read() == pytest.approx(2.0, abs=0.001)
    soil.simulate(3.0)
    with pytest.raises(DeviceError, match=r"ads1115 at .* is at the end of its range: a0"):
        soil.read()
    soil.close()


def test_more_than_a_chip_can_measure_is_the_fault_of_that_quantity_alone(tmp_path: Path) -> None:
    current, voltage = sensor(tmp_path, "ina219", "current"), sensor(tmp_path, "ina219", "voltage")
    with sampling(Sampled("current", current, EVERY), Sampled("it", voltage, EVERY)) as heard:
        heard.values(1, "current")
        current.simulate(9_999)
        assert "at the end of its range: current is more than that. If that is so, give it" in heard.errors(1)[0]
        heard.values(len(heard.readings()) + 2)
        current.simulate(-20)
        began = time.monotonic()
        while heard.readings("current")[-1].value != pytest.approx(-20, abs=0.1):
            assert time.monotonic() < began + 3
            time.sleep(0.01)
