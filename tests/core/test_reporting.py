"""What a hub makes of a node that reports: followed, sent back, or refused for good."""

from __future__ import annotations

import math
from typing import Any

import pytest

from outstation.core import reporting
from outstation.core.readings import Millis
from outstation.core.reporting import Standing, Step, Verdict, followed
from outstation.core.summaries import Number, Numbers, Summary
from outstation.core.windows import FIVE_MINUTES

START: Millis = 1_750_000_200_000


class Hub:
    """A hub that hears steps, and gives tokens t1, t2, ..."""

    def __init__(self) -> None:
        self.standing, self.given, self.asks_from = Standing(), 0, 0

    def hear(
        self, epoch: str, after: int, upto: int, token: str = "", before: tuple[str, ...] = (), sent_at: Millis = START
    ) -> tuple[Verdict, str]:
        """Return the verdict, and the token of the receipt."""
        self.given += 1
        step = Step(epoch, before, token, after, upto, sent_at)
        verdict, standing = followed(self.standing, step, f"t{self.given}", at=START)
        if verdict == "behind":
            self.asks_from = standing.cursor
        else:
            self.standing = standing
        return verdict, self.standing.issued


def test_who_returns_the_token_of_the_last_receipt_goes_on() -> None:
    hub = Hub()
    assert hub.hear("a", 0, 10) == ("goes on", "t1")
    assert hub.hear("a", 10, 20, "t1") == ("goes on", "t2")
    assert hub.standing.cursor == 20


def test_an_answer_that_was_lost_is_no_trouble() -> None:
    hub = Hub()
    hub.hear("a", 0, 10)
    assert hub.hear("a", 10, 20, "t1") == ("goes on", "t2")
    assert hub.hear("a", 10, 25, "t1") == ("goes on", "t3")
    assert hub.hear("a", 25, 30, "t3") == ("goes on", "t4")
    assert hub.standing.cursor == 30


def test_a_cursor_never_goes_back_within_an_epoch() -> None:
    hub = Hub()
    hub.hear("a", 0, 10)
    hub.hear("a", 10, 20, "t1")
    assert hub.hear("a", 10, 15, "t1")[0] == "goes on"
    assert hub.standing.cursor == 20


def test_a_gap_is_no_step() -> None:
    hub = Hub()
    hub.hear("a", 0, 10)
    assert hub.hear("a", 11, 20, "t1") == ("behind", "t1")
    assert hub.standing.cursor == 10


def test_a_node_that_was_restored_takes_a_new_epoch_and_goes_on() -> None:
    hub = Hub()
    for number in range(3):
        hub.hear("a", 10 * number, 10 * number + 10, f"t{number}" if number else "")
    assert hub.hear("a", 10, 12, "t1")[0] == "behind"
    assert hub.hear("b", 10, 12, "t1", ("a",))[0] == "goes on"
    assert (hub.standing.epoch, hub.standing.cursor, hub.standing.ancestors) == ("b", 12, ("a",))


def test_a_hub_that_was_restored_asks_for_what_it_lost() -> None:
    hub = Hub()
    hub.hear("a", 0, 10)
    backup = hub.standing
    hub.hear("a", 10, 20, "t1")
    hub.hear("a", 20, 30, "t2")
    hub.standing = backup
    assert hub.hear("a", 30, 40, "t3")[0] == "behind"
    assert (hub.standing.cursor, hub.asks_from) == (10, 10)
    assert hub.hear("b", 10, 40, "t3", ("a",))[0] == "goes on"


def test_so_it_does_where_the_node_has_begun_another_epoch_since_then() -> None:
    hub = Hub()
    hub.hear("a", 0, 10)
    assert hub.hear("b", 30, 40, "t9", ("a",))[0] == "behind"
    assert hub.hear("b", 10, 40, "t9", ("a",))[0] == "goes on"


def test_numbers_of_epochs_that_do_not_follow_one_another_say_nothing() -> None:
    """A node was restored twice, or once and then its hub: what the hub has up to a number may be another story."""
    hub = Hub()
    hub.hear("a", 0, 10)
    assert hub.hear("c", 8, 9, "t9", ("b", "a"))[0] == "behind"
    assert hub.asks_from == 0
    assert hub.hear("c", 0, 9, "t9", ("b", "a"))[0] == "goes on"
    assert hub.hear("d", 8, 9, "t9", ("b", "a"))[0] == "behind"
    assert hub.hear("a", 8, 9, "t1")[0] == "behind"
    assert (hub.asks_from, hub.standing.cursor) == (0, 9)


def test_what_was_overtaken_on_its_way_is_not_taken() -> None:
    """A node gave up waiting, and sent another batch in the place of one that was still under way."""
    hub = Hub()
    hub.hear("a", 0, 10)
    assert hub.hear("a", 10, 12, "t1", sent_at=START + 9) == ("goes on", "t2")
    assert hub.hear("a", 10, 11, "t1", sent_at=START + 8) == ("behind", "t2")
    assert hub.hear("a", 12, 13, "t2", sent_at=START - 60_000)[0] == "goes on"  # the node's clock was set back


def test_a_hub_that_knows_nothing_any_more_asks_for_all() -> None:
    hub = Hub()
    assert hub.hear("a", 30, 40, "t9")[0] == "behind"
    assert hub.hear("b", 0, 40, "t9", ("a",))[0] == "goes on"


def test_a_new_uplink_begins_where_its_node_is() -> None:
    assert Hub().hear("a", 500, 501)[0] == "goes on"


def test_a_file_that_was_begun_anew_is_followed_from_its_beginning() -> None:
    hub = Hub()
    hub.hear("a", 0, 1_000)
    assert (hub.hear("z", 3, 4)[0], hub.asks_from) == ("behind", 0)
    assert hub.hear("z", 0, 4)[0] == "goes on"
    assert (hub.standing.cursor, hub.standing.others) == (4, ("a",))


