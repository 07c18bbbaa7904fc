"""What is refused: where, and what was expected there."""

from __future__ import annotations

import pytest

from outstation.core.conditions import ConditionError, parse, written
from outstation.core.conditions.quantities import DEEPEST
from outstation.core.conditions.tokens import LONGEST
from tests.core.conditions_drawn import ACTUATORS, SETTINGS


def refused(text: str) -> tuple[str, str]:
    """Return the sentence of the one mistake, and the piece of the text that it points at."""
    with pytest.raises(ConditionError) as raised:
        parse(text, actuators=ACTUATORS, settings=SETTINGS)
    (mistake,) = raised.value.mistakes
    assert mistake.text == text
    return mistake.sentence, text[mistake.start : mistake.end] or "the end"


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("a > 1 and b > 1 or c > 1", "or", 'it is either "(a and b) or c" or "a and (b or c)"'),
        ("a > 1 or b > 1 and c > 1", "and", 'it is either "(a and b) or c" or "a and (b or c)"'),
        ("not a > 1 and b > 1", "not", 'it is either "not (a) and b" or "not (a and b)"'),
        ("not (a + b) > 1 or b > 1", "not", 'it is either "not (a) or b" or "not (a or b)"'),
        ("c > 1 and not a > 1 and b > 1", "not", "expected parentheses after not"),
        ("not not a > 1 and b > 1", "not", "expected parentheses after not"),
        ("a < b < c", "<", 'write "a < b and b < c", or "b between a and c"'),
        ("a between 1 and 2 > 3", ">", "expected one comparison"),
        ("a < b between 1 and 2", "between", "expected one comparison"),
        ("a / b * c > 1", "*", 'it is either "(a / b) * c" or "a / (b * c)"'),
        ("a / b / c > 1", "/", "expected parentheses after a division"),
        ("between 08:00 and 8:00", "8:00", "from one to itself is either never or always"),
        ("between sunset and sunset + 0m", "sunset + 0m", "from one to itself is either never or always"),
    ],
)
def test_what_can_be_read_in_two_ways(text: str, where: str, expected: str) -> None:
    sentence, piece = refused(text)
    assert expected in sentence
    assert piece == where


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("", "the end", 'expected a condition such as "air_temperature > 30", found the end.'),
        ("  ", "the end", "found the end."),
        ("air", "the end", 'expected a comparison such as "> 30" after "air", found the end.'),
        ("air 30", "30", 'expected a comparison such as "> 30" after "air", found "30".'),
        ("air and vent is on", "and", 'expected a comparison such as "> 30" after "air", found "and".'),
        ("(air) or vent is on", "or", 'after "air", found "or".'),
        ("not air", "the end", 'after "air", found the end.'),
        ("vent", "the end", 'expected "is on" or "is off" after "vent", found the end.'),
        ("vent > 3", "vent", 'which is on or off: write "vent is on".'),
        ("3 < vent", "vent", 'which is on or off: write "vent is on".'),
        ("-vent > 3", "vent", "expected a number, found the output"),
        ("air > (vent is on)", "vent is on", "expected a number, found a condition."),
        ("1 + (air > 2) > 3", "air > 2", "expected a number, found a condition."),
        ("(air > 2) > 3", "air > 2", "expected a number, found a condition."),
        ("(air > 2) between 1 and 3", "air > 2", "expected a number, found a condition."),
        ("air > 2 soil", "soil", 'expected "and", "or" or the end, found "soil".'),
        ("air > 2)", ")", 'expected "and", "or" or the end, found ")".'),
        ("(air > 2", "the end", 'expected ")", found the end.'),
        ("(air > 2 soil", "soil", 'expected ")", found "soil".'),
        ("air > ", "the end", "expected a sensor, a setting or a number, found the end."),
        ("air > *", "*", 'expected a sensor, a setting or a number, found "*".'),
        ("air > and", "and", "a sensor of this name stands in backquotes: `and`."),
        ("air > on", "on", "compared by is: vent is on."),
        ("air > 18:00", "18:00", "a condition of their own: between 18:00 and 08:00."),
        ("sunrise > 5", "sunrise", "a condition of their own: between 18:00 and 08:00."),
        ("5 > weekday", "weekday", "a condition of their own: weekday is monday."),
        ("air between 20 to 25", "to", 'expected "and" as in "x between 20 and 25", found "to".'),
        ("air is 5", "5", 'expected "on" or "off" after "is", found "5"; a number is compared with "==".'),
        ("air is open", "open", 'expected "on" or "off" after "is", found "open".'),
        ("vent is not", "the end", 'expected "on" or "off" after "is", found the end.'),
        ("vent_at is on", "vent_at", 'expected a sensor or an output before "is", found the setting "vent_at".'),
        ("mean(air, 1h) is on", "mean(air, 1h)", 'a number is compared with "==".'),
        ("weekday == 5", "==", 'expected "is" or "between" after "weekday", found "=="; days have names'),
        ("weekday is 5", "5", "expected a day (monday, tuesday, wednesday, thursday, friday, saturday, sunday)"),
        ("weekday is Monday", "Monday", 'did you mean "monday"?'),
        ("weekday between monday or friday", "or", 'expected "and" as in "weekday between monday and friday"'),
        ("between 20 and 25", "20", "a value stands before its between: x between 20 and 25."),
        ("between air and 25", "air", 'expected a local time such as 18:00, sunrise or sunset, found "air".'),
        ("between 18:00 to 19:00", "to", 'expected "and" as in "between 18:00 and 08:00", found "to".'),
        ("between 18:00 and sunrise - 90s", "90s", "expected whole minutes, up to 12h, found 90s."),
        ("between 18:00 and sunrise - 13h", "13h", "expected whole minutes, up to 12h, found 13h."),
        ("between 18:00 and sunrise + 30", "30", 'expected a duration such as 30m, found "30".'),
        ("between 18:00 and sunrise -30m", "-", 'expected a space on both sides of "-"'),
        ("quality(air) == ok", "==", 'expected "is" after the quality, found "=="; write quality(x) is stale.'),
        ("quality(air, 1h) is ok", ",", 'expected ")" as in "quality(air)", found ",".'),
        ("quality(air) is good", "good", "(ok, out_of_range, spike, stuck, fault, stale, unseen)"),
        ("quality(air) is `ok`", "`ok`", "expected a quality"),
        ("1 + quality(air) > 1", "quality", "which is no number; write quality(x) is ok."),
        ("median(air, 1h) > 1", "median", 'did you mean "mean"?'),
        ("mean(air) > 1", ")", 'expected "," as in "mean(air, 10m)", found ")".'),
        ("mean(air, 1h > 1", ">", 'expected ")" as in "mean(air, 10m)", found ">".'),
        ("mean(air, 10) > 1", "10", 'expected a span such as 10m, found "10".'),
        ("mean(air, 8d) > 1", "8d", "expected a span from 1s to 7d, found 8d."),
        ("mean(air, 999ms) > 1", "999ms", "expected a span from 1s to 7d, found 999ms."),
        ("mean(5, 1h) > 1", "5", 'expected the name of a sensor in mean(...), found "5".'),
        ("mean(vent, 1h) > 1", "vent", 'expected a sensor in mean(...), found the output "vent".'),
        ("mean(vent_at, 1h) > 1", "vent_at", 'expected a sensor in mean(...), found the setting "vent_at".'),
        ("age(air, 1h) > 1m", ",", 'expected ")" as in "age(air)", found ",".'),
        ("`mean`(air, 1h) > 1", "(", 'after "`mean`", found "(".'),
    ],
)
def test_what_is_expected_where_something_else_stands(text: str, where: str, expected: str) -> None:
    sentence, piece = refused(text)
    assert expected in sentence
    assert piece == where


