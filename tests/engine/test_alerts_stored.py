"""An alert that cannot be stored, since the disk is full, is stored with the next one, or within a minute."""

from __future__ import annotations

import asyncio
from pathlib import Path

from outstation import clock
from outstation.core import messages
from outstation.core.conditions import parse
from outstation.core.node import Node
from outstation.core.readings import Alert, Reading
from outstation.core.rules import AlertSpec, RuleSpec
from outstation.core.sensors import SensorSpec
from outstation.engine.feed import Feed
from outstation.engine.outputs import Outputs
from outstation.engine.runner import Runner, boot_now
from outstation.errors import StoreError
from outstation.store.alerts import Alerts
from outstation.store.database import Store
from tests.store.test_disk_full import fill_up, small_disk

__all__ = ["small_disk"]

HOT = RuleSpec("hot", parse("air > 30"), alert=AlertSpec(messages.parse("Hot")))


def says(runner: Runner, value: float) -> None:
    moment = clock.moment()
    runner.report(Reading("air", value, moment.at, moment.now, moment.at))


def test_alerts_that_could_not_be_stored_are_stored_when_there_is_room(small_disk: Path) -> None:
    async def main() -> list[Alert]:
        with Store(small_disk, boot=boot_now("trust")) as store:
            runner = Runner(Node([SensorSpec("air")], rules=[HOT]), store, Outputs({}), Feed(), "trust")
            await store.flush()
            fill_up(small_disk)
            for value in (31, 20, 32):
                says(runner, value)
            await settled(store)
            assert Alerts(store).page(9) == []
            (small_disk / "ballast").unlink()
            while store.stats().error:  # noqa: ASYNC110  nobody asks: it must mend by itself
                await asyncio.sleep(0.05)
            says(runner, 20)
            await store.flush()
            runner.close()
            return Alerts(store).page(9)

    found = asyncio.run(main())
    assert [(alert.id, alert.state) for alert in found] == [(2, "cleared"), (1, "cleared")]


async def settled(store: Store) -> None:
    """Return when all that was asked of a full disk has been refused."""
    for _ in range(2):
        try:
            await store.flush()
        except StoreError:
            await asyncio.sleep(0.05)
