"""A rule that is tried on a recording does what it would have done then."""

from __future__ import annotations

from pathlib import Path

import pytest

from outstation.backtest.findings import Findings, OutputFinding, Spell
from outstation.core.readings import Quality
from outstation.errors import OutstationError
from tests.backtest.recorded import DAY, HOUR, MINUTE, MONDAY, SECOND, Played, every, said, trial

WARM = """
[[rules]]
name = "warm"
when = "air > 30"
until = "air < 28"
alert = { message = "{air:.0f} °C" }
"""

VENT = """
[[actuators]]
name = "vent"
{limits}

[[rules]]
name = "ventilate"
when = "air > 30"
until = "air < 28"
claim = { vent = "on" }
"""


def tried(folder: Path, rules: str, recording: Played, start: int | None = None, end: int | None = None) -> Findings:
    """Return what is found; times are in milliseconds after Monday began."""
    begin, finish = (None if time is None else MONDAY + time for time in (start, end))
    return trial(folder, rules, recording).run(recording, begin, finish)


def spells(found: Findings) -> list[tuple[int, int]]:
    """Return when each began and ended."""
    return [(one.start - MONDAY, one.start + one.lasted - MONDAY) for rule in found.rules for one in rule.spells]


def vent(limits: str = "") -> str:
    return VENT.replace("{limits}", limits)


def test_a_rule_fires_and_clears(tmp_path: Path) -> None:
    found = tried(tmp_path, WARM, Played(every("air", MINUTE, 29, 31, 32, 29, 27, 33)))
    first, last = found.rules[0].spells
    assert first == Spell(MONDAY + MINUTE, 3 * MINUTE, open=False, message="31 °C")
    assert last == Spell(MONDAY + 5 * MINUTE, 0, open=True, message="33 °C")
    assert (found.rules[0].alerts, found.rules[0].lasted, found.readings) == (2, 3 * MINUTE, 6)


def test_a_hold_ends_between_two_readings(tmp_path: Path) -> None:
    rules = WARM.replace("until", 'hold = "90s"\nuntil')
    assert spells(tried(tmp_path, rules, Played(every("air", MINUTE, 31, 31, 31, 27)))) == [(90 * SECOND, 3 * MINUTE)]


def test_a_reading_in_the_millisecond_in_which_a_hold_ends_comes_first(tmp_path: Path) -> None:
    rules = WARM.replace("until", 'hold = "1m"\nuntil')
    assert spells(tried(tmp_path, rules, Played(every("air", MINUTE, 31, 29, 31, 31)))) == [(3 * MINUTE, 3 * MINUTE)]


def test_times_of_day_are_those_of_the_replayed_moment(tmp_path: Path) -> None:
    rules = WARM.replace("air > 30", "air > 30 and between 08:00 and 09:00").replace('until = "air < 28"\n', "")
    recording = Played(every("air", 10 * MINUTE, *[31] * 300))
    assert spells(tried(tmp_path, rules, recording)) == [(8 * HOUR, 9 * HOUR), (DAY + 8 * HOUR, DAY + 9 * HOUR)]


def test_the_clocks_are_put_forward_and_back(tmp_path: Path) -> None:
    rules = WARM.replace("air > 30", "air > 30 and between 08:00 and 09:00").replace('until = "air < 28"\n', "")
    saturday = 1_774_656_000_000 - MONDAY  # 2026-03-28T00:00Z: the night after, Berlin goes from UTC+1 to UTC+2
    recording = Played(every("air", 10 * MINUTE, *[31] * 280, start=saturday))
    assert spells(trial(tmp_path, rules, recording, timezone="Europe/Berlin").run(recording)) == [
        (saturday + 7 * HOUR, saturday + 8 * HOUR),
        (saturday + DAY + 6 * HOUR, saturday + DAY + 7 * HOUR),
    ]


def test_outputs_obey_at_once_and_are_counted(tmp_path: Path) -> None:
    found = tried(tmp_path, vent(), Played(every("air", 10 * MINUTE, 29, 31, 27, 31, 31, 27, *[20] * 42)))
    assert found.outputs == (OutputFinding("vent", switches=4, on=30 * MINUTE, longest=20 * MINUTE),)
    assert found.a_day(found.outputs[0].switches) == pytest.approx(4 * 24 * 6 / 47)


def test_the_limits_of_an_output_are_kept(tmp_path: Path) -> None:
    recording = Played(every("air", MINUTE, 29, 31, 27, *[20] * 20))
    assert tried(tmp_path, vent('min_on = "10m"'), recording).outputs[0].longest == 10 * MINUTE
    recording = Played(every("air", MINUTE, *[31] * 60))
    found = tried(tmp_path, vent('max_on = "5m"'), recording)
    assert found.outputs[0].longest == 5 * MINUTE
    assert "max_on" in found.others[0]


def test_outputs_that_must_not_be_on_together_are_opened_one_by_one(tmp_path: Path) -> None:
    rules = vent('interlock = ["heater"]') + '[[actuators]]\nname = "heater"\ninterlock = ["vent"]\n'
    found = tried(tmp_path, rules, Played(every("air", 10 * MINUTE, 29, 31, 27)))
    assert [(output.name, output.switches) for output in found.outputs] == [("vent", 2), ("heater", 0)]


