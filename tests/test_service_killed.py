"""An upgrade whose process is killed, at each call that it makes: it ends all the same, and meanwhile something starts.

The process is a real one and dies by SIGKILL; systemd's part, which outlives it, is in a file.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

import msgspec
import pytest

from outstation.config import Config
from outstation.errors import OutstationError
from outstation.ops import deploying, environment, finishing, plan
from outstation.ops.places import UNIT, Places, Systemd, put
from outstation.ops.site import Site
from outstation.store import file

STORE, OPS = Path(file.__file__).parent, str(Path(deploying.__file__).parent)
FIXTURE = Path(__file__).parent / "store" / "fixtures" / "version-1.db"

OLD, NEW = 1, 2
"""What each version makes of the data file, and knows: versions of its form."""


class Known(msgspec.Struct):
    """What systemd knows of the node: which version runs, and how often one was started."""

    runs: str = ""
    started: int = 0


class Outliving(Systemd):
    """The systemd of a machine, of which processes come and go: each of its orders is carried out once begun."""

    def __init__(self, places: Places) -> None:
        self._places, self._file = places, places.root / "systemd"

    @property
    def known(self) -> Known:
        return msgspec.json.decode(self._file.read_bytes(), type=Known) if self._file.exists() else Known()

    def begin_finisher(self) -> None:
        pass

    def make_user(self) -> None:
        pass

    def reload(self) -> None:
        pass

    def last_words(self) -> str:
        return ""

    def is_active(self) -> bool:
        return bool(self.known.runs)

    def invocation(self) -> str:
        return str(self.known.started)

    def stop(self) -> None:
        self._know(Known("", self.known.started))

    def start(self) -> None:
        if not self.known.runs:
            self.restart()

    def restart(self) -> None:
        """Start what the link leads to: it brings the data file to its form, and refuses one of a newer form."""
        version = self._places.current.resolve().name
        form = {"old": OLD, "new": NEW, "bad": NEW}[version]
        if _form(self._places) > form:
            self._know(Known("", self.known.started))
            raise OutstationError("It refuses the data file.")
        _bring_to(self._places, form)
        self._know(Known(version, self.known.started + 1))

    def cut_power(self) -> None:
        """Have the machine begin anew: what is enabled starts, from what is on the disk."""
        self._know(Known("", self.known.started))
        if self._places.wants(UNIT).is_symlink():
            self.start()

    def _know(self, known: Known) -> None:
        self._file.write_bytes(msgspec.json.encode(known))


class Told:
    """The node: well, unless it is the bad version."""

    def __init__(self, systemd: Outliving) -> None:
        self._systemd = systemd

    def trouble(self) -> str:
        runs = self._systemd.known.runs
        return "" if runs in ("old", "new") else f"What runs is {runs or 'nothing'}."

    def back_up(self, target: Path) -> None:
        shutil.copy(FIXTURE, target)


def _form(places: Places) -> int:
    return int.from_bytes((places.data / file.NAME).read_bytes()[60:64], "big")


def _bring_to(places: Places, form: int) -> None:
    content = bytearray((places.data / file.NAME).read_bytes())
    content[60:64] = form.to_bytes(4, "big")
    (places.data / file.NAME).write_bytes(content)


def machine(root: Path, new: str) -> Site:
    """Return a machine where the old version runs, and an upgrade to another one was begun by one who died."""
    places = Places(root)
    places.data.mkdir(parents=True)
    shutil.copy(FIXTURE, places.data / file.NAME)
    for name in ("old", new):
        scripts = environment.site_packages(places.program / "versions" / name) / "outstation" / "store" / "migrations"
        scripts.mkdir(parents=True)
        for number in range(OLD if name == "old" else NEW):
            (scripts / f"{number}.sql").touch()
    put(places.current, "versions/old")
    put(places.wants(UNIT), f"/etc/systemd/system/{UNIT}")
    systemd = Outliving(places)
    systemd.restart()
    site = Site(places, systemd, Told(systemd), lambda _: None, within_s=0)
    plan.note(places, deploying.planned(site, places.program / "versions" / new, Config()))
    return site


def killed(site: Site, at: int) -> bool:
    """Have an upgrade finished by a process that is killed at one of its calls; tell whether it came to that."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_filename.startswith(OPS):
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.setprofile(count)
        finishing.finish(site)
    finally:
        os._exit(0)


@pytest.mark.parametrize("step", [37, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize(("new", "ends_as"), [("new", "new"), ("bad", "old")])
def test_wherever_it_is_killed_something_starts_and_it_ends_as_it_would_have(
    tmp_path: Path, new: str, ends_as: str, power: bool, step: int
) -> None:
    at, gone_on = 1, True
    while gone_on:
        site = machine(tmp_path / str(at), new)
        systemd = site.systemd
        assert isinstance(systemd, Outliving)
        gone_on = killed(site, at)
        assert systemd.known.runs or new == "bad", f"at call {at} nothing runs until somebody goes on"
        if power:
            systemd.cut_power()
            assert systemd.known.runs, f"at call {at} nothing starts at boot"
        finishing.finish(site)
        assert systemd.known.runs == ends_as, f"at call {at}"
        assert plan.unfinished(site.places) is None
        assert site.places.version() == ends_as
        assert _form(site.places) == (NEW if ends_as == "new" else OLD)
        done = plan.last(site.places)
        assert done is not None
        assert ("outstation.db.before-restore-" in done.words) is (new == "bad"), f"at call {at}"
        shutil.rmtree(tmp_path / str(at))
        at += step
    assert at > 50, "so far it came"
