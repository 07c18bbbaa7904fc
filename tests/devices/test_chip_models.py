"""Chips by their real libraries, on a simulated bus: what a chip measures is what its library says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from outstation.devices.chips import I2C
from outstation.devices.i2c import I2cOptions, I2cSensor
from outstation.devices.models import world
from outstation.devices.models.checksum import checked_words, crc8
from outstation.devices.models.model import Model, Nak, SimulatedI2C
from outstation.devices.models.scd4x import Scd4x
from outstation.devices.models.sht4x import Sht4x
from outstation.devices.models.timed import Timed
from outstation.errors import DeviceError
from outstation.plugins import Place


class Bench:
    """One chip and sensors for all that it measures, as a config would have them."""

    def __init__(self, folder: Path, chip: str, **settings: Any) -> None:
        place = Place(folder, folder)
        options = {"chip": chip, "simulate": True, "settings": settings}
        self.sensors = {
            quantity: I2cSensor(quantity, I2cOptions.model_validate(options | {"quantity": quantity}), place)
            for quantity in I2C[chip].quantities
        }
        self.address = I2C[chip].addresses[0]
        self.bus: SimulatedI2C = world.i2c(folder, 1)
        self.chip: Model = self.bus.chips[self.address]

    def hurry(self, times: float) -> None:
        """Let the chip's own time run faster than that of the library, which waits long enough for it anyway."""
        assert isinstance(self.chip, Timed)
        self.chip.clock = lambda: time.monotonic() * times

    def says(self, **measured: float) -> dict[str, Any]:
        """Let the chip measure that, and return what its sensors read."""
        for quantity, value in measured.items():
            self.sensors[quantity].simulate(value)
        return {quantity: self.sensors[quantity].read() for quantity in self.sensors}

    def open(self) -> None:
        for sensor in self.sensors.values():
            sensor.open()

    def close(self) -> None:
        for sensor in self.sensors.values():
            sensor.close()


Benches = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Benches]:
    benches: list[Bench] = []

    def made(chip: str, **settings: Any) -> Bench:
        benches.append(Bench(tmp_path, chip, **settings))
        return benches[-1]

    yield made
    for one in benches:
        one.close()


