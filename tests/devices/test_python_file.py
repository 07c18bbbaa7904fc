"""Sensors in files of the owner's: what goes wrong in them is said with file and line."""

from __future__ import annotations

from typing import Any

import pytest

from outstation.devices.python_file import PythonOptions, PythonSensor
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import Place


def sensor(place: Place, text: str) -> PythonSensor:
    (place.base / "co2.py").write_text(text)
    return PythonSensor("co2", PythonOptions(file="co2.py"), place)


def test_read_is_called_each_time_and_the_file_keeps_its_state(place: Place) -> None:
    counting = sensor(
        place, "import itertools\nnumbers = itertools.count(400)\n\ndef read():\n    return next(numbers)\n"
    )
    counting.open()
    assert [counting.read(), counting.read()] == [400, 401]


def test_a_changed_file_counts_when_it_is_opened_again(place: Place) -> None:
    changing = sensor(place, "def read():\n    return 1\n")
    changing.open()
    (place.base / "co2.py").write_text("def read():\n    return 2\n")
    assert changing.read() == 1
    changing.open()
    assert changing.read() == 2


def test_a_file_may_tidy_up(place: Place) -> None:
    tidy = sensor(
        place, f"def read():\n    return 1\n\ndef close():\n    open({str(place.base / 'closed')!r}, 'w').close()\n"
    )
    tidy.open()
    tidy.close()
    assert (place.base / "closed").exists()


def test_nothing_is_written_beside_the_file(place: Place) -> None:
    sensor(place, "def read():\n    return 1\n").open()
    assert [path.name for path in place.base.iterdir()] == ["co2.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def read(:\n    return 1\n", "co2.py, line 1: SyntaxError: "),
        ("\nimport nowhere_at_all\n", "co2.py, line 2: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("\nimport nowhere_at_all.now\n", "-m pip install nowhere_at_all"),
        ("import sys\nsys.exit(3)\n", "co2.py, line 2: SystemExit: 3. Mend it there: a changed file counts"),
        ("\x00", "co2.py"),
        ("value = 1\n", "co2.py has no function read()."),
        ("read = 1\n", "co2.py has no function read()."),
    ],
)
def test_a_file_that_cannot_be_run(place: Place, text: str, message: str) -> None:
    with pytest.raises(DeviceError) as raised:
        sensor(place, text).open()
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0", "co2.py, line 2: ZeroDivisionError: division by zero"),
        ("import json; json.loads('x')", "co2.py, line 2: JSONDecodeError: "),
        ("return int('x')\n\ndef other():\n    pass\n", "co2.py, line 2: ValueError: "),
        ("return other()\n\ndef other():\n    return int('x')\n", "co2.py, line 5: ValueError: "),
        ("raise SystemExit", "co2.py, line 2: SystemExit"),
        ("return None", "co2.py, read(): The driver returned None."),
        ("return float('nan')", "co2.py, read(): The driver returned nan."),
        ("return 'x' * 256", "co2.py, read(): The driver returned a text of 256 characters."),
        ("return 2 ** 63", "co2.py, read(): The driver returned a whole number beyond 64 bits."),
        ("return [1]", "co2.py, read(): The driver returned a value of type list."),
    ],
)
def test_a_read_that_fails(place: Place, body: str, message: str) -> None:
    failing = sensor(place, f"def read():\n    {body}\n")
    failing.open()
    with pytest.raises(DeviceError) as raised:
        failing.read()
    assert message in str(raised.value)


@pytest.mark.parametrize("options", [{}, {"file": 1}, {"file": "co2.py", "function": "read"}])
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        PythonOptions.model_validate(options)


def test_a_file_that_is_not_there_names_where_it_was_looked_for(place: Place) -> None:
    with pytest.raises(MissingDeviceError, match=str(place.base / "co2.py")):
        PythonSensor("co2", PythonOptions(file="co2.py"), place).open()
