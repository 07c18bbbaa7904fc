"""Stored readings as CSV: what goes out comes back as it was, and no spreadsheet runs any of it."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outstation.clock import iso
from outstation.core.readings import Quality, Reading, Value
from outstation.errors import RefusedError, UnknownNameError
from outstation.store import exporting
from outstation.store.cells import cell_of, value_of, values_of
from outstation.store.children import LENGTH, Answered
from outstation.store.database import Store
from outstation.store.exporting import Wanted
from outstation.store.replay import opened
from tests.store.given import MORNING, in_store, own, sent

ANYTHING = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60),
    st.sampled_from(
        ["=1+1", "@SUM(A1)", "-5", "+1", "\tx", "\rx", "'", "", "true", "NaN", "21,5", "Inf ", " x", '"', "a,b"]
    ),
)


def stored(folder: Path, *readings: Reading) -> None:
    async def story(store: Store) -> None:
        await store.record(readings)

    in_store(folder, story)


def exported(folder: Path, wanted: Wanted | None = None) -> list[list[str]]:
    with opened(folder) as connection:
        return list(csv.reader(io.StringIO("".join(exporting.text(connection, wanted or Wanted())), newline="")))


def row(at: int, *cells: str) -> list[str]:
    return [iso(MORNING + at), *cells]


@given(st.lists(ANYTHING, min_size=1, max_size=5))
@example(["=cmd|' /C calc'!A0", -0.0, 0.1 + 0.2, 5e-324, True, 1, 1.0])
@settings(max_examples=200, deadline=None)
def test_whatever_is_written_into_a_cell_is_read_out_of_it(values: Sequence[Value]) -> None:
    line = ",".join(map(cell_of, values)) + ",\n"
    (cells,) = csv.reader(io.StringIO(line, newline=""), strict=True)
    assert cells[-1] == ""
    found = [value_of(cell) for cell in cells[:-1]]
    assert [(type(value), repr(value)) for value in found] == [(type(value), repr(value)) for value in values]
    assert list(map(repr, values_of(cells[:-1]))) == list(map(repr, values))
    for value, cell in zip(values, cells, strict=False):
        if isinstance(value, str):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), "a spreadsheet would run it"


@pytest.mark.parametrize(
    "cell", ["1.5.2", "21,5", "12 °C", "nan", "-inf", "1e999", str(2**63), "x" * 256, "a\x00b", " x", "=1"]
)
def test_what_no_value_is_written_as_is_no_value(cell: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        value_of(cell)
    with pytest.raises(ValueError, match=r"\w"):
        values_of(["1", cell])


def test_other_programs_write_numbers_and_words_in_other_ways() -> None:
    assert values_of(["+5", " 7", ".5", "1.", "007", "TRUE", "False", "1E3"]) == [
        5,
        7,
        0.5,
        1.0,
        7,
        True,
        False,
        1000.0,
    ]
    assert values_of(["1,2", "3"][1:]) == [3]
    with pytest.raises(ValueError, match="number"):
        values_of(["1,2"])


def test_a_row_an_instant_and_a_column_a_sensor(tmp_path: Path) -> None:
    stored(
        tmp_path,
        own("air", 1_000, 20.5),
        sent("porch/door", 1_000, True),
        own("air", 2_000, -3),
        own("soil", 3_000, "wet"),
    )
    assert exported(tmp_path) == [
        ["timestamp", "air", "porch/door", "soil"],
        row(1_000, "20.5", "true", ""),
        row(2_000, "-3", "", ""),
        row(3_000, "", "", "wet"),
    ]
    assert exported(tmp_path, Wanted(("soil", "air"), MORNING + 1_500, MORNING + 2_500)) == [
        ["timestamp", "soil", "air"],
        row(2_000, "", "-3"),
    ]


def test_bad_readings_are_empty_in_the_wide_format_and_whole_in_the_long_one(tmp_path: Path) -> None:
    stored(
        tmp_path,
        own("air", 1_000, 99.0, Quality.OUT_OF_RANGE),
        own("air", 2_000, None, Quality.FAULT),
        own("air", 3_000, 20),
    )
    assert exported(tmp_path) == [["timestamp", "air"], row(3_000, "20")]
    assert exported(tmp_path, Wanted(long=True, units={"air": "°C"})) == [
        ["timestamp", "sensor", "value", "unit", "quality"],
        row(1_000, "air", "99.0", "°C", "out_of_range"),
        row(2_000, "air", "", "°C", "fault"),
        row(3_000, "air", "20", "°C", "ok"),
    ]


def test_of_two_readings_in_one_millisecond_none_is_left_out(tmp_path: Path) -> None:
    stored(tmp_path, own("air", 1_000, 1), own("air", 1_000, 2), own("soil", 1_000, 3))
    assert exported(tmp_path)[1:] == [row(1_000, "1", ""), row(1_000, "2", "3")]


def test_nothing_stored_is_a_heading_and_what_is_not_there_is_named(tmp_path: Path) -> None:
    stored(tmp_path)
    assert exported(tmp_path) == [["timestamp"]]
    with pytest.raises(UnknownNameError, match=r'sensor "sol".*There is none'):
        exported(tmp_path, Wanted(("sol",)))
    stored(tmp_path, own("soil", 1))
    with pytest.raises(UnknownNameError, match=r'sensor "sol".*There are: soil'):
        exported(tmp_path, Wanted(("sol",)))
    with pytest.raises(RefusedError, match="not after"):
        exported(tmp_path, Wanted(start=5, end=5))


def test_a_long_export_comes_in_pieces_and_holds_no_snapshot(tmp_path: Path) -> None:
    stored(tmp_path, *(own("air", now, now / 7) for now in range(20_000)))
    with opened(tmp_path) as connection:
        pieces = exporting.text(connection, Wanted())
        sizes = [len(next(pieces))]

        async def story(store: Store) -> None:
            await store.record([own("air", now) for now in range(20_000, 40_000)])
            await store.beside(lambda writing: writing.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE))

        in_store(tmp_path, story)  # a reader with a snapshot would be in the way of this checkpoint
        sizes += map(len, pieces)
    assert max(sizes) < 2 * exporting.PIECE


def test_an_export_in_a_process_of_its_own_says_first_whether_it_can(tmp_path: Path) -> None:
    stored(tmp_path, own("air", 1_000, 1))

    def child(wanted: Wanted) -> tuple[int, Answered, bytes]:
        words = (sys.executable, "-P", "-m", "outstation.store.export_child", str(tmp_path), "2")
        done = subprocess.run(words, input=msgspec.msgpack.encode(wanted), stdout=subprocess.PIPE, check=False)
        end = LENGTH + int.from_bytes(done.stdout[:LENGTH], "big")
        return done.returncode, msgspec.msgpack.decode(done.stdout[LENGTH:end], type=Answered), done.stdout[end:]

    status, said, text = child(Wanted())
    assert (status, said.error, text) == (0, None, f"timestamp,air\n{iso(MORNING + 1_000)},1\n".encode())
    status, said, text = child(Wanted(("sol",)))
    assert (status, text) == (1, b"")
    assert said.error == 0
    assert "There are: air" in said.cure
