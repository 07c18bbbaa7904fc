"""What an answer means, and how long to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.delivery import (
    LONGEST,
    LONGEST_ASKED,
    LONGEST_BATCH,
    SELDOM,
    Answer,
    Item,
    jittered,
    judge,
    judge_uplink,
    own_moment,
    piece,
    told,
)
from outstation.core.summaries import Summary

UNREACHED = Answer(None, "it could not be reached")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_receipt(status: int) -> None:
    assert judge(1, Answer(status), 0.5).then == "done"


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 413, 415, 422, 451, 499])
def test_what_will_never_be_taken_makes_room(status: int) -> None:
    assert judge(1, Answer(status), 0.5).then == "park"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 408, 425, 429, 500, 502, 503, 504, 511, 600, 999, 0])
def test_what_may_pass_is_tried_again_for_ever(status: int) -> None:
    for attempt in (1, 10, 10**9):
        verdict = judge(attempt, Answer(status), 0.5)
        assert verdict.then == "again"
        assert not verdict.urgent


@pytest.mark.parametrize("answer", [Answer(401), Answer(403), Answer(None, "metadata", refused=True)])
def test_what_a_person_must_mend_is_kept_tried_seldom_and_said(answer: Answer) -> None:
    verdict = judge(1, answer, 0.5)
    assert (verdict.then, verdict.after, verdict.urgent) == ("again", SELDOM, True)


def test_waits_double_from_a_second_to_a_minute() -> None:
    most = [jittered(attempt, 0.999999) for attempt in range(1, 10)]
    assert [round(wait, -2) for wait in most] == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]
    assert {jittered(attempt, 0.0) for attempt in range(1, 10)} == {0}


@given(st.integers(min_value=1), st.floats(min_value=0, max_value=1, exclude_max=True))
def test_no_wait_is_ever_longer(attempt: int, chance: float) -> None:
    assert 0 <= judge(attempt, UNREACHED, chance).after <= LONGEST


@pytest.mark.parametrize(
    ("asked", "after"), [(None, 500), (0, 500), (200, 500), (7_000, 7_000), (90_000, 90_000), (10**9, LONGEST_ASKED)]
)
def test_retry_after_is_obeyed_within_reason(asked: int | None, after: int) -> None:
    assert judge(1, Answer(503, retry_after=asked), 0.5).after == after
    assert judge(1, Answer(429, retry_after=asked), 0.5).after == after


@pytest.mark.parametrize("status", [404, 405, 407, 410, 421, 511])
def test_a_wrong_url_parks_no_summary(status: int) -> None:
    verdict = judge_uplink(1, Answer(status), 0.5)
    assert (verdict.then, verdict.after, verdict.urgent) == ("again", SELDOM, True)


@pytest.mark.parametrize(
    ("status", "advice"), [(401, " (is its key right?)"), (404, " (is its URL right?)"), (511, ""), (503, "")]
)
def test_a_person_is_told_what_to_look_at(status: int, advice: str) -> None:
    assert told(Answer(status, f"it answered {status}")) == f"it answered {status}{advice}"


def test_an_uplink_is_judged_as_a_receiver_but_waits_longer() -> None:
    assert judge_uplink(1, Answer(422), 0.5).then == "park"
    assert judge_uplink(1, Answer(200), 0.5).then == "done"
    assert judge_uplink(20, Answer(503), 0.5, LONGEST_BATCH).after == LONGEST_BATCH // 2


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=12), st.integers(1, 5), st.integers(0, 9))
def test_pieces_are_all_of_it_and_claim_nothing_that_is_left(
    packs: list[tuple[int, int]], limit: int, beyond: int
) -> None:
    numbers, number = list[int](), 5
    for gap, length in packs:
        number += 1 + gap
        numbers += [number] * length
    left = [Item(one, "air", Summary(0, 300_000)) for one in numbers]
    after, passed = 5, list[Item]()
    while left:
        part, upto = piece(left, limit, after, number + beyond)
        passed, left = [*passed, *part], left[len(part) :]
        assert 0 < len(part) <= limit
        assert after <= upto
        assert all(item.number > upto for item in left)
        assert all(item.number <= upto for item in passed) or left[0].number == passed[-1].number
        after = upto
    assert [item.number for item in passed] == numbers
    assert not passed or after == number + beyond


def test_nothing_is_a_piece_as_well() -> None:
    assert piece((), 10, 4, 9) == ((), 9)


@given(st.floats(0, 1, exclude_max=True))
def test_nodes_report_at_moments_of_their_own(chance: float) -> None:
    assert 0 <= own_moment(chance, 300_000) < 60_000
    assert 0 <= own_moment(chance, 10_000) < 2_000
