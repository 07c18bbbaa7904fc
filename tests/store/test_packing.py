"""A sealed block: the same readings again to the last bit, the same bytes for ever, and no harm from damaged ones."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outstation.core.readings import Value
from outstation.store.rows import SENT, packed
from outstation.store.sealing import packing
from outstation.store.sealing.packing import MOST_READINGS, Block, pack, unpack
from outstation.store.sealing.planes import varint

LEAST, MOST = -(1 << 63), (1 << 63) - 1

INTEGERS = st.integers(LEAST, MOST)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
KINDS: list[st.SearchStrategy[Value | None]] = [
    st.none(),
    st.booleans(),
    INTEGERS,
    st.integers(0, 300),
    st.floats(),
    st.floats(width=32),
    st.integers(-30_000, 30_000).map(lambda hundredths: hundredths / 100),
    st.sampled_from([0.0, -0.0, 0.1 + 0.2, 72.30, float("nan"), float("inf"), 5e-324, 1.7e308, -1e22]),
    TEXTS,
]
VALUES = st.sampled_from(KINDS).flatmap(lambda kind: st.lists(kind, min_size=1, max_size=60)) | st.lists(
    st.one_of(KINDS), min_size=1, max_size=60
)
TIMES = st.one_of(INTEGERS, st.integers(0, 1 << 42), st.integers(0, 1_000))


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Draw a block: any values, any sorted times, any flags. Repeated, so that there is something to gain."""
    values = draw(VALUES) * draw(st.sampled_from([1, 1, 2, 9]))
    count = len(values)
    times = sorted(draw(st.lists(TIMES, min_size=count, max_size=count)))
    flags = draw(st.binary(min_size=1, max_size=4)) * count
    return Block(times, values, flags[:count])


