"""A driver that hung and comes back has done what it was told long ago: it is told again at once."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from outstation import clock
from outstation.core.actuation import ActuatorSpec
from outstation.core.node import Node
from outstation.core.readings import Command, Switched
from outstation.engine import outputs as engine
from outstation.engine.feed import Feed
from outstation.engine.outputs import Outputs
from outstation.engine.runner import Runner, boot_now
from outstation.errors import DeviceError
from outstation.store.database import Store
from tests.engine.test_outputs import Relay


def order(action: str) -> Command:
    moment = clock.moment()
    return Command("led", action, "anna", moment.at, moment.now)


def test_what_it_was_told_before_does_not_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("LIMIT_S", "QUEUE_S"):
        monkeypatch.setattr(engine, limit, 0.05)
    relay = Relay()

    async def story() -> None:
        with Store(tmp_path, boot=boot_now("trust")) as store:
            outputs = Outputs({"led": relay})
            runner = Runner(Node((), [ActuatorSpec("led")]), store, outputs, Feed(), "trust")
            await outputs.open_all({"led": False})
            moment = clock.moment()
            runner.report_all([Switched("led", False, moment.at, moment.now)])
            relay.may_go_on.clear()
            for action in ("on", "off"):
                with contextlib.suppress(DeviceError):
                    await runner.command(order(action))
            assert relay.done == [("open", False)]
            relay.may_go_on.set()
            await asyncio.sleep(0.3)  # sooner than any new try, which is a second after the failure at the soonest
            runner.close()
            assert [level for _, level in relay.done[1:]] == [True, False]
            assert runner.node.actuators["led"].level is False
            outputs.close()

    asyncio.run(story())
