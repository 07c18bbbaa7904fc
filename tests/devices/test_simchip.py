"""The simulated chip does what the kernel does: linux/gpio.h and Documentation/userspace-api/gpio."""

from __future__ import annotations

import ast
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from outstation.devices import simchip
from outstation.devices.lines import simulated
from outstation.devices.lines.line import Edge, Line, Wanted
from outstation.devices.lines.simulated import Change, SimulatedChip, SimulatedLine
from outstation.errors import DeviceError, MissingDeviceError

LED, BUTTON = 17, 27


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gpiochip0.sim"


@pytest.fixture
def chip(path: Path) -> Iterator[SimulatedChip]:
    yield from _chip(path, "kept")


@pytest.fixture
def floating_chip(path: Path) -> Iterator[SimulatedChip]:
    yield from _chip(path, "floating")


def _chip(path: Path, on_release: simulated.Release) -> Iterator[SimulatedChip]:
    simulated.start(path, on_release=on_release, linger_s=0.5)
    with SimulatedChip(path) as looking:
        yield looking
        looking.stop()


def led(path: Path, *, level: bool = False, active_low: bool = False) -> SimulatedLine:
    return simulated.open_line(path, Wanted(LED, "led", level=level, active_low=active_low))


def button(path: Path, *, debounce: int = 0, active_low: bool = False) -> SimulatedLine:
    return simulated.open_line(path, Wanted(BUTTON, "button", debounce=debounce, active_low=active_low, pull="down"))


def test_an_output_is_seen_outside(path: Path, chip: SimulatedChip) -> None:
    assert chip.level(LED) is None
    line = led(path, level=True)
    assert (chip.level(LED), chip.holder(LED)) == (True, "led")
    line.set(False)
    assert chip.level(LED) is False
    line.close()


def test_active_low_turns_what_the_holder_sees_not_what_the_pin_has(path: Path, chip: SimulatedChip) -> None:
    line = led(path, level=True, active_low=True)
    assert line.get() is True
    assert chip.level(LED) is False
    line.close()


def test_a_line_has_one_holder_and_the_second_is_told_who(path: Path, chip: SimulatedChip) -> None:
    line = led(path)
    with pytest.raises(DeviceError, match='pin 17 is held by "led"'):
        led(path)
    line.close()
    led(path).close()


def test_a_line_that_does_not_exist(path: Path, chip: SimulatedChip) -> None:
    with pytest.raises(
        MissingDeviceError, match=r"no pin 54 on the simulated chip gpiochip0\.sim\. Its pins are 0 to 53"
    ):
        simulated.open_line(path, Wanted(54, "led", level=True))


def test_an_input_cannot_be_set(path: Path, chip: SimulatedChip) -> None:
    line = button(path)
    with pytest.raises(DeviceError, match="refused set"):
        line.set(True)
    line.close()


def test_an_output_cannot_be_moved_from_outside(path: Path, chip: SimulatedChip) -> None:
    line = led(path)
    with pytest.raises(DeviceError, match="refused drive"):
        chip.drive_high(LED)
    line.close()


def test_a_released_line_keeps_its_level(path: Path, chip: SimulatedChip) -> None:
    led(path, level=True).close()
    assert _comes(lambda: chip.holder(LED) == "")
    assert chip.level(LED) is True


def test_or_a_released_line_floats(path: Path, floating_chip: SimulatedChip) -> None:
    led(path, level=True).close()
    assert _comes(lambda: floating_chip.level(LED) is None)
    assert [(change.level, change.driven) for change in floating_chip.changes(LED)] == [(True, True), (True, False)]


def test_an_inherited_line_is_released_by_the_last_who_holds_it(path: Path, floating_chip: SimulatedChip) -> None:
    line = led(path)
    child = os.fork()
    if not child:
        _set_high_and_wait(line)
    line.close()
    assert _comes(lambda: floating_chip.level(LED) is True)
    assert floating_chip.holder(LED) == "led"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert _comes(lambda: floating_chip.holder(LED) == "")
    assert floating_chip.level(LED) is None


