"""`outstation demo` as a newcomer meets it: a greenhouse that moves, its hub, a key that works, and nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from outstation.devices.lines.simulated import SimulatedChip
from tests.running import Running
from tests.system.waiting import until

VENT = 17


class Demo(Running):
    """The demo, in a temporary folder that the test can look into."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        # An hour of the recording in a second: the air must move from one look to the next.
        env = {"TMPDIR": str(self.temporary), "OUTSTATION_API_KEY": ""}
        super().__init__(folder / "demo", None, "--speed", "3600", command="demo", env=env)

    @property
    def printed(self) -> str:
        """What stands on the terminal."""
        return self.log.read_text()

    @property
    def printed_key(self) -> str:
        """The key that it shows, this once."""
        found = re.search(r"shown this once: (\S+)", self.printed)
        assert found, self.printed
        return found[1]

    @property
    def folder(self) -> Path:
        """Where its data are."""
        (folder,) = self.temporary.iterdir()
        return folder

    @property
    def hub_pid(self) -> int | None:
        """The process id of the hub, while there is one."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        hubs = [int(child) for child in children if _is_hub(int(child))]
        return hubs[0] if hubs else None

    def at_hub(self, path: str) -> bytes:
        """Ask the hub, where the terminal says that it is."""
        found = re.search(r"reports to a hub beside it: (\S+)/", self.printed)
        assert found, self.printed
        with urllib.request.urlopen(found[1] + path, timeout=5) as answer:
            body: bytes = answer.read()
        return body


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    with Demo(tmp_path) as demo:
        chip = int((demo.folder / "gpiochip0.sim.lock").read_text())
        until(lambda: "shown this once" in demo.printed)
        try:
            yield demo
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chip, signal.SIGTERM)


def test_the_greenhouse_moves_and_obeys_the_printed_key(demo: Demo) -> None:
    assert f"http://localhost:{demo.port}/" in demo.printed
    assert str(demo.folder) in demo.printed
    first = _status(demo)["sensors"]
    assert set(first) >= {"air_temperature", "humidity", "door", "cpu_temp", "cpu_load", "memory_used", "disk_used"}
    for name in ("air_temperature", "humidity"):
        assert first[name]["simulated"] is True
        until(partial(_has_moved, demo, name, first[name]["value"]))
    assert first["memory_used"]["simulated"] is False

    with SimulatedChip(demo.folder / "gpiochip0.sim") as chip:
        assert demo.post("/api/vent", {"action": "on"}, key=None).status == 401
        for action, level in (("on", True), ("off", False), ("toggle", True)):
            assert demo.post("/api/vent", {"action": action}, key=demo.printed_key).status == 200
            assert chip.level(VENT) is level
            assert _status(demo)["actuators"]["vent"]["state"] == ("on" if level else "off")


def test_what_it_suggests_to_try_works_as_it_is_printed(demo: Demo) -> None:
    assert '"state":"on"' in _tried(demo, "curl ")
    until(lambda: _status(demo)["sensors"]["door"]["value"] is True)
    assert _tried(demo, "simulate door off") == "door reads off from now on.\n"
    until(lambda: _status(demo)["sensors"]["door"]["value"] is False)


def test_a_hot_greenhouse_opens_its_vent_by_itself(demo: Demo) -> None:
    hot = {"sensor": "air_temperature", "value": 31}
    with SimulatedChip(demo.folder / "gpiochip0.sim") as chip:
        assert chip.level(VENT) is False
        assert demo.post("/api/simulate", hot, key=demo.printed_key).status == 200
        until(lambda: chip.level(VENT) is True, seconds=15)
        until(lambda: "greenhouse: 31.0 °C in the greenhouse: the vent opens" in demo.at_hub("/").decode())
        assert demo.post("/api/simulate", {**hot, "value": 25}, key=demo.printed_key).status == 200
        until(lambda: chip.level(VENT) is False, seconds=15)


def test_the_speed_is_shown_where_one_looks(demo: Demo) -> None:
    assert "3600 times" in demo.printed
    page = demo.get("/").body.decode()
    assert "3600 times" in page
    assert "3600x" in _status(demo)["sensors"]["air_temperature"]["label"]


def test_the_hub_shows_the_greenhouse_as_it_is(demo: Demo) -> None:
    def shown() -> Any:
        return json.loads(demo.at_hub("/api/status"))["sensors"].get("greenhouse/air_temperature")

    until(lambda: shown() is not None)
    first = shown()
    until(lambda: shown()["value"] != first["value"])
    assert (first["unit"], first["stale"]) == ("°C", False)
    (node,) = json.loads(demo.at_hub("/api/nodes"))["nodes"]
    assert node["name"] == "greenhouse"


def test_no_real_pin_is_ever_touched(demo: Demo) -> None:
    assert demo.post("/api/vent", {"action": "on"}, key=demo.printed_key).status == 200
    for pid in (demo.pid, demo.server_pid):
        assert not [path for path in _opened(pid) if path.startswith("/dev/gpiochip")]
    maps = Path(f"/proc/{demo.server_pid}/maps").read_text()
    assert "gpiod" not in maps, "the library for real pins is not even loaded"


def test_after_a_crash_it_goes_on_in_the_same_folder(demo: Demo) -> None:
    folder, key, killed = demo.folder, demo.printed_key, demo.server_pid
    os.kill(killed, signal.SIGKILL)
    demo.wait_for_server(other_than=killed)
    assert demo.folder == folder
    assert demo.post("/api/vent", {"action": "on"}, key=key).status == 200
    before = json.loads(demo.at_hub("/api/status"))["sensors"]["greenhouse/humidity"]["timestamp"]
    until(lambda: json.loads(demo.at_hub("/api/status"))["sensors"]["greenhouse/humidity"]["timestamp"] > before)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_leaves_nothing(demo: Demo, signum: signal.Signals) -> None:
    assert demo.folder.exists()
    hub = demo.hub_pid
    assert hub
    assert demo.end(signum) == 0
    assert list(demo.temporary.iterdir()) == []
    assert not _is_hub(hub)


def test_the_hub_does_not_outlive_a_demo_that_was_killed(demo: Demo) -> None:
    hub, data = demo.hub_pid, demo.folder / "hub"
    assert hub
    assert data.exists()
    demo.end(signal.SIGKILL)
    until(lambda: not _is_hub(hub))
    assert not data.exists()


def _tried(demo: Demo, what: str) -> str:
    """Run the one line that holds these words, as a person would who copied it."""
    (line,) = (line for line in demo.printed.splitlines() if what in line)
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=20).stdout


def _is_hub(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "outstation-hub\n"
    except FileNotFoundError:
        return False


def _opened(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield str(descriptor.readlink())


def _has_moved(demo: Demo, name: str, before: object) -> bool:
    return bool(_status(demo)["sensors"][name]["value"] != before)


def _status(demo: Demo) -> Any:
    return demo.get("/api/status").json
