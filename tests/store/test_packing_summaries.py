"""A pack of summaries: the same again to the last bit, the same bytes for ever, and no harm from damaged ones."""

from __future__ import annotations

import random
import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.core.readings import Millis, Quality, Value
from outstation.core.summaries import Summary, encode, summary
from outstation.core.summing import summarised
from outstation.core.windows import DAY, FIVE_MINUTES, Window
from outstation.store.sealing.planes import varint
from outstation.store.sealing.summing import MOST_SUMMARIES, Pack, pack, unpack

NEW_YEAR: Millis = 1_735_689_600_000

VALUES: st.SearchStrategy[Value | None] = st.one_of(
    st.floats(),
    st.sampled_from([0.0, -0.0, 20.25, 0.1 + 0.2, 1e150, 5e-324]),
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.sampled_from(["wet", None]),
)
SAID = st.tuples(
    st.integers(0, FIVE_MINUTES - 1), VALUES, st.just(0) | st.sampled_from([int(each) for each in Quality])
)


@st.composite
def summaries(draw: st.DrawFn) -> list[Summary]:
    places = sorted(draw(st.sets(st.integers(0, 287), min_size=1, max_size=12)))
    windows = [Window(NEW_YEAR + place * FIVE_MINUTES, FIVE_MINUTES) for place in places]
    said = [sorted(draw(st.lists(SAID, max_size=4)), key=lambda each: each[0]) for _ in windows]
    return [
        next(summarised([window], [(window.start + at, value, quality) for at, value, quality in each], 60_000))
        for window, each in zip(windows, said, strict=True)
    ]


def read(found: Pack) -> list[bytes]:
    """Return the summaries of a pack as rows have them: to the last bit."""
    return [
        encode(summary(Window(start, FIVE_MINUTES), row)) for start, row in zip(found.starts, found.rows, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(summaries(), st.integers(0, 1 << 60))
def test_what_was_packed_comes_back_to_the_last_bit(given_: list[Summary], first: int) -> None:
    numbers = [first + 7 * place for place in range(len(given_))]
    found = unpack(pack(given_, numbers), FIVE_MINUTES)
    assert (list(found.starts), list(found.numbers)) == ([each.start for each in given_], numbers)
    assert read(found) == list(map(encode, given_))


def day(readings: int, seed: int = 1) -> list[Summary]:
    """A day of five minutes of a sensor with so many readings in each."""
    chance = random.Random(seed)
    windows = [Window(start, FIVE_MINUTES) for start in range(NEW_YEAR, NEW_YEAR + DAY, FIVE_MINUTES)]
    step = FIVE_MINUTES // readings
    said = [
        (start + chance.randrange(20), round(20 + chance.gauss(0, 0.3), 2), 0)
        for start in range(NEW_YEAR, NEW_YEAR + DAY, step)
    ]
    return list(summarised(windows, said, 3 * step))


@pytest.mark.parametrize(("readings", "most"), [(1, 5), (30, 22), (300, 22)])
def test_a_summary_takes_so_few_bytes(readings: int, most: int) -> None:
    assert len(pack(day(readings), range(288))) < most * 288


def test_a_pack_that_was_written_once_is_read_for_ever() -> None:
    found = unpack(bytes.fromhex(_ONCE), FIVE_MINUTES)
    assert read(found) == list(map(encode, _once()))
    assert list(found.numbers) == [5, 6, 9, 12]


def _once() -> list[Summary]:
    windows = [Window(NEW_YEAR + place * FIVE_MINUTES, FIVE_MINUTES) for place in range(4)]
    said: list[tuple[Millis, Value | None, int]] = [
        (NEW_YEAR + 1_000, 20.25, 0),
        (NEW_YEAR + 310_000, 20.5, 0),
        (NEW_YEAR + 320_000, 21.0, 0),
        (NEW_YEAR + 330_000, 99.0, 3),
        (NEW_YEAR + 610_000, "wet", 0),
    ]
    return list(summarised(windows, said, 60_000))


def test_a_damaged_pack_is_refused() -> None:
    body = pack(day(1), range(288))
    for place in range(0, len(body), 17):
        with pytest.raises(msgspec.DecodeError):
            unpack(body[:place] + bytes((body[place] ^ 0x10,)) + body[place + 1 :], FIVE_MINUTES)
    for wrong in (b"", b"\x01", body[:40]):
        with pytest.raises(msgspec.DecodeError):
            unpack(wrong, FIVE_MINUTES)


def test_a_pack_that_was_made_by_nobody_we_know_is_refused() -> None:
    """Its checksum is right, and what it says is impossible."""
    chance = random.Random(3)
    whole = pack(day(2), range(288))[:-4]
    for _ in range(300):
        body = bytearray(whole)
        body[chance.randrange(1, len(body))] ^= 1 << chance.randrange(8)
        try:
            found = unpack(bytes(body) + zlib.crc32(body).to_bytes(4, "little"), FIVE_MINUTES)
        except msgspec.DecodeError:
            continue
        assert len(found.rows) == len(found.starts)
    nothing = b"\x01" + varint(0)
    with pytest.raises(msgspec.DecodeError):
        unpack(nothing + zlib.crc32(nothing).to_bytes(4, "little"), FIVE_MINUTES)


def test_no_summaries_and_too_many_are_no_pack() -> None:
    with pytest.raises(ValueError, match="no pack"):
        pack([], [])
    with pytest.raises(ValueError, match="no pack"):
        pack([Summary(0, FIVE_MINUTES)] * (MOST_SUMMARIES + 1), range(MOST_SUMMARIES + 1))


_ONCE = (
    "01040180f0cbf28365c0cf24ff00020a02fb01ff0101807e0280a61d80f104f9e309f903007d0100d00100020000ff00020000fd01ff0101"
    "807d0400ff01ff0102086b0083c6061800000202028502ff010180850101020000030201d21f32ff000000ff0001d00fd08c01ff00030100"
    "9a03ff000000ff000300002aff000000ff000300002aff000000ff000000000000000000000000c000340040000000000000000000000000"
    "00c0003f00809722ff00f2843dc9"
)
