"""The page of limits names numbers that hold, and tests that are there."""

from __future__ import annotations

import re
from importlib.metadata import requires, version
from pathlib import Path

import pytest

from outstation.engine import guesses
from outstation.routes import BATCH, SMALL
from outstation.web import access, connection, crowd, handshakes, pending, unread
from outstation.web.api import incoming, stream

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reference" / "limits.md").read_text()
NAMED = re.findall(r"`(tests/[\w/.]+)::(\w+)`", PAGE)


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_row_has_a_test_that_is_there(file: str, test: str) -> None:
    assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_no_row_is_without_one() -> None:
    rows = PAGE.partition("## Bad input")[2].split("\n|")[3:]
    assert len(rows) == len(NAMED)


@pytest.mark.parametrize(
    "words",
    [
        f"in all | {connection.MAX_HEADERS // 1024} KiB | 431",
        f"URL | {connection.MAX_URL // 1024} KiB | 414",
        f"| {SMALL // 1024} KiB; {BATCH // 1024**2} MiB; 16 KiB | 413",
        f"batch | {incoming.MAX_ITEMS:,}; 50,000 lines | 413",
        f"{connection.PATIENCE} s; each 16 KiB of a body give {connection.PATIENCE} s more | 408",
        f"its answer | {connection.IDLE} s | closed",
        f"connections | {crowd.MAX_CONNECTIONS:,}, or",
        f"{pending.ROOM // 1024**2} MiB; {pending.STRANGERS_ROOM // 1024**2} MiB of it",
        f"over all connections | {unread.ROOM // 1024**2} MiB | of the address for which most waits",
        f"streams | {stream.MOST}, {stream.MOST_OF_STRANGERS} of them without a key; {stream.MOST_OF_ONE} from one",
        f"proxy | {handshakes.MOST}, or what the descriptors allow; {connection.PATIENCE} s each",
        f"({access.REFUSALS} for all refusals",
        f"minute | {guesses.OF_ONE_ADDRESS}; {guesses.OF_ONE_BEGINNING} with",
    ],
)
def test_each_number_is_the_programs(words: str) -> None:
    assert words in PAGE


def test_the_http_protocol_is_the_one_that_was_tried() -> None:
    """web/connection.py replaces parts of uvicorn's that are nobody's promise."""
    assert "uvicorn<0.55,>=0.54" in (requires("outstation") or [])
    assert version("uvicorn").startswith("0.54.")
