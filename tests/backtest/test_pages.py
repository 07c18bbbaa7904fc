"""The worked examples are what the program says: every command is run, every figure is counted, every file is shown.

`python -m tests.backtest.test_pages` writes them into the pages anew. The recordings are not part of the project.
"""

from __future__ import annotations

import csv
import datetime as dt
import functools
import gzip
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples" / "backtest"
TUNE = ROOT / "docs" / "how-to" / "tune-a-rule-by-backtest.md"
WINDOW = ROOT / "docs" / "how-to" / "notice-an-open-window.md"

RECORDINGS = ROOT.parent / "shared" / "data"
MACHINE, ROOM = "machine_temperature_system_failure.csv", "room-climate.csv.gz"
THEIRS = {MACHINE: RECORDINGS / "machine-temperature.csv", ROOM: RECORDINGS / "room-climate.csv.gz"}

needs_recordings = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not here")

SPLIT = "2014-01-11"
LABELS = ("2013-12-11T06:00", "2013-12-16T17:25", "2014-01-28T13:55", "2014-02-08T14:30")
TWO_DAYS = dt.timedelta(days=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the examples and the recordings, under their public names."""
    return filled(tmp_path)


def filled(folder: Path) -> Path:
    for file in [*EXAMPLES.glob("*.toml"), *THEIRS.values()]:
        name = next((name for name, path in THEIRS.items() if path == file), file.name)
        shutil.copy(file, folder / name)
    return folder


@functools.cache
def said(folder: Path, command: str) -> str:
    """Return what a command prints."""
    words = shlex.split(command)
    assert words.pop(0) == "outstation"
    done = subprocess.run(
        [sys.executable, "-m", "outstation", *words], check=True, capture_output=True, text=True, cwd=folder
    )
    return done.stdout.rstrip()


@needs_recordings
@pytest.mark.parametrize("page", [TUNE, WINDOW], ids=lambda page: page.stem)
def test_a_page_says_what_the_program_says(page: Path, folder: Path) -> None:
    assert page.read_text() == written(page, folder)


@pytest.mark.parametrize("page", [TUNE, WINDOW], ids=lambda page: page.stem)
def test_a_page_shows_the_examples_as_they_are(page: Path) -> None:
    assert page.read_text() == with_files(page.read_text())


def written(page: Path, folder: Path) -> str:
    """Return a page with its files, outputs and figures as they are now."""
    text = with_files(page.read_text())
    text = re.sub(
        r"^```console\n\$ (.*)\n(?:(?!```).*\n)*```$",
        lambda found: f"```console\n$ {found[1]}\n{said(folder, found[1])}\n```",
        text,
        flags=re.MULTILINE,
    )
    for heading, rows in TABLES[page].items():
        text = with_table(text, heading, rows(folder))
    return text


def with_files(text: str) -> str:
    return re.sub(
        r"^```toml\n# ([\w-]+\.toml).*?^```$",
        lambda found: f"```toml\n{(EXAMPLES / found[1]).read_text()}```",
        text,
        flags=re.MULTILINE | re.DOTALL,
    )


def with_table(text: str, heading: str, rows: Iterable[tuple[str, ...]]) -> str:
    """Return the text with these rows below the table's heading."""
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    pattern = rf"^({re.escape(heading)}\n\|[-|]+\|\n)(?:\|.*\n)*"
    assert re.search(pattern, text, re.MULTILINE)
    return re.sub(pattern, lambda found: found[1] + lines, text, flags=re.MULTILINE)


def warnings(folder: Path, rules: str, half: str) -> list[dt.datetime]:
    """Return when a rule warned in one half."""
    command = f"outstation backtest {rules} --csv {MACHINE} --sensor temperature=value --json {half} {SPLIT}"
    found: dict[str, Any] = json.loads(said(folder, command))
    return [dt.datetime.fromisoformat(spell["start"]) for spell in found["rules"]["warn"]["spells"]]


def in_time(label: str, warned: list[dt.datetime]) -> list[dt.timedelta]:
    """Return how long before a labelled moment each warning came that is right."""
    moment = dt.datetime.fromisoformat(label).replace(tzinfo=dt.UTC)
    return [moment - one for one in warned if dt.timedelta() < moment - one <= TWO_DAYS]


def moments(folder: Path) -> Iterable[tuple[str, ...]]:
    """Yield what each rule did before each labelled moment."""
    for label in LABELS:
        half = "--end" if label < SPLIT else "--start"
        cells = [
            in_time(label, warnings(folder, rules, half)) for rules in ("machine-first.toml", "machine-tuned.toml")
        ]
        words = [f"{hours(max(leads))} before" if leads else "no warning in time" for leads in cells]
        yield label.replace("T", " "), *words


def halves(folder: Path) -> Iterable[tuple[str, ...]]:
    """Yield how many warnings were right in each half, and how many were not."""
    for half, name in (("--end", "first"), ("--start", "second")):
        cells = []
        for rules in ("machine-first.toml", "machine-tuned.toml"):
            warned = warnings(folder, rules, half)
            right = [one for one in warned if any(in_time(label, [one]) for label in LABELS)]
            cells.append(f"{len(warned)} warnings, {len(warned) - len(right)} of them false alarms")
        yield name, *cells


def hours(lead: dt.timedelta) -> str:
    return f"{lead // dt.timedelta(hours=1)} h {lead // dt.timedelta(minutes=1) % 60} min"


def false_alarms(folder: Path) -> Iterable[tuple[str, ...]]:
    """Yield how often each rule of the window called, for each sensor; and how long the sensor was heard."""
    command = f"outstation backtest window.toml --csv {ROOM} --sensor air=temperature_c --json --where node="
    found = [json.loads(said(folder, f"{command}{node}"))["rules"] for node in range(1, 5)]
    for name in found[0]:
        yield name, *(str(one[name]["fired"]) for one in found)
    yield "hours heard", *(f"{time:.1f}" for time in heard(folder))


def heard(folder: Path) -> list[float]:
    """Return how many hours each sensor spoke without a break of a minute; nobody opened the window."""
    times: dict[str, list[int]] = {}
    with gzip.open(folder / ROOM, "rt") as file:
        for row in csv.DictReader(file):
            assert row["window_open"] == "0"
            times.setdefault(row["node"], []).append(int(row["time_ms"]))
    return [
        sum(later - one for one, later in pairwise(each) if later - one < 60_000) / 3_600_000
        for _, each in sorted(times.items())
    ]


TABLES: dict[Path, dict[str, Callable[[Path], Iterable[tuple[str, ...]]]]] = {
    TUNE: {"| moment | first rule | tuned rule |": moments, "| half | first rule | tuned rule |": halves},
    WINDOW: {"| warnings | sensor 1 | sensor 2 | sensor 3 | sensor 4 |": false_alarms},
}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for page in (TUNE, WINDOW):
            page.write_text(written(page, filled(Path(name))))
