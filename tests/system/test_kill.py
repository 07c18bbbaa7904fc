"""kill -9 while readings arrive: none lost that was answered, none doubled, and the file is sound."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from outstation.store import chunks
from outstation.web.api.incoming import parse_time
from tests.running import Running
from tests.system.boards import Boards, Sent, readings

HUB = '[node]\nname = "hub"\nclock = "trust"\n'
"""Nothing of its own: all that is stored was sent."""

POSTS, BOARDS = 1_000, 4
READY_WITHIN_S = 5.0


def test_twenty_kills_in_a_thousand_posts_each_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    kills = 20
    with Running(tmp_path / "data", HUB) as node:
        for kill in range(kills):
            _posts_and_a_kill(node, kill, stamped=True)
        assert Counter(_stored(node)) == Counter(_expected(kills))
        assert node.get("/api/health").json["readings_stored"] == kills * POSTS
    assert _sound_count(node.data) == kills * POSTS


def test_what_is_answered_is_there_also_where_the_node_gives_the_time(tmp_path: Path) -> None:
    kills = 3
    with Running(tmp_path / "data", HUB) as node:
        answered = [sent for kill in range(kills) for sent in _posts_and_a_kill(node, kill, stamped=False)]
        stored = Counter((name, value) for name, value, _ in _stored(node))
        assert stored >= Counter((sent.sensor, sent.value) for sent in answered)
        # One more at most for each board and kill: it was stored, and the answer never left.
        assert stored.total() <= kills * (POSTS + BOARDS)
        assert node.get("/api/health").json["readings_stored"] == stored.total()


def test_the_rig_notices_a_node_that_answers_before_the_commit(tmp_path: Path) -> None:
    with Running(tmp_path / "data", HUB, module="tests.system.hasty") as node:
        for kill in range(20):
            _posts_and_a_kill(node, kill, stamped=True)
            if Counter(_expected(kill + 1)) - Counter(_stored(node)):
                return
    pytest.fail("nothing was lost: this rig would not notice a loss either")


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_thousand_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    kills = 1_000
    with Running(tmp_path / "data", HUB) as node:
        for kill in range(kills):
            _posts_and_a_kill(node, kill, stamped=True)
        assert Counter(_stored(node)) == Counter(_expected(kills))


def _posts_and_a_kill(node: Running, kill: int, *, stamped: bool) -> list[Sent]:
    """Have a thousand readings posted, and kill the node at some moment of it; return those that were answered."""
    mine = readings(kill * POSTS, POSTS, boards=BOARDS, stamped=stamped)
    with Boards(node.port, mine) as boards:
        boards.wait(random.randrange(POSTS))
        time.sleep(random.uniform(0, 0.002))  # anywhere between two answers, in a commit as well
        node.kill()
        assert _sound_count(node.data) >= kill * POSTS
        began = time.monotonic()
        node.start()
        assert time.monotonic() - began < READY_WITHIN_S
    return boards.answered


def _expected(kills: int) -> Iterator[tuple[str, int, int]]:
    for board in readings(0, kills * POSTS, boards=BOARDS, stamped=True):
        for sensor, value, at in board:
            assert at is not None
            yield sensor, value, at


def _stored(node: Running) -> Iterator[tuple[str, int, int]]:
    """Return all that the node says it has: sensor, value, and UTC in milliseconds."""
    for board in range(BOARDS):
        path = page = f"/api/readings?sensor=board-{board}/level&limit=10000"
        while page:
            answer = node.get(page).json
            for row in answer["readings"]:
                yield row["sensor"], row["value"], parse_time(row["timestamp"])
            page = answer["next"] and f"{path}&cursor={answer['next']}"


def _sound_count(data: Path) -> int:
    """Return how many readings a sound file holds, by a look at a copy: SQLite would mend the file itself."""
    copy = data.with_name("copy")
    copy.mkdir()
    for part in data.glob("outstation.db*"):
        shutil.copy(part, copy)
    with closing(apsw.Connection(str(copy / "outstation.db"))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        count = chunks.count(connection)
    shutil.rmtree(copy)
    return count
