"""What is made of entries: sums, averages and medians with the quirks that plots were drawn with."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.protocols.thingspeak import slices
from outstation.protocols.thingspeak.query import MOST, Group, How, Query
from outstation.store.entries import Entry

MINUTE = 60_000


def entry(minute: float, *texts: str | None, number: int = 0) -> Entry:
    return Entry(1, int(minute * MINUTE), (*texts, *(None,) * (8 - len(texts))), number=number)


def grouped(how: How, *entries: Entry, width: int = 10) -> list[tuple[float, str | None]]:
    found = slices.grouped(entries, Group(how, width * MINUTE))
    return [(one.at / MINUTE, one.fields[0]) for one in found]


def test_slices_begin_at_multiples_of_their_width_and_the_empty_ones_stand_there() -> None:
    assert grouped("sum", entry(9, "1"), entry(11, "2"), entry(19.9, "3"), entry(45, "4")) == [
        (0, "1.0"),
        (10, "5.0"),
        (20, None),
        (30, None),
        (40, "4.0"),
    ]


def test_an_entry_without_a_number_counts_in_an_average_but_not_in_a_median() -> None:
    those = entry(1, "9"), entry(2, None), entry(3, "off"), entry(4, "3")
    assert grouped("average", *those) == [(0, "3.0")]
    assert grouped("median", *those) == [(0, "6.0")]
    assert grouped("sum", *those) == [(0, "12.0")]
    assert grouped("timescale", *those) == [(0, "9")]


def test_a_slice_without_numbers_is_null() -> None:
    for how in ("sum", "average", "median"):
        assert grouped(how, entry(1, "off"), entry(2, None)) == [(0, None)]
    assert grouped("timescale", entry(1, "off")) == [(0, "off")]


def test_an_average_has_all_its_digits_and_the_middle_one_is_a_median() -> None:
    those = [entry(minute, text) for minute, text in enumerate(("9", "8", "7", "7", "7", "7", "6"))]
    assert grouped("average", *those) == [(0, "7.285714285714286")]
    assert grouped("median", *those) == [(0, "7.0")]


def test_a_decimal_comma_stays_one() -> None:
    assert grouped("average", entry(1, "1,5"), entry(2, "2")) == [(0, "1,75")]
    assert slices.rounded(entry(1, "21,456", "21.456", "-3", "3 apples", None), 1).fields[:5] == (
        "21,5",
        "21.5",
        "-3.0",
        "3 apples",
        None,
    )


def test_an_entry_with_any_shown_number_out_of_bounds_is_left_out() -> None:
    those = [entry(1, "5", "90"), entry(2, "5", "off"), entry(3, "4,9", "6"), entry(4, None, "x"), entry(5, "7")]
    query = Query(low=5, high=6)
    assert [one.at // MINUTE for one in slices.made(those, query, (1, 2))] == [2, 4]
    assert [one.at // MINUTE for one in slices.made(those, query, (1,))] == [1, 2, 4]


def test_bounds_are_for_what_is_made_of_a_slice() -> None:
    those = [entry(1, "1"), entry(2, "9"), entry(11, "1")]
    found = slices.made(those, Query(low=2, group=Group("sum", 10 * MINUTE), digits=2), (1,))
    assert [one.fields[0] for one in found] == ["10.00"]


def test_a_gap_of_centuries_is_not_filled_with_millions_of_slices() -> None:
    century = 100 * 365 * 24 * 60
    found = grouped("average", entry(0, "1"), entry(century, "2"))
    assert len(found) == MOST
    assert found[-1] == (century, "2.0")


numbers = st.integers(-1000, 1000).map(lambda tenths: f"{tenths / 10}")
texts = st.none() | st.just("off") | numbers


@given(st.lists(st.tuples(st.integers(0, 200), texts), min_size=1, max_size=30), st.sampled_from([10, 15, 60]))
def test_no_number_is_lost_in_slices(drawn: list[tuple[int, str | None]], width: int) -> None:
    entries = [entry(minute, text) for minute, text in sorted(drawn, key=lambda one: one[0])]
    found = grouped("sum", *entries, width=width)
    total = math.fsum(float(text) for _, text in drawn if text and text != "off")
    assert math.fsum(float(text) for _, text in found if text) == pytest.approx(total, abs=1e-6)
    starts = [start for start, _ in found]
    assert starts == [starts[0] + width * place for place in range(len(starts))]
    assert starts[0] <= entries[0].at / MINUTE
    assert entries[-1].at / MINUTE < starts[-1] + width


written = st.from_regex(r"[+-]?[0-9]{1,20}([.,][0-9]{1,3})?", fullmatch=True)


@given(st.text(max_size=20) | written | st.just("9" * 308) | st.just("9" * 309), st.integers(0, 15))
def test_rounding_changes_numbers_alone(text: str, digits: int) -> None:
    rounded = slices.rounded(entry(1, text), digits).fields[0]
    assert rounded is not None
    if slices.number(text) is None:
        assert rounded == text
    else:
        assert slices.number(rounded) is not None
        assert len(rounded.replace(",", ".").partition(".")[2]) == digits
