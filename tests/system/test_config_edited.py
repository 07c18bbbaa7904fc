"""A config that is edited while its node runs: what the next server finds in it is what is made safe."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.devices.lines.simulated import SimulatedChip
from tests.running import Running, free_port
from tests.system.waiting import until

CRASH_S = 2.0
VENT, HEATER, LAMP = 17, 22, 27


def outputs(*rows: tuple[str, int, str]) -> str:
    """Return a config with these outputs: a name, a pin, the safe state."""
    return "".join(
        f'[[actuators]]\nname = "{name}"\ndriver = "gpio"\npin = {pin}\nsimulate = true\n'
        f'safe = "{safe}"\ndefault = "{safe}"\n'
        for name, pin, safe in rows
    )


BEFORE = outputs(("vent", VENT, "on"), ("heater", HEATER, "off"))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "data", BEFORE) as node:
        yield node


@pytest.fixture
def chip(node: Running) -> Iterator[SimulatedChip]:
    with SimulatedChip(node.data / "gpiochip0.sim") as chip:
        yield chip


def test_another_safe_state_is_the_one_at_the_next_death(node: Running, chip: SimulatedChip) -> None:
    edit(node, outputs(("vent", VENT, "off"), ("heater", HEATER, "off")))
    assert node.post("/api/vent", {"action": "on"}).status == 200
    kill_server(node)
    until(lambda: chip.level(VENT) is False, CRASH_S)
    assert f"{VENT}\t0\t0\n" in (node.data / "outputs").read_text()


def test_outputs_that_changed_places_are_safe_by_their_new_ones(node: Running, chip: SimulatedChip) -> None:
    since = time.monotonic_ns()
    edit(node, outputs(("vent", HEATER, "on"), ("heater", VENT, "off")))
    assert all(each.driven for pin in (VENT, HEATER) for each in chip.changes(pin) if each.at_ns > since)
    for name, action in (("vent", "off"), ("heater", "on")):
        assert node.post(f"/api/{name}", {"action": action}).status == 200
    kill_server(node)
    until(lambda: chip.level(HEATER) is True and chip.level(VENT) is False, CRASH_S)


def test_one_that_is_gone_is_let_go_of_safe_and_a_new_one_is_held(node: Running, chip: SimulatedChip) -> None:
    assert node.post("/api/vent", {"action": "off"}).status == 200
    edit(node, outputs(("lamp", LAMP, "on"), ("heater", HEATER, "off")))
    assert (chip.level(VENT), chip.holder(VENT)) == (True, "")
    assert node.post("/api/lamp", {"action": "off"}).status == 200
    assert chip.level(LAMP) is False
    kill_server(node)
    until(lambda: chip.level(LAMP) is True, CRASH_S)
    assert "vent" not in (node.data / "outputs").read_text()


def test_a_config_that_became_wrong_keeps_the_outputs_there_were(node: Running, chip: SimulatedChip) -> None:
    assert node.post("/api/vent", {"action": "off"}).status == 200
    node.config_file.write_text("this is no config")
    os.kill(node.server_pid, signal.SIGKILL)
    until(lambda: chip.level(VENT) is True, CRASH_S)
    until(lambda: "It is tried again in 60 s" in node.log.read_text(), 40)
    assert node.get("/api/health").json["reduced"]
    assert (chip.level(VENT), chip.level(HEATER)) == (True, False)
    assert chip.holder(VENT) == "outstation vent"
    assert f"{VENT}\t0\t1\n" in (node.data / "outputs").read_text()


def test_the_address_of_the_boards_port_stays_and_that_is_told(tmp_path: Path) -> None:
    """The supervisor has that socket as well: at the same port nobody can have another one."""
    boards = f'[web]\ndialect_listen = "%s:{free_port()}"\n'
    with Running(tmp_path / "data", boards % "127.0.0.1") as node:
        edit(node, boards % "127.0.0.2")
        assert "Boards are still heard at 127.0.0.1: [web] dialect_listen counts from the next" in node.log.read_text()


def edit(node: Running, config: str) -> None:
    """Write another config and have the next server read it."""
    node.config_file.write_text(config)
    died = kill_server(node)
    node.wait_for_server(other_than=died)


def kill_server(node: Running) -> int:
    died = node.server_pid
    os.kill(died, signal.SIGKILL)
    return died
