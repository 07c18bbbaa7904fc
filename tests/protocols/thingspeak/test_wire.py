from __future__ import annotations

import datetime
import math
import re
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.readings import MAX_TEXT, Value
from outstation.errors import RefusedError
from outstation.protocols.thingspeak import wire

ADDRESS = "192.0.2.7"
JUNE = 1_528_000_000_000
"""2018-06-03T04:26:40Z."""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72", 72),
        (" 72 ", 72),
        ("-0", 0),
        ("72.30", 72.3),
        ("+5", 5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("7,5", 7.5),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", float(2**63)),
        ("9" * 255, 1e255),
        ("1,234,567", "1,234,567"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1e999", "1e999"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("٣", "٣"),
        (" open ", " open "),
        ("", ""),
    ],
)
def test_numeric_text_is_a_number_and_any_other_stays(text: str, value: Value) -> None:
    found = wire.value(text)
    assert found == value
    assert type(found) is type(value)


@given(st.text(max_size=300))
def test_any_text_has_a_value_that_can_be_stored(text: str) -> None:
    value = wire.value(text)
    if isinstance(value, float):
        assert math.isfinite(value)
    elif isinstance(value, int):
        assert -(2**63) <= value < 2**63
    else:
        assert value == text


_SHAPES = (
    (r"[+-]?\d{1,19}", int),
    (r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", float),
    (r"[+-]?\d+,\d+", lambda text: float(text.replace(",", "."))),
)


@given(st.text(st.sampled_from("0019+-.,eE _x"), max_size=24))
def test_one_look_at_a_text_tells_what_three_would(text: str) -> None:
    made = [make(text.strip()) for shape, make in _SHAPES if re.fullmatch(shape, text.strip(), re.ASCII)]
    fits = [one for one in made if isinstance(one, float) or -(2**63) <= one < 2**63]
    expected = fits[0] if fits and math.isfinite(fits[0]) else text
    assert repr(wire.value(text)) == repr(expected)


@given(st.text(st.sampled_from("ab1=&;. ?/"), max_size=40))
def test_what_needs_no_decoding_is_read_as_the_standard_library_reads_it(text: str) -> None:
    assert wire.parameters(text.encode()) == dict(parse_qsl(text, keep_blank_values=True))


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), max_size=20))
def test_what_a_form_says_is_what_is_read(params: dict[str, str]) -> None:
    assert wire.parameters(urlencode(params).encode()) == params


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_any_bytes_are_parameters_or_refused(query: bytes, body: bytes) -> None:
    try:
        params = wire.parameters(query, bytearray(body))
        wire.key([], params)
        wire.created_at(params)
        for text in filter(None, wire.fields(params, ADDRESS)):
            assert 0 < len(text.encode()) <= MAX_TEXT
    except RefusedError:
        pass


def test_values_that_nobody_encoded_are_read_as_they_stand() -> None:
    params = wire.parameters(b"field1=21.5 C&field2=caf\xc3\xa9&field3=a%20b+c&field4=\xff&status=a=b;c")
    assert params == {"field1": "21.5 C", "field2": "café", "field3": "a b c", "field4": "\ufffd", "status": "a=b;c"}


def test_the_body_counts_where_query_and_body_say_the_same_name() -> None:
    assert wire.parameters(b"field1=1&field2=2", b"field1=3") == {"field1": "3", "field2": "2"}


def test_a_flood_of_parameters_is_refused() -> None:
    with pytest.raises(RefusedError):
        wire.parameters(b"&" * 16_000)


@pytest.mark.parametrize(
    ("headers", "params", "key"),
    [
        ([(b"x-thingspeakapikey", b"HEADER")], {"api_key": "PARAM"}, "HEADER"),
        ([(b"thingspeakapikey", b" HEADER ")], {}, "HEADER"),
        ([(b"http-x-thingspeakapikey", b"HEADER")], {}, "HEADER"),
        ([(b"host", b"x")], {"apikey": "C", "api_key": "B", "key": "A"}, "A"),
        ([], {"apikey": "C", "api_key": "B"}, "B"),
        ([], {"apikey": "C"}, "C"),
        ([], {}, ""),
    ],
)
def test_the_key_is_in_a_header_or_else_in_a_parameter(
    headers: list[tuple[bytes, bytes]], params: dict[str, str], key: str
) -> None:
    assert wire.key(headers, params) == key


def test_fields_are_kept_as_they_were_sent() -> None:
    params = {"field1": "72.30", "2": "x", "field3": "", "field8": " 1", "field9": "no field", "field0": "no field"}
    assert wire.fields(params, ADDRESS) == ("72.30", "x", None, None, None, None, None, " 1")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("1\\n", "1"), ("1\\r\\n", "1"), ("1\\r", "1"), ("1\\n\\n", "1\\n"), ("1\r\n", "1\r\n"), ("\\n", None)],
)
def test_a_line_end_that_was_sent_as_two_characters_is_taken_off(sent: str, kept: str | None) -> None:
    assert wire.fields({"field1": sent}, ADDRESS)[0] == kept


def test_the_senders_address_has_a_word_of_its_own() -> None:
    assert wire.fields({"field1": "ip_address"}, ADDRESS)[0] == ADDRESS


@pytest.mark.parametrize("text", ["x" * 256, "é" * 128, "a\0b"])
def test_a_text_that_is_too_long_or_has_a_nul_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="field2"):
        wire.fields({"field2": text}, ADDRESS)


@pytest.mark.parametrize(
    "text",
    [
        "2018-06-03T04:26:40Z",
        "2018-06-03 04:26:40 UTC",
        "2018-06-03T06:26:40+02:00",
        "2018-06-03T06:26:40+0200",
        "2018-06-03 06:26:40 +0200",
        "2018-06-02 23:26:40 -0500",
        "2018-06-03T06:26:40 02:00",
        "20180603T042640Z",
        " 2018-06-03T04:26:40.000Z ",
    ],
)
def test_a_time_is_read_in_all_the_shapes_it_comes_in(text: str) -> None:
    assert wire.created_at({"created_at": text}) == JUNE


def test_a_time_without_an_offset_is_in_the_time_zone_that_was_sent() -> None:
    local = {"created_at": "2018-06-03 00:26:40"}
    assert wire.created_at({**local, "timezone": "America/New_York"}) == JUNE
    assert wire.created_at(local) == JUNE - 4 * 3_600_000
    assert wire.created_at({**local, "timezone": "../../etc/passwd"}) == JUNE - 4 * 3_600_000
    assert wire.created_at({**local, "timezone": "Nowhere/At All"}) == JUNE - 4 * 3_600_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2018-02-30",
        "1528000000",
        "0001-01-01T00:00:00+23:59",
        "1969-12-31T23:59:59Z",
        "2018-06-03T25:00Z",
    ],
)
def test_a_time_that_nobody_understands_is_none(text: str) -> None:
    assert wire.created_at({"created_at": text}) is None


_TIMES = st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(5138, 1, 1))  # noqa: DTZ001


@given(_TIMES, st.sampled_from(["Z", "+00:00", " UTC", " +0000"]))
def test_any_time_comes_through(when: datetime.datetime, zone: str) -> None:
    seconds = when.replace(microsecond=0)
    at = wire.created_at({"created_at": f"{seconds.isoformat()}{zone}"})
    assert at == round(seconds.replace(tzinfo=datetime.UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("8", 8), ("field3", 3), ("0", None), ("9", None), ("11", None), ("x", None), ("", None)],
)
def test_a_path_names_a_field(text: str, number: int | None) -> None:
    assert wire.field(text) == number
