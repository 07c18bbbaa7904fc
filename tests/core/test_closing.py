"""When windows are closed, and which are made anew: told as stories, and by chance against the readings themselves."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.closing import AT_ONCE, GRACE, MOST_WAITING, Closed, Closing, Made, Stale, closed_until
from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.core.summaries import Revision, Said, Summary, revised
from outstation.core.summing import summarised
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Offset, Tier, Window, touched, window
from tests.core.rolled import rolled
from tests.core.story import AIR, PORCH, START
from tests.core.test_summaries import alike
from tests.core.test_windows import KOLKATA

REACH: Millis = 30_000
FIRST, SECOND, THIRD = (Window(START + number * FIVE_MINUTES, FIVE_MINUTES) for number in range(3))
THE_HOUR, THE_DAY = Window(START, HOUR), Window(START, DAY)


def utc(at: Millis) -> Millis:
    return 0


def closing_of(offset: Offset = utc, reach: Millis = REACH) -> Closing:
    return Closing(offset, lambda _: reach)


def own(second: float, value: Value | None = 20.0, *, sensor: str = AIR, quality: Quality = Quality.OK) -> Reading:
    at = START + round(second * 1000)
    return Reading(sensor, value, at, at - START, at, quality)


def sent(
    second: float, value: Value | None = 20.0, *, arrived: float | None = None, quality: Quality = Quality.OK
) -> Reading:
    at, here = START + round(second * 1000), START + round((second if arrived is None else arrived) * 1000)
    return Reading(PORCH, value, at, here - START, here, quality, sender_stamped=True)


def told(closing_: Closing, *readings: Reading) -> list[Made]:
    return [made for reading in readings for made in closing_.reading(reading)]


def at(second: float) -> Millis:
    return START + round(second * 1000)


def windows(made: list[Made]) -> list[Window]:
    """Return the windows that are to be made anew."""
    return [each.window for each in made if isinstance(each, Stale)]


def summaries(made: list[Made]) -> list[Summary]:
    return [each.summary for each in made if isinstance(each, Closed)]


# Closing.


def test_the_first_window_is_made_from_the_store_for_its_begin_was_not_heard() -> None:
    closing_ = closing_of()
    assert told(closing_, own(100), own(290)) == []
    assert told(closing_, own(300)) == [Stale(AIR, FIRST)]


def test_a_window_is_closed_by_the_first_reading_of_a_later_one() -> None:
    closing_ = closing_of()
    told(closing_, own(290), own(300, 21.0), own(590, 22.0))
    [closed] = told(closing_, own(600))
    assert isinstance(closed, Closed)
    wanted = summarised([SECOND], [(at(300), 21.0, 0), (at(590), 22.0, 0)], REACH, (at(290), 20.0, 0))
    assert (closed.sensor, closed.summary) == (AIR, next(wanted))


def test_or_by_a_tick_a_grace_after_its_end() -> None:
    closing_ = closing_of()
    assert closing_.next_due() is None
    told(closing_, own(290), own(300), own(310))
    assert closing_.next_due() == at(600) + GRACE
    assert closing_.tick(at(600) + GRACE - 1) == []
    [closed] = summaries(closing_.tick(at(600) + GRACE))
    assert (closed.window, closed.count, closed.heard) == (SECOND, 2, 40_000)


def test_a_sensor_that_fell_silent_has_windows_for_as_long_as_it_speaks_and_then_a_gap() -> None:
    closing_ = closing_of(reach=2 * FIVE_MINUTES)
    told(closing_, own(0), own(300, True))
    made = [closing_.tick(at(seconds)) for seconds in (610, 910, 1_210, 1_510)]
    assert [[(each.count, each.heard, each.on) for each in summaries(found)] for found in made] == [
        [(1, FIVE_MINUTES, FIVE_MINUTES)],
        [(0, FIVE_MINUTES, FIVE_MINUTES)],
        [],
        [],
    ]
    assert told(closing_, own(1_800)) == []
    assert [each.start for each in summaries(closing_.tick(at(2_110)))] == [at(1_800)]


def test_one_reading_after_a_long_while_closes_all_that_is_between() -> None:
    closing_ = closing_of(reach=2 * FIVE_MINUTES)
    told(closing_, own(0), own(300))
    assert [each.window for each in summaries(told(closing_, own(3_000)))] == [SECOND, THIRD]


def test_the_hour_and_the_day_are_made_when_their_parts_are() -> None:
    closing_ = closing_of()
    made: list[Made] = []
    for second in range(0, DAY // 1000, 60):
        made += [*told(closing_, own(second)), *closing_.tick(at(second))]
    made += closing_.tick(THE_DAY.end + GRACE)
    hours = [Window(START + number * HOUR, HOUR) for number in range(24)]
    assert windows(made) == [FIRST, *hours, THE_DAY]
    assert [each.start for each in summaries(made)] == list(range(SECOND.start, THE_DAY.end, FIVE_MINUTES))
    assert closing_.next_due() is None


def test_an_hour_that_is_in_two_days_has_both_made() -> None:
    closing_ = closing_of(KOLKATA)
    midnight = 18.5 * 3_600
    told(closing_, own(midnight - 1), own(midnight))
    made = closing_.tick(START + 3 * DAY)
    made += closing_.tick(START + 3 * DAY + GRACE)
    made += closing_.tick(START + 3 * DAY + 2 * GRACE)
    assert [each.width for each in windows(made)] == [HOUR, DAY, DAY]


def test_a_hub_closes_no_more_in_one_tick_than_it_has_time_for() -> None:
    closing_ = closing_of()
    names = [f"node-{number}/air" for number in range(AT_ONCE + 1)]
    told(closing_, *(own(second, sensor=name) for second in (0, 300) for name in names))
    assert len(closing_.tick(at(620))) == AT_ONCE
    assert closing_.next_due() == at(600) + GRACE
    assert len(closing_.tick(at(620))) == 1


def test_until_its_grace_is_over_a_window_is_not_said_to_be_closed() -> None:
    for tier, window_ in ((Tier.FIVE_MINUTES, FIRST), (Tier.HOUR, THE_HOUR), (Tier.DAY, THE_DAY)):
        assert closed_until(tier, window_.end + GRACE - 1, utc) == window_.start
        assert closed_until(tier, window_.end + GRACE, utc) == window_.end


# What comes late.


def test_late_readings_are_gathered_before_their_windows_are_made_anew() -> None:
    closing_ = closing_of()
    told(closing_, sent(0), sent(300), sent(900))
    closing_.tick(at(910))
    assert told(closing_, sent(310, arrived=920), sent(590, arrived=921), sent(320, arrived=922)) == []
    assert closing_.next_due() == at(920) + GRACE
    # The reading from second 590 speaks until 620.
    assert windows(closing_.tick(at(931))) == [SECOND, THIRD]


def test_a_late_reading_touches_nothing_beyond_the_newest() -> None:
    closing_ = closing_of(reach=DAY)
    told(closing_, sent(0), sent(299), sent(300))
    assert told(closing_, sent(290, arrived=310)) == []
    made = closing_.tick(at(610))
    assert windows(made) == [FIRST]
    assert [each.window for each in summaries(made)] == [SECOND]


def test_a_reading_late_within_the_open_window_has_it_made_from_the_store() -> None:
    closing_ = closing_of()
    told(closing_, sent(0), sent(310), sent(305, arrived=311))
    assert told(closing_, sent(600)) == [Stale(PORCH, SECOND)]
    assert len(summaries(told(closing_, sent(900)))) == 1


@pytest.mark.parametrize("value", [20.0, 21.0])
def test_the_newest_reading_sent_again_or_corrected_has_its_window_made_from_the_store(value: float) -> None:
    closing_ = closing_of()
    told(closing_, sent(0), sent(310), sent(310, value), sent(320))
    assert told(closing_, sent(600)) == [Stale(PORCH, SECOND)]
    assert len(summaries(told(closing_, sent(900)))) == 1


def test_a_correction_of_the_newest_holds_in_the_windows_after_it() -> None:
    closing_ = closing_of(reach=2 * FIVE_MINUTES)
    told(closing_, sent(0), sent(310), sent(310, True))
    made = [each for second in (610, 910, 1_210) for each in closing_.tick(at(second))]
    assert windows(made) == [SECOND, THIRD, Window(THIRD.end, FIVE_MINUTES)]


def test_readings_that_this_server_stamped_may_share_a_millisecond() -> None:
    closing_ = closing_of()
    told(closing_, own(0), own(310), own(310))
    assert [each.count for each in summaries(told(closing_, own(600)))] == [2]


def test_a_first_reading_on_the_very_start_of_a_window_is_new() -> None:
    closing_ = closing_of()
    told(closing_, sent(299))
    closing_.tick(at(310))
    assert told(closing_, sent(300, arrived=311)) == []
    assert [each.count for each in summaries(told(closing_, sent(600)))] == [1]


def test_a_window_that_ended_is_late_although_nothing_came_since() -> None:
    closing_ = closing_of()
    told(closing_, sent(0), sent(310))
    closing_.tick(at(610))
    assert told(closing_, sent(400, arrived=612)) == []
    assert windows(closing_.tick(at(622))) == [SECOND]


def test_after_a_clock_that_leapt_ahead_all_is_late_and_right() -> None:
    closing_ = closing_of()
    told(closing_, own(0), own(20 * 365 * DAY / 1000), own(10), own(310))
    assert windows(closing_.tick(at(610)))[:2] == [FIRST, SECOND]


def test_made_up_times_do_not_fill_the_memory() -> None:
    closing_ = closing_of()
    told(closing_, sent(5_000_000))
    late = [sent(300 * number, arrived=5_000_000) for number in range(MOST_WAITING + 9)]
    made = windows(told(closing_, *late))
    # Made at once, and so are the hour and the day, where these do not wait already.
    assert {each for each in made if each.width == FIVE_MINUTES} == {
        window(Tier.FIVE_MINUTES, each.at, utc) for each in late[-10:]
    }
    assert len(closing_._waiting) == MOST_WAITING


# What is stamped anew.


def test_what_was_stamped_anew_leaves_its_windows_and_comes_to_others() -> None:
    closing_ = closing_of()
    told(closing_, own(0), own(10))
    closing_.learn(AIR, START + HOUR + 10_000, START + HOUR + 11_000)
    for start in (START, START + HOUR):
        assert closing_.touch(AIR, start, start + 10_000, START + HOUR + 11_000) == []
    now = START + HOUR + FIVE_MINUTES
    made = [*closing_.tick(now + GRACE), *closing_.tick(now + 2 * GRACE)]
    assert windows(made) == [FIRST, Window(START + HOUR, FIVE_MINUTES), THE_HOUR]


def test_after_a_start_what_is_older_than_the_newest_is_late() -> None:
    closing_ = closing_of()
    assert closing_.learn(PORCH, at(610), at(611)) == []
    assert told(closing_, sent(310, arrived=611), sent(611), sent(900)) == [Stale(PORCH, THIRD)]
    assert windows(closing_.tick(at(621))) == [SECOND]
    assert len(summaries(told(closing_, sent(1_200)))) == 1


# By chance: whatever happens, what is stored in the end is what the readings say.


class Shop:
    """A store in a dict, that does what a Closing says. Everything is of one sensor."""

    def __init__(self, offset: Offset, reach: Millis) -> None:
        self.offset, self.reach = offset, reach
        self.closing = closing_of(offset, reach)
        self.now = START
        self.readings: dict[tuple[Millis, int], Said] = {}
        self.lately: list[Millis] = []
        self.count = 0
        self.sent: dict[Millis, int] = {}
        self.stored: dict[Window, Revision] = {}

    def hear(self, reading: Reading) -> None:
        number = self.count = self.count + 1
        if reading.sender_stamped:
            # The same, or a correction, takes the place of the one before.
            number = self.sent.setdefault(reading.at, number)
        self.readings[reading.at, number] = (reading.at, reading.value, reading.quality)
        self.lately.append(reading.at)
        self.do(list(self.closing.reading(reading)))

    def wait(self, time: Millis) -> None:
        end = self.now + time
        while (due := self.closing.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.do(self.closing.tick(self.now))
        self.now = end

    def restart(self) -> None:
        """Begin anew, with all that may not have been made: since the newest summary, and of what came lately."""
        self.closing = closing_of(self.offset, self.reach)
        self.learn()
        fives = [each.start for each in self.stored if each.tier is Tier.FIVE_MINUTES]
        newest = max((time for time, _ in self.readings), default=START)
        self.do(self.closing.touch(AIR, min(max(fives, default=START), newest), newest, self.now))
        for time in self.lately:
            self.do(self.closing.touch(AIR, time, time, self.now))

    def stamp_anew(self, by: Millis) -> None:
        own_ = {key: said for key, said in self.readings.items() if key[1] not in self.sent.values()}
        if not own_:
            return
        for (time, number), (_, value, quality) in own_.items():
            del self.readings[time, number]
            self.readings[time + by, number] = (time + by, value, quality)
            self.lately += [time, time + by]
        first, last = min(own_)[0], max(own_)[0]
        for begin, end in ((first, last), (first + by, last + by)):
            self.do(self.closing.touch(AIR, begin, end, self.now))
        self.learn()

    def learn(self) -> None:
        if self.readings:
            self.do(self.closing.learn(AIR, max(time for time, _ in self.readings), self.now))

    def do(self, made: list[Made]) -> None:
        for each in made:
            if isinstance(each, Closed):
                assert each.summary == self.raw(each.summary.window)
                self.keep(each.summary)
            elif each.window.tier is Tier.FIVE_MINUTES:
                self.keep(self.raw(each.window))
            else:
                self.keep(self.rolled(each.window))

    def keep(self, summary: Summary) -> None:
        row = revised(self.stored.get(summary.window), summary)
        if row is not None:
            self.stored[summary.window] = row

    def raw(self, window_: Window) -> Summary:
        all_ = [said for _, said in sorted(self.readings.items(), key=lambda found: found[0])]
        before = [said for said in all_ if said[0] < window_.start]
        inside = [said for said in all_ if window_.start <= said[0] < window_.end]
        return next(summarised([window_], inside, self.reach, before[-1] if before else None))

    def rolled(self, window_: Window) -> Summary:
        return rolled(window_, {key: each.summary for key, each in self.stored.items()}, self.offset)


class Step(msgspec.Struct, frozen=True):
    """Something that happens: a reading `back` before now, a while, a restart, or readings stamped anew."""

    kind: str
    time: Millis
    value: Value | None
    quality: Quality


steps = st.builds(
    Step,
    st.sampled_from(["own"] * 6 + ["sent"] * 3 + ["late"] * 2 + ["wait", "restart", "anew"]),
    st.integers(0, 90_000) | st.integers(0, HOUR) | st.sampled_from([0, 1, 60_000, FIVE_MINUTES]),
    st.floats(-50, 50) | st.booleans() | st.none() | st.just("wet"),
    st.just(Quality.OK) | st.sampled_from(Quality),
)


def happen(shop: Shop, step: Step) -> None:
    match step.kind:
        case "own" | "sent":
            shop.wait(step.time)
            here, is_sent = shop.now, step.kind == "sent"
            shop.hear(Reading(AIR, step.value, here, here, here, step.quality, sender_stamped=is_sent))
        case "late":
            here = shop.now
            shop.hear(Reading(AIR, step.value, here - step.time, here, here, step.quality, sender_stamped=True))
        case "wait":
            shop.wait(step.time * 3)
        case "restart":
            shop.restart()
        case _:
            shop.stamp_anew(step.time if step.value else -step.time)


@given(st.lists(steps, max_size=25), st.sampled_from([utc, KOLKATA]), st.sampled_from([1, 30_000, 700_000]))
def test_whatever_happens_the_summaries_are_those_of_the_readings(
    story: list[Step], offset: Offset, reach: Millis
) -> None:
    shop = Shop(offset, reach)
    for step in story:
        happen(shop, step)
    shop.wait(3 * DAY)
    assert shop.closing.next_due() is None
    times = [time for time, _ in shop.readings]
    wanted = {each for time in times for each in touched(time, time, reach)} | shop.stored.keys()
    for tier in (Tier.HOUR, Tier.DAY):
        wanted |= {window(tier, each.start, offset) for each in wanted}
    for each in wanted:
        truth, row = shop.raw(each), shop.stored.get(each)
        if row is None:
            assert truth.is_empty
        else:
            alike(row.summary, truth)
