"""Real lines of a real kernel: the supervised node killed, frozen, stopped and orphaned, seen from outside.

The machine is emulated, and a node takes some thirty times as long to start there. Nothing is added to the promises for
that: QEMU's clock goes with the wall's. A line that nobody holds is drawn to where its output is not safe, so that a
moment without a holder shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.qemu import machine
from tests.qemu.guest import BLOWS, OUTPUTS, Output, Told
from tests.qemu.lines import Change

SAFE_WITHIN_MS = {"killed": 2_000, "frozen": 12_000, "stopped": 2_000, "orphaned": 2_000}

MACHINE_S = 600.0

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(MACHINE_S + 600)]  # 120 MB to fetch first


@pytest.fixture(scope="module")
def stories(debian: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    printed = machine.tell(tmp_path_factory.mktemp("lines"), debian, "tests.qemu.guest", patience_s=MACHINE_S)
    told = [msgspec.json.decode(line, type=Told) for line in printed.splitlines() if line.startswith('{"name"')]
    assert [each.name for each in told] == [blow.name for blow in BLOWS], printed
    return {each.name: each for each in told}


@pytest.fixture(params=[blow.name for blow in BLOWS])
def told(request: pytest.FixtureRequest, stories: dict[str, Told]) -> Told:
    story = stories[request.param]
    assert story.supervised, f"one process alone:\n{story.log}"
    return story


@pytest.fixture(params=OUTPUTS, ids=lambda output: output.name)
def output(request: pytest.FixtureRequest) -> Output:
    found: Output = request.param
    return found


def test_it_was_held_and_not_safe_before_and_is_safe_in_time_after(told: Told, output: Output) -> None:
    before, *after = told.changes[output.name]
    assert before.at_ms is None
    assert before.high is not output.safe_high
    assert before.holder
    assert first_safe_ms(after, output) <= SAFE_WITHIN_MS[told.name]


def test_it_stays_safe_while_it_is_held_until_the_next_server_decides(told: Told, output: Output) -> None:
    _, *after = told.changes[output.name]
    not_safe = list(held_and_not_safe(after, output))
    assert [change for change in not_safe if change.server != told.next_server or not told.next_server] == []


@pytest.mark.parametrize("name", [blow.name for blow in BLOWS if blow.again])
def test_the_line_is_never_let_go_and_the_next_server_answers(stories: dict[str, Told], name: str) -> None:
    story = stories[name]
    assert story.answered_ms is not None, story.log
    assert story.next_server not in (0, story.server)
    assert [change for changes in story.changes.values() for change in changes if not change.holder] == []


@pytest.mark.parametrize("name", [blow.name for blow in BLOWS if not blow.again])
def test_nobody_is_left(stories: dict[str, Told], name: str) -> None:
    story = stories[name]
    assert story.ended_ms is not None, story.log
    assert story.next_server == 0


def first_safe_ms(changes: list[Change], output: Output) -> float:
    """Return when the output was first driven to its safe level."""
    found = (change.at_ms for change in changes if change.holder and change.high is output.safe_high)
    return next((at_ms for at_ms in found if at_ms is not None), float("inf"))


def held_and_not_safe(changes: list[Change], output: Output) -> Iterator[Change]:
    """Find where a line was driven to where it is not safe, once it was safe."""
    safe = False
    for change in changes:
        safe = safe or change.high is output.safe_high
        if safe and change.holder and change.high is not output.safe_high:
            yield change