@pytest.mark.parametrize(
    ("text", "where", "cure"),
    [
        ("air -1 > 30", "-", 'write " - "; without spaces it may be part of a name.'),
        ("air /2 > 30", "/", 'write " / "; without spaces it may be part of a name.'),
        ("3-1 > air", "-", 'expected a space on both sides of "-" between two values'),
        ("air- 1 > 30", "1", '"-" between two values needs a space on both sides.'),
        ("air > 30 AND soil > 1", "AND", 'did you mean "and"?'),
        ("air > 30 adn soil > 1", "adn", 'did you mean "and"?'),
        ("age(air) > 10 m", "m", "a duration is one word, such as 10m."),
        ("age(air) > 10 minutes", "minutes", "a duration is one word, such as 10m."),
        ("air > 30,5", ",", "a number has a decimal point."),
        ("air = 30", "=", 'write "==".'),
        ("air => 30", "=>", 'write ">=".'),
        ("air =< 30", "=<", 'write "<=".'),
        ("air > 1 && soil > 1", "&&", 'write "and".'),
        ("air > 1 | soil > 1", "|", 'write "or".'),
        ("!(air > 1)", "!", 'write "not" or "!=".'),
        ("air ≥ 1", "≥", 'write ">=".'),
        ("air > 30°C", "°", "a number stands without its unit."),
        ("soil < 20 %", "%", "a number stands without its unit."),
        ('air == "open"', '"', "found a quote; names stand bare or in backquotes, and texts cannot be compared."),
    ],
)
def test_what_people_mean_who_write_it(text: str, where: str, cure: str) -> None:
    sentence, piece = refused(text)
    assert cure in sentence
    assert piece == where


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("air > 10min", "10min", 'such as 90s or 2m, or a local time such as 08:00, found "10min".'),
        ("air > .5", ".5", "expected a number such as 30 or 0.5"),
        ("air > 5.", "5.", "expected a number"),
        ("air > 5e", "5e", "expected a number"),
        ("air > 8:5", "8:5", "or a local time such as 08:00"),
        ("air > 08:00:30", "08:00:30", "or a local time such as 08:00"),
        ("air > 2`soil`", "2`soil`", "expected a number"),
        ("between 24:00 and 08:00", "24:00", "expected a local time from 00:00 to 23:59, found 24:00."),
        ("between 18:60 and 08:00", "18:60", "expected a local time from 00:00 to 23:59, found 18:60."),
        ("air > 1e999", "1e999", "expected a number that a computer can hold, found one beyond 1e308."),
        (f"air > {'9' * 400}", "9" * 400, "found one beyond 1e308."),
        ("`air > 30", "`", "expected a name and a second backquote after this one."),
        ("`` > 30", "`", "expected a name and a second backquote after this one."),
        ("`a\nb` > 30", "`a\nb`", "expected a printable name in backquotes, found control characters."),
        ("air\xa0> 30", "\xa0", "found the character U+00A0."),
        ("air > 30\x00", "\x00", "found the character U+0000."),
        ("größe > 3", "ö", 'expected a name, a number or a sign, found "ö".'),
        ("air > ٣", "٣", 'expected a name, a number or a sign, found "٣".'),
    ],
)
def test_what_is_no_word_of_the_language(text: str, where: str, expected: str) -> None:
    sentence, piece = refused(text)
    assert expected in sentence
    assert piece == where


