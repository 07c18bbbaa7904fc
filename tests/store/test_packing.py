"""A sealed block: the same readings again to the last bit, the same bytes for ever, and no harm from damaged ones."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from collections.abc import Sequence
from itertools import accumulate

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outstation.core.readings import Value
from outstation.store.rows import SENT, packed
from outstation.store.sealing import packing
from outstation.store.sealing.packing import MOST_READINGS, Block, pack, unpack
from outstation.store.sealing.planes import signed, varint

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
    chance = random.Random(5)
    times = [*accumulate((3_000 + 125 * chance.randrange(17) for _ in range(4_095)), initial=0)]
    assert len(pack(Block(times, [True] * 4_096, bytes(4_096)))) < 0.6 * 4_096


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


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(blocks(), st.lists(st.tuples(st.integers(1, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_block_made_to_deceive_raises_the_one_error_or_none(given: Block, changes: list[tuple[int, int]]) -> None:
    body = bytearray(pack(given))
    for place, byte in changes:
        body[1 + place % (len(body) - 1)] = byte
    survives(mended(bytes(body)))


TIME = b"\0\0\xff\0"
VALUE = b"\2\0\0\xff\0"
FLAG = b"\0\0"
END = b"\0\0\0\0"

DECEIVING = {
    "has no readings": b"\0" + TIME + VALUE + FLAG,
    "ends too early": b"\1" + TIME + VALUE,
    "bytes left over": b"\1" + TIME + VALUE + FLAG + FLAG,
    "has no end": b"\xff" * 11,
    "column of kind 2": b"\1\2" + TIME + VALUE + FLAG,
    "numbers of 10 bytes": b"\1\0\0\xff\x0a" + VALUE + FLAG,
    "more than 64 bits": b"\1\0" + signed(1 << 63) + b"\xff\0" + VALUE + FLAG,
    "number that it does not have": b"\1\3\1" + TIME + b"\0" + signed(1) + b"\xff\0" + VALUE + FLAG,
    "number that it does not": b"\1\3\1" + TIME + b"\0" + signed(-1) + b"\xff\0" + VALUE + FLAG,
    "value of kind 6": b"\1" + TIME + b"\6" + FLAG,
    "value of kind 7": b"\1" + TIME + b"\5\1\7" + FLAG,
    "13 decimals": b"\1" + TIME + b"\3\x0d" + TIME + TIME + FLAG,
    "number of more than 64": (b"\1" + TIME + b"\3\0\0" + signed(1) + b"\xff\0\0" + signed(MOST) + b"\xff\0" + FLAG),
    "lengths that it says": b"\1" + TIME + b"\4\1\0" + signed(2) + b"\xff\0\1\1a" + TIME + FLAG,
    "text that it does not have": b"\1" + TIME + b"\4\1" + TIME + b"\0\0\0" + b"\0" + signed(1) + b"\xff\0" + FLAG,
    "text that it does not": b"\1" + TIME + b"\4\1" + TIME + b"\0\0\0" + b"\0" + signed(-1) + b"\xff\0" + FLAG,
    "is none": b"\1" + TIME + b"\4\1\0" + signed(1) + b"\xff\0\1\1\xff" + TIME + FLAG,
    "at most 4194304": b"\1" + TIME + b"\4\1" + TIME + varint(1 << 30) + b"\0\0" + TIME + FLAG,
    "plane of kind 3": b"\1" + TIME + VALUE + b"\3\0",
    "be inflated": b"\1" + TIME + VALUE + b"\2\1\xff",
    "not the length": b"\1" + TIME + VALUE + b"\2\2\3\0",
}


@pytest.mark.parametrize("what", DECEIVING)
def test_each_lie_has_its_words(what: str) -> None:
    assert unpack(mended(b"\1\1" + TIME + VALUE + FLAG + END)).values == [0]
    with pytest.raises(msgspec.DecodeError, match=what):
        unpack(mended(b"\1" + DECEIVING[what] + END))


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
    bombs = bomb(count=50_000_000, says=10), bomb(count=10, says=MOST_READINGS + 1)
    tracemalloc.start()
    for wrong in bombs:
        with pytest.raises(msgspec.DecodeError):
            unpack(wrong)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000


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


WRITTEN_ONCE = {
    "ticks, ranked decimals": (
        Block(
            [*accumulate((3_000 + 125 * (place * 7 % 11) + place % 2 for place in range(40)), initial=0)],
            [20.5 + place % 3 * 13.75 for place in range(41)],
            bytes(41),
        ),
        (
            "01290200f02ee5087c02020773b073200602000209e366e0668023dc4c000302018420f72b7c02003e020853546450240601"
            "000000ff0000001bc34870"
        ),
    ),
    "a steady pace, wide integers": (
        Block([10 * place for place in range(6)], [LEAST, MOST, 0, 1, 2, 3], bytes((SENT,)) * 6),
        (
            "0106010014ff000201ffffffffffffffffff01fd818080808080808002ff09017e8080808000000000000000000000000001"
            "800080808001010000000000089bd27902"
        ),
    ),
    "cubic times, all bits": (
        Block(
            [place**3 * 1_000_003 for place in range(6)],
            [1.4142135623730951, 1.7320508075688772, -2.23606797749979, 1e300, 5e-324, 2.6457513110645907],
            bytes((0, 0, 1, 1, 0, 0)),
        ),
        (
            "0106020086897aa8b5dc057c04013e50627401008000800100bb7732010000010203ff029aeff9e7cca7d0f67fbac3c89d90"
            "f78a05bdddc7c6aec0f2edf804ff09018055d0e3018ed0006501cf91003c01a5ad00a60121c900bd01fcb800f3016e9d00aa"
            "01bc7a00fa0100020001010000010100002fc64c89"
        ),
    ),
    "decimals and what is none": (
        Block([*range(8)], [72.3, -0.0, 0.1 + 0.2, float("inf"), 72.31, 72.32, 72.33, 72.34], bytes(8)),
        (
            "0108010002ff00030202fc70fb70ff71ff0201dc44dd42808001381c38001c1c00ff818080808080808002ff080180808180"
            "808080800000000000000000000001000000f00000000001800080ff8080808000007c4fc894"
        ),
    ),
    "several kinds": (
        Block([1 << 42] * 9, [None, True, False, 5, 20.25, "zu", "offen", "zu", "é"], b"\4" + bytes(8)),
        (
            "01090080808080808002ff000501000101020304040404010201ff00000aff000200d21fff000000ff00030204060bff0009"
            "017a756f6666656ec3a90200028302ff0101808502056361800200ce7954a1"
        ),
    ),
    "deflated": (
        Block(
            [place * 1_000 + (place * place % 5 == 0) for place in range(300)],
            [place % 50 < 25 for place in range(300)],
            bytes(300),
        ),
        "01ac020102d00dff01020bab6f686868ac1f25882000010102ff01ff01020e6b68c00eea71883734368c541d00000016ea487b",
    ),
}
"""Blocks that were packed by the first version of the format, as they may stand in somebody's file."""


@pytest.mark.parametrize("name", WRITTEN_ONCE)
def test_a_block_that_was_written_once_is_read_for_ever(name: str) -> None:
    given, body = WRITTEN_ONCE[name]
    assert same(unpack(bytes.fromhex(body)), given)


def test_a_block_is_what_the_description_says_byte_by_byte() -> None:
    body = bytes.fromhex(
        "01"  # format
        "03"  # three readings
        "01 d00f d00f ff 00"  # times: first differences; the first is 1000; at least 1000; radix 256; no plane
        "03 01"  # values: floats of one decimal
        "00 9a03 ff 00"  # in tenths: no differences; at least 205; radix 256; no plane
        "00 00 ff 00"  # the bits off: none
        "00 00"  # flags: a constant plane of zeros
        "1d7a5bc0"  # CRC-32
    )
    assert pack(Block([1_000, 2_000, 3_000], [20.5] * 3, bytes(3))) == body
