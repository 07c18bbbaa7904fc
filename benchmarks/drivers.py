"""What drivers cost: `python benchmarks/drivers.py [memory] [imports] [cpu]`.

memory: a node with one sensor of a family, at 1 Hz, against the same node without it, one after the other: what its
processes have written and share with nobody (proc(5), Private_Dirty) once it has read for some seconds. The hardware is
simulated where the driver knows how (its models are then part of the weight; a simulated chip of pins is a process of
its own); a serial port is a pair of pseudo-terminals, the URL a server in this process. Before that, which of these
modules a node without such sensors has loaded: none.
imports: a library in a fresh interpreter, as the driver imports it, and as Blinka would have it.
cpu: the share of a core that a node needs for 20 sensors on I2C at 1 Hz, against 20 of this computer's own.
"""

from __future__ import annotations

import http.server
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from servers import outstation
from weighing import cpu_time

SETTLES_S, WATCHED_S = 5.0, 30.0
TRIES = 3

EVERY = 'every = "1s"\n'
PLAIN = f'[[sensors]]\nname = "load"\ndriver = "system"\nquantity = "cpu_load"\n{EVERY}'


def sensor(name: str, text: str) -> str:
    """Return a table of a config."""
    return f'[[sensors]]\nname = "{name}"\n{EVERY}{text}\n'


def i2c(*chips: str) -> str:
    """Return tables for one quantity of each chip, on buses of their own."""
    quantity = {
        "ads1115": "a0",
        "scd4x": "co2",
        "tsl2591": "lux",
        "veml7700": "lux",
        "ina219": "voltage",
    }
    return "".join(
        sensor(
            chip,
            f'driver = "i2c"\nchip = "{chip}"\nbus = {number}\nsimulate = true\n'
            f'quantity = "{quantity.get(chip, "temperature")}"',
        )
        for number, chip in enumerate(chips, 1)
    )


ALL = "mcp9808 bmp280 bme280 bme680 sht31d sht4x ahtx0 scd4x tsl2591 veml7700 ads1115 ina219".split()

FAMILIES: dict[str, Callable[[str, str], str]] = {
    "i2c, one chip (MCP9808)": lambda *_: i2c("mcp9808"),
    "i2c, all twelve chips": lambda *_: i2c(*ALL),
    "spi (MCP3008)": lambda *_: sensor("ch0", 'driver = "spi"\nchip = "mcp3008"\nquantity = "ch0"\nsimulate = true'),
    "onewire": lambda *_: sensor("t", 'driver = "onewire"\nsimulate = true'),
    "dht": lambda *_: sensor("t", 'driver = "dht"\npin = 4\nquantity = "temperature"\nsimulate = true'),
    "counter": lambda *_: sensor("rain", 'driver = "counter"\npin = 5\nsimulate = true'),
    "serial": lambda port, _: sensor("line", f'driver = "serial"\nport = "{port}"\npattern = "(\\\\d+)"'),
    "http": lambda _, url: sensor("web", f'driver = "http"\nurl = "{url}"'),
    "command": lambda *_: sensor("told", 'driver = "command"\ncommand = ["echo", "5"]'),
}