# Limits.


def test_it_is_at_most_a_thousand_characters() -> None:
    parse("air > 1".ljust(LONGEST))
    sentence, piece = refused("air > 1".ljust(LONGEST + 7))
    assert sentence == "expected at most 1,000 characters, found 1,007."
    assert piece == " " * 7


@pytest.mark.parametrize(("before", "after"), [("(", ")"), ("not ", ""), ("-(", ")")])
def test_it_is_at_most_fifty_levels_deep(before: str, after: str) -> None:
    times = DEEPEST // len(before.strip()) if before == "-(" else DEEPEST
    inner = "air > 1" if before != "-(" else "air"
    outer = "" if before != "-(" else " > 1"
    parse(before * times + inner + after * times + outer)
    sentence, _ = refused(before * (times + 1) + inner + after * (times + 1) + outer)
    assert sentence == "expected at most 50 levels of parentheses, not and minus."


@pytest.mark.parametrize("text", ["-" * 900, "(" * 900, "not " * 240, "1 + " * 240, "a > 1 and " * 90, "mean(" * 190])
def test_a_long_text_that_goes_nowhere_is_refused_as_any(text: str) -> None:
    refused(text)


def test_a_sum_may_be_as_long_as_the_text() -> None:
    text = f"{' + '.join(['a'] * 240)} > 1"
    assert written(parse(text).root) == text


# How it is told.


def test_a_mistake_shows_the_text_and_points_below_it() -> None:
    with pytest.raises(ConditionError) as raised:
        parse("air > 30 and soil <")
    assert str(raised.value) == (
        "expected a sensor, a setting or a number, found the end.\n    air > 30 and soil <\n                       ^"
    )


def test_of_several_lines_it_shows_the_one() -> None:
    with pytest.raises(ConditionError) as raised:
        parse("air > 30\n\tand soil\x1b < 5\nand vent is on")
    assert raised.value.mistakes[0].shown == "     and soil? < 5\n             ^"


def test_of_a_long_line_it_shows_what_is_around() -> None:
    text = f"{'air > 30 and ' * 20}soil & {'and air > 30 ' * 20}"
    with pytest.raises(ConditionError) as raised:
        parse(text)
    line, carets = raised.value.mistakes[0].shown.splitlines()
    assert line.startswith("    …")
    assert line.endswith("…")
    assert line[carets.index("^")] == "&"
    assert len(line) < 110
