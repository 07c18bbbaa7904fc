"""Recordings: what was measured then is measured now."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
from typing import Any

import pytest

from outstation.devices.recorded import RecordedOptions, RecordedSensor
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import Place

ROOM = """time_ms,node,temperature_c,window_open
1458031648000,1,20.5,false
1458031648000,2,19.0,false
1458031650000,1,21.5,true
1458031650000,2,,true
1458031652000,1,22.5,false
"""


def playing(place: Place, text: str = ROOM, **options: Any) -> RecordedSensor:
    (place.base / "room.csv").write_text(text)
    wanted = {"file": "room.csv", "column": "temperature_c", "where": {"node": "1"}} | options
    sensor = RecordedSensor("air", RecordedOptions.model_validate(wanted), place)
    sensor.open()
    return sensor


def heard(sensor: RecordedSensor, count: int) -> list[object]:
    """What it says, without repetitions."""
    values: list[object] = []
    until = time.monotonic() + 2
    while len(values) < count and time.monotonic() < until:
        if (value := sensor.read()) not in values[-1:]:
            values.append(value)
    return values


def test_a_recording_is_played_in_its_rhythm(place: Place) -> None:
    sensor = playing(place, speed=20)
    started = time.monotonic()
    assert heard(sensor, 3) == [20.5, 21.5, 22.5]
    assert 0.195 < time.monotonic() - started < 0.6


def test_slowly_its_first_value_lasts(place: Place) -> None:
    sensor = playing(place)
    assert {sensor.read() for _ in range(100)} == {20.5}
    assert sensor.simulated


def test_rows_are_chosen_by_another_column_and_empty_cells_are_no_values(place: Place) -> None:
    sensor = playing(place, where={"node": "2"}, speed=1000, loop=True)
    assert heard(sensor, 1) == [19.0]


def test_true_and_false_are_no_numbers(place: Place) -> None:
    sensor = playing(place, column="window_open", speed=20)
    assert heard(sensor, 3) == [False, True, False]


def test_a_recording_ends_when_its_last_row_has_had_its_time(place: Place) -> None:
    sensor = playing(place, speed=1000)
    time.sleep(0.01)
    with pytest.raises(DeviceError, match=r"room\.csv has ended\. .*loop = true"):
        sensor.read()


def test_in_a_loop_it_begins_again(place: Place) -> None:
    played = heard(playing(place, speed=40, loop=True), 5)
    assert 20.5 in played[played.index(22.5) :]


def test_one_row_is_a_recording_too(place: Place) -> None:
    sensor = playing(place, "when,temperature_c\n2013-12-02 21:15:00,73.9\n", where={}, loop=True, speed=5000)
    assert heard(sensor, 1) == [73.9]
    assert sensor.read() == 73.9


def test_opened_again_it_goes_on_where_it_would_be(place: Place) -> None:
    sensor = playing(place, speed=20)
    time.sleep(0.11)
    sensor.close()
    sensor.open()
    assert sensor.read() == 21.5


@pytest.mark.parametrize(
    "times", [("0", "2"), ("1458031648", "1458031650"), ("2016-03-15T08:00:00Z", "2016-03-15T09:00:02+01:00")]
)
def test_times_are_seconds_or_milliseconds_or_iso(place: Place, times: tuple[str, str]) -> None:
    text = f"when,temperature_c\n{times[0]},1\n{times[1]},2\n"
    sensor = playing(place, text, where={}, speed=20)
    started = time.monotonic()
    assert heard(sensor, 2) == [1, 2]
    assert 0.095 < time.monotonic() - started < 0.5


def test_rows_that_go_back_in_time_are_left_out(place: Place) -> None:
    text = "when,temperature_c\n10,1\n5,99\n12,2\n"
    assert heard(playing(place, text, where={}, speed=20), 2) == [1, 2]


def test_a_compressed_recording(place: Place) -> None:
    (place.base / "room.csv.gz").write_bytes(gzip.compress(ROOM.encode()))
    assert heard(playing(place, file="room.csv.gz", speed=20), 3) == [20.5, 21.5, 22.5]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, 'room.csv has no column "temperature_c"'),
        (ROOM, {"column": "humidity"}, 'no column "humidity". Its columns: time_ms, node, temperature_c, window_open'),
        (ROOM, {"time_column": "when"}, 'no column "when"'),
        (ROOM, {"where": {"node": "7"}}, "no value in column temperature_c"),
        (ROOM.replace("20.5", "warm"), {}, "room.csv, line 2: could not convert string to float: 'warm'"),
        (ROOM.replace("1458031648000,1", "noon,1"), {}, "room.csv, line 2: Invalid isoformat string: 'noon'"),
        (ROOM, {"file": "room.csv.gz"}, "There is no recording"),
    ],
)
def test_what_is_wrong_is_said(place: Place, text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DeviceError) as raised:
        playing(place, text, **options)
    assert message in str(raised.value)


def test_a_compressed_recording_that_is_cut_off(place: Place) -> None:
    (place.base / "room.csv.gz").write_bytes(gzip.compress(ROOM.encode() * 1000)[:100])
    with pytest.raises(DeviceError, match="could not be read"):
        heard(playing(place, file="room.csv.gz", speed=1_000_000), 1)


def test_no_recording_is_missing_not_broken(place: Place) -> None:
    sensor = RecordedSensor("air", RecordedOptions(file="nowhere.csv", column="a"), place)
    with pytest.raises(MissingDeviceError, match=r"nowhere\.csv"):
        sensor.open()


def test_a_large_recording_is_not_loaded(place: Place) -> None:
    """30 MB of rows cost less than 15 MB more memory than the program without them; as a list they would cost 300."""
    rows = b"".join(b"%d,%d.5\n" % (second, second % 100) for second in range(10_000))
    with (place.base / "large.csv").open("wb") as file:
        file.write(b"when,temperature_c\n")
        file.writelines(rows for _ in range(330))
    code = (
        "import resource, sys, pathlib\n"
        "from outstation.devices.recorded import RecordedOptions, RecordedSensor\n"
        "from outstation.plugins import Place\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "options = RecordedOptions(file='large.csv', column='temperature_c', speed=1e6)\n"
        "sensor = RecordedSensor('air', options, Place(here, here))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "sensor.open()\n"
        "sensor.read()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(place.base)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 15_000
