"""One version in the place of another, with real environments and real nodes; systemd's part is played by `Desk`.

The story is told once, and in order, since each environment takes a second: tests only look at parts of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import outstation
from outstation.cli.control import ask
from outstation.config import load
from outstation.errors import OutstationError
from outstation.ops import deploying, environment, finishing, service
from outstation.ops.places import UNIT, Content, Places, Systemd, found, put_all
from outstation.ops.site import Site
from outstation.store import file
from tests.running import free_port

CONFIG = '[node]\nname = "shed"\n[web]\nhost = "127.0.0.1"\nport = {port}\n'
FIXTURE = Path(__file__).parent / "store" / "fixtures" / "version-1.db"


class Desk(Systemd):
    """Does what systemd does with a unit of Type=notify, for a node below a root: start it, wait until it is ready."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.site: Site | None = None
        self.node: subprocess.Popen[bytes] | None = None
        self.done: list[str] = []

    def make_user(self) -> None:
        self.done.append("user")

    def reload(self) -> None:
        self.done.append("reload")

    def invocation(self) -> str:
        return str(self.node.pid) if self.node else ""

    def begin_finisher(self) -> None:
        assert self.site is not None
        finishing.finish(self.site)

    def is_active(self) -> bool:
        return self.node is not None and self.node.poll() is None

    def start(self) -> None:
        self.done.append(f"start {self._places.version()}")
        python = self._places.current.resolve() / "bin" / "python"
        words: list[str | Path] = [
            python,
            "-m",
            "outstation",
            "run",
            "--config",
            self._places.config,
            "--data",
            self._places.data,
        ]
        notify = self._places.root / "notify"
        notify.unlink(missing_ok=True)
        environment = {**os.environ, "NOTIFY_SOCKET": str(notify)}
        with (self._places.root / "log").open("ab") as log:
            ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            ear.bind(str(notify))
            self.node = subprocess.Popen(words, cwd="/", env=environment, stdout=log, stderr=log)
        with ear:
            ear.settimeout(0.1)
            self._wait(ear)

    def _wait(self, ear: socket.socket) -> None:
        assert self.node is not None
        until = time.monotonic() + 30
        while self.node.poll() is None and time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in ear.recv(4096):
                    return
        raise OutstationError("The node ended before it was ready.")

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        self.done.append("stop")
        if self.node is not None and self.node.poll() is None:
            self.node.send_signal(signal.SIGTERM)
            self.node.wait(15)

    def last_words(self) -> str:
        return (self._places.root / "log").read_text()[-2000:]


