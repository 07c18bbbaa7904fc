"""A node that dies, freezes, or loses its supervisor: its outputs are safe in time, and stay so until the next one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.devices.lines import simulated
from outstation.devices.lines.simulated import Change, Release, SimulatedChip
from tests.running import Running
from tests.system.waiting import until

PIN = 17
CRASH_S, FROZEN_S = 2.0, 12.0
"""An output's time to its safe state after a crash, after a hang."""

NEXT_NS = 100_000_000
"""No server is up again sooner: the supervisor's first pause."""

CONFIG = """
[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true
safe = "{safe}"
default = "{default}"
"""


ONCE = pytest.mark.parametrize(("vent", "release"), [("on", "floating")], indirect=True)


class Vent:
    """A node with one output that somebody has commanded away from its safe state, and an observer at the pin."""

    def __init__(self, node: Running, chip: SimulatedChip, *, safe: bool) -> None:
        self.node, self.chip, self.safe = node, chip, safe

    def command_away(self) -> None:
        """Drive it to the opposite of safe, by the API."""
        assert self.node.post("/api/vent", {"action": "off" if self.safe else "on"}).status == 200
        assert self.chip.level(PIN) is not self.safe

    def safe_within(self, seconds: float) -> float:
        """Wait until it is safe; return how long that took."""
        began = time.monotonic()
        until(lambda: self.chip.level(PIN) is self.safe, seconds)
        return time.monotonic() - began

    def stayed_safe(self, since_ns: int) -> bool:
        """Tell whether it went safe and stayed so until the next server drove it where its claims want it.

        That takes longer than the supervisor's first pause, and meanwhile nobody let go of the line.
        """
        safe, *later = self.since(since_ns)
        held = all(change.driven for change in (safe, *later))
        return safe.level is self.safe and held and all(each.at_ns - safe.at_ns > NEXT_NS for each in later)

    def since(self, at_ns: int) -> list[Change]:
        """Return what the pin went through since then."""
        return [change for change in self.chip.changes(PIN) if change.at_ns > at_ns]


@pytest.fixture(params=["kept", "floating"])
def release(request: pytest.FixtureRequest) -> Release:
    kind: Release = request.param
    return kind


@pytest.fixture(params=["on", "off"])
def vent(tmp_path: Path, release: Release, request: pytest.FixtureRequest) -> Iterator[Vent]:
    data = tmp_path / "data"
    data.mkdir()
    simulated.start(data / "gpiochip0.sim", on_release=release)
    config = CONFIG.format(safe=request.param, default=request.param)
    with Running(data, config) as node, SimulatedChip(data / "gpiochip0.sim") as chip:
        vent = Vent(node, chip, safe=request.param == "on")
        vent.command_away()
        yield vent


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_server_that_dies_leaves_its_output_safe_and_the_next_one_takes_over(
    vent: Vent, signum: signal.Signals
) -> None:
    died, before = vent.node.server_pid, time.monotonic_ns()
    os.kill(died, signum)
    vent.safe_within(CRASH_S)
    assert vent.node.wait_for_server(other_than=died) != died
    time.sleep(0.5)
    assert vent.stayed_safe(before)
    assert vent.chip.holder(PIN) == "outstation vent", "nobody has let go of it meanwhile"
    vent.command_away()


def test_a_frozen_server_is_ended_and_replaced(vent: Vent) -> None:
    frozen, before = vent.node.server_pid, time.monotonic_ns()
    os.kill(frozen, signal.SIGSTOP)
    vent.safe_within(FROZEN_S)
    assert vent.node.wait_for_server(other_than=frozen) != frozen
    assert vent.stayed_safe(before)
    assert "said nothing for 8 s" in vent.node.log.read_text()


@ONCE
def test_to_stop_a_frozen_server_makes_nothing_later(vent: Vent) -> None:
    began, before = time.monotonic(), time.monotonic_ns()
    os.kill(vent.node.server_pid, signal.SIGSTOP)
    time.sleep(6)
    os.kill(vent.node.pid, signal.SIGTERM)
    left = FROZEN_S - (time.monotonic() - began)
    # At its end the line is let go of: a chip that does not keep it floats a moment later.
    until(lambda: any(change.level is vent.safe and change.driven for change in vent.since(before)), left)


@ONCE
def test_a_chip_that_was_pulled_out_and_put_back_is_had_again(vent: Vent) -> None:
    vent.chip.stop()
    action = {"action": "off" if vent.safe else "on"}
    until(lambda: vent.node.post("/api/vent", action).status == 200)
    with SimulatedChip(vent.node.data / "gpiochip0.sim") as again:
        assert again.level(PIN) is not vent.safe
        assert again.holder(PIN) == "outstation vent"
        os.kill(vent.node.server_pid, signal.SIGKILL)
        until(lambda: again.level(PIN) is vent.safe, CRASH_S)


def test_without_its_supervisor_a_server_makes_its_outputs_safe_and_ends(vent: Vent, release: Release) -> None:
    server = vent.node.server_pid
    began = time.monotonic_ns()
    os.kill(vent.node.pid, signal.SIGKILL)
    until(lambda: any(change.level is vent.safe and change.driven for change in vent.since(began)), CRASH_S)
    until(lambda: not Path(f"/proc/{server}").exists())
    driven = [change.driven for change in vent.since(began)]
    assert driven == ([True, False] if release == "floating" else [True]), "let go of only when it was safe"


def test_told_to_stop_it_is_safe_and_says_so(vent: Vent) -> None:
    stops(vent, signal.SIGTERM)


@ONCE
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_so_it_is_however_it_is_told(vent: Vent, signum: signal.Signals) -> None:
    stops(vent, signum)


def stops(vent: Vent, signum: signal.Signals) -> None:
    assert vent.node.end(signum) == 0
    changes = vent.chip.changes(PIN)
    assert changes[-1].level is vent.safe or not changes[-1].driven
    assert not vent.chip.holder(PIN)


@ONCE
def test_a_supervisor_that_stands_still_is_one_that_is_gone(vent: Vent) -> None:
    server = vent.node.server_pid
    os.kill(vent.node.pid, signal.SIGSTOP)
    try:
        vent.safe_within(FROZEN_S)
        until(lambda: Path(f"/proc/{server}/stat").read_text().split()[2] == "Z", CRASH_S)
    finally:
        os.kill(vent.node.pid, signal.SIGCONT)
    until(lambda: "did not answer 9 beats" in vent.node.log.read_text())
    assert vent.node.wait_for_server(other_than=server) != server


@ONCE
def test_a_node_that_stood_still_as_a_whole_goes_on(vent: Vent) -> None:
    server, both = vent.node.server_pid, (vent.node.pid, vent.node.server_pid)
    for pid in both:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(FROZEN_S)
    for pid in reversed(both):
        os.kill(pid, signal.SIGCONT)
        time.sleep(1.5)
    time.sleep(1)
    assert vent.node.server_pid == server
    assert vent.chip.level(PIN) is not vent.safe
