"""The load of a workshop, and three times what a slow disk can take: nobody is cut, each is told when to come again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.traced import needs_strace

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "load.py"

PROMISES = ("answers other than 200", "goodput", "told to come again", "anything else", "well again")
"""Rows that hold however busy the machine is."""


@needs_strace
@pytest.mark.long
def test_what_holds_on_any_machine_holds(tmp_path: Path) -> None:
    words = [sys.executable, str(BENCHMARK), "--minutes", "0.2", "--seconds", "6"]
    found = subprocess.run(words, capture_output=True, text=True, timeout=110, cwd=tmp_path, check=False)
    rows = {promise: line for promise in PROMISES for line in found.stdout.splitlines() if promise in line}
    assert rows.keys() == set(PROMISES), found.stdout + found.stderr
    assert not [line for line in rows.values() if "MISSED" in line], found.stdout
