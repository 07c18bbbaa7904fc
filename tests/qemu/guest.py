"""What runs inside the machine: a node on the chip's lines, a blow, and what the lines did. A line of JSON a story."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.qemu.lines import Change, Chip, Watch, alive, server
from tests.running import Running

PATIENCE_S = 60.0


class Emulated(Running):
    """A node on an emulated processor, where a start takes some 10 s."""

    starts_within_s = 120.0


class Output(msgspec.Struct, frozen=True):
    """An output of the rig's config."""

    name: str
    pin: int
    safe: bool
    active_low: bool = False

    @property
    def safe_high(self) -> bool:
        """Whether the line is high where the output is safe."""
        return self.safe != self.active_low


OUTPUTS = (
    Output("vent", 1, safe=True),
    Output("heater", 2, safe=False),
    Output("valve", 3, safe=True, active_low=True),
)


class Told(msgspec.Struct, frozen=True):
    """What a story has to tell. Times in ms since the blow; None: it did not happen."""

    name: str
    start_s: float
    supervised: bool
    server: int
    next_server: int
    answered_ms: float | None
    ended_ms: float | None
    blind_ms: float
    changes: dict[str, list[Change]]
    """Of each output; the first is as it was before the blow."""
    log: str


class Machine(msgspec.Struct, frozen=True):
    """Where the stories were told."""

    kernel: str
    chip: str
    python: str


class Blow(msgspec.Struct, frozen=True):
    """A signal, to the server or to the process that was started; whether a next server is expected."""

    name: str
    signal: int
    at_server: bool
    again: bool


BLOWS = (
    Blow("killed", signal.SIGKILL, at_server=True, again=True),
    Blow("frozen", signal.SIGSTOP, at_server=True, again=True),
    Blow("stopped", signal.SIGTERM, at_server=False, again=False),
    Blow("orphaned", signal.SIGKILL, at_server=False, again=False),
)


def main() -> None:
    """Tell all stories, or only those that are named."""
    chip = Chip()
    say(Machine(f"{platform.release()} {platform.version()}", str(chip.path), platform.python_version()))
    for blow in BLOWS:
        if not sys.argv[1:] or blow.name in sys.argv[1:]:
            say(story(chip, blow))


def say(told: msgspec.Struct) -> None:
    """Print one line of JSON."""
    print(msgspec.json.encode(told).decode(), flush=True)


def story(chip: Chip, blow: Blow) -> Told:
    """Run a node, drive its outputs to where they are not safe, strike, and watch; a released line falls there too."""
    for each in OUTPUTS:
        chip.pull(each.pin, high=not each.safe_high)
    data = Path("/run") / blow.name / "data"
    node = Emulated(data, config(chip), "--host", "127.0.0.1")
    began = time.monotonic()
    try:
        node.start()
        start_s = time.monotonic() - began
        for each in OUTPUTS:
            answer = node.post(f"/api/actuators/{each.name}", {"action": "off" if each.safe else "on"})
            assert answer.status == 200, answer
        return struck(chip, blow, node, round(start_s, 2))
    finally:
        end(node)
        shutil.rmtree(data.parent)


def struck(chip: Chip, blow: Blow, node: Running, start_s: float) -> Told:
    """Strike, and wait for the next server or for the end."""
    first = server(node.pid)
    answered_ms = ended_ms = None
    with chip.watched([each.pin for each in OUTPUTS], node.pid) as watch:
        wait(watch, 5, lambda: all(watch.changes.values()))
        watch.blow()
        os.kill(first if blow.at_server else node.pid, blow.signal)
        if blow.again and node.pid != first:
            answered_ms = wait(watch, PATIENCE_S, lambda: server(node.pid) not in (0, first) and node.answers())
        else:
            ended_ms = wait(watch, PATIENCE_S, lambda: ended(node) and not alive(first))
        time.sleep(2)  # what has come to rest stays so
    return Told(
        blow.name, start_s, node.pid != first, first, server(node.pid), answered_ms, ended_ms, watch.blind_ms,
        {each.name: watch.changes[each.pin] for each in OUTPUTS}, node.log.read_text()[-2000:],
    )  # fmt: skip


def wait(watch: Watch, seconds: float, happened: Callable[[], bool]) -> float | None:
    """Return when it happened, in ms since the blow; None when it did not."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if happened():
            return watch.ms()
        time.sleep(0.02)
    return None


def ended(node: Running) -> bool:
    """Tell whether the process that was started has ended."""
    return node.process is not None and node.process.poll() is not None


def end(node: Running) -> None:
    """Leave no process behind, whatever state it is in."""
    if node.process is None or ended(node):
        return
    for pid in {server(node.pid), node.pid} - {0}:
        os.kill(pid, signal.SIGCONT)
    node.process.terminate()
    node.process.wait(PATIENCE_S)


def config(chip: Chip) -> str:
    """Return the rig's config."""
    tables = [
        f'[[actuators]]\nname = "{each.name}"\ndriver = "gpio"\nchip = "{chip.path}"\npin = {each.pin}\n'
        f'safe = "{"on" if each.safe else "off"}"\nactive_low = {str(each.active_low).lower()}\n'
        for each in OUTPUTS
    ]
    return "\n".join(['[node]\nname = "rig"\n', *tables])


if __name__ == "__main__":
    main()
