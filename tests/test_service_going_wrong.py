"""What goes wrong while a version takes the place of another: there is always one that can run, and data for it."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from outstation.config import Config
from outstation.errors import OutstationError
from outstation.ops import deploying, environment, finishing, plan, service
from outstation.ops.places import UNIT, Places, Systemd, alone, give, put, put_all
from outstation.ops.site import Node, Site
from outstation.owner import Owner
from outstation.store import file

STORE = Path(file.__file__).parent
FIXTURE = Path(__file__).parent / "store" / "fixtures" / "version-1.db"


class Machine(Systemd):
    """Says what systemd would of a unit. starts: versions that start; another one spoils something, and ends."""

    def __init__(self, places: Places, *, active: bool) -> None:
        self.places, self.active = places, active
        self.site: Site | None = None
        self.invocations = 0
        self.starts = {"old", "new", "newer"}
        self.done: list[str] = []

    def is_active(self) -> bool:
        return self.active

    def make_user(self) -> None:
        pass

    def reload(self) -> None:
        pass

    def invocation(self) -> str:
        return str(self.invocations)

    def begin_finisher(self) -> None:
        assert self.site is not None
        finishing.finish(self.site)

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        self.done += ["stop"] if self.active else []
        self.active = False

    def start(self) -> None:
        version = self.places.version()
        self.done.append(f"start {version}")
        self.active = True
        self.invocations += 1
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


def damaged_file() -> bytes:
    """Return a data file with a page of nonsense, which no start looks at: in the middle."""
    content = bytearray(FIXTURE.read_bytes())
    middle = len(content) // 2 // file.PAGE_SIZE * file.PAGE_SIZE
    content[middle : middle + file.PAGE_SIZE] = b"\x55" * file.PAGE_SIZE
    return bytes(content)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    places.data.mkdir(parents=True)
    shutil.copy(FIXTURE, places.data / file.NAME)
    version(places, "old")
    put(places.current, "versions/old")
    return places


def version(places: Places, name: str) -> Path:
    """Make as much of a version as is looked at."""
    folder = places.program / "versions" / name
    shutil.copytree(STORE / "migrations", environment.site_packages(folder) / "outstation" / "store" / "migrations")
    return folder


def site(places: Places, machine: Machine, node: Node, say: Callable[[str], None] = lambda _: None) -> Site:
    machine.site = Site(places, machine, node, say, within_s=0)
    return machine.site


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
    copies = places.at(service.BACKUPS)
    copies.mkdir()
    (copies / "before-upgrade.db").write_text("somebody's letters")
    with pytest.raises(OutstationError, match="is no backup: it is not replaced"):
        deploying.deploy(site(places, machine, Ill()), version(places, "new"), Config())
    assert machine.done == ["stop", "start old"]


@pytest.mark.parametrize("content", [b"no data file", damaged_file()])
def test_a_damaged_file_keeps_no_upgrade_away_and_is_copied_as_it_is(places: Places, content: bytes) -> None:
    (places.data / file.NAME).write_bytes(content)
    machine, said = Machine(places, active=True), list[str]()
    words = deploying.deploy(
        site(places, machine, Well("The copy is damaged."), said.append), version(places, "new"), Config()
    )
    assert machine.done == ["stop", "start new"]
    (kept,) = places.at(service.BACKUPS).glob("damaged-*.db")
    assert kept.read_bytes() == content
    assert any("copied as it is" in line and str(kept) in line for line in said)
    assert words == f"new runs in the place of old, and is well.\nThe data as they were before: {kept}"


def test_a_damaged_file_is_there_again_when_the_new_version_that_began_another_is_not_taken(places: Places) -> None:
    class Anew(Machine):
        def spoil(self) -> None:
            file.open_for_writing(self.places.data / file.NAME)[0].close()

    (places.data / file.NAME).write_bytes(b"no data file")
    machine = Anew(places, active=True)
    machine.starts = {"old"}
    with pytest.raises(OutstationError, match="Program and data are as they were: old runs again"):
        deploying.deploy(site(places, machine, Well("The copy is damaged.")), version(places, "new"), Config())
    assert (places.data / file.NAME).read_bytes() == b"no data file"
    assert machine.done == ["stop", "start new", "stop", "start old"]


def test_an_upgrade_that_was_cut_off_comes_first_to_its_end(places: Places) -> None:
    machine, said = Machine(places, active=True), list[str]()
    there = site(places, machine, Well(), said.append)
    plan.note(places, deploying.planned(there, version(places, "new"), Config()))
    deploying.finish_what_was_begun(there)
    assert "The upgrade to new of" in said[0]
    assert said[-1].startswith("new runs in the place of old, and is well.")
    assert places.version() == "new"
    deploying.finish_what_was_begun(there)
    assert machine.done == ["stop", "start new"], "once"


def test_who_interrupts_it_is_told_that_it_goes_on_and_begins_nothing_else(places: Places) -> None:
    class Busy(Machine):
        def begin_finisher(self) -> None:
            pass

    def say(text: str) -> None:
        if text == "Starting it ...":
            raise KeyboardInterrupt

    there = site(places, Busy(places, active=True), Well(), say)
    begun = deploying.planned(there, version(places, "new"), Config())
    plan.note(places, msgspec.structs.replace(begun, said=("Starting it ...",)))
    with pytest.raises(OutstationError, match="It goes on without you"):
        deploying.finish_what_was_begun(there)
    assert plan.unfinished(places) is not None


def test_what_it_takes_until_it_is_ready_is_not_of_the_time_to_get_well(places: Places) -> None:
    class Migrates(Machine):
        def start(self) -> None:
            time.sleep(0.2)
            super().start()

    machine = Migrates(places, active=True)
    machine.site = msgspec.structs.replace(site(places, machine, Well()), within_s=0.1)
    deploying.deploy(machine.site, version(places, "new"), Config())
    assert places.version() == "new"


def test_a_node_that_somebody_stopped_stays_stopped_and_is_told_of(places: Places) -> None:
    machine = Machine(places, active=False)
    words = deploying.deploy(site(places, machine, Ill()), version(places, "new"), Config())
    assert machine.done == []
    assert places.version() == "new"
    assert not places.wants(UNIT).exists()
    assert words.startswith("new is in the place of old. The node was stopped, and stays so")
    assert "To start it: sudo systemctl start outstation\nAt each boot: sudo systemctl enable outstation" in words
    deploying.deploy(site(places, machine, Well()), version(places, "newer"), Config(), anyway=True)
    assert machine.done == ["start newer"], "an install is asked to start it"
    assert places.wants(UNIT).is_symlink()


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


def test_what_cannot_be_put_keeps_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("no folder")
    with pytest.raises(OSError, match="File exists"):
        put_all({f"{tmp_path}/{name}/file": (b"new", 0o644) for name in ("first", "second")})
    assert (tmp_path / "second" / "file").exists()


def test_what_was_never_whole_is_not_taken_for_the_version_before(places: Places) -> None:
    version(places, "cut off")
    deploying.deploy(site(places, Machine(places, active=True), Well()), version(places, "new"), Config())
    assert {path.name for path in (places.program / "versions").iterdir()} == {"old", "new"}


def test_a_unit_that_was_written_by_hand_is_kept(places: Places) -> None:
    places.unit(UNIT).parent.mkdir(parents=True)
    places.unit(UNIT).write_text("[Service]\nExecStart=/home/pi/mine\n")
    said: list[str] = []
    asked = site(places, Machine(places, active=True), Well(), said.append)
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
