"""Who else has a hand in an upgrade: a person who stops the node, a user whose links root must not follow."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from outstation.__main__ import root
from outstation.cli import installing
from outstation.config import Config, WebTable
from outstation.errors import OutstationError
from outstation.ops import as_node, deploying, finishing, plan, service
from outstation.ops.as_node import as_node as done_as_node
from outstation.ops.places import FINISHER, SOCKET, UNIT, Places, Systemd, put
from outstation.store import file
from tests.test_service_going_wrong import Machine, Well, places, site, version

__all__ = ["places"]


class Stopped(Well):
    """A node that a person stops. when: while it copies its data, or while it is waited for."""

    def __init__(self, machine: Machine, when: str) -> None:
        super().__init__()
        self._machine, self._when = machine, when

    def back_up(self, target: Path) -> None:
        if self._when == "copied":
            self._machine.active = False

    def trouble(self) -> str:
        if self._when != "waited for" or self._machine.places.version() != "new":
            return ""
        self._machine.active = False
        return "No node runs on the data."


def test_a_node_that_somebody_stops_before_the_order_is_not_started(places: Places) -> None:
    machine = Machine(places, active=True)
    words = deploying.deploy(site(places, machine, Stopped(machine, "copied")), version(places, "new"), Config())
    assert machine.done == []
    assert "new is in the place of old. The node was stopped, and stays so" in words


def test_a_node_that_somebody_stops_while_it_is_waited_for_is_the_old_one_again_and_stays_stopped(
    places: Places,
) -> None:
    machine = Machine(places, active=True)
    with pytest.raises(OutstationError, match=r"(?s)Somebody has stopped the node before .*: nothing runs"):
        deploying.deploy(site(places, machine, Stopped(machine, "waited for")), version(places, "new"), Config())
    assert machine.done == ["stop", "start new"]
    assert places.version() == "old"


@pytest.mark.parametrize("text", ["", '{"old":"0.1.0","new"', '{"new":"9","of another form":true}'])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_plan_that_nobody_understands_is_told_and_put_aside(places: Places, text: str, *, enabled: bool) -> None:
    machine, said = Machine(places, active=False), list[str]()
    here = site(places, machine, Well(), said.append)
    (places.program / "upgrade.json").write_text(text)
    if enabled:
        put(places.wants(UNIT), f"/etc/systemd/system/{UNIT}")
    with pytest.raises(OutstationError, match=r"cannot be understood: .*sudo rm .*upgrade\.json"):
        deploying.finish_what_was_begun(here)
    assert "cannot be understood" in installing._last_upgrade(places)
    finishing.finish(here)
    assert "is called" in said[-1]
    assert plan.unfinished(places) is None
    assert machine.done == (["start old"] if enabled else [])
    (places.program / "upgraded.json").write_text(text)
    assert installing._last_upgrade(places) == "none yet"


def test_a_file_of_nonsense_is_replaced_on_the_way_back(places: Places) -> None:
    class Spoiling(Machine):
        def spoil(self) -> None:
            path = self.places.data / file.NAME
            path.write_bytes(b"garbage." * 600)
            path.with_name(f"{file.NAME}-wal").write_bytes(b"x" * 5_000)

    machine = Spoiling(places, active=False)
    machine.starts = {"old"}
    before = file.version(places.data / file.NAME)
    here = site(places, machine, Well())
    with pytest.raises(OutstationError, match="new was not taken"):
        deploying.deploy(here, version(places, "new"), Config(), anyway=True)
    assert places.version() == "old"
    assert file.version(places.data / file.NAME) == before


def test_a_file_that_was_kept_long_ago_is_not_taken_for_the_new_ones_though_it_is_of_a_later_hour(
    places: Places,
) -> None:
    stale = places.data / f"{file.NAME}.before-version-2"
    shutil.copy(places.data / file.NAME, stale)
    with contextlib.closing(sqlite3.connect(places.data / file.NAME)) as data:
        data.execute("CREATE TABLE since (x)")
    os.utime(stale, (2e9, 2e9))

    class Changing(Machine):
        def spoil(self) -> None:
            with contextlib.closing(sqlite3.connect(self.places.data / file.NAME)) as data:
                data.execute("PRAGMA user_version = 2")

    machine = Changing(places, active=False)
    machine.starts = {"old"}
    with pytest.raises(OutstationError, match="new was not taken"):
        deploying.deploy(site(places, machine, Well()), version(places, "new"), Config(), anyway=True)
    with contextlib.closing(sqlite3.connect(places.data / file.NAME)) as data:
        assert data.execute("SELECT count(*) FROM since").fetchone() == (0,)


def test_a_service_that_somebody_has_masked_is_not_unmasked(places: Places) -> None:
    put(places.unit(UNIT), "/dev/null")
    with pytest.raises(OutstationError, match="masked"):
        deploying.deploy(site(places, Machine(places, active=False), Well()), version(places, "new"), Config())
    assert (places.version(), plan.unfinished(places)) == ("old", None)


def test_the_units_are_those_that_the_new_version_asks_for(places: Places) -> None:
    text = service.HEAD + "# sudo systemctl edit outstation\n[Service]\nWatchdogSec=33\n"
    python = version(places, "new") / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\nprintf '%s' '# /etc/systemd/system/{UNIT}\n{text}'\n".replace("`", ""))
    python.chmod(0o755)
    new = places.program / "versions" / "new"
    deploying.deploy(site(places, Machine(places, active=True), Well()), new, Config())
    assert places.unit(UNIT).read_text() == text.replace("`", "")


def test_what_is_printed_is_read_as_the_same_units() -> None:
    config = Config(web=WebTable(port=80))
    said = CliRunner().invoke(root, ["service", "print"]).output
    assert set(service.printed(said)) == {UNIT, FINISHER}
    text = "".join(f"# /etc/systemd/system/{name}\n{unit}" for name, unit in service.units(config).items())
    assert service.printed(text) == service.units(config)
    assert set(service.units(config)) == {UNIT, SOCKET}


def test_a_log_of_any_bytes_keeps_nobody_from_going_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / "journalctl"
    journal.write_text("#!/bin/sh\nprintf 'it said \\377'\n")
    journal.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Systemd().last_words().startswith("it said ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root works as somebody else")
def test_what_is_done_as_the_node_is_done_with_its_rights_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_node, "_USER", "nobody")
    here, secret = Places(Path("/")), tmp_path / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    assert done_as_node(here, lambda: str(os.getresuid()[0])) != "0"
    with pytest.raises(OutstationError, match="permission denied"):
        done_as_node(here, secret.read_text)
    with pytest.raises(OutstationError, match="ZeroDivisionError"):
        done_as_node(here, lambda: str(1 // 0))
    assert done_as_node(Places(tmp_path), secret.read_text) == "of root"