def test_two_with_one_card_are_found_out_and_never_merged() -> None:
    hub = Hub()
    hub.hear("a", 0, 10)
    assert hub.hear("a", 10, 20, "t1")[0] == "goes on"  # the one
    assert hub.hear("a", 10, 18, "t1")[0] == "goes on"  # the other: it may be a lost answer
    assert hub.hear("a", 20, 30, "t2")[0] == "behind"  # the one, which takes a new epoch
    assert hub.hear("one", 20, 30, "t2", ("a",))[0] == "goes on"
    assert hub.hear("a", 18, 28, "t3")[0] == "behind"  # the other, which does the same
    assert hub.hear("other", 0, 28, "t3", ("a",))[0] == "goes on"
    assert hub.hear("one", 30, 40, "t5", ("a",))[0] == "cloned"
    assert hub.standing.cloned == START
    for epoch in ("one", "other", "third"):
        assert hub.hear(epoch, 0, 100, before=("one", "other", "a"))[0] == "cloned"


def test_what_was_long_under_way_is_no_second_sender() -> None:
    hub = Hub()
    hub.hear("a", 0, 10)
    hub.hear("z", 0, 4, sent_at=START + 9)
    assert (hub.hear("a", 10, 20, "t1", sent_at=START + 8)[0], hub.asks_from) == ("behind", 0)
    assert hub.hear("z", 4, 5, "t2", sent_at=START + 10)[0] == "goes on"
    assert hub.hear("a", 10, 20, "t1", sent_at=START + 11)[0] == "cloned"


def test_epochs_of_long_ago_are_forgotten() -> None:
    hub = Hub()
    for number in range(40):
        hub.hear(f"e{number}", 0, 1)
    assert len(hub.standing.others) == reporting.EPOCHS


def test_silence_is_three_reports_missed_and_no_less_than_three_minutes() -> None:
    assert reporting.silent_after(300_000) == 900_000
    assert reporting.silent_after(10_000) == 180_000


def test_what_is_older_than_three_batches_is_history() -> None:
    assert not reporting.is_history(START, START + 3 * FIVE_MINUTES, 10_000)
    assert reporting.is_history(START, START + 3 * FIVE_MINUTES + 1, 10_000)
    assert not reporting.is_history(START, START + 3 * FIVE_MINUTES + 1, 600_000)


@pytest.mark.parametrize(
    ("sensor", "name"),
    [
        ("air", "g-1/air"),
        ("porch/temperature", "g-1/porch.temperature"),
        ("barn-2/porch.temp", "g-1/barn-2.porch.temp"),
        ("", ""),
        ("Air", ""),
        ("../air", ""),
        ("air ", ""),
        ("=1+1", ""),
        ("a" * 65, ""),
    ],
)
def test_a_sensor_of_a_node_has_a_name_here(sensor: str, name: str) -> None:
    assert reporting.name("g-1", sensor) == name


def summary(start: Millis = START, width: Millis = FIVE_MINUTES, heard: Millis = 1_000, **fields: Any) -> Summary:
    rest = {name: fields.pop(name) for name in ("on", "texts", "bad") if name in fields}
    numbers: dict[str, Any] = {
        "count": 2, "mean": 1.5, "squares": 0.5, "lowest": 1, "highest": 2, "first": 1, "last": 2,
        "first_at": start, "last_at": start + 1,
    }  # fmt: skip
    return Summary(start, width, Numbers(**{**numbers, **fields}), heard, **rest)


@pytest.mark.parametrize(
    "good",
    [
        summary(),
        summary(on=1_000, texts=3, bad=(0, 1, 0, 2)),
        summary(lowest=0.1, highest=0.1, first=0.1, last=0.1, mean=0.1 + 1e-17),
        summary(lowest=False, highest=True, first=False, last=True, mean=0.5),
        Summary(START, FIVE_MINUTES),
    ],
)
def test_what_can_be_is_taken(good: Summary) -> None:
    assert reporting.fault(good, FIVE_MINUTES, START) == ""


_HUGE: Number = 2**63


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (summary(width=60_000), "width"),
        (summary(START + 1), "begin"),
        (summary(-FIVE_MINUTES), "begin"),
        (summary(START + 900_000), "future"),
        (summary(heard=FIVE_MINUTES + 1), "heard"),
        (summary(heard=-1), "heard"),
        (summary(on=1_001), "on"),
        (summary(texts=-1), "counts"),
        (summary(bad=(0, 0)), "counts"),
        (summary(bad=(0, 0, -1, 0)), "counts"),
        (summary(count=-1), "numbers"),
        (summary(mean=math.nan), "numbers"),
        (summary(squares=math.inf), "numbers"),
        (summary(squares=-1.0), "numbers"),
        (summary(highest=math.inf), "numbers"),
        (summary(highest=_HUGE), "numbers"),
        (summary(mean=3.0), "mean"),
        (summary(lowest=3, mean=3.0), "min and max"),
        (summary(last=3), "first and last"),
        (summary(first_at=START - 1), "order"),
        (summary(last_at=START + FIVE_MINUTES), "order"),
        (summary(first_at=START + 2), "order"),
    ],
)
def test_what_cannot_be_is_named(wrong: Summary, why: str) -> None:
    assert why in reporting.fault(wrong, FIVE_MINUTES, START)


def test_the_future_is_judged_by_a_clock_that_is_right() -> None:
    ahead = START + 100 * FIVE_MINUTES
    assert reporting.fault(summary(ahead), FIVE_MINUTES, None) == ""
    assert "future" in reporting.fault(summary(ahead), FIVE_MINUTES, START)
