"""How the sealed readings of one sensor become few bytes, and the same readings again.

The law of this package: pure functions. It knows no file, no clock and no SQL; what it wrote once
it can read for ever. `packing` holds the format of a block, the other modules its parts.
"""
