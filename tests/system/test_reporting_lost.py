"""Answers that are lost after the hub has committed: as often as that happens, nothing is lost and nothing doubled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from outstation.core import delivery
from outstation.protocols.outstation.uplink import NativeUplink
from tests.proxy import HALF_HEARD, LOST, PASS, Asked, Choose, Proxy, Way
from tests.system.forwarded import Joined, forward, hub_alone, stored
from tests.system.reporting import differences, fill, known


class InSmallBatches(NativeUplink):
    """As it is, but for its patience: many batches are soon lost."""

    batch = 5


@pytest.mark.parametrize("losses", [50, pytest.param(1_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_no_answer_that_is_lost_loses_or_doubles_anything(
    tmp_path: Path, losses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "FIRST", 1)  # nobody waits for a thousand pauses of a second
    data = tmp_path / "node"
    with hub_alone(tmp_path) as joined:
        joined.line.choose = _each_lost_once(joined.line)
        asyncio.run(_lose(data, joined, losses))
        lost = [asked for asked in joined.line.asked if asked.way in (LOST, HALF_HEARD) and asked.status == 200]
        assert len(lost) >= losses
        assert differences(known(data), known(joined.hub.data)) == []
        (node,) = joined.hub.get("/api/nodes").json["nodes"]
        assert not node["cloned"]


async def _lose(data: Path, joined: Joined, losses: int) -> None:
    await asyncio.to_thread(fill, data, ["t0", "t1"], losses * InSmallBatches.batch // 3)
    with stored(data) as store:
        await forward(store, joined, InSmallBatches)


def _each_lost_once(line: Proxy) -> Choose:
    """Return what loses the answer to each batch, once or twice, wholly or half."""

    def choose(asked: Asked) -> Way:
        tries = [one for one in line.asked[-3:] if one.json.get("upto") == asked.json.get("upto")]
        if not asked.json.get("summaries") or len(tries) > 1 + asked.json["upto"] % 2:
            return PASS
        return HALF_HEARD if tries else LOST

    return choose
