"""The installed service on a Debian that was booted: a reboot, kills, upgrades, a power cut, and the end of it.

Everything is emulated and takes some thirty times as long. What a person waits for (60 s to get well) is as it is.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.qemu import debian, service_story
from tests.qemu.packages import MissingError

MACHINE_S = 2_700.0

LOST_AT_MOST = 10
"""Readings of its own, one a second, that a power cut may cost: `lose_at_most`."""

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(MACHINE_S + 900)]  # 200 MB to fetch first

Story = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with tempfile.TemporaryDirectory(prefix="outstation-debian-") as folder:
        try:
            disk, root = debian.make(Path(folder), Path(service_story.__file__))
        except MissingError as error:
            pytest.fail(str(error), pytrace=False)
        printed = debian.boot(disk, root, patience_s=MACHINE_S)
        print(printed)
        told = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        assert "failed" not in {each["step"] for each in told}, printed
        yield {each["step"]: each for each in told}


def test_a_clone_becomes_a_service_with_its_config_and_data(story: Story) -> None:
    assert "belong to process" in story["refused while it runs"]["err"]
    installed = story["install"]
    assert installed["code"] == 0, installed["err"]
    assert re.search(r"Outstation is running, and will at each boot: http://\S+:5000/", installed["out"])
    assert re.search(r"Your key, shown this once: \S+\.\S+", installed["out"])
    there = story["installed"]
    assert there["stored"] > 20, "the readings of the node that ran in the clone"
    assert there["environment"] == service_story.SECRET
    assert there["boards"] == 400, "systemd opened port 80, and the dialect answers to a key that nobody has"
    assert "health:     healthy" in there["status"]["out"] or "health:     degraded" in there["status"]["out"]


def test_it_is_closed_as_far_as_can_be(story: Story) -> None:
    there = story["installed"]
    exposure = re.search(r"exposure level for outstation.service: ([\d.]+)", there["security"])
    assert exposure
    assert float(exposure[1]) <= 2.0
    assert there["verify"] == ""
    assert there["files"]["/etc/outstation/environment"].startswith("600 root")
    assert there["files"]["/etc/outstation/outstation.toml"].startswith("640 root")
    assert there["files"]["/var/lib/outstation"].startswith("750 outstation")
    assert re.search(r"\d00 outstation|\d40 outstation", there["files"]["/var/lib/outstation/outstation.db"])
    lines = [line for line in there["unit"].splitlines() if not line.startswith("#")]
    assert [line for line in lines if "/home" in line or "/root" in line] == []


def test_after_a_reboot_it_answers_with_what_it_had_and_no_error(story: Story) -> None:
    told = story["rebooted"]
    assert told["stored"] > told["before"]
    assert told["errors"] == ""
    assert told["boards"] == 400


@pytest.mark.parametrize(
    ("blow", "supervisor_stays"),
    [("killed server", True), ("frozen server", True), ("killed supervisor", False), ("frozen supervisor", False)],
)
def test_it_comes_back(story: Story, blow: str, supervisor_stays: bool) -> None:
    was, now = story[blow]["was"], story[blow]["now"]
    assert now[1] != was[1]
    assert (now[0] == was[0]) is supervisor_stays
    assert story[blow]["boards"] == 400


def test_an_upgrade_keeps_everything(story: Story) -> None:
    told = story["upgrade outstation-0.1.1-py3-none-any.whl"]
    assert told["code"] == 0, told["err"]
    assert (told["version"], told["stored"] > told["before"], told["boards"]) == ("0.1.1", True, 400)
    assert re.search(r"0\.1\.1 runs in the place of 0\.1\.0\S*, and is well\.", told["out"])


def test_a_version_that_dies_gives_way_to_the_old_one_on_the_old_file(story: Story) -> None:
    told = story["upgrade outstation-0.1.2-py3-none-any.whl"]
    assert told["code"] == 1
    assert "0.1.2 was not taken" in told["err"]
    assert "Program and data are as they were: 0.1.1 runs again." in told["err"]
    assert (told["version"], told["stored"] >= told["before"], told["boards"]) == ("0.1.1", True, 400)
    assert story["brought in"]["code"] == 0, story["brought in"]["err"]


def test_an_upgrade_all_of_whose_processes_are_killed_ends_all_the_same(story: Story) -> None:
    told = story["killed upgrade"]
    assert told["stored"] >= story["brought in"]["stored"]
    assert "0.1.2 was not taken" in told["status"]["out"]


def test_an_upgrade_that_a_power_cut_meets_ends_all_the_same(story: Story) -> None:
    told = story["power cut"]
    assert told["stored"] >= told["before"] - LOST_AT_MOST
    assert "0.1.4 runs in the place of 0.1.1, and is well." in told["status"]["out"]
    assert (told["errors"], told["boards"]) == ("", 400)


def test_a_node_that_is_stopped_is_upgraded_and_stays_stopped(story: Story) -> None:
    told = story["upgrade of a stopped node"]
    assert told["code"] == 0, told["err"]
    assert "The node was stopped, and stays so" in told["out"]
    assert "At each boot: sudo systemctl enable outstation" in told["out"]
    assert not told["answers"]


def test_a_wheel_that_is_cut_off_stops_nothing(story: Story) -> None:
    told = story["upgrade outstation-0.1.3-py3-none-any.whl"]
    assert told["code"] == 1
    assert "is no wheel: File is not a zip file. Fetch it again. Nothing was changed." in told["err"]
    assert told["version"] == "0.1.1"


def test_a_second_install_goes_on_with_what_is_there(story: Story) -> None:
    told = story["once more"]
    assert told["code"] == 0, told["err"]
    assert "Your key" not in told["out"]
    assert told["version"] == "0.1.0"
    assert told["stored"] >= story["power cut"]["stored"]


def test_what_is_left_after_it_was_removed_are_the_data(story: Story) -> None:
    assert story["uninstall"]["code"] == 0, story["uninstall"]["err"]
    assert "The data stay: /var/lib/outstation" in story["uninstall"]["out"]
    told = story["uninstalled"]
    assert not told["answers"]
    assert {path for path, there in told["left"].items() if there} == {
        "/etc/outstation/outstation.toml",
        "/var/lib/outstation/outstation.db",
        "/var/lib/outstation-backup/before-upgrade.db",
    }
    again = story["install again"]
    assert again["code"] == 0, again["err"]
    assert again["stored"] >= told["count"]