def test_a_line_is_sent_to_another_process(path: Path, chip: SimulatedChip) -> None:
    """By its descriptor: two who hold it do not read each other's answers."""
    line = led(path)
    here, there = socket.socketpair()
    with here, there:
        socket.send_fds(here, [b"!"], [line.fileno()])
        _, [descriptor], _, _ = socket.recv_fds(there, 1, 1)
    shared = SimulatedLine(socket.socket(fileno=descriptor))
    line.close()
    for level in (True, False) * 50:
        shared.set(level)
        assert shared.get() is level
    assert chip.holder(LED) == "led"
    shared.close()
    assert _comes(lambda: chip.holder(LED) == "")


def test_the_pins_are_there_after_a_kill(path: Path, chip: SimulatedChip) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from outstation.devices.lines import line, simulated\n"
        "held = simulated.open_line(pathlib.Path(sys.argv[1]), line.Wanted(17, 'led', level=True))\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert chip.holder(LED) == "led"
        holder.kill()
    assert _comes(lambda: chip.holder(LED) == "")
    assert chip.level(LED) is True


def test_edges_carry_the_monotonic_time(path: Path, chip: SimulatedChip) -> None:
    line = button(path)
    before = time.monotonic_ns()
    chip.drive_high(BUTTON, for_ms=20)
    pressed, released = _edges(line, 2)
    assert (pressed.level, released.level) == (True, False)
    assert before < pressed.at_ns < released.at_ns < time.monotonic_ns()
    assert 19e6 < released.at_ns - pressed.at_ns < 200e6
    line.close()


def test_a_bouncing_contact_is_one_edge(path: Path, chip: SimulatedChip) -> None:
    line = button(path, debounce=30)
    for _ in range(4):
        chip.drive_high(BUTTON)
        chip.drive_low(BUTTON)
    chip.drive_high(BUTTON)
    still_since = time.monotonic_ns()
    assert line.get() is False
    [edge] = _edges(line, 1)
    assert edge.level is True
    assert edge.at_ns - still_since > 25e6
    assert line.get() is True
    assert not _readable(line, 0.05)
    line.close()


def test_without_debounce_each_bounce_is_an_edge(path: Path, chip: SimulatedChip) -> None:
    line = button(path)
    for _ in range(4):
        chip.drive_high(BUTTON)
        chip.drive_low(BUTTON)
    assert [edge.level for edge in _edges(line, 8)] == [True, False] * 4
    line.close()


def test_who_reads_too_slowly_loses_the_oldest_edges_and_keeps_the_newest(path: Path, chip: SimulatedChip) -> None:
    line = button(path)
    for _ in range(1_000):
        chip.drive_high(BUTTON)
        chip.drive_low(BUTTON)
    chip.drive_high(BUTTON)
    newest = _edges(line, 1)[-1]
    while _readable(line, 0.05):
        newest = line.edges()[-1]
    assert newest.level is True
    line.close()


def test_a_pull_decides_where_nobody_drives(path: Path, chip: SimulatedChip) -> None:
    pulled_up = simulated.open_line(path, Wanted(BUTTON, "button", pull="up", active_low=True))
    assert pulled_up.get() is False
    chip.drive_low(BUTTON)
    assert pulled_up.get() is True
    chip.let_go(BUTTON)
    assert pulled_up.get() is False
    pulled_up.close()


def test_every_change_is_remembered(path: Path, chip: SimulatedChip) -> None:
    line = led(path)
    line.set(True)
    line.set(True)
    line.set(False)
    changes = chip.changes(LED)
    assert [change.level for change in changes] == [False, True, False]
    assert changes == sorted(changes, key=lambda change: change.at_ns)
    assert isinstance(changes[0], Change)
    line.close()


