"""Outputs that are no pins: a stranger's driver is made safe by a process that was started beforehand."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Running
from tests.system.waiting import until

CONFIG = """
[[actuators]]
name = "siren"
driver = "file"
path = "siren"
safe = "on"
default = "on"

[[actuators]]
name = "pump"
driver = "file"
path = "pump"
hangs = {hangs}
"""

DRIVER = '''
"""An output that is a file: whoever drives it last is written beside the level."""

import os
import signal
import time

from outstation.errors import DeviceError
from outstation.plugins import ActuatorDriver, DriverOptions


class Options(DriverOptions):
    path: str
    hangs: bool = False


class FileDriver(ActuatorDriver):
    Options = Options
    safe_within = 2.5

    def __init__(self, *given):
        super().__init__(*given)
        with (self.place.base / f"{self.options.path} loaded").open("a") as file:
            file.write(f"{os.getpid()}\\n")

    def open(self, level):
        if (self.place.base / "broken").exists():
            raise DeviceError("The wire is cut.")
        if (freeze := self.place.base / "freeze").exists():
            freeze.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        if self.options.hangs and "OUTSTATION_HANGS" in os.environ and (self.place.base / "hang").exists():
            time.sleep(600)
        self.set(level)

    def set(self, level):
        with (self.place.base / self.options.path).open("a") as file:
            file.write(f"{int(level)} {os.getpid()}\\n")
'''


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with an installed distribution that brings the driver."""
    folder = tmp_path / "packages"
    info = folder / "file_driver-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "file_driver.py").write_text(DRIVER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: file-driver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[outstation.actuators]\nfile = file_driver:FileDriver\n")
    return folder


@pytest.fixture
def environment(packages: Path) -> dict[str, str]:
    """What the driver needs."""
    paths = [str(packages), os.environ.get("PYTHONPATH", ""), str(Path(__file__).parents[2])]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OUTSTATION_HANGS": "1"}


@pytest.fixture
def node(tmp_path: Path, environment: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Running]:
    hangs = getattr(request, "param", False)
    with Running(tmp_path / "data", CONFIG.format(hangs=str(hangs).lower()), env=environment) as node:
        for name, away in (("siren", "off"), ("pump", "on")):
            assert node.post(f"/api/{name}", {"action": away}).status == 200
        yield node


def driven(node: Running, name: str) -> list[tuple[bool, int]]:
    """Return what the output went through: the level, and which process drove it there."""
    rows = (node.data.parent / name).read_text().split("\n")[:-1]
    return [(row.startswith("1"), int(row.split()[1])) for row in rows]


def wait_for_the_other_process(node: Running, name: str = "siren") -> None:
    """Return when the process that was started beforehand has loaded its drivers: it has their time from then on."""
    loaded = node.data.parent / f"{name} loaded"
    until(lambda: {int(pid) for pid in loaded.read_text().split()} - {node.pid, node.server_pid})


def test_after_a_crash_they_are_safe_before_the_next_server_touches_them(node: Running) -> None:
    server, before = node.server_pid, {name: len(driven(node, name)) for name in ("siren", "pump")}
    wait_for_the_other_process(node)
    os.kill(server, signal.SIGKILL)
    until(lambda: driven(node, "siren")[-1][0] and not driven(node, "pump")[-1][0], 2)
    following = node.wait_for_server(other_than=server)
    for name, safe in (("siren", True), ("pump", False)):
        (level, keeper), *later = driven(node, name)[before[name] :]
        assert level is safe
        assert keeper not in (server, following, node.pid)
        assert all(pid == following for _, pid in later), "then it is the next server's"


def test_a_frozen_server_leaves_them_safe_too(node: Running) -> None:
    os.kill(node.server_pid, signal.SIGSTOP)
    until(lambda: driven(node, "siren")[-1][0] and not driven(node, "pump")[-1][0], 12)


def test_without_supervisor_and_server_they_are_made_safe_all_the_same(node: Running) -> None:
    wait_for_the_other_process(node)
    os.kill(node.pid, signal.SIGSTOP)
    os.kill(node.server_pid, signal.SIGKILL)
    os.kill(node.pid, signal.SIGKILL)
    until(lambda: driven(node, "siren")[-1][0] and not driven(node, "pump")[-1][0], 6)


def test_one_that_fails_is_told_and_the_node_comes_back(node: Running) -> None:
    wait_for_the_other_process(node)
    (node.data.parent / "broken").touch()
    server = node.server_pid
    os.kill(server, signal.SIGKILL)
    until(lambda: "siren may not be in its safe state: The wire is cut." in node.log.read_text(), 3)
    (node.data.parent / "broken").unlink()
    node.wait_for_server(other_than=server)


@pytest.mark.parametrize("node", [True], indirect=True)
def test_one_that_hangs_has_its_time_and_delays_no_other(node: Running) -> None:
    wait_for_the_other_process(node)
    (node.data.parent / "hang").touch()
    server = node.server_pid
    os.kill(server, signal.SIGKILL)
    until(lambda: driven(node, "siren")[-1][0], 2)
    hung = "pump may not be in its safe state: its driver was not done in 2.5 s"
    until(lambda: hung in node.log.read_text(), 5)
    (node.data.parent / "hang").unlink()
    node.wait_for_server(other_than=server)
    until(lambda: node.log.read_text().count("Outstation is running") == 2)
    said = node.log.read_text()
    assert said.index(hung) < said.rindex("Outstation is running"), "the next server waits for that"


def test_told_to_stop_all_of_it_ends(node: Running) -> None:
    wait_for_the_other_process(node)
    assert node.stop() == 0
    assert driven(node, "siren")[-1][0]
    assert not driven(node, "pump")[-1][0]


def test_an_edited_config_is_the_one_that_it_goes_by_at_the_next_death(node: Running) -> None:
    wait_for_the_other_process(node)
    config = node.config_file.read_text().replace('path = "siren"\nsafe = "on"', 'path = "horn"\nsafe = "off"')
    node.config_file.write_text(config)
    server = node.server_pid
    os.kill(server, signal.SIGKILL)
    server = node.wait_for_server(other_than=server)
    assert node.post("/api/siren", {"action": "on"}).status == 200
    wait_for_the_other_process(node, "horn")
    before = len(driven(node, "siren"))
    os.kill(server, signal.SIGKILL)
    until(lambda: not driven(node, "horn")[-1][0], 2)
    assert len(driven(node, "siren")) == before


def test_an_edited_option_is_enough(node: Running) -> None:
    wait_for_the_other_process(node)
    node.config_file.write_text(node.config_file.read_text().replace('path = "siren"', 'path = "horn"'))
    server = node.server_pid
    os.kill(server, signal.SIGKILL)
    server = node.wait_for_server(other_than=server)
    assert node.post("/api/siren", {"action": "off"}).status == 200
    wait_for_the_other_process(node, "horn")
    os.kill(server, signal.SIGKILL)
    until(lambda: driven(node, "horn")[-1][0], 2)


def test_a_server_that_freezes_while_it_opens_one_does_not_have_the_time_of_a_start(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "freeze").touch()
    environment["OUTSTATION_SUPERVISION"] = "silent=3 start=60"
    with Running(tmp_path / "data", CONFIG.format(hangs="false"), env=environment) as node:
        assert "said nothing for 3 s" in node.log.read_text()
