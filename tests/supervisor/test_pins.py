"""What the supervisor makes safe: every output, also one that no server of this run has come as far as to open."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.devices.lines.simulated import SimulatedChip, start
from outstation.supervisor.pins import Pins
from outstation.wire import RefusedError, simulated
from outstation.wire.outputs import Output


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "gpiochip0.sim"
    start(path)
    yield path
    with SimulatedChip(path) as chip:
        chip.stop()


def vent(path: Path) -> Pins:
    return Pins([Output("simulated", "vent", str(path), 17, active_low=False, safe=False)])


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # a supervisor never lets go of a line
def test_an_output_that_a_killed_node_left_on_is_safe_when_the_next_one_dies_before_it_opens_it(path: Path) -> None:
    simulated.request_output(str(path), 17, level=True, active_low=False, holder="a node that was killed").close()
    with SimulatedChip(path) as chip:
        assert chip.level(17) is True
        pins = vent(path)
        assert pins.make_safe() == []
        assert (chip.level(17), chip.holder(17)) == (False, "outstation vent")


def test_an_output_that_somebody_else_holds_is_complained_of(path: Path) -> None:
    with simulated.request_output(str(path), 17, level=True, active_low=False, holder="somebody else"):
        assert vent(path).make_safe() == ["vent may not be in its safe state: Device or resource busy"]


def test_a_simulated_chip_that_does_not_run_drives_nothing(tmp_path: Path) -> None:
    assert vent(tmp_path / "gpiochip0.sim").make_safe() == []


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_an_output_whose_chip_was_unplugged_is_safe_when_it_is_back(path: Path) -> None:
    pins = Pins([Output("simulated", "vent", str(path), 17, active_low=False, safe=True)])
    assert pins.make_safe() == []
    with SimulatedChip(path) as chip:
        chip.stop()
    assert "may not be in its safe state" in pins.make_safe()[0]
    start(path)
    assert pins.make_safe() == []
    with SimulatedChip(path) as chip:
        assert chip.level(17) is True


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_of_another_config_lines_that_stay_are_never_let_go_of_and_the_others_are_safe_before(path: Path) -> None:
    def output(name: str, pin: int, *, safe: bool, active_low: bool = False) -> Output:
        return Output("simulated", name, str(path), pin, active_low=active_low, safe=safe)

    pins = Pins([output("vent", 17, safe=False), output("lamp", 22, safe=True), output("fan", 23, safe=False)])
    assert pins.make_safe() == []
    with SimulatedChip(path) as chip:
        with socket.socket(fileno=os.dup(pins.line("simulated", str(path), 22, active_low=False))) as lamp:
            simulated.ask(lamp, "set", "0")
        since = time.monotonic_ns()
        other = [output("vent", 17, safe=True), output("fan", 23, safe=False, active_low=True)]
        assert pins.adopt(other) == []
        assert [each.driven for each in chip.changes(17) if each.at_ns > since] == [True]
        assert (chip.level(17), chip.holder(22), chip.level(22)) == (True, "", True)
        assert (chip.level(23), chip.holder(23)) == (True, "outstation fan")
        assert pins.line("simulated", str(path), 23, active_low=True)
        with pytest.raises(RefusedError):
            pins.line("simulated", str(path), 22, active_low=False)
