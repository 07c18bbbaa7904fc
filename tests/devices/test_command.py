"""Programs as sensors: real ones, that print, fail, hang, start others and print without end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pydantic
import pytest

from outstation import plugins
from outstation.core.readings import Value
from outstation.devices import value_in_text
from outstation.devices.command import CommandOptions, CommandSensor
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import Place


def sensor(place: Place, *words: str, name: str = "it", **options: Any) -> CommandSensor:
    made = CommandSensor(name, CommandOptions.model_validate({"command": list(words)} | options), place)
    made.open()
    return made


def shell(place: Place, script: str, **options: Any) -> CommandSensor:
    return sensor(place, "sh", "-c", script, **options)


def fault(driver: plugins.SensorDriver) -> str:
    with pytest.raises(DeviceError) as raised:
        driver.read()
    return str(raised.value)


@pytest.mark.parametrize(
    ("printed", "options", "value"),
    [
        ("21.5\n", {}, 21.5),
        (" -3 ", {}, -3),
        ("on", {}, True),
        ("temp=48.3'C\n", {"pattern": "temp=([0-9.]+)"}, 48.3),
        ("a 1\nb 2\n", {"pattern": r"a (?P<a>\d+)\nb (?P<b>\d+)", "quantity": "b"}, 2),
        ('{"air": [{"temp": 20}, {"temp": 21.5}]}', {"json_path": "air.1", "quantity": "temp"}, 21.5),
        ('{"on": true}', {"json_path": "on"}, True),
        ("idle", {"text": True}, "idle"),
    ],
)
def test_what_a_program_prints_is_the_value(place: Place, printed: str, options: dict[str, Any], value: Value) -> None:
    assert sensor(place, "printf", "%s", printed, **options).read() == value


@pytest.mark.parametrize(
    ("printed", "options", "said"),
    [
        ("", {}, "Expected a number, on or off, found ''. If words are meant: text = true."),
        ("ERR", {}, "Expected a number, on or off, found 'ERR'."),
        ("1_000", {}, "Expected a number"),
        ("9" * 5_000, {}, "Expected a number, on or off, found '999"),
        ("nan", {}, "Expected a number"),
        ("21.5.3", {}, "Expected a number"),
        ("T 21", {"pattern": "T=(.*)"}, r"There is no match for `pattern` 'T=(.*)' in what printf printed: 'T 21'."),
        ("[1, 2]", {"json_path": "2"}, "There is no value at '2' in JSON in what printf printed"),
        ("{", {"json_path": "a"}, "There is no value at 'a' in JSON"),
        ('{"a": [1]}', {"json_path": "a"}, "found '[1]'"),
    ],
)
def test_what_is_no_value_is_a_fault(place: Place, printed: str, options: dict[str, Any], said: str) -> None:
    assert said in fault(sensor(place, "printf", "%s", printed, **options))


def test_a_program_that_hangs_is_killed_with_all_that_it_started(place: Place) -> None:
    """Its child would otherwise hold the pipe, and the sensor, for ever."""
    hangs = shell(place, "sleep 60 & echo $! > child; echo $$ > parent; wait", timeout="300ms")
    began = time.monotonic()
    assert fault(hangs) == "sh did not end in 0.3 s: it was killed. It may need a longer `timeout`."
    assert time.monotonic() - began < 5
    for name in ("child", "parent"):
        assert ended(int((place.base / name).read_text()))


def test_a_child_that_stays_behind_and_holds_the_output_is_killed_too(place: Place) -> None:
    """Also when what started it has long ended: else one more would stay at each reading."""
    assert "did not end in 0.2 s" in fault(shell(place, "sleep 60 & echo $! > child; echo 21", timeout="200ms"))
    assert ended(int((place.base / "child").read_text()))


NODE = """
import sys, threading, time
from pathlib import Path
from outstation.devices import command
from outstation.plugins import Place

here = Path(sys.argv[1])
words = ["sh", "-c", "echo $$ > child; exec sleep 60"]
hangs = command.CommandSensor("it", command.CommandOptions(command=words), Place(data=here, base=here))
hangs.open()
threading.Thread(target=hangs.read, daemon=True).start()
while not command._RUNNING or not (here / "child").exists() or not (here / "child").read_text():
    time.sleep(0.01)
