"""An upgrade's environment has the packages that the new version was tested with."""

from __future__ import annotations

import shutil
import venv
import zipfile
from pathlib import Path

import pip
import pytest

from outstation.ops import environment


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an environment with pip in it and nothing else, whose pip asks nobody."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    folder = tmp_path / "environment"
    venv.EnvBuilder(symlinks=True).create(folder)
    shutil.copytree(Path(pip.__file__).parent, environment.site_packages(folder) / "pip")
    return folder


@pytest.mark.parametrize(
    ("lock", "taken", "said"),
    [
        ("probe==1.0\n", "1.0", 0),
        (None, "2.0", 0),
        ("probe==3.0\n", "2.0", 1),
        ("-r /etc/shadow\n--index-url http://127.0.0.1:9/\nprobe @ file:///etc\nprobe==1.0\n", "1.0", 0),
    ],
    ids=["as tested", "no word of it", "not to be had", "nothing but versions counts"],
)
def test_packages_are_those_of_the_tests(target: Path, tmp_path: Path, lock: str | None, taken: str, said: int) -> None:
    for version in ("1.0", "2.0"):
        _wheel(tmp_path, "probe", version)
    told: list[str] = []
    environment.add_wheel(target, _wheel(tmp_path, "outstation", "9.0", needs="probe", lock=lock), told.append)
    assert [path.name for path in environment.site_packages(target).glob("probe-*")] == [f"probe-{taken}.dist-info"]
    assert len(told) == said


def _wheel(folder: Path, name: str, version: str, *, needs: str = "", lock: str | None = None) -> Path:
    made = folder / f"{name}-{version}-py3-none-any.whl"
    told = f"{name}-{version}.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    files = {
        f"{name}.py": "",
        f"{told}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{told}/WHEEL": "Wheel-Version: 1.0\nGenerator: these tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **({f"{told}/extra_metadata/requirements.lock": lock} if lock else {}),
    }
    files[f"{told}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{told}/RECORD"])
    with zipfile.ZipFile(made, "w") as opened:
        for file, text in files.items():
            opened.writestr(file, text)
    return made
