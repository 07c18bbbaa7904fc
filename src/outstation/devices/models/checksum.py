"""The checksum behind each word that a Sensirion chip sends; others have borrowed it.

CRC-8, polynomial 0x31, first value 0xFF, nothing reflected; of 0xBEEF it is 0x92 (SHT4x data sheet, section 4.4).
"""

from __future__ import annotations


def crc8(data: bytes) -> int:
    """Return the checksum of bytes."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x31) & 0xFF if crc & 0x80 else crc << 1
    return crc


def checked_words(*words: int) -> bytes:
    """Return words of 16 bits, the high byte first, each with its checksum behind it."""
    return b"".join(pair + bytes([crc8(pair)]) for pair in (word.to_bytes(2) for word in words))


def counts(share: float, most: int = 0xFFFF) -> int:
    """Return what a converter makes of a share of its range: it ends where its range does."""
    return min(max(round(share * most), 0), most)
