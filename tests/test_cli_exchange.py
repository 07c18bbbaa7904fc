"""`outstation export` and `outstation import`: what goes out comes in again, and what cannot come in is told."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from outstation import clock
from outstation.__main__ import root
from outstation.cli.headings import Layout
from outstation.cli.tables import Table
from outstation.core.readings import Quality, Reading
from outstation.errors import OutstationError
from outstation.store.database import Store
from outstation.store.history import History
from outstation.store.replay import opened, replay
from tests.store.given import MORNING, in_store, own, sent

HEADING = "timestamp,porch/air,porch/door\n"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data of a node that does not run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTSTATION_DATA", raising=False)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def called(*words: str, status: int = 0) -> Result:
    done = CliRunner().invoke(root, words, prog_name="outstation")
    assert done.exit_code == status, done.output
    return done


def imported(text: str, *words: str, status: int = 0, name: str = "table.csv") -> str:
    Path(name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return called("import", name, *words, status=status).output


def readings(folder: Path) -> list[tuple[str, int, object, Quality]]:
    with opened(folder) as connection:
        return [(one.sensor, one.at, one.value, one.quality) for one in replay(connection)]


def store(folder: Path, *given: Reading) -> None:
    async def story(store: Store) -> None:
        await store.record(given)

    in_store(folder, story)


def rows(count: int) -> str:
    return "".join(
        f"{MORNING + 1_000 * number},{number / 7!r},{'true' if number % 2 else ''}\n" for number in range(count)
    )


@pytest.mark.parametrize("words", [(), ("--long",)])
def test_a_round_trip_is_exact(data: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    store(
        data,
        *(sent("b/number", at, value) for at, value in enumerate((0.1 + 0.2, -5, 5e-324, -0.0, 2**63 - 1, 1, 1.0))),
        *(
            sent("b/text", at, text)
            for at, text in enumerate(("=1+1", "'", "", "a,b", 'say "so"', "x\r\ny", "true", "-5"))
        ),
        *(sent("b/door", at, at % 2 == 0) for at in range(5)),
    )
    other = tmp_path / "other"
    other.mkdir()
    called("export", *words, "all.csv")
    said = called("import", "all.csv", "--data", str(other)).output
    assert "Imported 20 new readings of 3 sensors" in said
    before, after = readings(data), readings(other)
    assert sorted(map(repr, after)) == sorted(map(repr, before))
    assert (
        called("export", *words).output
        == Path("all.csv").read_text()
        == called("export", *words, "--data", "other").output
    )


def test_bad_readings_keep_their_quality_in_the_long_format(data: Path, tmp_path: Path) -> None:
    bad = (own("air", 1, 99.0, Quality.OUT_OF_RANGE), own("air", 2, None, Quality.FAULT), own("air", 3, 20))
    store(data, *bad)
    (tmp_path / "other").mkdir()
    called("export", "--long", "all.csv.gz")
    assert "3 new readings of 1 sensor" in called("import", "all.csv.gz", "--device", "old", "--data", "other").output
    assert readings(tmp_path / "other") == [(f"old/{one}", *rest) for one, *rest in readings(data)]


def test_times_in_every_way_that_people_write_them(data: Path) -> None:
    for stamp in ("2026-03-01T12:00:00Z", "2026-03-01 13:00:00+01:00", "1772366400", "1772366400000", "1772366400.0"):
        assert "1 " in imported(f"Date,porch/air\n{stamp},1\n")
    assert imported("Date,porch/air\n2026-03-01 12:00,1\n", status=1) == (
        'table.csv, line 2, column 1 ("Date"): expected a time with Z or an offset; --timezone says of what zone local '
        "times are, found '2026-03-01 12:00'. Mend it, or leave out what cannot be read with --skip-bad.\n"
    )
    imported("Date,porch/air\n2026-03-01 13:00,1\n2026-07-01 12:00,2\n", "--timezone", "Europe/Berlin")
    assert [at for _, at, _, _ in readings(data)] == [1_772_366_400_000, 1_782_900_000_000]
    assert "Nowhere/Land" in called("import", "table.csv", "--timezone", "Nowhere/Land", status=2).output


def test_columns_of_other_programs_are_given_names(data: Path) -> None:
    text = "Temp (°C),Date,note\n20.5,1772366400,=x\n"
    said = imported(text, "--time", "Date", status=1)
    assert 'line 1, column 1: "Temp (°C)" is no name of a sensor' in said
    assert '--sensor porch/temp__c="Temp (°C)" makes it one' in said or '--sensor porch/temp_c="Temp (°C)"' in said
    assert 'column 3: "note" does not say which device it is of. --device porch makes it porch/note' in said
    imported(text, "--time", "Date", "--sensor", "air=Temp (°C)", "--device", "attic")
    assert readings(data) == [("attic/air", 1_772_366_400_000, 20.5, Quality.OK)]
    assert "has no column" in imported(text, "--time", "When", status=1)
    assert "two columns" in imported("time,a/b,a/b\n", status=1)
    assert "separated by commas" in imported("time;a/b\n1;2\n", status=1)


def test_a_mistake_is_told_with_its_line_and_column_and_the_same_command_goes_on_after_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outstation.cli.tables.ROWS_AT_ONCE", 256)
    good = rows(600).splitlines(keepends=True)
    wrong = "".join([HEADING, *good[:512], '"1750000600000","21,5",true\n', *good[513:]])
    said = imported(wrong, status=1)
    assert 'table.csv, line 514, column 2 ("porch/air"): expected a number' in said
    assert (
        "found '21,5'. Mend it, or leave out what cannot be read with --skip-bad. 512 rows before that are in" in said
    )
    assert len(readings(data)) == 512 + 256
    said = imported(wrong, "--skip-bad")
    assert "from 600 rows" in said
    assert "; 1 was left out: what could not be read." in said
    assert len(readings(data)) == 599 + 301
    assert not (data / "imports").exists()


def test_every_kind_of_mistake_can_be_skipped_and_blank_lines_are_none(data: Path) -> None:
    bad = [
        "x,1,true",
        f"{MORNING},1",
        f"{MORNING},nan,true",
        "-5,1,",
        f"{MORNING + 1},2,",
    ]
    said = imported(HEADING + "\n\n".join(bad) + "\n,,\n\n", "--skip-bad")
    assert "2 new readings of 2 sensors, from" in said
    assert said.rstrip().endswith("4 were left out: what could not be read.")
    assert [row[2] for row in readings(data)] == [True, 2]
    text = "timestamp,sensor,value,quality\n" + "".join(
        f"{MORNING},{one}\n" for one in ("Attic,1,ok", "a/b,1,good", "a/b,,", "a/b,3,")
    )
    assert "1 new reading of 1 sensor, from 4 rows; 2 were left out" in imported(text, "--skip-bad")
    assert 'line 2, column 2 ("sensor"): "Attic" is no name' in imported(text, status=1)
    said = imported(f"timestamp,sensor,value,quality\n{MORNING},a/b,1,good\n", status=1)
    assert (
        "line 2, column 4 (\"quality\"): expected one of ok, out_of_range, spike, stuck, fault, found 'good'." in said
    )


def test_files_that_break_off_are_no_text_or_hold_the_future(data: Path, tmp_path: Path) -> None:
    whole = gzip.compress((HEADING + rows(3_000)).encode())
    Path("cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert "the compressed file breaks off" in called("import", "cut.csv.gz", status=1).output
    Path("latin.csv").write_bytes("timestamp,a/b\n1772366400,grün\n".encode("latin-1"))
    assert "no UTF-8" in called("import", "latin.csv", status=1).output
    if clock.trust() is clock.Trust.SYNCHRONISED:
        assert "ten minutes ahead" in imported("t,a/b\n2099-01-01T00:00:00Z,1\n", status=1)
    assert readings(data) == []


@pytest.mark.parametrize("rest", ["x" * (32 << 20), f'"{"x" * 60}\n",' * (1 << 18), "1," * (8 << 20)])
def test_a_row_that_is_all_of_a_file_is_not_read_into_memory(data: Path, rest: str) -> None:
    """A gigabyte of one letter is a megabyte of gzip."""
    said = imported(HEADING + rows(2) + rest, status=1, name="bomb.csv.gz")
    assert "expected a row of at most 1 MiB, found a longer one" in said
    assert "line 4:" in said or "\n" in rest
    tracemalloc.start()
    with pytest.raises(OutstationError):
        list(Table(Path("bomb.csv.gz"), Layout(skip_bad=True)).batches())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 12 << 20


def test_readings_that_are_there_are_counted_and_others_corrected(data: Path) -> None:
    imported(HEADING + rows(100))
    said = imported(HEADING + rows(101).replace(f"{MORNING},0.0", f"{MORNING},9"))
    assert said == "Imported 1 new reading of 2 sensors, from 101 rows; 149 were here already; 1 was corrected.\n"
    assert readings(data)[0] == ("porch/air", MORNING, 9, Quality.OK)
    backwards = "".join(reversed((HEADING + rows(120)).splitlines(keepends=True)[1:]))
    assert "29 new readings" in imported(HEADING + backwards)
    document = json.loads(imported(HEADING + rows(1), "--json"))
    assert document == {"rows": 1, "stored": 0, "duplicates": 1, "corrected": 0, "skipped": 0, "sensors": ["porch/air"]}


def test_an_import_that_was_killed_goes_on_where_it_was(data: Path) -> None:
    name = "big.csv.gz"
    Path(name).write_bytes(gzip.compress((HEADING + rows(150_000)).encode(), 1))
    words = [sys.executable, "-m", "outstation", "import", name]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not list((data / "imports").glob("*.json")) and time.monotonic() < until:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (note,) = (data / "imports").glob("*.json")
    begun = json.loads(note.read_bytes())
    assert 0 < begun["rows"] < 150_000
    done = json.loads(called("import", name, "--json").output)
    assert done["rows"] == 150_000
    assert done["stored"] + done["duplicates"] == 225_000, "it did not begin anew, and left nothing out"
    assert done["duplicates"] < 30_000

    async def count(store: Store) -> int:
        return History(store).count()

    assert in_store(data, count) == 225_000
    assert not (data / "imports").exists()


def test_what_was_deleted_since_an_import_broke_off_comes_in_again(data: Path) -> None:
    text = HEADING + rows(20_000) + f"{MORNING},12 °C,\n"
    assert "rows before that are in" in imported(text, status=1)
    called("sensors", "delete", "porch/air", "--yes")
    said = json.loads(imported(text, "--skip-bad", "--json"))
    assert (said["rows"], said["stored"]) == (20_001, 20_000 + 10_000 - said["duplicates"])
    assert said["duplicates"] <= 10_000, "of the door, which was not deleted"
    assert len(readings(data)) == 20_000 + 10_000


def test_an_export_takes_the_place_of_no_data_and_of_nothing_that_is_no_file(data: Path, tmp_path: Path) -> None:
    store(data, own("air", 0, 1.5))
    called("backup", "copy.db")
    before = [path.read_bytes() for path in (data / "outstation.db", tmp_path / "copy.db")]
    assert "the node's own" in called("export", "data/outstation.db", status=1).output
    assert "it is not replaced" in called("export", "copy.db", status=1).output
    assert [path.read_bytes() for path in (data / "outstation.db", tmp_path / "copy.db")] == before
    Path("real.csv").write_text("old")
    Path("link.csv").symlink_to("real.csv")
    called("export", "link.csv")
    assert Path("link.csv").is_symlink()
    assert Path("real.csv").read_text().startswith("timestamp,air\n")
    os.mkfifo("pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        called("export", "pipe")
        assert reader.communicate(timeout=10)[0].startswith("timestamp,air\n")
    assert Path("pipe").is_fifo()
    assert "cannot be written" in called("export", "a" * 250, status=1).output
    words = [sys.executable, "-m", "outstation", "export"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Standard output cannot be written: No space left on device.\n")


def test_an_export_into_a_pipe_that_closes_and_to_a_disk_that_is_not_there(data: Path) -> None:
    store(data, *(own("air", now, now / 3) for now in range(30_000)))
    command = f"{sys.executable} -m outstation export | head -2"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stderr == ""
    assert list(csv.reader(done.stdout.splitlines()))[1] == [clock.iso(MORNING), "0.0"]
    assert "cannot be written" in called("export", "nowhere/all.csv", status=1).output
    assert "Nothing is stored" in called("export", "--sensor", "sol", status=1).output
    assert not list(data.parent.glob("*.partial"))
    assert "expected a time" in called("export", "--start", "2026-13-01", status=2).output


def test_a_folder_that_a_node_owns_is_not_written_past_it(data: Path) -> None:
    from outstation.owner import Owner

    with Owner(data):
        assert "belong to" in imported(HEADING + rows(1), status=1)
