"""Why a rule was as it was: from the readings that are stored, the journal, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from outstation.config import load
from outstation.core.explaining import Explanation
from outstation.core.readings import Millis, Note, Quality, Reading
from outstation.engine import explaining
from outstation.store.database import Store
from outstation.store.journal import Journal
from tests.store.given import MORNING, in_store, own, sent
from tests.web.table import site_of

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000

CONFIG = """
[node]
clock = "trust"
timezone = "UTC"
place = [52.52, 13.41]

[[sensors]]
name = "door"
driver = "gpio"
pin = 27
simulate = true

[[sensors]]
name = "load"
driver = "system"
quantity = "cpu_load"
every = "10s"
dead_band = 1.0
heartbeat = "10m"

[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true

[[settings]]
name = "vent_at"
value = 30

[[rules]]
name = "ventilate"
when = "porch/temperature > vent_at"
until = "porch/temperature < vent_at - 2"
hold = "1m"
claim = { vent = "on" }

[[rules]]
name = "damp"
when = "mean(porch/humidity, 10m) > 50"
alert = { severity = "info", message = "damp" }

[[rules]]
name = "open"
when = "door is on and vent is on"
alert = { severity = "info", message = "open" }

[[rules]]
name = "busy"
when = "load > 3"
alert = { severity = "info", message = "busy" }

[[rules]]
name = "evening"
when = "between sunset - 1h and 23:00 and porch/temperature > 0"
alert = { severity = "info", message = "evening" }
"""

Told = Sequence[Reading | Note]


def then(folder: Path, name: str, at: Millis, told: Told) -> Explanation:
    """Return the explanation of a rule at a moment after MORNING, when this is what was stored."""
    file = folder / "outstation.toml"
    file.write_text(CONFIG)

    async def story(store: Store) -> Explanation:
        await store.record([one for one in told if isinstance(one, Reading)])
        await Journal(store).add([one for one in told if isinstance(one, Note)])
        site = site_of(folder, store, load(file))
        return explaining.then(site, name, MORNING + at)

    (folder / "data").mkdir()
    return in_store(folder / "data", story)


def every(
    seconds: int, sensor: str, value: float, *, start: Millis, end: Millis, kind: Callable[..., Reading] = sent
) -> list[Reading]:
    return [kind(sensor, at, value) for at in range(start, end, seconds * SECOND)]


def note(kind: str, subject: str, text: str, at: Millis) -> Note:
    return Note(kind, subject, text, MORNING + at)


def warm(start: Millis, end: Millis, value: float = 31.0) -> list[Reading]:
    return every(10, "porch/temperature", value, start=start, end=end)


def test_a_hold_is_found_again_by_living_through_the_readings(tmp_path: Path) -> None:
    told: Told = [*warm(0, HOUR, 20.0), *warm(HOUR, HOUR + 40 * SECOND)]
    found = then(tmp_path, "ventilate", HOUR + 35 * SECOND, told)
    assert (found.firing, found.truth) == (False, True)
    assert found.holding == MORNING + HOUR
    assert found.fires_at == MORNING + HOUR + MINUTE
    assert found.lost[-1] == "whether it fired, for sure: the journal has no word on it; so its readings say"


def test_where_the_journal_has_no_word_its_readings_say_that_it_fired(tmp_path: Path) -> None:
    found = then(tmp_path, "ventilate", 10 * MINUTE, warm(0, HOUR))
    assert (found.firing, found.since) == (True, MORNING + MINUTE)


def test_the_journal_says_since_when_it_fired(tmp_path: Path) -> None:
    fires = note("rule fires", "ventilate", "porch/temperature > vent_at", 5 * SECOND)
    told: Told = [*warm(0, 6 * HOUR, 29.0), fires, note("rule clears", "ventilate", "no more", 7 * HOUR)]
    found = then(tmp_path, "ventilate", 5 * HOUR, told)
    assert (found.firing, found.since, found.truth) == (True, MORNING + 5 * SECOND, False)
    assert found.lost == ("how the rule was written then: it is taken as it is now",)


def test_a_rule_that_cleared_does_not_fire_whatever_its_readings_say(tmp_path: Path) -> None:
    told: Told = [*warm(0, HOUR), note("rule clears", "ventilate", "a restart", 30 * MINUTE)]
    found = then(tmp_path, "ventilate", 31 * MINUTE, told)
    assert (found.firing, found.since, found.holding) == (False, None, None)


def test_what_came_next_says_what_was_before(tmp_path: Path) -> None:
    """The journal's older lines are gone."""
    clears = note("rule clears", "ventilate", "porch/temperature < vent_at - 2", HOUR)
    found = then(tmp_path, "ventilate", MINUTE, [*warm(0, HOUR, 29.0), clears])
    assert (found.firing, found.since) == (True, None)


def test_a_rule_that_fired_later_did_not_fire_before(tmp_path: Path) -> None:
    fires = note("rule fires", "ventilate", "porch/temperature > vent_at", HOUR)
    assert not then(tmp_path, "ventilate", MINUTE, [*warm(0, HOUR, 29.0), fires]).firing


def test_a_rule_that_was_written_otherwise_is_told_as_it_was(tmp_path: Path) -> None:
    fires = note("rule fires", "ventilate", "porch/temperature > 25", 0)
    found = then(tmp_path, "ventilate", MINUTE, [*warm(0, HOUR, 26.0), fires])
    assert found.lost[0] == "how it was written in full: it fired by porch/temperature > 25"


def test_a_span_is_put_together_from_what_is_stored(tmp_path: Path) -> None:
    told = every(10, "porch/humidity", 40, start=0, end=HOUR) + every(
        10, "porch/humidity", 80, start=HOUR, end=2 * HOUR
    )
    found = then(tmp_path, "damp", HOUR + 5 * MINUTE, told)
    assert found.when.shown.startswith("60")
    found_later = found.sensors[0]
    assert (found_later.value, found_later.quality) == (80, "ok")


@pytest.mark.parametrize(("seconds", "limit"), [(10, 30), (120, 360), (3600, 10_800)])
def test_a_board_was_stale_by_its_own_rhythm(tmp_path: Path, seconds: int, limit: int) -> None:
    told = every(seconds, "porch/temperature", 20, start=0, end=12 * seconds * SECOND)
    newest = told[-1].at - MORNING
    found = then(tmp_path, "ventilate", newest + limit * SECOND + 1, told)
    (seen,) = found.sensors
    assert (seen.quality, seen.value, seen.age, seen.limit) == ("stale", 20, limit * SECOND + 1, limit * SECOND)
    assert found.truth is None


def test_of_a_sensor_that_fell_silent_the_journal_has_the_reason(tmp_path: Path) -> None:
    told: Told = [
        own("door", 0, True),
        own("door", MINUTE, None, Quality.FAULT),
        note("sensor failed", "door", "the line is busy", MINUTE),
    ]
    found = then(tmp_path, "open", 2 * MINUTE, told)
    assert (found.sensors[0].quality, found.sensors[0].error) == ("fault", "the line is busy")


def test_without_the_reason_the_fault_is_told_all_the_same(tmp_path: Path) -> None:
    found = then(tmp_path, "open", 2 * MINUTE, [own("door", MINUTE, None, Quality.FAULT)])
    assert (found.sensors[0].quality, found.sensors[0].error) == ("fault", "the reason is not known any more")


def test_outputs_are_where_the_history_says(tmp_path: Path) -> None:
    told: Told = [
        own("door", HOUR - SECOND, True),
        own("vent", 0, True),
        own("vent", HOUR, None, Quality.FAULT),
        note("decided", "vent", 'on: rule "ventilate"', SECOND),
    ]
    found = then(tmp_path, "open", HOUR - SECOND, told)
    assert (found.truth, found.firing) == (True, True)
    assert then_again(tmp_path, "open", HOUR, told).truth is None
    (vent,) = then_again(tmp_path, "ventilate", MINUTE, told).claims
    assert (vent.state, vent.why, vent.noted_at, vent.decides) == (True, 'on: rule "ventilate"', MORNING + SECOND, True)


def test_a_persons_command_is_the_journals_last_word(tmp_path: Path) -> None:
    told: Told = [own("vent", 0, False), note("command", "vent", "off by anna", 0)]
    (vent,) = then(tmp_path, "ventilate", MINUTE, told).claims
    assert (vent.state, vent.why, vent.decides) == (False, "command: off by anna", False)
    (vent,) = then_again(tmp_path, "ventilate", -MINUTE, told).claims
    assert (vent.state, vent.why, vent.noted_at) == (None, "", None)


def test_settings_are_as_they_were(tmp_path: Path) -> None:
    changes = [
        note("setting", "vent_at", "from 25 to 28 °C by anna", MINUTE),
        note("setting", "vent_at", "from 28 to 30 °C by anna", HOUR),
    ]
    told: Told = [*warm(0, 2 * HOUR, 27.0), *changes]
    assert then(tmp_path, "ventilate", 30 * SECOND, told).settings == (("vent_at", 25),)
    assert then_again(tmp_path, "ventilate", 30 * MINUTE, told).settings == (("vent_at", 28),)
    assert then_again(tmp_path, "ventilate", 90 * MINUTE, told).settings == (("vent_at", 30),)


def test_what_a_dead_band_did_not_store_is_not_stale(tmp_path: Path) -> None:
    told = every(600, "load", 4, start=0, end=3 * HOUR, kind=own)
    found = then(tmp_path, "busy", 2 * HOUR - SECOND, told)
    assert found.truth is True
    assert found.lost[1] == "what load said between stored readings: it stores what changes by 1"
    assert then_again(tmp_path, "busy", 4 * HOUR, told).truth is None


def test_times_of_day_are_those_of_that_day(tmp_path: Path) -> None:
    """MORNING is 15 June 2025, 15:06 UTC; the sun sets in Berlin at 19:30."""
    told = warm(0, 6 * HOUR)
    found = then(tmp_path, "evening", 4 * HOUR, told)
    assert "it is 19:06, sunset 19:30" in str(found.when.parts[0])
    assert found.firing
    assert not then_again(tmp_path, "evening", 2 * HOUR, told).firing


def test_no_more_readings_are_looked_at_than_a_small_computer_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "MOST", 100)
    found = then(tmp_path, "damp", HOUR, every(10, "porch/humidity", 60, start=0, end=HOUR))
    assert found.lost[1] == "what porch/humidity said before its newest 100 readings: these alone are looked at"
    assert found.truth is True


def then_again(folder: Path, name: str, at: Millis, told: Told) -> Explanation:
    """Ask once more, of a node of its own."""
    another = folder / f"{name}{at}"
    another.mkdir()
    return then(another, name, at, told)
