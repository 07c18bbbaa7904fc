"""The small file of outputs: what is written comes back, whatever the names, and a full disk leaves the old one."""

from __future__ import annotations

import resource
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.wire import outputs
from outstation.wire.outputs import Output

FIELDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
OUTPUTS = st.builds(
    lambda name, chip, pin, low, safe: Output("gpio", name, chip, pin, active_low=low, safe=safe),
    FIELDS,
    FIELDS,
    st.integers(-1, 1023),
    st.booleans(),
    st.booleans(),
)


def seen(each: Output) -> tuple[object, ...]:
    return each.kind, each.name, each.chip, each.pin, each.active_low, each.safe


@given(st.lists(OUTPUTS, max_size=5))
def test_what_is_written_comes_back(known: list[Output]) -> None:
    assert [seen(each) for each in outputs.parsed(outputs.text(known))] == [seen(each) for each in known]


def test_the_file_is_replaced_as_a_whole_and_closed_to_strangers(tmp_path: Path) -> None:
    path = tmp_path / outputs.NAME
    first = Output("simulated", "vent", "/data/gpiochip0.sim", 17, active_low=True, safe=True)
    outputs.write(str(path), [first])
    assert path.read_text() == "simulated\tvent\t/data/gpiochip0.sim\t17\t1\t1\n"
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # a write fails, as on a full disk
    try:
        with pytest.raises(OSError, match="too large"):
            outputs.write(str(path), [first, first])
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))  # the beginning of it fits
        with pytest.raises(OSError, match="No space left"):
            outputs.write(str(path), [first, first])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [seen(each) for each in outputs.read(str(path))] == [seen(first)]


def test_what_is_no_such_file_is_said() -> None:
    with pytest.raises(ValueError, match="values to unpack"):
        outputs.parsed("nonsense\n")
    with pytest.raises(ValueError, match="cut off"):
        outputs.parsed("gpio\tvent\t\t17\t0\t1\ngpio\theater\t\t18\t0")
    for line in ("pigo\tvent\t\t17\t0\t1\n", "gpio\tvent\t\t17\t0\tyes\n"):
        with pytest.raises(ValueError, match="outstation run"):
            outputs.parsed(line)
