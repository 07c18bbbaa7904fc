"""What goes wrong while a version takes the place of another: there is always one that can run, and data for it."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import zipfile
from pathlib import Path

import msgspec
import pytest

from outstation.config import Config
from outstation.errors import OutstationError
from outstation.ops import deploying, environment, service
from outstation.ops.deploying import Site
from outstation.ops.places import UNIT, Change, Places, Systemd, alone, give
from outstation.owner import Owner
from outstation.store import file

STORE = Path(file.__file__).parent
FIXTURE = Path(__file__).parent / "store" / "fixtures" / "version-1.db"


class Machine(Systemd):
    """Says what systemd would of a unit. starts: versions that start; another one spoils something, and ends."""

    def __init__(self, places: Places, *, active: bool) -> None:
        self.places, self.active = places, active
        self.starts = {"old", "new", "newer"}
        self.done: list[str] = []

    def is_active(self) -> bool:
        return self.active

    def make_user(self) -> None:
        pass

    def reload(self) -> None:
        pass

    def enable(self) -> None:
        pass

    def stop(self) -> None:
        self.done += ["stop"] if self.active else []
        self.active = False

    def start(self) -> None:
        version = self.places.version()
        self.done.append(f"start {version}")
        self.active = True
        if version not in self.starts:
            self.spoil()
            raise OutstationError("It ended before it was ready.")

    def spoil(self) -> None:
        pass

    def last_words(self) -> str:
        return ""


class Ill:
    """A node that ends again and again: nobody answers."""

    def trouble(self) -> str:
        return "No node runs on the data."

    def back_up(self, target: Path) -> None:
        raise OutstationError("No node runs on the data.")


class Well:
    """A node without trouble. refuses: what it says to who wants a backup."""

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses

    def trouble(self) -> str:
        return ""

    def back_up(self, target: Path) -> None:
        if self.refuses:
            raise OutstationError(self.refuses)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    places.data.mkdir(parents=True)
    shutil.copy(FIXTURE, places.data / file.NAME)
    version(places, "old")
    Change().point(places.current, "versions/old")
    return places


def version(places: Places, name: str) -> Path:
    """Make as much of a version as is looked at."""
    folder = places.program / "versions" / name
    shutil.copytree(STORE / "migrations", environment.site_packages(folder) / "outstation" / "store" / "migrations")
    return folder


def site(places: Places, machine: Machine, node: deploying.Node) -> Site:
    return Site(places, machine, node, lambda _: None, within_s=0)


def test_a_node_that_does_not_run_is_stopped_and_cured(places: Places) -> None:
    machine = Machine(places, active=True)

    class Cured(Ill):
        def trouble(self) -> str:
            return "" if "start new" in machine.done else super().trouble()

    deploying.deploy(site(places, machine, Cured()), version(places, "new"), Config())
    assert machine.done == ["stop", "start new"]
    assert (places.at(service.BACKUPS) / "before-upgrade.db").exists()


def test_a_node_that_is_well_and_has_no_room_for_a_copy_runs_on(places: Places) -> None:
    machine = Machine(places, active=True)
    with pytest.raises(OutstationError, match="no space left"):
        deploying.deploy(site(places, machine, Well("There is no space left.")), version(places, "new"), Config())
    assert machine.done == []
    assert places.version() == "old"


def test_one_that_was_stopped_for_a_copy_that_fails_is_started_again(places: Places) -> None:
    machine = Machine(places, active=True)
    (places.data / file.NAME).write_bytes(b"no data file")
    with pytest.raises(OutstationError, match="is no data file"):
        deploying.deploy(site(places, machine, Ill()), version(places, "new"), Config())
    assert machine.done == ["stop", "start old"]


def test_what_cannot_be_written_back_leaves_a_link_to_a_version_that_is_there(places: Places) -> None:
    """As on a disk that is full by then: the command's folder is a file, so the command cannot be put back."""

    class Full(Machine):
        def spoil(self) -> None:
            shutil.rmtree(places.command.parent)
            places.command.parent.write_text("")

    places.command.parent.mkdir(parents=True)
    places.command.write_text("#!/bin/sh\n")
    machine = Full(places, active=True)
    machine.starts = {"old"}
    with pytest.raises(OutstationError, match="does not run as it did"):
        deploying.deploy(site(places, machine, Well()), version(places, "new"), Config())
    assert places.version() == "old"
    assert places.current.exists()
    assert machine.done[-1] == "start old"


