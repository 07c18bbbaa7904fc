"""A recording in a CSV file is read as it was asked for, and what is wrong in it is told with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from outstation.backtest.recording import EARLIEST, LATEST
from outstation.backtest.table import Layout, Table, TableError, moment
from outstation.core.readings import Value

WIDE = "time,air,door\n2026-01-05T00:00:00Z,20.5,true\n2026-01-05T00:01:00Z,,false\n2026-01-05T00:02:00Z,21,\n"
LONG = "ms,node,celsius\n1767571200000,1,20\n1767571200500,2,30\n1767571201000,1,21\n"


def read(folder: Path, text: str, layout: Layout | None = None, **names: str) -> list[tuple[str, int, Value | None]]:
    """Return the readings, by milliseconds since the first."""
    file = folder / "recording.csv"
    file.write_text(text)
    table = Table(file, layout or Layout())
    found = list(table.readings(EARLIEST, LATEST, frozenset(table.names)))
    return [(one.sensor, one.at - found[0].at, one.value) for one in found]


def test_each_column_is_a_sensor_and_an_empty_cell_no_reading(tmp_path: Path) -> None:
    assert read(tmp_path, WIDE) == [
        ("air", 0, 20.5),
        ("door", 0, True),
        ("door", 60_000, False),
        ("air", 120_000, 21.0),
    ]


def test_some_rows_of_one_column_under_another_name(tmp_path: Path) -> None:
    layout = Layout("ms", {"room/air": "celsius"}, {"node": "1"})
    assert read(tmp_path, LONG, layout) == [("room/air", 0, 20.0), ("room/air", 1_000, 21.0)]


def test_a_column_that_chooses_rows_is_no_sensor(tmp_path: Path) -> None:
    assert {name for name, _, _ in read(tmp_path, LONG, Layout(where={"node": "2"}))} == {"celsius"}


def test_it_may_be_compressed(tmp_path: Path) -> None:
    file = tmp_path / "recording.csv.gz"
    file.write_bytes(gzip.compress(WIDE.encode()))
    assert len(list(Table(file, Layout()).readings(EARLIEST, LATEST, frozenset({"air"})))) == 2


def test_only_the_time_that_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "recording.csv"
    file.write_text(LONG)
    found = Table(file, Layout()).readings(1_767_571_200_500, 1_767_571_201_000, frozenset({"celsius"}))
    assert [one.value for one in found] == [30.0]


def test_rows_that_go_back_in_time_are_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "recording.csv"
    file.write_text("t,a\n100,1\n200,2\n150,3\n200,4\n300,5\n")
    table = Table(file, Layout())
    for _ in range(2):
        assert [one.value for one in table.readings(EARLIEST, LATEST, frozenset({"a"}))] == [1, 2, 4, 5]
        assert table.left_out == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("t,a\nsoon,1\n", "line 2: expected a time, found 'soon'"),
        ("t,a\n1,1\n\n2,warm\n", "line 4: expected a number, true or false, found 'warm'"),
        ("t,a\n1,1\n2\n", "line 3: expected 2 columns, found 1"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(TableError, match=sentence):
        read(tmp_path, text)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r'no column "warmth". Its columns: ms, node, celsius\.'):
        read(tmp_path, LONG, Layout(sensors={"air": "warmth"}))
    with pytest.raises(TableError, match="the file is empty"):
        read(tmp_path, "", Layout(time="t"))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="No such file"):
        Table(tmp_path / "nowhere.csv", Layout())
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(WIDE.encode() * 99)[:60])
    with pytest.raises(TableError, match="cannot be read"):
        list(Table(tmp_path / "cut.csv.gz", Layout()).readings(EARLIEST, LATEST, frozenset({"air"})))


@pytest.mark.parametrize(
    "text", ["2026-01-05", "2026-01-05 00:00", "2026-01-05T01:00+01:00", "1767571200", "1767571200000", "1767571200.0"]
)
def test_times_as_people_and_programs_write_them(text: str) -> None:
    assert moment(text) == 1_767_571_200_000
