"""Installs Node-RED by npm into a cache folder, once, and starts it with the flow of this folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import servers
from servers import MissingError, Server

from node_red import flow

VERSION = "4.1.15"
"""The newest that runs on Node.js 20 (5.0 wants 22.9: `engines` of its package.json)."""

_INSTALL_S = 600.0


@contextmanager
def node_red(folder: Path, sensors: Sequence[str], *, above: float, below: float, observer: int) -> Iterator[Server]:
    """Run Node-RED with a rule for each sensor; changes of the first one go to UDP port `observer`."""
    program = _installed()
    port = servers.free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.js").write_text(flow.settings(port), encoding="utf-8")
    flows = flow.flows(sensors, above=above, below=below, observer=observer)
    (folder / "flows.json").write_text(flows, encoding="utf-8")
    command = [*program, "--userDir", str(folder), "--settings", str(folder / "settings.js")]
    with servers.running("Node-RED", command, port, flow.HEALTH, folder) as server:
        yield server


def _installed() -> list[str]:
    """Return the command that runs Node-RED. Raises MissingError."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise MissingError("Node.js or npm is not installed: sudo apt install nodejs npm")
    folder = _cache() / f"node-red-{VERSION}"
    script = folder / "node_modules" / "node-red" / "red.js"
    if not script.exists():
        _install(npm, folder)
    return [node, str(script)]


def _install(npm: str, folder: Path) -> None:
    print(f"Installing Node-RED {VERSION} into {folder} ...", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", f"node-red@{VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise MissingError(f"npm did not install Node-RED within {_INSTALL_S:g} s") from None
    if done.returncode:
        raise MissingError(f"npm could not install Node-RED: {done.stderr.strip()[-500:]}")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "outstation-benchmarks"
