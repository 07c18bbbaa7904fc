"""The driver in examples/driver/ is a package like any stranger's: built, installed, tested, named in a config."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "driver"
PAGE = ROOT / "docs" / "how-to" / "write-a-driver.md"
LINES_AT_MOST = 60

ALONE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Without the other plug-ins of pytest that are here."""

CONFIG = '[[sensors]]\nname = "cellar"\ndriver = "lm75"\n'

Run = Callable[..., str]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("driver") / "package"))


@pytest.fixture(scope="module")
def run(package: Path) -> Run:
    """Install the package beside what is installed here, and return what runs Python there, in its folder.

    No index is asked: the wheel is built by the hatchling that is here.
    """
    folder = package.parent / "venv"
    venv.create(folder)
    python = folder / "bin" / "python"
    libraries = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
    ours = sysconfig.get_path("purelib")
    (Path(libraries) / "beside.pth").write_text(f"import site; site.addsitedir({ours!r})\n")

    def said(*words: str, by: str = str(python)) -> str:
        words = (by, *words)
        done = subprocess.run(words, cwd=package, env=ALONE, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said("-m", "hatchling", "build", "-t", "wheel", by=sys.executable)
    wheels = [str(wheel) for wheel in (package / "dist").glob("*.whl")]
    pip = ("-m", "pip", "--disable-pip-version-check", "--python", str(python), "install", "--no-index", "--no-deps")
    said(*pip, *wheels, by=sys.executable)
    return said


def test_it_is_short() -> None:
    files = [file for file in EXAMPLE.iterdir() if file.suffix in (".py", ".toml")]
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    assert len([line for line in lines if line and not line.startswith("#")]) < LINES_AT_MOST


def test_what_its_page_shows_stands_in_it() -> None:
    files = "".join(file.read_text() for file in EXAMPLE.iterdir() if file.is_file())
    shown = re.findall(r"^```(?:python|text)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert shown
    assert [part for part in shown if part not in files] == []


def test_its_tests_pass_where_it_is_installed(run: Run) -> None:
    assert "passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")


def test_a_config_names_it(run: Run, package: Path) -> None:
    (package / "outstation.toml").write_text(CONFIG)
    assert "is right: 1 sensor" in run("-m", "outstation", "check", "outstation.toml")
