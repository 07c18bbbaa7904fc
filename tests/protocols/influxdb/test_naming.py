"""Series and the names of their sensors: two of them are never one sensor, also after a restart."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.protocols.influxdb import gathering, naming
from outstation.protocols.influxdb.naming import Names
from outstation.web.api.incoming import _NAME

Series = tuple[str, dict[str, str], str]

WORDS = st.sampled_from(
    ["a", "A", "a_b", "b", "-1", "1", "value", "pi", "pi-a", "\u0436", "\u0448", "\u0436 1", "x" * 70]
)
SERIES = st.tuples(WORDS, st.dictionaries(st.sampled_from(["device", "host", "k", "l"]), WORDS, max_size=3), WORDS)


@given(st.lists(SERIES, max_size=20), st.sampled_from([None, "pi"]))
@settings(max_examples=300, deadline=None)
def test_no_two_series_are_one_sensor(found: list[Series], device: str | None) -> None:
    name_of = Names(set()).of_body(device)
    names = {name_of(*series): _said(series, device) for series in found}
    for series in found:
        assert names[name_of(*series)] == _said(series, device)
        assert _NAME.fullmatch(name_of(*series))


def _said(series: Series, device: str | None) -> object:
    """A series as it is told apart: under the key of a device, a tag that repeats it says nothing."""
    measurement, tags, field = series
    said = {key: tag for key, tag in tags.items() if key not in ("device", "host") or tag != device}
    return measurement, said, field


@pytest.mark.parametrize("comes_first", [0, 1])
def test_who_had_to_stand_apart_does_so_after_a_restart(comes_first: int) -> None:
    known = set[str]()
    both: list[Series] = [("m", {"room": "a"}, "t"), ("m", {"door": "a"}, "t")]
    name_of = Names(known).of_body(None)
    names = [name_of(*series) for series in both]
    known.update(names)
    assert names[0] == "m/a_t"
    again = Names(known).of_body(None)
    again(*both[comes_first])
    assert [again(*series) for series in both] == names


def test_what_was_not_let_in_holds_no_name() -> None:
    known = set[str]()
    names = Names(known)
    assert names.of_body(None)("m", {"room": "a"}, "t") == "m/a_t"
    assert names.of_body(None)("m", {"door": "a"}, "t") == "m/a_t"
    known.add("m/a_t")
    assert names.of_body(None)("m", {"room": "a"}, "t") != "m/a_t"


@pytest.mark.parametrize("spelt", ["porch", "Porch"])
def test_a_device_is_the_same_by_its_tag_and_by_its_key(spelt: str) -> None:
    names = Names(set())
    by_tag = names.of_body(None)("air", {"device": spelt}, "value")
    assert names.of_body("porch")("air", {"device": spelt}, "value") == by_tag == "porch/air"
    assert Names(set()).of_body("porch")("air", {}, "value") == "porch/air"


def test_long_names_fill_no_memory() -> None:
    """Else each of them stays: a thousand bodies of a megabyte."""
    long = "x" * 5_000
    naming._sensor.cache_clear()
    gathering._shape_of.cache_clear()
    for line in (f"{long} f=1 1", f"m,k={long} f=1 1", f"m {long}=1 1"):
        (name,) = gathering.gather(line, "ns", Names(set()).of_body(None)).columns
        assert _NAME.fullmatch(name)
    assert naming._sensor.cache_info().currsize == 0
    assert gathering._shape_of.cache_info().currsize == 1  # that of f