class Asked:
    """The node, asked by its control socket: well as soon as it answers."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def trouble(self) -> str:
        try:
            return "" if ask(self._data, "GET", "/api/health")["status"] != "unhealthy" else "unhealthy"
        except OutstationError as error:
            return str(error)

    def back_up(self, target: Path) -> None:
        ask(self._data, "POST", "/api/backup", {"file": str(target), "replace": True})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("root")
    places = Places(root)
    places.config.parent.mkdir(parents=True)
    places.config.write_text(CONFIG.format(port=free_port()))
    places.data.mkdir(parents=True)
    shutil.copy(FIXTURE, places.data / file.NAME)
    desk = Desk(places)
    desk.site = Site(places, desk, Asked(places.data), lambda _: None, within_s=5)
    yield desk.site
    desk.stop()


def version(site: Site, name: str, *, form: bool = False, dies: bool = False) -> Path:
    """Build a version beside the others: this very program, with its packages lent by those who run the tests.

    form: it brings the data file to a form of its own. dies: after that.
    """

    def make(folder: Path) -> None:
        venv.EnvBuilder(clear=True).create(folder)
        packages = environment.site_packages(folder)
        source = Path(outstation.__file__).parent
        shutil.copytree(source, packages / "outstation", ignore=shutil.ignore_patterns("__pycache__", "assets"))
        (packages / "lent.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        (packages / "outstation" / "__init__.py").write_text(f'"""A version."""\n\n__version__ = "{name}"\n')
        if form:
            (packages / "outstation/store/migrations/0099_next.sql").write_text("CREATE TABLE spoiled (x);")
        if dies:
            with (packages / "outstation/launch.py").open("a") as launch:  # what comes after the file was brought up
                launch.write("\n\ndef write_down(*_):\n    raise SystemExit('spoiled: this version dies')\n")

    return deploying.build(site, name, make)


def deploy(site: Site, new: Path) -> None:
    deploying.deploy(site, new, load(site.places.config), anyway=True)


def running(site: Site) -> str:
    """Return which version answers, with how many readings."""
    return running_on(site.places.data)


def taken_in(site: Site) -> int:
    """Return how many readings there are of those that `Doubted` has had taken."""
    readings = ask(site.places.data, "GET", "/api/readings?sensor=porch/temperature&limit=50")["readings"]
    return sum(each["value"] == Doubted.value for each in readings)


def running_on(data: Path) -> str:
    health = ask(data, "GET", "/api/health")
    return f"{health['version']}, {health['readings_stored']} readings"


def test_a_version_takes_the_place_of_another_and_goes_back_when_it_dies(site: Site) -> None:
    places, desk = site.places, site.systemd
    assert isinstance(desk, Desk)
    deploy(site, version(site, "1.0"))
    assert running(site) == "1.0, 4238 readings"
    assert desk.done == ["reload", "user", "reload", "stop", "start 1.0"]
    assert places.wants(UNIT).readlink() == Path("/etc/systemd/system/outstation.service")
    assert file.version(places.at(service.BACKUPS) / "before-upgrade.db") == 1, "as it was before anything was done"
    known = file.version(places.data / file.NAME)
    unit = places.unit(UNIT).read_text()

    with pytest.raises(OutstationError) as refusal:
        deploy(site, version(site, "2.0", form=True, dies=True))
    assert str(refusal.value).startswith("2.0 was not taken: The node ended before it was ready.")
    assert "spoiled: this version dies" in str(refusal.value)
    assert "Program and data are as they were: 1.0 runs again." in str(refusal.value)
    assert desk.done[5:] == ["reload", "user", "reload", "stop", "start 2.0", "stop", "reload", "start 1.0"]
    assert running(site) == "1.0, 4238 readings"
    assert file.version(places.data / file.NAME) == known
    assert places.unit(UNIT).read_text() == unit
    assert sorted(path.name for path in (places.program / "versions").iterdir()) == ["1.0"]


class Doubted(Asked):
    """A node of which one version takes readings, and is not well."""

    value = 21.53125
    taken = 0

    def trouble(self) -> str:
        if super().trouble() or not running_on(self._data).startswith("2.1"):
            return super().trouble()
        ask(self._data, "POST", "/api/readings", {"sensor": "porch/temperature", "value": self.value})
        self.taken += 1
        return "It says that it is not."


def test_what_a_version_took_in_that_was_not_well_comes_back_by_the_command_that_is_named(site: Site) -> None:
    desk = site.systemd
    assert isinstance(desk, Desk)
    with site.places.config.open("a") as config:
        config.write('[[sensors]]\nname = "load"\ndriver = "system"\nquantity = "cpu_load"\nevery = "1s"\n')
    doubted = Doubted(site.places.data)
    desk.site = msgspec.structs.replace(site, node=doubted, within_s=2)
    with pytest.raises(OutstationError) as refusal:
        deploy(site, version(site, "2.1", form=True))
    desk.site = site
    assert "not well within 2 s: It says that it is not." in str(refusal.value)
    named = re.search(r"sudo outstation (import --skip-bad \S+)", str(refusal.value))
    assert named
    (aside,) = re.findall(r"is in (\S+before-restore-\S+), and no longer among the data", str(refusal.value))
    assert Path(aside).exists()
    words = [sys.executable, "-m", "outstation", *named[1].split(), "--data", str(site.places.data)]
    assert taken_in(site) == 0
    subprocess.run(words, check=True, capture_output=True)
    assert taken_in(site) == doubted.taken > 0


def test_a_file_of_a_newer_program_is_refused_before_anything_stops(site: Site) -> None:
    assert isinstance(site.systemd, Desk)
    before, new = len(site.systemd.done), version(site, "0.9")
    for script in sorted((environment.site_packages(new) / "outstation/store/migrations").glob("*.sql"))[1:]:
        script.unlink()
    with pytest.raises(
        OutstationError, match=r"outstation\.db is of version \d+, and 0\.9 knows 1: it would not open it"
    ):
        deploy(site, new)
    assert site.systemd.done[before:] == []
    assert not new.exists()
    assert running(site).startswith("1.0")


def test_what_does_not_even_start_is_refused_when_it_is_built(site: Site) -> None:
    def make(folder: Path) -> None:
        venv.EnvBuilder().create(folder)

    with pytest.raises(OutstationError, match=r"The new program does not start: .*No module named outstation"):
        deploying.build(site, "3.0", make)
    assert not (site.places.program / "versions" / "3.0").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file"),
        (b"PK\x03\x04 cut off", "is no wheel: File is not a zip file"),
        ({"a.dist-info/METADATA": "Name: flask\nVersion: 1\n"}, "holds flask, not Outstation"),
        ({"readme": ""}, "holds nothing that pip knows, not Outstation"),
    ],
)
def test_a_wrong_wheel_is_refused_with_words(
    tmp_path: Path, content: bytes | dict[str, str] | None, words: str
) -> None:
    wheel = tmp_path / "outstation-9-py3-none-any.whl"
    if isinstance(content, bytes):
        wheel.write_bytes(content)
    elif content is not None:
        with zipfile.ZipFile(wheel, "w") as opened:
            for name, text in content.items():
                opened.writestr(name, text)
    with pytest.raises(OutstationError, match=words):
        environment.version_of(wheel)


def test_a_right_wheel_says_its_version(tmp_path: Path) -> None:
    wheel = tmp_path / "outstation-9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr("outstation-9.dist-info/METADATA", "Name: outstation\nVersion: 9\n")
    assert environment.version_of(wheel) == "9"


def test_what_developers_need_stays_behind() -> None:
    names = {each.metadata["Name"].lower() for each in environment.needed()}
    assert {"outstation", "pip", "fastapi", "starlette", "pydantic_core", "apsw"} <= names
    assert {"pytest", "mypy", "ruff", "hypothesis", "httpx", "playwright"} & names == set()


def test_what_was_found_is_put_back_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("as it was")
    (tmp_path / "kept").chmod(0o600)
    (tmp_path / "link").symlink_to("one")
    wanted: dict[str, Content] = {
        f"{tmp_path}/kept": (b"other", 0o644),
        f"{tmp_path}/new/file": (b"new", 0o644),
        f"{tmp_path}/link": "two",
        f"{tmp_path}/absent": None,
    }
    before = {path: found(Path(path)) for path in wanted}
    put_all(wanted)
    assert (tmp_path / "link").readlink() == Path("two")
    put_all(before)
    assert (tmp_path / "kept").read_text() == "as it was"
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "link").readlink() == Path("one")
    assert not (tmp_path / "new" / "file").exists()


def test_an_image_gets_all_of_it_and_nothing_is_started(tmp_path: Path) -> None:
    places = Places(tmp_path, live=False)
    places.config.parent.mkdir(parents=True)
    places.config.write_text('[web]\ndialect_listen = "0.0.0.0:80"\n')
    image = Site(places, Systemd(), Asked(places.data), lambda _: None)
    deploy(image, version(image, "1.0"))
    deploy(image, version(image, "1.0-2"))
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants/outstation.service"
    assert wants.readlink() == Path("/etc/systemd/system/outstation.service")
    assert places.unit("outstation.socket").exists()
    assert places.current.readlink() == Path("versions/1.0-2")
    assert (tmp_path / "usr/local/bin/outstation").stat().st_mode & 0o777 == 0o755
    script = (places.current / "bin" / "outstation").read_text()
    assert script.startswith("#!/opt/outstation/versions/1.0-2/bin/python\n")
    assert {path.name for path in (places.program / "versions").iterdir()} == {"1.0", "1.0-2"}


@pytest.mark.long
def test_an_environment_is_made_of_this_one_without_a_network(tmp_path: Path) -> None:
    environment.make(tmp_path / "made")
    environment.write_command(tmp_path / "made", tmp_path / "made")
    program = str(tmp_path / "made" / "bin" / "outstation")
    alone = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ""}
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True, env=alone, cwd="/").stdout
    assert said == f"outstation {outstation.__version__}\n"
    python = str(tmp_path / "made" / "bin" / "python")
    assert subprocess.run([python, "-I", "-m", "pip", "check"], check=False, env=alone).returncode == 0
