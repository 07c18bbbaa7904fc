"""When a condition could change by itself: never later than said."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from outstation.core.conditions import Condition, Local, evaluate, next_aging, next_change, parse
from outstation.core.conditions.tree import (
    QUALITIES,
    SIGNS,
    Age,
    Arithmetic,
    Between,
    Compare,
    Decision,
    Duration,
    Number,
    QualityIs,
    Quantity,
    Sensor,
    Span,
    State,
    walk,
)
from outstation.core.readings import Level, Millis, Value
from outstation.core.spans import Spans, Statistics
from tests.core.conditions_drawn import SENSORS, dailies, days, joined, sums
from tests.core.seen import Seen
from tests.core.story import DAY, HOUR, MINUTE, ms

# Times of day.


@pytest.mark.parametrize(
    ("text", "hour", "minute", "wanted"),
    [
        ("between 18:20 and 08:00", 18, 0, 20),
        ("between 18:20 and 08:00", 18, 20, 40),
        ("between 18:20 and 08:00", 7, 59, 1),
        ("between 18:20 and 08:00", 12, 30, 30),
        ("between sunset - 10m and 08:00", 17, 0, 54),
        ("weekday is monday and air > 3", 23, 58, 2),
        ("air > 3 or weekday between monday and friday", 12, 0, 60),
    ],
)
def test_a_time_of_day_comes_in_so_many_minutes(text: str, hour: int, minute: int, wanted: int) -> None:
    local = Local(hour * 60 + minute, 0, 6 * 60, 18 * 60 + 4)
    assert next_change(parse(text), local) == wanted


def test_it_looks_again_at_every_full_hour_where_clocks_are_put_forward() -> None:
    assert next_change(parse("between 03:15 and 08:00"), Local(90, 6)) == 30


def test_where_the_sun_does_not_set_the_next_hour_is_soon_enough() -> None:
    assert next_change(parse("between sunset and sunrise"), Local(90, 6)) == 30


def test_without_a_time_of_day_the_clock_changes_nothing() -> None:
    assert next_change(parse("air > 30 and age(air) < 2m"), Local(90, 6)) is None


# Ages and silence.


def due(
    text: str, *, age: Millis | None = None, fresh: Millis | None = None, steady: Millis | None = None
) -> Millis | None:
    seen = Seen({"air": 20, "x": 2, "zero": 0}, ages={"x": 60_000} if age is None else {"air": age, "x": 60_000})
    seen.fresh = {} if fresh is None else {"air": fresh}
    seen.steady = {} if steady is None else {"air": steady}
    return next_aging(parse(text), seen)


@pytest.mark.parametrize(
    "text", ["air > 30", "30 > air - 1", "air between 1 and 2", "3 between -air and 9", "air is on"]
)
def test_a_sensor_goes_stale(text: str) -> None:
    assert due(text, fresh=4_000) == 4_000
    assert due(text) is None


def test_a_quality_changes_when_its_sensor_goes_stale() -> None:
    assert due("quality(air) is ok", fresh=4_000) == 4_000


def test_readings_leave_a_span() -> None:
    assert due("mean(air, 10m) > 30", steady=500) == 500
    assert due("count(air, 10m) > 30", steady=500) == 500


def test_the_soonest_counts() -> None:
    assert due("age(air) > 2m and air > 3", age=100_000, fresh=30_000) == 20_000
    assert due("age(air) > 2m and air > 3", age=100_000, fresh=10_000) == 10_000


@pytest.mark.parametrize(
    ("text", "age", "wanted"),
    [
        ("age(air) > 2m", 100_000, 20_000),
        ("age(air) > 2m", 120_000, 1),
        ("age(air) > 2m", 120_001, None),
        ("2m < age(air)", 100_000, 20_000),
        ("age(air) + 1m > 2m", 40_000, 20_000),
        ("age(air) - 1m > 2m", 170_000, 10_000),
        ("-age(air) < -2m", 100_000, 20_000),
        ("age(air) * 2 > 4m", 100_000, 20_000),
        ("2 * age(air) > 4m", 100_000, 20_000),
        ("age(air) * x > 4m", 100_000, 20_000),
        ("age(air) / 2 > 1m", 100_000, 20_000),
        ("age(air) / 1m > 2", 100_000, 19_999),  # Too early by what the division lost.
        ("age(air) between 1m and 2m", 30_000, 30_000),
        ("age(air) between 1m and 2m", 90_000, 30_000),
        ("age(air) > age(x)", 100_000, None),
        ("age(air) > 2m", None, None),
        ("age(air) * 2 > 4m", None, None),
        ("age(air) / zero > 2m", 100_000, None),
        ("age(air) - nobody > 2m", 100_000, None),
        ("-nobody > age(air)", 100_000, None),
        ("age(air) * age(x) > 2m", 100_000, 1_000),
        ("1 / age(air) > 2m", 100_000, 1_000),
        ("min(age(air), 5m) > 2m", 100_000, 1_000),
        ("min(age(air) / 1m, log(zero)) > 2", 100_000, None),
        ("abs(x) > 2", 100_000, None),
    ],
)
def test_an_age_grows(text: str, age: Millis | None, wanted: Millis | None) -> None:
    assert due(text, age=age) == wanted


def test_nobody_is_woken_in_a_hundred_years() -> None:
    assert due("age(air) > 36500d", age=0) is None


# Until then nothing changes.


class Silence:
    """A world in which nobody says anything any more, at `now` of it: sensors grow old, and the day goes on."""

    def __init__(self, said: dict[str, tuple[Millis, Value, Millis]], midnight: Millis) -> None:
        self._said, self._midnight = said, midnight
        self.now: Millis = 0

    def value(self, name: str) -> Value | None:
        return self._said[name][1] if self.fresh_for(name) else None

    def level(self, actuator: str) -> Level | None:
        return None

    def setting(self, name: str) -> float:
        return 1

    def age(self, name: str) -> Millis | None:
        return self.now - self._said[name][0] if name in self._said else None

    def quality(self, name: str) -> str:
        if name not in self._said:
            return "unseen"
        return "ok" if self.fresh_for(name) else "stale"

    def fresh_for(self, name: str) -> Millis | None:
        if name not in self._said:
            return None
        measured, _, limit = self._said[name]
        return max(0, measured + limit + 1 - self.now) or None

    def _spans(self, name: str, span: Millis) -> Spans:
        spans = Spans([span])
        measured, _, limit = self._said.get(name, (0, 0, 0))
        for number in range(8 if name in self._said else 0):
            spans.add(measured - (7 - number) * limit // 2, number, reach=limit)
        return spans

    def count(self, name: str, span: Millis) -> int:
        return self._spans(name, span).count(span, self.now)

    def span(self, name: str, span: Millis) -> Statistics | None:
        return self._spans(name, span).statistics(span, self.now)

    def steady_for(self, name: str, span: Millis) -> Millis | None:
        return self._spans(name, span).steady_for(span, self.now)

    def local(self) -> Local:
        minutes = (self._midnight + self.now) // 60_000
        return Local(minutes % 1440, minutes // 1440 % 7, 400, 1100)

    def next_minute(self, minutes: int) -> Millis:
        return minutes * 60_000 - (self._midnight + self.now) % 60_000


some = st.builds(Sensor, st.sampled_from(SENSORS[:3]))
lengths = st.sampled_from([0, 1, 500, 30_000, 60_000, 61_234, ms(HOUR)])
durations = sums(st.builds(Duration, lengths) | st.builds(Age, some), "+-")
scaled = st.builds(Arithmetic, st.sampled_from("*/"), durations, st.builds(Number, st.sampled_from([1, 2, 7, 0.3])))
statistics = st.builds(
    Span, st.sampled_from(["mean", "count", "change", "rate"]), some, st.sampled_from([60_000, 600_000])
)
levels: st.SearchStrategy[Quantity] = st.builds(Number, st.integers(0, 8)) | some | statistics
signs = st.sampled_from(SIGNS)
aging: st.SearchStrategy[Decision] = st.one_of(
    st.builds(Compare, signs, durations | scaled, durations | scaled),
    st.builds(Between, durations, durations, durations),
    st.builds(Compare, signs, levels, levels),
    st.builds(State, some, st.booleans()),
    st.builds(QualityIs, some, st.sampled_from(QUALITIES), st.booleans()),
    dailies,
    days,
)
said = st.dictionaries(
    st.sampled_from(SENSORS[:3]),
    st.tuples(
        st.integers(-ms(2 * HOUR), 0) | st.integers(-ms(2 * MINUTE), 0),
        st.integers(0, 8) | st.booleans(),
        st.sampled_from([ms(30), ms(60), ms(15 * MINUTE)]),
    ),
)


@given(
    st.recursive(aging, joined, max_leaves=3), said, st.integers(0, ms(7 * DAY)), st.lists(st.floats(0, 1), max_size=4)
)
def test_until_then_nothing_changes(
    root: Decision, said_before: dict[str, tuple[Millis, Value, Millis]], midnight: Millis, parts: list[float]
) -> None:
    condition, world = Condition("", root), Silence(said_before, midnight)
    before = evaluate(condition, world)
    waits = [next_aging(condition, world)]
    minutes = next_change(condition, world.local())
    waits.append(None if minutes is None else world.next_minute(minutes))
    wait = min((one for one in waits if one is not None), default=ms(DAY))
    # Whether enough of a span is heard is looked at once a second.
    assume(wait > 1_000 or not any(isinstance(node, Span) for node in walk(root)))
    for part in [*parts, 1.0]:
        world.now = int(part * (wait - 1))
        assert evaluate(condition, world) is before
