"""The codecs that `sealing.py` compares: what others use, in the form in which a block would have it, and ours.

A codec is a pair: times (milliseconds) and values to bytes, and back. Libraries of others are imported when their codec
is asked for.
"""

from __future__ import annotations

import importlib
import lzma
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain
from operator import sub
from typing import Any
from unittest.mock import patch

import msgspec
from gorilla import gorilla, ungorilla

from outstation.core.readings import Value
from outstation.store.sealing import integers, packing, planes, values

Times = list[int]
Column = list[Value | None]
Pack = Callable[[Times, Column], bytes]
Unpack = Callable[[bytes], tuple[Sequence[int], Sequence[Any]]]
Codec = tuple[Pack, Unpack]
Squeeze = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


def sealed() -> Codec:
    """Ours."""

    def unpack(body: bytes) -> tuple[Sequence[int], Sequence[Any]]:
        block = packing.unpack(body)
        return block.times, block.values

    return lambda times, column: packing.pack(packing.Block(times, column, bytes(len(times)))), unpack


def sealed_with(deflate: Callable[[bytes], bytes], inflate: Callable[[bytes], bytes]) -> Codec:
    """Ours, with planes that something other than DEFLATE makes short."""

    def plane(data: bytes) -> bytes:
        if data.count(data[:1]) == len(data):
            return planes.plane(data)
        short = min(deflate(data), data, key=len)
        return bytes((planes.RAW if short is data else planes.DEFLATED,)) + planes.varint(len(short)) + short

    def read(cursor: planes.Cursor, count: int) -> bytes:
        how = cursor.byte()
        if how == planes.CONSTANT:
            return cursor.take(1) * count
        short = cursor.take(cursor.varint())
        return short if how == planes.RAW else inflate(short)

    for module in (integers, values, packing):
        patch.object(module, "plane", plane).start()
    patch.object(planes.Cursor, "plane", read).start()
    return sealed()


RAW_LZMA = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 0}]


def sealed_lzma() -> Codec:
    """Ours, with planes in LZMA."""
    return sealed_with(*_lzma())


def sealed_zstd() -> Codec:
    """Ours, with planes in zstd."""
    return sealed_with(*_zstd())


def pcodec(level: int) -> Codec:
    """Pcodec's own file format, one for the times and one for the values."""
    numpy, pco = importlib.import_module("numpy"), importlib.import_module("pcodec")
    config = pco.ChunkConfig(compression_level=level)

    def pack(times: Times, column: Column) -> bytes:
        kind = numpy.float64 if isinstance(column[0], float) else numpy.int16
        parts = [numpy.array(times, numpy.int64), numpy.array(column, kind)]
        return joined(*(pco.standalone.simple_compress(part, config) for part in parts))

    def unpack(body: bytes) -> tuple[Sequence[int], Sequence[Any]]:
        times, column = parted(body)
        return (
            pco.standalone.simple_decompress(times).tolist(),
            pco.standalone.simple_decompress(column).tolist(),
        )

    return pack, unpack


def shuffled(deflate: Callable[[bytes], bytes], inflate: Callable[[bytes], bytes]) -> Codec:
    """Differences of 64 bits (of floats: of their bits), shuffled byte by byte as in HDF5, each column a stream."""

    def pack(times: Times, column: Column) -> bytes:
        parts = [_wrapped(times), _wrapped(_bits(column))]
        return joined(*(deflate(b"".join(part[place::8] for place in range(8))) for part in parts))

    def unpack(body: bytes) -> tuple[Sequence[int], Sequence[Any]]:
        times, bits = (_unwrapped(inflate(part)) for part in parted(body))
        return times, _floats(bits)

    return pack, unpack