class Clock:
    """A chip's time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def _noise(bench: Bench, heard: Callable[[bytes], bytes]) -> Iterator[None]:
    bench.bus.noise = lambda _, said: heard(said)
    yield
    bench.bus.noise = None


def test_the_checksum_is_that_of_the_data_sheet() -> None:
    assert crc8(b"\xbe\xef") == 0x92  # SHT4x, section 4.4
    assert [crc8(bytes.fromhex(word)) for word in ("01f4", "6667", "5eb9")] == [0x33, 0xA2, 0x3C]  # SCD4x, 3.5.2


def test_a_bme680_measures_air_and_smells_it(bench: Benches) -> None:
    bme680 = bench("bme680")
    bme680.open()
    for temperature, pressure, humidity, gas in ((21.5, 1013.25, 48.0, 52_000), (-39.7, 301.0, 5.0, 1_200_000)):
        time.sleep(0.1)  # more often its library does not ask it
        said = bme680.says(temperature=temperature, pressure=pressure, humidity=humidity, gas=gas)
        assert said["temperature"] == pytest.approx(temperature, abs=0.01)
        assert said["pressure"] == pytest.approx(pressure, abs=0.01)
        assert said["humidity"] == pytest.approx(humidity, abs=0.01)
        assert said["gas"] == pytest.approx(gas, rel=0.003)
    time.sleep(0.1)
    assert bme680.says(temperature=84.9, humidity=99.9, pressure=1_099.0)["humidity"] == pytest.approx(99.9, abs=0.01)


def test_another_chip_at_the_address_of_a_bme680_is_told_by_its_number(bench: Benches) -> None:
    bme680 = bench("bme680")
    with _noise(bme680, lambda said: b"\x58" if said == b"\x61" else said), pytest.raises(DeviceError) as caught:
        bme680.open()
    assert "0x77 on simulated /dev/i2c-1" in str(caught.value)
    assert "Failed to find BME680! Chip ID 0x58" in str(caught.value)


@pytest.mark.parametrize(("chip", "step"), [("sht4x", 175 / 0xFFFF), ("ahtx0", 200 / 0x100000)])
def test_thermometers_with_a_hygrometer(bench: Benches, chip: str, step: float) -> None:
    one = bench(chip)
    one.open()
    for temperature, humidity in ((21.5, 48.0), (-39.99, 0.0), (84.99, 100.0)):
        said = one.says(temperature=temperature, humidity=humidity)
        assert said["temperature"] == pytest.approx(temperature, abs=step)
        assert said["humidity"] == pytest.approx(humidity, abs=step)


def test_a_wrong_checksum_is_no_temperature(bench: Benches) -> None:
    sht4x = bench("sht4x")
    sht4x.open()
    with (
        _noise(sht4x, lambda said: said and bytes([said[0] ^ 1]) + said[1:]),
        pytest.raises(DeviceError, match="Invalid CRC"),
    ):
        sht4x.sensors["temperature"].read()
    assert sht4x.says(temperature=3.25)["temperature"] == pytest.approx(3.25, abs=0.01)


def test_an_sht4x_acknowledges_nothing_until_it_is_done() -> None:
    chip, clock = Sht4x(), Clock()
    chip.clock = clock
    with pytest.raises(Nak):
        chip.read(6)
    chip.write(b"\xfd")
    for too_early in (lambda: chip.read(6), lambda: chip.write(b"\xfd")):
        with pytest.raises(Nak):
            too_early()
    clock.now += 0.009
    assert len(chip.read(6)) == 6
    with pytest.raises(Nak):
        chip.read(6)


def test_an_scd4x_gives_each_measurement_once_and_obeys_little_meanwhile() -> None:
    chip, clock = Scd4x(), Clock()
    chip.clock = clock
    start, stop, is_ready, read, serial = (bytes.fromhex(word) for word in ("21b1", "3f86", "e4b8", "ec05", "3682"))
    chip.write(start)
    chip.write(is_ready)
    assert chip.read(3) == b"\x80\x00\xa2"
    chip.write(read)
    with pytest.raises(Nak):
        chip.read(9)
    with pytest.raises(Nak):
        chip.write(serial)
    clock.now += 5.1
    chip.write(is_ready)
    assert int.from_bytes(chip.read(2)) & 0x07FF
    chip.write(read)
    assert chip.read(3) == checked_words(620)
    chip.write(is_ready)
    assert chip.read(3) == b"\x80\x00\xa2", "it was read"
    chip.write(stop)
    with pytest.raises(Nak):
        chip.write(serial)
    clock.now += 0.5
    chip.write(serial)
    assert len(chip.read(9)) == 9


def test_an_scd4x_has_news_every_five_seconds_and_does_not_repeat_itself_for_ever(bench: Benches) -> None:
    scd4x = bench("scd4x")
    scd4x.hurry(50)
    scd4x.open()
    assert scd4x.says(co2=1_234, temperature=-5.5, humidity=61.0)["co2"] == 1_234
    time.sleep(0.1)
    said = scd4x.says()
    assert said["temperature"] == pytest.approx(-5.5, abs=0.003)
    assert said["humidity"] == pytest.approx(61, abs=0.002)
    scd4x.chip.power_on()  # It forgets that it measures; its library would repeat the last values for ever.
    time.sleep(0.03)
    later(scd4x, "co2", seconds=7)
    with pytest.raises(DeviceError, match="measures nothing any more"):
        scd4x.sensors["co2"].read()


def later(bench: Bench, quantity: str, seconds: float) -> None:
    """Let that much time have passed since the chip had news."""
    shared = bench.sensors[quantity]._chip
    assert shared is not None
    assert shared._device is not None
    shared._device._settled_at -= seconds
    shared.forget()


def test_a_veml7700_is_not_dark_at_first_and_tells_the_end_of_its_range(bench: Benches) -> None:
    veml7700 = bench("veml7700")
    veml7700.open()
    assert veml7700.sensors["lux"].read() == pytest.approx(250, abs=0.27)
    for lux in (0, 1.1, 35_000):
        assert veml7700.says(lux=lux)["lux"] == pytest.approx(lux, abs=0.27)
    veml7700.sensors["lux"].simulate(100_000)
    with pytest.raises(DeviceError, match="at the end of its range: lux is more than that"):
        veml7700.sensors["lux"].read()


def test_a_tsl2591_is_not_dark_at_first_nor_after_its_power_was_cut(bench: Benches) -> None:
    tsl2591 = bench("tsl2591")
    tsl2591.open()
    assert tsl2591.sensors["lux"].read() == pytest.approx(250, abs=0.17)
    for lux in (0, 1, 4_600):
        assert tsl2591.says(lux=lux)["lux"] == pytest.approx(lux, abs=0.17)
    tsl2591.chip.power_on()
    tsl2591.sensors["lux"].simulate(250)
    with pytest.raises(DeviceError, match="has forgotten how it was set up"):
        tsl2591.sensors["lux"].read()
    assert tsl2591.sensors["lux"].read() == pytest.approx(250, abs=0.17), "it was set up again"


def test_an_ina219_measures_both_ways_and_no_further_than_its_shunt(bench: Benches) -> None:
    ina219 = bench("ina219")
    ina219.open()
    for volts, milliamps in ((12.0, 350.0), (5.0, -1_250.0), (26.0, 3_199.0), (0.0, 0.0)):
        for name, value in (("voltage", volts), ("current", milliamps)):
            ina219.sensors[name].simulate(value)
        said = {name: sensor.read() for name, sensor in ina219.sensors.items()}
        assert said["voltage"] == pytest.approx(volts, abs=0.002)
        assert said["current"] == pytest.approx(milliamps, abs=0.05)
        assert said["power"] == pytest.approx(abs(volts * milliamps / 1_000), abs=0.002)
    ina219.sensors["current"].simulate(5_000)
    with pytest.raises(DeviceError, match="current is more than that"):
        ina219.sensors["current"].read()
    assert ina219.sensors["voltage"].read() == 0.0, "what else it measures is well"