def test_an_output_that_is_on_by_default_is_on_from_the_start(tmp_path: Path) -> None:
    found = tried(tmp_path, vent('default = "on"'), Played(every("air", HOUR, 20, 20, 20)))
    assert found.outputs == (OutputFinding("vent", 0, 2 * HOUR, 2 * HOUR),)


def test_a_silence_is_unknown_and_ends_a_claim_with_its_lease(tmp_path: Path) -> None:
    recording = Played([*every("air", MINUTE, 31, 31, 31, 31), said("air", DAY, 31)])
    found = tried(tmp_path, vent('lease = "5m"'), recording)
    assert found.outputs[0].longest == 3 * MINUTE + 3 * MINUTE + 1 + 5 * MINUTE


def test_what_a_dead_band_kept_from_the_store_is_no_silence(tmp_path: Path) -> None:
    table = '[[sensors]]\nname = "air"\nevery = "10s"\ndead_band = 0.5\nheartbeat = "10m"\n'
    recording = Played(every("air", 10 * MINUTE, *[31] * 12))
    assert tried(tmp_path, table + vent('lease = "1m"'), recording).outputs[0].longest == 110 * MINUTE


def test_what_the_limits_found_then_is_found_anew(tmp_path: Path) -> None:
    recording = Played([said("air", 0, 20.0), said("air", MINUTE, 45.0, Quality.OUT_OF_RANGE)])
    assert spells(tried(tmp_path, WARM, recording)) == []
    for limit, fires in ((50, True), (40, False)):
        table = f'[[sensors]]\nname = "air"\nevery = "1m"\nvalid = [0, {limit}]\n'
        assert bool(spells(tried(tmp_path, table + WARM, recording))) is fires


def test_the_spans_know_what_was_before_the_start(tmp_path: Path) -> None:
    rules = WARM.replace("air > 30", "mean(air, 1h) > 30").replace("air < 28", "mean(air, 1h) < 28")
    recording = Played(every("air", MINUTE, *[31] * 120))
    assert spells(tried(tmp_path, rules, recording, start=HOUR))[0][0] == HOUR
    assert spells(tried(tmp_path, rules, recording))[0][0] == pytest.approx(48 * MINUTE, abs=MINUTE)


def test_an_end_past_the_recording_is_a_silence(tmp_path: Path) -> None:
    found = tried(tmp_path, vent('lease = "5m"'), Played(every("air", MINUTE, 31, 31, 31, 31)), end=DAY)
    assert (found.end - MONDAY, found.outputs[0].on < HOUR) == (DAY, True)


def test_a_rule_that_fails_says_so(tmp_path: Path) -> None:
    recording = Played(every("air", MINUTE, 31, 32))
    one = trial(tmp_path, WARM, recording)
    one._node.decisions.rules["warm"].decide = lambda _: 1 / 0 > 1  # what nobody foresaw
    assert one.run(recording).rules[0].failed == "ZeroDivisionError: division by zero"


def test_only_some_rules(tmp_path: Path) -> None:
    recording = Played([*every("air", MINUTE, 31, 32), *every("soil", MINUTE, 1, 2)])
    other = '[[rules]]\nname = "dry"\nwhen = "soil < 5"\nalert = { message = "dry" }\n'
    one = trial(tmp_path, WARM + other, recording, only=["warm"])
    assert (one.rules, one.sensors) == (["warm", "dry"], frozenset({"air"}))
    assert [rule.name for rule in one.run(recording).rules] == ["warm"]


def test_a_rule_that_is_not_enabled_is_tried_if_it_is_named(tmp_path: Path) -> None:
    recording = Played(every("air", MINUTE, 31, 32))
    asleep = WARM.replace("when", "enabled = false\nwhen")
    assert len(trial(tmp_path, asleep, recording, only=["warm"]).run(recording).rules) == 1
    with pytest.raises(OutstationError, match="no sensor at all"):
        trial(tmp_path, asleep, recording).run(recording)


def test_a_board_that_never_spoke_is_told(tmp_path: Path) -> None:
    rules = WARM.replace("air > 30", "air > porch/air + 5").replace('until = "air < 28"\n', "")
    assert tried(tmp_path, rules, Played(every("air", MINUTE, 31, 32))).unheard == ("porch/air",)


def test_where_nothing_was_recorded_nothing_is_tried(tmp_path: Path) -> None:
    with pytest.raises(OutstationError, match="Nothing was recorded of what the rules look at: air"):
        tried(tmp_path, WARM, Played([], ["air"]))


def test_an_alert_that_is_held_back_at_night_is_one(tmp_path: Path) -> None:
    rules = '[alerts]\nquiet = ["22:00", "07:00"]\n' + WARM
    recording = Played(every("air", 10 * MINUTE, *[31] * 60))
    assert tried(tmp_path, rules, recording).rules[0].alerts == 1
