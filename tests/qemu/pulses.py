"""What runs inside the machine: lines that pulse, counted by our drivers. A line of JSON a story."""

from __future__ import annotations

import time
from pathlib import Path

from outstation.devices.counter import CounterOptions, CounterSensor
from outstation.devices.dht_signal import EDGES
from outstation.devices.lines import kernel
from outstation.devices.lines.line import Edge, Wanted
from outstation.plugins import Place
from tests.qemu.bus import Told, say
from tests.qemu.lines import Chip

PULSES = 50


def main() -> None:
    """Tell all stories."""
    chip = Chip()
    say(Told("counted", _counted(chip)))
    say(Told("nobody looked", _nobody_looked(chip)))
    say(Told("turned", _turned(chip)))


def _counted(chip: Chip) -> int:
    options = CounterOptions.model_validate({"pin": 2, "chip": str(chip.path), "debounce": "0s"})
    counter = CounterSensor("t", options, Place(Path(), Path()))
    counter.open()
    _pulse(chip, 2, PULSES)
    time.sleep(0.5)
    total = int(counter.read())
    counter.close()
    return total


def _nobody_looked(chip: Chip) -> str:
    """Say how many edges the kernel has kept, and the numbers of the first and last of them."""
    line = kernel.open_line(str(chip.path), Wanted(3, "t"))
    _pulse(chip, 3, PULSES)
    edges = line.edges()
    line.close()
    return f"{len(edges)} kept, {edges[0].number} to {edges[-1].number}"


def _turned(chip: Chip) -> str:
    """Pull a line low, make it an input, and say how many edges of a long answer are kept."""
    line = kernel.open_line(str(chip.path), Wanted(4, "t", level=False), events=2 * EDGES)
    line.listen(Wanted(4, "t", pull="up"))
    _pulse(chip, 4, PULSES)
    edges = list[Edge]()
    while len(edges) < 2 * PULSES and (more := line.edges()):
        edges += more
    line.close()
    return f"{len(edges)} kept, falling first: {not edges[0].level}"


def _pulse(chip: Chip, pin: int, times: int) -> None:
    for _ in range(times):
        chip.pull(pin, high=not chip.high(pin))
        chip.pull(pin, high=not chip.high(pin))


if __name__ == "__main__":
    main()
