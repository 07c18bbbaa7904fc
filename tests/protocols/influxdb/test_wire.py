"""The line protocol: what is written is read as it was meant, and what is no line hurts no other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.core.readings import Value
from outstation.errors import RefusedError
from outstation.protocols.influxdb.wire import Line, Unread, is_writable, read, write
from tests.protocols.influxdb.lines import LINES


@settings(max_examples=60)
@given(st.lists(LINES, max_size=5), st.sampled_from(["\n", "\r\n", "\n\n", "\n# so\n"]))
def test_what_is_written_is_read_as_it_was_meant(lines: list[Line], between: str) -> None:
    assert list(read(between.join(write(line) for line in lines))) == lines


@pytest.mark.parametrize("name", ["", " ", "a\\", "a\\b", "a\nb", "a\0", "#a"])
def test_a_name_that_servers_read_differently_is_not_written(name: str) -> None:
    for line in (
        Line(name, {"f": 1}),
        Line("m", {name: 1}),
        Line("m", {"f": 1}, {name: "x"}),
        Line("m", {"f": 1}, {"x": name}),
    ):
        with pytest.raises(RefusedError):
            write(line)


@settings(max_examples=60)
@given(st.text(st.sampled_from('m,= "\\fi1t\n#é\r.-'), max_size=40), LINES)
def test_anything_at_all_is_read_or_refused_and_the_line_after_it_is_read(text: str, line: Line) -> None:
    found = list(read(f"{text}\n{write(line)}" if '"' not in text else text))
    assert '"' in text or found[-1] == line
    for one in found:
        if isinstance(one, Line) and all(
            map(is_writable, [one.measurement, *one.fields, *one.tags, *one.tags.values()])
        ):
            assert list(read(write(one))) == [one]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-1.5e-3", -0.0015),
        ("1.", 1.0),
        (".5", 0.5),
        ("+2", 2.0),
        ("01", 1.0),
        ("1i", 1),
        ("-9223372036854775808i", -(2**63)),
        ("18446744073709551615u", 2**64 - 1),
        *((word, True) for word in ("t", "T", "true", "True", "TRUE")),
        *((word, False) for word in ("f", "F", "false", "False", "FALSE")),
        ('""', ""),
        (r'"a \"b\" \\ \n"', 'a "b" \\ \\n'),
        ('"two\nlines, x=1"', "two\nlines, x=1"),
    ],
)
def test_values(text: str, value: Value) -> None:
    (line,) = read(f"m f={text} 5")
    assert line == Line("m", {"f": value}, {}, 5)
    assert type(line.fields["f"]) is type(value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (r"m\,\ x=y,a\ b=c\=d\,e f\=g=1", Line("m, x=y", {"f=g": 1.0}, {"a b": "c=d,e"})),
        (r"m,path=C:\dir\n f=1", Line("m", {"f": 1.0}, {"path": r"C:\dir\n"})),
        ('m,t="a f="b c"', Line("m", {"f": "b c"}, {"t": '"a'})),
        ("  m  f=1,f=2   -5 \r\n", Line("m", {"f": 2.0}, {}, -5)),
    ],
)
def test_spellings(text: str, line: Line) -> None:
    assert list(read(text)) == [line]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (",t=1 f=1", "missing measurement"),
        ("m", "missing fields"),
        ("m,a=1", "missing fields"),
        ("m,a= f=1", "missing tag key or value"),
        ("m, f=1", "missing tag key or value"),
        ("m,a=1=2 f=1", "invalid tag format"),
        ("m,a=1,a=2 f=1", "duplicate tags"),
        ("m f", "invalid field format"),
        ("m f=1,", "invalid field format"),
        ("m f= 1", "invalid field format"),
        ('m f="a"b', "invalid field format"),
        ('m f="a', "unbalanced quotes"),
        ("m f=1 abc", "bad timestamp"),
        ("m f=1 1 2", "bad timestamp"),
        ("m f=1 99999999999999999999", "bad timestamp"),
        ("m f=nan", "invalid boolean"),
        ("m f=tRue", "invalid boolean"),
        ("m f=1_0", "invalid number"),
        ("m f=\u0661", "invalid number"),
        ("m f=-", "invalid number"),
        ("m f=1e999", "invalid float"),
        ("m f=9223372036854775808i", "invalid number"),
        ("m f=-1u", "invalid number"),
        ("m f=" + "9" * 5000 + "i", "invalid number"),
    ],
)
def test_what_is_no_line_is_named_and_the_rest_is_read(text: str, error: str) -> None:
    good = Line("m", {"f": 1.0})
    assert list(read(f"m f=1\n{text}\n# m f=3")) == [good, Unread(text, error)]
    if '"' not in text:  # an open quote reaches to the next one
        assert list(read(f"{text}\nm f=1")) == [Unread(text, error), good]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_no_line_can_say_is_not_written(value: float) -> None:
    with pytest.raises(RefusedError):
        write(Line("m", {"f": value}))
    with pytest.raises(RefusedError):
        write(Line("m", {}))


@pytest.mark.parametrize("text", ["a" * 500_000, 'm f="\\' * 20_000, 'm f="a\nb\\"\n' * 20_000, "m" + ",a=b" * 100_000])
def test_much_of_what_is_none_is_read_to_its_end_in_one_go(text: str) -> None:
    assert all(isinstance(one, Unread) for one in read(text))