@contextmanager
def world() -> Iterator[tuple[str, str]]:
    """Give a serial port on which somebody speaks, and a URL that answers."""
    inside, outside = pty.openpty()
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(0.3):
            os.write(inside, b"23\n")

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"23")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    for work in (speak, server.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    yield os.ttyname(outside), f"http://127.0.0.1:{server.server_port}/last.txt"
    stop.set()
    server.shutdown()


@contextmanager
def node(config: str) -> Iterator[int]:
    """Run a node that has begun to read; give its pid."""
    with tempfile.TemporaryDirectory(prefix="outstation-drivers-") as folder:
        file = Path(folder) / "outstation.toml"
        file.write_text(config, encoding="utf-8")
        with outstation(Path(folder) / "data", config=file) as server:
            time.sleep(SETTLES_S)
            yield server.pid


def memory() -> None:
    """Print what one sensor of each family adds."""
    print("Modules of these drivers in a node without their sensors:", loaded() or "none")

    print(f"{'a node that reads its own load':32} {weight(PLAIN):6.1f} MB")
    with world() as (port, url):
        for name, config in FAMILIES.items():
            more = [weight(PLAIN + config(port, url)) - weight(PLAIN) for _ in range(TRIES)]
            print(f"{name:32} {statistics.median(more):+6.1f} MB ({min(more):+.1f} to {max(more):+.1f})", flush=True)


def weight(config: str) -> float:
    """Return the megabytes that a node with this config has to itself."""
    with node(config) as pid:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        lines = [line for each in family for line in Path(f"/proc/{each.pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:")) * 1024 / 1e6


def loaded() -> str:
    """Return which modules of chips and their libraries a node without them has."""
    story = """
import sys
from pathlib import Path
import outstation.app
from outstation import assembly, defaults, plugins
assembly.assemble(defaults.device(simulate=True), plugins.Place(Path("/nowhere"), Path("/nowhere")))
ours = tuple(f"outstation.devices.{name}" for name in ("gpio", "lines", "system"))
found = (name for name in sys.modules if name.startswith(("adafruit", "outstation.devices.")))
print(*(name for name in found if not name.startswith(ours)))
"""
    return subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, check=True).stdout.strip()


NODE = "import outstation.app, outstation.assembly"
"""What a node has imported before it opens its first sensor."""

WAYS = {
    "as the driver does": "from outstation.devices.wiring import stand_ins\nwith stand_ins.imports(): import {0}",
    "with Blinka's busio": "import busio, {0}",
    "with Blinka's board and busio": "import board, busio, {0}",
}

STORY = """
import time
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
{before}
import outstation.devices.i2c
weight, began = rss(), time.perf_counter()
{way}
print((time.perf_counter() - began) * 1000, rss() - weight)
"""


def imports() -> None:
    """Print what importing a library costs a node that runs."""
    for module in ("adafruit_mcp9808", "adafruit_bme680"):
        for name, way in WAYS.items():
            story = STORY.format(before=NODE, way=way.format(module))
            runs = [
                subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, check=True)
                for _ in range(7)
            ]
            times, weights = zip(*(map(float, run.stdout.split()) for run in runs), strict=True)
            print(f"{module:18} {name:30} {statistics.median(times):6.1f} ms {statistics.median(weights):+5.1f} MB")


def cpu() -> None:
    """Print what 20 sensors at 1 Hz need."""
    thermometers = "".join(
        sensor(
            f"t{n}", f'driver = "i2c"\nchip = "mcp9808"\nbus = {1 + n // 8}\naddress = {0x18 + n % 8}\nsimulate = true'
        )
        for n in range(20)
    )
    air = "".join(
        f'[[sensors]]\nname = "air{n}"\n{EVERY}driver = "i2c"\nchip = "bme280"\nbus = {1 + n // 2}\n'
        f'address = {0x76 + n % 2}\nsimulate = true\nquantities = ["temperature", "humidity"]\n'
        for n in range(10)
    )
    own = "".join(sensor(f"own{n}", 'driver = "system"\nquantity = "cpu_load"') for n in range(20))
    for name, config in {
        "one sensor": PLAIN,
        "20 of its own": own,
        "20 MCP9808": thermometers,
        "10 BME280 x 2": air,
    }.items():
        with node(config) as pid:
            began = cpu_time(pid)
            time.sleep(WATCHED_S)
            print(f"{name:20} {(cpu_time(pid) - began) / WATCHED_S:6.1%} of a core", flush=True)


if __name__ == "__main__":
    parts = {"memory": memory, "imports": imports, "cpu": cpu}
    for part in sys.argv[1:] or parts:
        parts[part]()
