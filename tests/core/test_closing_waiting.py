"""What waits to be made anew: known to whoever must not lose it, and changed by readings that come meanwhile."""

from __future__ import annotations

from outstation.core.readings import Quality
from outstation.core.windows import FIVE_MINUTES
from tests.core.story import AIR, PORCH
from tests.core.test_closing import FIRST, SECOND, THE_HOUR, THIRD, at, closing_of, sent, told, windows


def test_a_reading_for_a_closed_window_that_is_the_newest_changes_what_speaks_after_it() -> None:
    closing_ = closing_of(reach=2 * FIVE_MINUTES)
    told(closing_, sent(0), sent(310))
    closing_.tick(at(610))
    assert told(closing_, sent(320, quality=Quality.FAULT, arrived=612)) == []
    assert windows(closing_.tick(at(910))) == [SECOND, THIRD]
    # And so does one for a window that was made from the store, since nothing else of it had been heard.
    closing_.learn(PORCH, at(1_210), at(1_211))
    closing_.tick(at(1_811))
    assert told(closing_, sent(1_220, quality=Quality.FAULT, arrived=1_812)) == []
    assert [each.start for each in windows(closing_.tick(at(1_822)))] == [at(1_200), at(1_500)]


def test_what_waits_is_named_once_so_that_it_outlives_a_kill() -> None:
    closing_ = closing_of()
    told(closing_, sent(0), sent(310), sent(20, arrived=311), sent(30, arrived=312))
    assert closing_.put_off == {(PORCH, FIRST), (PORCH, THE_HOUR)}
    assert closing_.waits_for(PORCH, FIRST)
    assert not closing_.waits_for(AIR, FIRST)
    closing_.put_off.clear()
    closing_.learn(PORCH, at(900), at(901))
    # The open one is no longer what it was.
    assert (PORCH, SECOND) in closing_.put_off


def test_a_window_whose_turn_comes_before_the_open_one_closes_that_first() -> None:
    """Windows wait in the order of their time; one that another sensor has waited for longer may come first."""
    closing_ = closing_of(reach=1)
    closing_.touch(AIR, at(300), at(300), at(300))
    closing_.touch(PORCH, at(300), at(300), at(300))
    told(closing_, sent(0, arrived=900))
    assert {FIRST, SECOND} <= set(windows(closing_.tick(at(610))))
    assert told(closing_, sent(310, arrived=911)) == []
    assert closing_.waits_for(PORCH, SECOND)


def test_the_newest_once_more_after_a_start_is_made_from_the_store() -> None:
    closing_ = closing_of()
    closing_.learn(PORCH, at(310), at(311))
    assert told(closing_, sent(310, 21.0, arrived=312), sent(620)) == []
    assert windows(closing_.tick(at(622))) == [SECOND]
