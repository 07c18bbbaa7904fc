"""Bodies by columns: the quick way ends as the careful one does, or leaves the body to it."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outstation.protocols.influxdb import gathering, naming, wire
from outstation.protocols.influxdb.gathering import PRECISIONS, Gathered, gather

HEADS = st.sampled_from(
    ["a", "b,device=x", "b,device=y", "b,x=1,y=2", "b,y=2,x=1", "b,x=1,x=2", "b,x", ",b", "é", "\t", "#c", "a\\,b"]
)
NAMES = st.sampled_from(["f", "g", "h=", "", "value", "a.b"])
VALUES = st.one_of(
    st.sampled_from(["1", "2.5", "-1e3", "1e999", "3i", "-4i", "t", "5u", "", ".", "1_0", "nan", "1=2", '"x, y=1"']),
    st.integers(-(2**64), 2**64).map(lambda number: f"{number}i"),
    st.floats(allow_nan=False).map(repr),
)
STAMPS = st.one_of(
    st.integers(0, 5).map(str), st.integers(-(2**64), 2**64).map(str), st.sampled_from(["", "x", "1_0", "\u0661", "01"])
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=3)
MESSY = st.builds(
    lambda head, fields, stamp: f"{head} {','.join(f'{name}={value}' for name, value in fields)} {stamp}",
    HEADS,
    FIELDS,
    STAMPS,
)
PLAIN = st.builds(
    lambda head, fields, at: f"{head} {','.join(map('='.join, zip('fgh', fields, strict=False)))} {at}",
    st.sampled_from(["a", "b,device=x", "b,device=y"]),
    st.lists(st.integers(-9, 9).map(str) | st.sampled_from(["1.5", "7i"]), min_size=1, max_size=3),
    st.integers(0, 9),
)
BODIES = st.lists(PLAIN | st.sampled_from(["", "# no", "x"]) | MESSY, max_size=8) | st.lists(PLAIN, max_size=12)


def sensor(measurement: str, tags: dict[str, str], field: str, device: str | None = None) -> str:
    """The name of a series, whoever else has it."""
    return naming._sensor(measurement, tuple(tags.items()), field, device)[0]


def said(gathered: Gathered) -> str:
    """Everything, with its types, whichever sensor came first."""
    return repr((sorted(gathered.columns.items()), sorted(gathered.now.items()), gathered.bad))


def carefully(text: str, precision: str) -> Gathered:
    found = gathering._careful(text, PRECISIONS[precision], sensor)
    return gathering._in_order(found)


@given(BODIES.map("\n".join), st.sampled_from(list(PRECISIONS)))
@example("a f=1 1\na f=2,g=3 1\n", "ns")
@example("a f=1 9223372036854775808", "ns")
@example("\t f=1 1", "ns")
@example("#c f=1 1", "ns")
@example('a f=1 1\na f="x\nb g=1 1\ny" 2', "ns")
@example("a f=1,f=2 1\na g=3 1", "ns")
@example("b,x=1,y=2 f=1 1\nb,y=2,x=1 f=2 1\nb,x=1,y=2 f=3 1", "ms")
@settings(max_examples=300, deadline=None)
def test_a_body_says_the_same_however_it_is_read(text: str, precision: str) -> None:
    quickly = gathering._plain(text, PRECISIONS[precision], sensor)
    if quickly is not None:
        assert said(gathering._in_order(quickly)) == said(carefully(text, precision))


@given(st.lists(PLAIN, min_size=1, max_size=12).map("\n".join))
@settings(max_examples=50, deadline=None)
def test_plain_lines_go_the_quick_way(text: str) -> None:
    heads = [line.partition(" ")[0] for line in text.split("\n")]
    found = gathering._plain(text, (1, 1), sensor)
    assert found is not None or len(set(heads)) < len(heads), "only a sensor of two shapes needs care"


@given(BODIES.map("\n".join))
@settings(max_examples=80, deadline=None)
def test_whatever_is_taken_can_be_stored(text: str) -> None:
    gathered = gather(text, "ns", sensor)
    for times, values in gathered.columns.values():
        assert times == sorted(set(times))
        assert len(times) == len(values) > 0
        assert all(math.isfinite(value) for value in values if isinstance(value, float))


def test_of_two_lines_for_one_time_the_last_counts() -> None:
    gathered = gather("a f=1 2\na f=2 1\na f=3 2", "ms", sensor)
    assert gathered.columns == {"a/f": ([1, 2], [2.0, 3.0])}


def test_lines_of_a_whole_machine_go_the_quick_way_too() -> None:
    """As Telegraf sends them: measurements of several shapes, one after the other, again and again."""
    shapes = [
        "cpu,cpu=cpu0,host=pi usage_idle=9.5,usage_user=1",
        "mem,host=pi free=5i,used=7i",
        "system,host=pi load1=1",
    ]
    text = "\n".join(f"{shape} {at}" for at in range(5) for shape in shapes)
    found = gathering._plain(text, (1, 1), sensor)
    assert found is not None
    assert len(found.columns) == 5
    assert found.columns["pi-mem/used"] == ([0, 1, 2, 3, 4], [7] * 5)


@pytest.mark.parametrize(
    ("line", "device", "name"),
    [
        ("air_temperature,device=porch value=1", None, "porch/air_temperature"),
        ("weather temperature=1", None, "weather/temperature"),
        ("weather value=1", None, "weather/value"),
        ("cpu,cpu=cpu0,host=pi usage_idle=1", None, "pi-cpu/cpu0_usage_idle"),
        ("mem,host=My\\ Pi.local value=1", None, "my-pi-local-mem/value"),
        ("\u00b0C,domain=sensor,entity_id=living_temp value=1", None, "c/sensor_living_temp"),
        ("\u6e29\u5ea6 value=1", None, "xefbd1ec2/value"),
        ("2m,device=7 5cm=1", None, "7/n2m_5cm"),
        ("wine,device=cellar,row=3 sugar=1", "cellar", "cellar/wine_3_sugar"),
        ("wine,device=attic sugar=1", "cellar", "cellar/wine_attic_sugar"),
    ],
)
def test_measurement_tags_and_field_are_a_name(line: str, device: str | None, name: str) -> None:
    (read,) = wire.read(line)
    assert isinstance(read, wire.Line)
    (field,) = read.fields
    assert sensor(read.measurement, read.tags, field, device) == name


@given(st.text(min_size=1), st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=3), st.text(min_size=1))
def test_whatever_it_is_called_it_gets_a_name_that_the_api_knows(
    measurement: str, tags: dict[str, str], field: str
) -> None:
    from outstation.web.api.incoming import _NAME

    assert _NAME.fullmatch(sensor(measurement, tags, field))


def test_long_names_that_differ_at_their_end_stay_apart() -> None:
    one, two = (sensor("m" * 70, {"device": "d" * 70}, f"f{number}") for number in (1, 2))
    assert one != two
    assert max(map(len, one.split("/"))) == 64
