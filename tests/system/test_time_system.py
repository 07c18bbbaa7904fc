"""The clock of a real node: sampling on its grid without drift, and a wall clock that steps (libfaketime)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from tests.running import Running
from tests.system.waiting import until

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)

TURNS = "turns = 0\n\ndef read():\n    global turns\n    turns += 1\n    return turns\n"

SENSOR = """
[[sensors]]
name = "{name}"
driver = "python"
file = "turns.py"
every = "{every}"
"""

STORE = '[store]\nlose_at_most = "200ms"\nkeep = "30d"\n'


class Clockwork(Running):
    """A node whose wall clock the test may set; its other clocks go on as they are. more: of its config."""

    def __init__(self, folder: Path, trust: str, more: str = "") -> None:
        self._offset = folder / "offset"
        self.set_clock("+0")
        (folder / "turns.py").write_text(TURNS)
        config = f'[node]\nclock = "{trust}"\n{STORE}' + SENSOR.format(name="turns", every="200ms") + more
        env = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        super().__init__(folder / "data", config, env=env)

    def set_clock(self, offset: str) -> None:
        """Set the wall clock to the true time and `offset`, such as "+20y"."""
        new = self._offset.with_name("new")
        new.write_text(offset + "\n")
        new.rename(self._offset)

    def step(self, offset: str) -> None:
        """Set the clock, and let some readings be taken by it."""
        self.set_clock(offset)
        before = self.turns()
        until(lambda: self.turns() >= before + 5)

    def newest(self) -> Any:
        """The sensor as the status shows it."""
        return self.get("/api/status").json["sensors"]["turns"]

    def turns(self) -> int:
        """How often the sensor was asked."""
        return self.newest()["value"] or 0

    def has_told_of(self, steps: int) -> bool:
        """Tell whether its log has so many steps of the clock."""
        return self.log.read_text().count("the wall clock moved by") == steps

    def history(self) -> list[tuple[datetime, int]]:
        """All that is stored, by time."""
        rows = self.get("/api/readings?sensor=turns&limit=10000").json["readings"]
        return [(datetime.fromisoformat(row["timestamp"]), row["value"]) for row in rows]


needs_faketime = pytest.mark.skipif(
    FAKETIME is None, reason="setting the clock needs libfaketime (Debian: libfaketime)"
)


def test_sampling_stays_on_the_grid_of_the_wall_clock(tmp_path: Path) -> None:
    (tmp_path / "turns.py").write_text(TURNS)
    grids = {"fast": 200, "slow": 1_000, "slower": 2_000}
    config = STORE + "".join(SENSOR.format(name=name, every=f"{every}ms") for name, every in grids.items())
    with Running(tmp_path / "data", config) as node:
        began = clock.at()  # the first of all is taken at the start, wherever that lies
        until(lambda: len(_stamps(node, "slower", began)) >= 2)
        for name, every in grids.items():
            stamps = _stamps(node, name, began)
            assert len(stamps) >= 2_000 // every
            assert {at % every for at in stamps} == {0}
            assert {after - before for before, after in pairwise(stamps)} == {every}


@needs_faketime
def test_a_clock_that_nobody_vouched_for_is_corrected_and_so_is_all_that_it_stamped(tmp_path: Path) -> None:
    """If the kernel vouches for the clock of the machine this runs on, there is nothing to correct."""
    began = datetime.now(UTC)
    with Clockwork(tmp_path, "auto") as node:
        _step_about(node, "+20y", "+0")
        history = _whole_history(node)
        assert node.get("/api/health").json["clock"] == "unset"
        assert [value for _, value in history] == sorted(value for _, value in history)
        assert began - timedelta(seconds=1) <= history[0][0]
        assert history[-1][0] <= datetime.now(UTC)
        node.stop()
        node.start()
        assert until(node.turns) < len(history)
        assert node.history()[: len(history)] == history


@needs_faketime
def test_what_boards_without_a_clock_told_by_ours_is_corrected_with_it(tmp_path: Path) -> None:
    node = Clockwork(tmp_path, "auto")
    node.set_clock("-2h")
    with node:
        sent = [{"values": {"porch/a": age}, "age": age} for age in (3600, 60, 0.5)]
        assert node.post("/api/readings", sent).status == 200
        told = datetime.now(UTC)
        assert node.get("/api/status").json["sensors"]["porch/a"]["value"] == 0.5
        node.step("+0")
        rows = until(lambda: node.get("/api/readings?sensor=porch/a").json["readings"])
        ages = [(told - datetime.fromisoformat(row["timestamp"])).total_seconds() for row in rows]
        assert [row["value"] for row in rows] == [3600, 60, 0.5]
        assert ages == pytest.approx([3600, 60, 0.5], abs=5)


@needs_faketime
def test_a_clock_that_its_owner_vouches_for_is_believed_and_costs_no_reading_either(tmp_path: Path) -> None:
    with Clockwork(tmp_path, "trust") as node:
        began = datetime.now(UTC)
        _step_about(node, "+20y", "+0", "-2h", "+0")
        history = _whole_history(node)
        asked = node.post("/api/retention", {"dry_run": False}).json
        assert asked["deleted"] == 0
        assert asked["kept"].startswith("Nothing is deleted by age until the next boot: the clock has stepped by 73")
        from_afar = [value for at, value in history if at.year == began.year + 20]
        early = [value for at, value in history if at < began - timedelta(hours=1)]
        assert len(from_afar) >= 3
        assert len(early) >= 3
        for phase in (from_afar, early):
            assert phase == list(range(phase[0], phase[-1] + 1))
        node.stop()
        node.start()
        assert until(node.turns) < len(history)
        assert node.newest()["age"] < 1


def _step_about(node: Clockwork, *offsets: str) -> None:
    """Set the clock to these, one after the other, and see that each step is told."""
    until(lambda: node.turns() >= 5)
    for number, offset in enumerate(offsets, 1):
        node.step(offset)
        until(partial(node.has_told_of, number))
    until(lambda: "the wall clock moved by +63" in node.log.read_text())  # twenty years, in seconds


def _whole_history(node: Clockwork) -> list[tuple[datetime, int]]:
    """Return what is stored, once it holds all that was seen; and see that no turn is missing or there twice."""
    seen = node.turns()
    until(lambda: len(node.history()) >= seen)
    history = node.history()
    assert sorted(value for _, value in history) == list(range(1, len(history) + 1))
    return history


def _stamps(node: Running, name: str, since: int) -> list[int]:
    rows = node.get(f"/api/readings?sensor={name}&limit=10000").json["readings"]
    stamps = [round(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000) for row in rows]
    return [at for at in stamps if at > since]