"""


def test_a_node_that_ends_leaves_no_program_behind(place: Place) -> None:
    subprocess.run([sys.executable, "-c", NODE, str(place.base)], check=True)
    assert ended(int((place.base / "child").read_text()))


def test_a_pattern_that_never_ends_is_a_fault_and_holds_nobody_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`re` lets no other thread run: a long line without a match would be the end of the whole node."""
    monkeypatch.setattr(value_in_text, "_SEARCHES_S", 0.3)
    said = fault(shell(place, "yes x | tr -d '\\n' | head -c 60000", pattern=".*Level: ([0-9.]+)"))
    assert said.startswith("`pattern` '.*Level: ([0-9.]+)' was not done with 60000 characters in 0.3 s.")


def test_a_long_text_is_searched_as_a_short_one(place: Place) -> None:
    long = "yes x | head -n 5000; echo 'a=é1 b=-2.5'"
    assert shell(place, long, pattern="a=é(?P<a>.) b=(?P<b>.*)", quantity="b").read() == -2.5
    assert shell(place, long, name="first", pattern="a=é(.)").read() == 1
    assert "There is no match" in fault(shell(place, long, name="none", pattern="c=(.)"))


def test_no_message_that_names_the_bus_has_the_words_of_the_command(place: Place) -> None:
    one, other = (shell(place, f"curl -H 'Key: hush{number}'") for number in (1, 2))
    assert "hush" not in one.bus
    assert one.bus != other.bus


def test_one_that_prints_without_end_is_killed(place: Place) -> None:
    assert fault(sensor(place, "yes")) == "yes prints more than 65536 bytes: it was killed."


def test_a_failure_is_told_with_what_the_program_says(place: Place) -> None:
    assert fault(shell(place, "echo 21; echo no sensor >&2; exit 3")) == (
        "sh failed with status 3: 'no sensor'. Try it by hand, as the user of the node."
    )
    assert "sh was ended by SIGTERM" in fault(shell(place, "kill $$"))


def test_a_program_that_is_not_there_is_missing(place: Place) -> None:
    with pytest.raises(MissingDeviceError, match="/nowhere/meter cannot be started: no such file or directory"):
        sensor(place, "/nowhere/meter").read()


def test_no_shell_looks_at_the_words(place: Place) -> None:
    assert sensor(place, "echo", "$HOME; *", text=True).read() == "$HOME; *"


def test_it_runs_in_the_configs_folder_without_the_nodes_secrets(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTSTATION_API_KEY", "secret")
    here, key = shell(place, "pwd", text=True), shell(place, "echo ${OUTSTATION_API_KEY:-none}", text=True)
    assert (here.read(), key.read()) == (os.path.realpath(place.base), "none")


def test_sensors_of_one_command_run_it_once(place: Place) -> None:
    """Each takes an answer once: who asks again asks the program again."""
    counting = "echo x >> runs; echo a=1 b=2"
    first = shell(place, counting, name="first", pattern="a=(.)")
    second = shell(place, counting, name="second", pattern="b=(.)")
    assert (first.read(), second.read()) == (1, 2)
    assert runs(place.base) == 1
    assert (first.read(), second.read()) == (1, 2)
    assert runs(place.base) == 2


def test_a_fault_is_had_once_by_all_sensors_of_a_command_though_each_is_closed_after_it(place: Place) -> None:
    """Four sensors of a program that hangs for ten seconds wait ten seconds, not forty."""
    for name in ("first", "second"):
        sensor = shell(place, "echo x >> runs; exit 1", name=name)
        assert "failed with status 1" in fault(sensor)
        sensor.close()
    assert runs(place.base) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pattern": "("}, "expected a regular expression"),
        ({"pattern": "a", "json_path": "b"}, "expected either this or `pattern`, not both"),
        ({"pattern": "(?P<t>.)(?P<h>.)"}, "which named group of `pattern` is meant, one of t, h"),
        ({"pattern": "(?P<t>.)", "quantity": "x"}, "which named group of `pattern` is meant, one of t"),
        ({"pattern": "(.)", "quantity": "x"}, "which named group of `pattern` is meant, such as"),
        ({"timeout": "0s"}, "expected a duration longer than zero"),
        ({"command": []}, "at least 1"),
    ],
)
def test_what_is_wrong_in_the_config_is_told_before_the_start(options: dict[str, Any], said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=re.escape(said)):
        CommandOptions.model_validate({"command": ["true"]} | options)


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().split())


def ended(pid: int) -> bool:
    """Tell whether a process is gone, or a zombie that only waits for whoever adopted it."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False
