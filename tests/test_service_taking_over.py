"""What goes along into the service: the config with its files and secrets, and the data; and what cannot."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from outstation.cli import installing
from outstation.cli.installing import Asked
from outstation.config import load
from outstation.errors import OutstationError, OwnedError
from outstation.ops import environment, taking_over
from outstation.ops.places import Places
from outstation.owner import Owner
from outstation.store import file
from outstation.store.database import Store
from outstation.store.history import History
from tests.store.given import in_store

FIXTURE = Path(__file__).parent / "store" / "fixtures" / "version-3.db"

CONFIG = """\
[[sensors]]
name = "air"
driver = "recorded"
file = "history/air.csv"
column = "t"

[[webhooks]]
name = "desk"
url = "file:desk.url"

[[uplinks]]
name = "hub"
kind = "outstation"
url = "http://hub.example.org"
key = "env:HUB_KEY"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder as a person has it: a config, what it names, and data."""
    folder = tmp_path / "garden"
    (folder / "history").mkdir(parents=True)
    (folder / "history" / "air.csv").write_text("time,t\n2026-01-01T00:00:00Z,20\n")
    (folder / "desk.url").write_text("https://hooks.example.org/secret\n")
    (folder / "outstation.toml").write_text(CONFIG)
    (folder / "data").mkdir()
    shutil.copy(FIXTURE, folder / "data" / file.NAME)
    return folder


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "root").mkdir()
    return Places(tmp_path / "root", live=False)


def test_a_config_takes_along_its_files_and_secrets_and_nothing_else(home: Path, places: Places) -> None:
    (home / "diary").write_text("private")
    luggage = taking_over.packed(home / "outstation.toml", {"HUB_KEY": "id.secret", "OTHER": "x"})
    assert luggage.files == ("history/air.csv", "desk.url")
    taking_over.take_config(luggage, places)
    folder = places.config.parent
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert there == ["desk.url", "environment", "history/air.csv", "outstation.toml"]
    assert (folder / "environment").stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in (places.config, folder / "desk.url")} == {0o640}
    assert taking_over.read_secrets(places) == {"HUB_KEY": "id.secret"}
    assert (home / "outstation.toml").read_text() == CONFIG


def test_what_is_there_is_not_written_over(home: Path, places: Places) -> None:
    places.config.parent.mkdir(parents=True)
    places.config.write_text("# mine\n")
    taking_over.add_secrets({"HUB_KEY": "the first"}, places)
    taking_over.take_config(taking_over.packed(home / "outstation.toml", {"HUB_KEY": "another"}), places)
    assert places.config.read_text() == "# mine\n"
    assert taking_over.read_secrets(places) == {"HUB_KEY": "the first"}


@pytest.mark.parametrize("secret", ["plain.Key_1", "with space", 'quo"te', "back\\slash", "$HOME `id`", "it's", "#"])
def test_a_secret_is_read_as_it_was_by_us_and_by_a_shell(places: Places, secret: str) -> None:
    """What stands in double quotes systemd reads as a shell does (EnvironmentFile= of systemd.exec(5))."""
    places.config.parent.mkdir(parents=True)
    taking_over.add_secrets({"KEY": secret}, places)
    assert taking_over.read_secrets(places) == {"KEY": secret}
    path = places.config.with_name("environment")
    told = subprocess.run(["sh", "-c", '. "$0"; printf %s "$KEY"', path], check=True, capture_output=True, text=True)
    assert told.stdout == secret


@pytest.mark.parametrize("name", ["../outside.csv", "/root/.bashrc"])
def test_what_a_service_would_not_see_is_told(home: Path, name: str) -> None:
    (home.parent / "outside.csv").write_text("x")
    config = home / "outstation.toml"
    config.write_text(CONFIG.replace("history/air.csv", str(home.parent / "outside.csv") if "root" in name else name))
    with pytest.raises(OutstationError, match=r"which a service would not see\. Put it beside the config, in "):
        taking_over.packed(config, {})


def test_data_are_copied_by_their_pages_and_stay_where_they_were(home: Path, places: Places) -> None:
    before = (home / "data" / file.NAME).read_bytes()
    done = taking_over.take_data(home / "data", places)
    assert done.damaged == ()
    assert in_store(places.data, counted) == 4_238
    assert (home / "data" / file.NAME).read_bytes() == before


async def counted(store: Store) -> int:
    return History(store).count()


def test_data_of_a_node_that_runs_are_its_own(home: Path, places: Places) -> None:
    with Owner(home / "data"), pytest.raises(OwnedError, match="belong to process"):
        taking_over.take_data(home / "data", places)
    assert not (places.data / file.NAME).exists()


def test_nobody_is_asked_where_nobody_answers(home: Path, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("HUB_KEY", "id.secret")
    with pytest.raises(OutstationError, match=r"Take along the data in .* There is nobody to answer\. Say so"):
        installing.data_to_take(places, Asked())
    assert installing.data_to_take(places, Asked(take_over=True)) == Path("data")
    assert installing.data_to_take(places, Asked(take_over=False)) is None
    luggage = installing.config_to_take(places, Asked(take_over=True))
    assert luggage is not None
    assert luggage.secrets == {"HUB_KEY": "id.secret"}


def test_a_second_install_takes_nothing_and_says_so_when_it_is_asked(home: Path, places: Places) -> None:
    taking_over.take_data(home / "data", places)
    assert installing.data_to_take(places, Asked(take_over=True)) is None
    with pytest.raises(OutstationError, match="has data already"):
        installing.data_to_take(places, Asked(data=home / "data"))


def test_a_file_that_is_no_text_of_today_goes_along_as_it_is(home: Path, places: Places) -> None:
    (home / "history" / "air.csv").write_bytes(b"time,t \xb0C\n")
    taking_over.take_config(taking_over.packed(home / "outstation.toml", {}), places)
    assert (places.config.parent / "history" / "air.csv").read_bytes() == b"time,t \xb0C\n"


def test_data_of_an_install_that_was_not_taken_are_told_of(
    home: Path, places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    taking_over.take_data(home / "data", places)
    assert installing.data_to_take(places, Asked(take_over=True)) is None
    assert f"they are used, and not those in {home / 'data'}." in capsys.readouterr().err


def test_backups_into_a_home_are_refused(tmp_path: Path) -> None:
    places = Places(tmp_path, live=False)
    places.config.parent.mkdir(parents=True)
    places.config.write_text('[backup]\nfolder = "/home/pi/backups"\n')
    with pytest.raises(OutstationError, match="/home/pi/backups, which a service would not see"):
        installing.refuse_home(load(places.config))


@pytest.mark.parametrize(("rights", "asked"), [(0o755, True), (0o1777, False)])
def test_what_everybody_may_put_beside_a_wheel_is_not_installed(tmp_path: Path, rights: int, *, asked: bool) -> None:
    tmp_path.chmod(rights)
    assert bool(environment.beside(tmp_path / "outstation-9-py3-none-any.whl")) is asked
