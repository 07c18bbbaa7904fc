"""Lines drawn by chance: every name that has a spelling, every value that a field may have."""

from __future__ import annotations

from hypothesis import strategies as st

from outstation.protocols.influxdb import wire

_LETTERS = st.sampled_from("ab,= \"#'/.-_é°😀0i")
NAMES = st.text(_LETTERS, min_size=1, max_size=8).filter(wire.is_writable)
TEXTS = st.text(st.one_of(st.sampled_from('",\\= \n\r#é'), st.characters(codec="utf-8")), max_size=12)
VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1), st.booleans(), TEXTS
)
LINES = st.builds(
    wire.Line,
    NAMES,
    st.dictionaries(NAMES, VALUES, min_size=1, max_size=4),
    st.dictionaries(NAMES, NAMES, max_size=3),
    st.none() | st.integers(-(2**63), 2**63 - 1),
)