def test_the_second_start_uses_the_chip_that_is_there(path: Path, chip: SimulatedChip) -> None:
    line = led(path, level=True)
    simulated.start(path)
    assert chip.holder(LED) == "led"
    with SimulatedChip(path) as another:
        assert another.level(LED) is True
    line.close()


def test_several_at_once_start_one_chip(path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from outstation.devices.lines import line, simulated\n"
        "path, pin = pathlib.Path(sys.argv[1]), int(sys.argv[2])\n"
        "held = simulated.open_line(path, line.Wanted(pin, str(pin), level=True))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    several = [
        subprocess.Popen([*command, str(pin)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for pin in range(4)
    ]
    for one in several:
        assert one.stdout is not None
        assert one.stdout.readline() == b"held\n"
    with SimulatedChip(path) as chip:
        assert [chip.holder(pin) for pin in range(4)] == ["0", "1", "2", "3"]
        chip.stop()
    for one in several:
        one.communicate()


def test_the_path_may_be_longer_than_an_address(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a folder with a long name"] * 8)
    deep.mkdir(parents=True)
    line = led(deep / "gpiochip0.sim", level=True)
    with SimulatedChip(deep / "gpiochip0.sim") as chip:
        assert chip.level(LED) is True
        chip.stop()
    line.close()


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="nowhere"):
        led(tmp_path / "nowhere" / "gpiochip0.sim")
    with pytest.raises(DeviceError, match="There is no simulated GPIO chip"):
        SimulatedChip(tmp_path / "gpiochip0.sim")


def test_a_chip_that_is_pulled_out_is_a_device_error_and_is_made_anew(path: Path) -> None:
    line, pressed = led(path), button(path)
    with SimulatedChip(path) as chip:
        chip.stop()
    assert _readable(pressed, 2), "whoever watches is woken"
    for use in (line.get, lambda: line.set(True), pressed.edges):
        with pytest.raises(DeviceError, match="gone"):
            use()
    line.close()
    pressed.close()
    anew = led(path, level=True)
    assert anew.get() is True
    with SimulatedChip(path) as looking:
        looking.stop()
    anew.close()


def test_a_chip_that_nobody_needs_ends(path: Path) -> None:
    simulated.start(path, linger_s=0.05)
    assert _comes(lambda: not path.exists())


def test_a_chip_somebody_needs_stays(path: Path) -> None:
    simulated.start(path, linger_s=0.05)
    line = led(path, level=True)
    time.sleep(0.15)
    assert line.get() is True
    line.close()
    assert _comes(lambda: not path.exists())


def test_a_chip_waits_a_while_after_the_last_has_left(path: Path) -> None:
    """A server that is started anew finds its pins as it left them."""
    simulated.start(path, linger_s=0.3)
    line = led(path, level=True)
    time.sleep(0.35)
    line.close()
    time.sleep(0.05)
    with SimulatedChip(path) as chip:
        assert chip.level(LED) is True
        chip.stop()


def test_the_chip_knows_nothing_of_the_program(path: Path, chip: SimulatedChip) -> None:
    """Its memory counts: it imports what it needs for a socket, and keeps less than 6 MB to itself."""
    tree = ast.parse(Path(simchip.__file__).read_text())
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"errno", "fcntl", "os", "select", "socket", "sys", "time"}
    pid = int(path.with_name(f"{path.name}.lock").read_text())
    rows = dict(row.split(":", 1) for row in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    assert int(rows["Private_Dirty"].split()[0]) < 6_000


def _edges(line: Line, count: int) -> list[Edge]:
    found: list[Edge] = []
    while len(found) < count:
        assert _readable(line, 2), f"{len(found)} edges of {count}"
        found += line.edges()
    return found


def _readable(line: Line, seconds: float) -> bool:
    return bool(select.select([line.fileno()], [], [], seconds)[0])


def _comes(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 2
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


def _set_high_and_wait(line: SimulatedLine) -> NoReturn:
    try:
        line.set(True)
        time.sleep(60)
    finally:
        os._exit(1)
