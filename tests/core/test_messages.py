"""The words of an alert: what is shown, in which form, and what is refused before the node starts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core import messages
from outstation.core.conditions import ConditionError
from outstation.core.readings import Value

SHOWN: dict[str, Value | None] = {
    "t": 30.04,
    "n": 3,
    "door": True,
    "word": "wet",
    "big": 10**15 + 0.5,
    "nobody": None,
    "odd": "wet\r\nERROR \x1b[31m{t}\u2028",
}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("Hot", "Hot"),
        ("{t} °C", "30.04 °C"),
        ("{t:.1f} °C", "30.0 °C"),
        ("{ t :.0f}", "30"),
        ("{t:+.1e}", "+3.0e+01"),
        ("{n}", "3"),
        ("{n:.2f}", "3.00"),
        ("{n:%}", "300.000000%"),
        ("{big:,.1f}", "1,000,000,000,000,000.5"),
        ("{big}", "1e+15"),
        ("{door}, {door:.1f}", "on, on"),
        ("{word:.1f}", "wet"),
        ("{odd}", "wet??ERROR ?[31m{t}?"),
        ("{nobody} and {nobody:.1f}", "unknown and unknown"),
        ("{{t}} is {t}", "{t} is 30.04"),
        ("{t:d}", "30.04"),
        ("{n:.2d}", "3"),
        ("{n:.2}", "3"),
    ],
)
def test_a_message_shows_values_in_their_form(text: str, words: str) -> None:
    message = messages.parse(text)
    assert messages.written(message, SHOWN.__getitem__) == words


def test_a_message_knows_what_it_shows() -> None:
    assert messages.parse("{a} {b:.1f} {a} {{c}}").names == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "sentence", "where"),
    [
        ("{", "expected a name in braces such as {air_temperature:.1f}.", "{"),
        ("5 }", "expected a name in braces such as {air_temperature:.1f}.", "}"),
        ("{}", "expected a name in braces such as {air_temperature:.1f}.", "{"),
        ("{t:>99999999}", "expected a form such as .1f after the colon.", "{t:>99999999}"),
        ("{t:.999f}", "expected a form such as .1f after the colon.", "{t:.999f}"),
        ("x" * 501, "expected at most 500 characters, found 501.", "x"),
    ],
)
def test_a_message_that_cannot_be_read_is_refused_with_its_place(text: str, sentence: str, where: str) -> None:
    with pytest.raises(ConditionError) as refused:
        messages.parse(text)
    mistake = refused.value.mistakes[0]
    assert (mistake.sentence, text[mistake.start : mistake.end]) == (sentence, where)


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConditionError) as refused:
        messages.parse("{t:x} {} {n:y}")
    assert len(refused.value.mistakes) == 4


forms = st.from_regex(r"[+ ]?,?(\.\d{1,2})?[fgde%]?", fullmatch=True)
values = st.none() | st.booleans() | st.floats() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=255)


@given(forms, values)
def test_a_message_never_fails(form: str, value: Value | None) -> None:
    message = messages.parse(f"It is {{t:{form}}}.")
    assert len(messages.written(message, lambda _: value)) < 1_000


@given(st.text(max_size=60))
def test_whatever_is_not_refused_can_be_written(text: str) -> None:
    try:
        message = messages.parse(text)
    except ConditionError:
        return
    messages.written(message, lambda _: 1.5)