def same(one: Block, other: Block) -> bool:
    """Tell whether two blocks hold the same to the last bit; 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    return (
        list(one.times) == list(other.times)
        and list(map(packed, one.values)) == list(map(packed, other.values))
        and one.flags == other.flags
    )


def block(values: Sequence[Value | None], *, every: int = 1_000) -> Block:
    return Block([every * place for place in range(len(values))], values, bytes(len(values)))


def mended(body: bytes) -> bytes:
    """Return these bytes with the checksum that they ought to have."""
    return body[:-4] + zlib.crc32(body[:-4]).to_bytes(4, "little")


@given(blocks())
def test_what_was_packed_comes_back_to_the_last_bit(given: Block) -> None:
    assert same(unpack(pack(given)), given)


@given(st.lists(st.integers(0, 40), min_size=300, max_size=700), st.integers(0, 12), st.integers(1, 1 << 40))
def test_long_blocks_of_decimals_come_back_to_the_last_bit(steps: list[int], places: int, scale: int) -> None:
    given = Block(sorted(step * scale for step in steps), [step / 10**places for step in steps], bytes(len(steps)))
    assert same(unpack(pack(given)), given)


def test_decimals_cost_as_little_as_the_integers_that_they_are() -> None:
    tenths = [(place * place) % 700 for place in range(4_096)]
    assert len(pack(block([tenth / 10 for tenth in tenths]))) <= len(pack(block(tenths))) + 16


def test_a_fault_among_decimals_costs_a_few_bytes() -> None:
    values: list[Value | None] = [(place * place) % 700 / 10 for place in range(4_096)]
    whole = len(pack(block(values)))
    values[1_000] = values[3_000] = None
    assert len(pack(block(values))) < whole + 100


def test_sums_that_missed_their_decimals_cost_less_than_their_bits() -> None:
    given = block([20.0 + place % 90 * 0.1 + 0.2 for place in range(4_096)])
    assert same(unpack(pack(given)), given)
    assert len(pack(given)) < 4_096


def test_a_silent_sensor_at_a_steady_pace_takes_next_to_nothing() -> None:
    assert len(pack(block([21.5] * MOST_READINGS))) < 50


def test_the_ticks_of_a_timer_take_one_byte_and_not_two() -> None:
    ticks = [3_000 + 125 * (place * 7919 % 17) for place in range(4_096)]
    times = [sum(ticks[:place]) for place in range(4_096)]
    assert len(pack(Block(times, [True] * 4_096, bytes(4_096)))) < 0.75 * 4_096


@pytest.mark.parametrize(
    "wrong",
    [
        Block([], [], b""),
        Block([1, 2], [1], b"\0\0"),
        Block([1], [1], b""),
        Block([1], [1 << 63], b"\0"),
        Block([-(1 << 63) - 1], [1], b"\0"),
        block([1.0] * (MOST_READINGS + 1)),
        block([str(place) * 1_000 for place in range(2_000)]),
    ],
    ids=["empty", "a value short", "a flag short", "a value of 65 bits", "a time of 65 bits", "too many", "text"],
)
def test_what_is_no_block_is_refused(wrong: Block) -> None:
    with pytest.raises(ValueError, match=r"block|bits"):
        pack(wrong)


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        pack(Block([1], [b"21.5"], b"\0"))  # type: ignore[list-item]


MIXED = Block(
    [*range(1_000, 9_000, 125), 9_001, 9_001, 1 << 42],
    [20.5, 20.6, None, -0.0, 7, -(1 << 63), True, "open", "zu", "open", 0.1 + 0.2] * 6 + [20.25],
    bytes(40) + bytes((SENT | 1,)) * 27,
)


def test_a_block_cut_off_anywhere_is_known_to_be_damaged() -> None:
    body = pack(MIXED)
    for end in range(len(body)):
        with pytest.raises(msgspec.DecodeError):
            unpack(body[:end])


def test_a_block_with_any_bit_turned_is_known_to_be_damaged() -> None:
    body = pack(MIXED)
    for bit in range(8 * len(body)):
        turned = bytearray(body)
        turned[bit // 8] ^= 1 << bit % 8
        with pytest.raises(msgspec.DecodeError):
            unpack(bytes(turned))


def survives(body: bytes) -> None:
    try:
        unpack(body)
    except msgspec.DecodeError:
        return


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(blocks(), st.lists(st.tuples(st.integers(1, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_block_made_to_deceive_raises_the_one_error_or_none(given: Block, changes: list[tuple[int, int]]) -> None:
    body = bytearray(pack(given))
    for place, byte in changes:
        body[1 + place % (len(body) - 1)] = byte
    survives(mended(bytes(body)))


@given(st.binary(max_size=200))
def test_any_bytes_raise_the_one_error_or_none(junk: bytes) -> None:
    survives(junk)
    survives(mended(b"\1" + junk + b"\0\0\0\0"))


def bomb(*, count: int, says: int) -> bytes:
    """Return a block whose flags are `count` zeros deflated, where `says` are announced."""
    deflated = zlib.compress(bytes(count), 9, -15)
    times = values = b"\0\0\xff\0"
    plane = b"\2" + varint(len(deflated)) + deflated
    return mended(b"\1" + varint(says) + times + b"\2" + values + plane + b"\0\0\0\0")


def test_a_block_that_would_swell_is_refused_before_it_does() -> None:
    assert unpack(bomb(count=1_000, says=1_000)).flags == bytes(1_000)
    bombs = bomb(count=200_000_000, says=10), bomb(count=10, says=MOST_READINGS + 1)
    tracemalloc.start()
    for wrong in bombs:
        with pytest.raises(msgspec.DecodeError):
            unpack(wrong)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_the_largest_block_allocates_a_bounded_number_of_bytes() -> None:
    body = pack(Block(range(MOST_READINGS), [place * 0.37 for place in range(MOST_READINGS)], bytes(MOST_READINGS)))
    tracemalloc.start()
    unpack(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 250 * MOST_READINGS


def test_a_newer_format_is_refused_with_its_number() -> None:
    body = mended(bytes((packing.FORMAT + 1,)) + pack(MIXED)[1:])
    with pytest.raises(msgspec.DecodeError, match="x02"):
        unpack(body)