def varints(deflate: Callable[[bytes], bytes], inflate: Callable[[bytes], bytes]) -> Codec:
    """Decimals as integers; times by differences of differences, values by differences; zigzag varints; one stream."""

    def pack(times: Times, column: Column) -> bytes:
        floats = [float(value or 0) for value in column]
        scale = next((10**places for places in range(13) if _are_decimals(floats, 10**places)), 0)
        numbers = [round(value * scale) for value in floats] if scale else _bits(floats)
        steps = chain(_differences(_differences(times)), _differences(numbers))
        return joined(struct.pack("<q", scale), deflate(b"".join(map(planes.signed, steps))))

    def unpack(body: bytes) -> tuple[Sequence[int], Sequence[Any]]:
        packed_scale, packed = parted(body)
        scale, steps = struct.unpack("<q", packed_scale)[0], list(_signed(inflate(packed)))
        times = accumulate(accumulate(steps[: len(steps) // 2]))
        numbers = list(accumulate(steps[len(steps) // 2 :]))
        return list(times), [number / scale for number in numbers] if scale else _floats(numbers)

    return pack, unpack


def messagepack(deflate: Callable[[bytes], bytes], inflate: Callable[[bytes], bytes]) -> Codec:
    """What the log has: differences of times, values as they are."""

    def unpack(body: bytes) -> tuple[Sequence[int], Sequence[Any]]:
        steps, column = msgspec.msgpack.decode(inflate(body))
        return list(accumulate(steps)), column

    return lambda times, column: deflate(msgspec.msgpack.encode((_differences(times), column))), unpack


def _zstd() -> Squeeze:
    zstandard = importlib.import_module("zstandard")
    compressor = zstandard.ZstdCompressor(level=19, write_checksum=False)
    return compressor.compress, zstandard.ZstdDecompressor().decompress


def _lzma() -> Squeeze:
    return (
        lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=RAW_LZMA),
        lambda short: lzma.decompress(short, lzma.FORMAT_RAW, filters=RAW_LZMA),
    )


def _zlib() -> Squeeze:
    return lambda data: zlib.compress(data, 9), zlib.decompress


CODECS: dict[str, Callable[[], Codec]] = {
    "as in the log": lambda: messagepack(bytes, bytes),
    "as in the log, zlib": lambda: messagepack(*_zlib()),
    "gorilla": lambda: (gorilla, ungorilla),
    "shuffle, zlib": lambda: shuffled(*_zlib()),
    "shuffle, zstd": lambda: shuffled(*_zstd()),
    "shuffle, lzma": lambda: shuffled(*_lzma()),
    "varints, zlib": lambda: varints(*_zlib()),
    "varints, zstd": lambda: varints(*_zstd()),
    "varints, lzma": lambda: varints(*_lzma()),
    "pcodec 8": lambda: pcodec(8),
    "pcodec 12": lambda: pcodec(12),
    "sealed": sealed,
    "sealed, lzma": sealed_lzma,
    "sealed, zstd": sealed_zstd,
}


def joined(first: bytes, second: bytes) -> bytes:
    """Return two parts as one."""
    return struct.pack("<I", len(first)) + first + second


def parted(body: bytes) -> tuple[bytes, bytes]:
    """Return the two parts of one."""
    end = 4 + struct.unpack_from("<I", body)[0]
    return body[4:end], body[end:]


def _differences(numbers: Sequence[int]) -> list[int]:
    return [numbers[0], *map(sub, numbers[1:], numbers)]


def _wrapped(numbers: Sequence[int]) -> bytes:
    return array("Q", [step & 0xFFFFFFFFFFFFFFFF for step in _differences(numbers)]).tobytes()


def _unwrapped(data: bytes) -> Sequence[int]:
    whole = bytearray(len(data))
    for place in range(8):
        whole[place::8] = data[place * len(data) // 8 : (place + 1) * len(data) // 8]
    sums = (number & 0xFFFFFFFFFFFFFFFF for number in accumulate(array("Q", bytes(whole))))
    return array("q", array("Q", sums).tobytes())


def _signed(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield -(number + 1 >> 1) if number & 1 else number >> 1
            number = shift = 0


def _are_decimals(floats: Sequence[float], scale: int) -> bool:
    return all(round(value * scale) / scale == value for value in floats)


def _bits(floats: Sequence[Any]) -> Sequence[int]:
    return struct.unpack(f"<{len(floats)}q", struct.pack(f"<{len(floats)}d", *floats))


def _floats(bits: Sequence[int]) -> Sequence[float]:
    return struct.unpack(f"<{len(bits)}d", struct.pack(f"<{len(bits)}q", *bits))
