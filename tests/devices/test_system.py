"""The computer itself, with thermal zones as different machines have them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from outstation.devices.system import SystemOptions, SystemSensor
from outstation.errors import DeviceError, OutstationError
from outstation.plugins import Place


def sensor(place: Place, quantity: str, **options: Any) -> SystemSensor:
    return SystemSensor(quantity, SystemOptions.model_validate({"quantity": quantity} | options), place)


def machine(folder: Path, *zones: tuple[str, str]) -> type[SystemSensor]:
    """A machine whose thermal zones have these types and temperatures in thousandths of °C."""
    for number, (kind, temp) in enumerate(zones):
        zone = folder / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind + "\n")
        (zone / "temp").write_text(temp + "\n")

    class Machine(SystemSensor):
        zones = folder

    return Machine


def temperature(kind: type[SystemSensor], place: Place) -> SystemSensor:
    return kind("cpu_temp", SystemOptions(quantity="cpu_temp"), place)


def test_a_raspberry_pi_has_one_zone(place: Place, tmp_path: Path) -> None:
    cpu = temperature(machine(tmp_path, ("cpu-thermal", "48312")), place)
    assert cpu.read() == 48.312
    assert not cpu.simulated
    assert cpu.unit == "°C"


def test_the_processor_is_found_among_other_zones(place: Place, tmp_path: Path) -> None:
    cpu = temperature(machine(tmp_path, ("acpitz", "27800"), ("iwlwifi_1", "39000"), ("x86_pkg_temp", "61000")), place)
    assert cpu.read() == 61.0


def test_the_mainboard_is_better_than_nothing(place: Place, tmp_path: Path) -> None:
    assert temperature(machine(tmp_path, ("iwlwifi_1", "39000"), ("acpitz", "27800")), place).read() == 27.8


def test_a_zone_that_fails_is_a_fault_not_a_simulation(place: Place, tmp_path: Path) -> None:
    cpu = temperature(machine(tmp_path, ("cpu-thermal", "nothing")), place)
    with pytest.raises(DeviceError, match="cpu_temp could not be read"):
        cpu.read()
    assert not cpu.simulated


def test_without_a_zone_the_temperature_is_simulated_and_says_so(place: Place, tmp_path: Path) -> None:
    cpu = temperature(machine(tmp_path), place)
    value = cpu.read()
    assert cpu.simulated
    assert isinstance(value, float)
    assert 40 < value < 70
    cpu.simulate(81.5)
    assert cpu.read() == 81.5
    cpu.simulate(None)
    assert 40 < float(cpu.read()) < 70


def test_what_is_real_cannot_be_moved(place: Place, tmp_path: Path) -> None:
    with pytest.raises(OutstationError, match="not simulated"):
        temperature(machine(tmp_path, ("cpu-thermal", "48312")), place).simulate(20.0)
    with pytest.raises(OutstationError, match="not simulated"):
        sensor(place, "cpu_load").simulate(20.0)


def test_load_is_a_percentage_of_all_processors(place: Place) -> None:
    expected = 100 * os.getloadavg()[0] / (os.cpu_count() or 1)
    assert float(sensor(place, "cpu_load").read()) == pytest.approx(expected, abs=5)


def test_memory_and_disk_are_percentages(place: Place) -> None:
    for quantity in ("memory_used", "disk_used"):
        assert 0 < float(sensor(place, quantity).read()) <= 100


def test_uptime_is_in_seconds_since_boot(place: Place) -> None:
    assert int(sensor(place, "uptime").read()) == pytest.approx(clock.now() / 1000, abs=2)


def test_a_disk_of_ones_own_choice_has_a_bus_of_its_own(place: Place) -> None:
    """A share on a machine that is gone hangs whoever asks."""
    assert sensor(place, "disk_used", path="/").bus != sensor(place, "memory_used").bus
    assert 0 < float(sensor(place, "disk_used", path="/").read()) <= 100