def test_where_there_is_no_way_back_the_new_version_stays(places: Places) -> None:
    class Stuck(Machine):
        def spoil(self) -> None:
            (places.program / ".current.new").mkdir()  # where the link would be made

    machine = Stuck(places, active=True)
    machine.starts = {"old"}
    with pytest.raises(OutstationError, match="does not run as it did"):
        deploying.deploy(site(places, machine, Well()), version(places, "new"), Config())
    assert places.version() == "new"
    assert places.current.exists(), "else nothing could be started, ever"


def test_what_cannot_be_given_back_keeps_nothing_else(tmp_path: Path) -> None:
    change = Change()
    for name in ("first", "second"):
        change.write(tmp_path / name / "file", "new", 0o644)
    shutil.rmtree(tmp_path / "second")
    (tmp_path / "second").write_text("no folder any more")
    with pytest.raises(NotADirectoryError):
        change.undo()
    assert not (tmp_path / "first" / "file").exists()


def test_a_terminal_that_hangs_up_ends_no_upgrade(places: Places) -> None:
    class Lost(Machine):
        def stop(self) -> None:
            super().stop()
            signal.raise_signal(signal.SIGHUP)

    machine = Lost(places, active=True)
    deploying.deploy(site(places, machine, Well()), version(places, "new"), Config())
    assert machine.done == ["stop", "start new"]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_what_was_never_whole_is_not_taken_for_the_version_before(places: Places) -> None:
    version(places, "cut off")
    deploying.deploy(site(places, Machine(places, active=True), Well()), version(places, "new"), Config())
    assert {path.name for path in (places.program / "versions").iterdir()} == {"old", "new"}


def test_a_unit_that_was_written_by_hand_is_kept(places: Places) -> None:
    places.unit(UNIT).parent.mkdir(parents=True)
    places.unit(UNIT).write_text("[Service]\nExecStart=/home/pi/mine\n")
    said: list[str] = []
    asked = msgspec.structs.replace(site(places, Machine(places, active=True), Well()), say=said.append)
    deploying.deploy(asked, version(places, "new"), Config())
    kept = places.unit(f"{UNIT}.before-install")
    assert kept.read_text() == "[Service]\nExecStart=/home/pi/mine\n"
    assert any(str(kept) in line for line in said)
    deploying.deploy(asked, version(places, "newer"), Config())
    assert kept.read_text() == "[Service]\nExecStart=/home/pi/mine\n"


def test_two_at_once_are_one(tmp_path: Path) -> None:
    with alone(Places(tmp_path)), pytest.raises(OutstationError, match="Another `outstation service` is at work"):  # noqa: SIM117
        with alone(Places(tmp_path)):
            pass
    with alone(Places(tmp_path)):
        pass


def test_a_link_of_the_nodes_user_leads_root_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("root's")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "lock").symlink_to(secret)
    with pytest.raises(OutstationError, match="cannot be used"):
        Owner(folder).__enter__()
    assert secret.read_text() == "root's"
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        give(folder / "lock", "nobody", grp.getgrgid(nobody.pw_gid).gr_name)
        assert secret.stat().st_uid == 0
        assert (folder / "lock").lstat().st_uid == nobody.pw_uid


@pytest.mark.parametrize("words", ["Version: ../../../etc/cron.d/x\n", "Version: a/b\n", ""])
def test_the_version_of_a_wheel_is_no_path(tmp_path: Path, words: str) -> None:
    wheel = tmp_path / "outstation-9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr("outstation-9.dist-info/METADATA", f"Name: outstation\n{words}")
    with pytest.raises(OutstationError, match="has no version"):
        environment.version_of(wheel)


def test_a_wheel_with_a_flipped_byte_is_said_to_be_no_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / "outstation-9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("outstation-9.dist-info/METADATA", "Name: outstation\nVersion: 9\n" + "x" * 1000)
    content = bytearray(wheel.read_bytes())
    at = content.index(b"METADATA") + len("METADATA")
    content[at] = 0xFF  # a kind of block that deflate does not have
    wheel.write_bytes(content)
    with pytest.raises(OutstationError, match="Nothing was changed"):
        environment.version_of(wheel)
