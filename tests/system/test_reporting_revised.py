"""What was reported and is otherwise now, or was not reported when there was no room left for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from outstation import clock
from outstation.clock import Trust
from outstation.core.readings import Millis, Reading
from outstation.core.retention import What
from outstation.core.windows import FIVE_MINUTES, Tier
from outstation.store.database import Boot, Store
from outstation.store.retention import Retention
from tests.system.forwarded import Joined, forward, hub_alone, learn, stored
from tests.system.reporting import at_hub, differences, fill, known

HOUR: Millis = 3_600_000


def test_what_is_stamped_anew_or_revised_moves_at_the_hub_as_well(tmp_path: Path) -> None:
    """The clock was two hours ahead, nobody knew, and all was sent; then a board hands in what it had measured."""
    data = tmp_path / "node"
    with hub_alone(tmp_path) as joined:
        asyncio.run(_stamped_anew(data, joined))
        mine, theirs = known(data), known(joined.hub.data)
        assert differences(mine, theirs) == []
        assert sum(one.count for one in theirs[at_hub("t0")].values()) == 31
        assert max(mine["t0"]) < clock.at() - HOUR


async def _stamped_anew(data: Path, joined: Joined) -> None:
    now = clock.at() // FIVE_MINUTES * FIVE_MINUTES
    offset = now - 100 * HOUR
    times = [now - FIVE_MINUTES * each for each in range(30, 0, -1)]
    ahead = [HOUR]  # nobody waits for what is late to be gathered
    with stored(data, Boot("unsure", offset, Trust.UNSET), at=lambda: clock.at() + ahead[0]) as store:
        await learn(store)
        store.record_soon([Reading("t0", 20.5, at, at - offset, at) for at in times])
        await _summed_up(store, times)
        await forward(store, joined)
        assert differences(known(data), known(joined.hub.data)) == []
        before = known(joined.hub.data)
        await store.set_boot(Boot("unsure", offset - 2 * HOUR, Trust.SYNCHRONISED))
        late = times[0] - HOUR
        await store.record([Reading("t0", 25.5, late, clock.now(), clock.at(), sender_stamped=True)])
        ahead[0] += HOUR
        await _summed_up(store, [*times, late])
        await forward(store, joined)
        assert known(joined.hub.data) != before


def test_where_there_was_no_room_the_hub_has_the_hours(tmp_path: Path) -> None:
    data = tmp_path / "node"
    with hub_alone(tmp_path) as joined:
        asyncio.run(_without_room(data, joined))
        assert differences(known(data), known(joined.hub.data)) == []
        first = min(known(data)["t0"])
        mine, theirs = (known(each, Tier.HOUR) for each in (data, joined.hub.data))
        instead = {start: one for start, one in mine["t0"].items() if start + HOUR <= first}
        assert len(instead) > 1
        assert instead.items() <= theirs[at_hub("t0")].items()


async def _without_room(data: Path, joined: Joined) -> None:
    await asyncio.to_thread(fill, data, ["t0"], 12 * 12, before=HOUR)
    ahead = [0]
    with stored(data, at=lambda: clock.at() + ahead[0]) as store:
        ahead[0] = HOUR  # all that is put off at a start is due
        await _summed_up(store, [clock.at() - HOUR], HOUR)
        retention = Retention(store)
        for _ in range(3):
            await retention._delete_summaries(
                retention.look(lambda seen: seen.summaries_for_room(What.UNSENT_FIVE_MINUTES))
            )
        await forward(store, joined)


async def _summed_up(store: Store, times: Sequence[Millis], width: Millis = FIVE_MINUTES) -> None:
    await store.flush()
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.1)
            with store.read() as connection:
                if not connection.execute(_UNMADE, (width, max(times) - width)).get and connection.execute(_ANY).get:
                    return


_UNMADE = "SELECT count(*) FROM unmade WHERE width <= ? AND start <= ?"
_ANY = "SELECT count(*) FROM summaries WHERE tier = 1"
