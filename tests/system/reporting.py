"""A node and its hub, joined through the proxy by nothing but the table that `outstation nodes add` prints."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

import apsw

from outstation import clock
from outstation.clock import Trust
from outstation.core.readings import Millis, Reading
from outstation.core.summaries import Summary, summary
from outstation.core.windows import FIVE_MINUTES, Tier, Window
from outstation.store import packs
from outstation.store.database import Boot, Store
from outstation.store.outbox import Outbox
from tests.proxy import Asked, Proxy
from tests.running import Running
from tests.system.waiting import until

HUB = '[node]\nname = "hub"\nclock = "trust"\n'
NODE = '[node]\nname = "greenhouse-1"\nclock = "trust"\n'
NAME = "greenhouse-1"

Known = dict[str, dict[Millis, Summary]]
"""Of each sensor, its five-minute summaries by their start."""


class Pair:
    """A context manager. Between the two is `line`. Each reports every 10 s, for nobody has five minutes.

    node: its config. uplink: keys that its table gets besides.
    """

    def __init__(self, folder: Path, *, node: str = "", uplink: str = "") -> None:
        self._stack = ExitStack()
        self.hub = Running(folder / "hub" / "data", HUB)
        self._folder, self._config, self._uplink = folder, node, uplink
        self.line = Proxy(self.hub.port)
        self.node: Running

    def __enter__(self) -> Self:
        self._stack.enter_context(self.hub)
        self._stack.enter_context(self.line)
        printed = self.hub.said("nodes", "add", NAME, "--url", self.line.url, "--data", str(self.hub.data))
        table = printed[printed.index("[[uplinks]]") :]
        self.node = Running(
            self._folder / "node" / "data", f'{NODE}{self._config}\n{table}every = "10s"\n{self._uplink}\n'
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fill(self, sensors: Sequence[str], windows: int, *, before: Millis = 0) -> None:
        """Have the node run, with a history that the hub has not had: windows up to `before` this moment."""
        if self.node.process is None:
            self._stack.callback(self.node.stop)
        else:
            self.node.stop()
        fill(self.node.data, sensors, windows, before=before)
        self.node.start()

    def missing(self) -> list[str]:
        """Return what the hub has not, has too much, or has otherwise."""
        return differences(known(self.node.data), known(self.hub.data))

    def drain(self, seconds: float = 30) -> None:
        """Wait until the hub has everything, and has it once."""
        until(lambda: not self.missing(), seconds)

    def twin(self) -> Running:
        """Return a node that has the card of this one, copied while it is off. It is not started."""
        self.node.stop()
        folder = self._folder / "twin"
        shutil.copytree(self.node.data, folder / "data", ignore=shutil.ignore_patterns("*.sock"))
        self.node.start()
        return Running(folder / "data", self.node.config_file.read_text())

    def batches(self) -> list[Asked]:
        """Return the requests with summaries so far."""
        return [asked for asked in list(self.line.asked) if asked.json.get("summaries")]


def fill(data: Path, sensors: Sequence[str], windows: int, *, before: Millis = 0) -> None:
    """Store two readings in each window, and have them summed up; the uplink is owed them. The node does not run."""
    end = (clock.at() - before) // FIVE_MINUTES * FIVE_MINUTES
    asyncio.run(_fill(data, sensors, range(end - windows * FIVE_MINUTES, end, FIVE_MINUTES)))


async def _fill(data: Path, sensors: Sequence[str], starts: range) -> None:
    boot = Boot("filled", 0, Trust.SYNCHRONISED)
    data.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  nothing else goes on here
    with Store(data, boot=boot, at=lambda: clock.at() + 60_000) as store:
        await Outbox(store).learn(["hub"], clock.at())
        for some in (starts[first : first + 50] for first in range(0, len(starts), 50)):
            await store.record([each for sensor in sensors for start in some for each in _readings(sensor, start)])
        while True:
            with store.read() as connection:
                if not connection.execute(_UNMADE, (starts.stop,)).get:
                    break
            await asyncio.sleep(0.05)


_UNMADE = "SELECT count(*) FROM unmade WHERE width = 300000 AND start < ?"


def _readings(sensor: str, start: Millis) -> Iterator[Reading]:
    value = 20 + (start // FIVE_MINUTES * 7 + len(sensor)) % 50 / 10
    for at, each in ((start + 1_000, value), (start + 200_000, value + 0.5)):
        yield Reading(sensor, each, at, at, at, sender_stamped=True)


def known(data: Path, tier: Tier = Tier.FIVE_MINUTES) -> Known:
    """Return what a node's file says of all sensors."""
    with closing(apsw.Connection(str(data / "outstation.db"), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        sensors: Any = connection.execute("SELECT id, name FROM sensors").fetchall()
        return {name: found for number, name in sensors if (found := _of(connection, number, tier))}


def _of(connection: apsw.Connection, sensor: int, tier: Tier) -> dict[Millis, Summary]:
    rows = packs.stored(connection, sensor, tier, -(2**53), 2**53)
    found = (summary(Window(start, width), row) for start, width, row in rows)
    return {one.start: one for one in found if not one.is_empty}


def at_hub(sensor: str, node: str = NAME) -> str:
    """Return what a node's sensor is called at its hub."""
    return f"{node}/{sensor.replace('/', '.')}"


def differences(node: Known, hub: Known, name: str = NAME, since: Millis = 0) -> list[str]:
    """Say what the hub has not, has too much, or has otherwise."""
    found = []
    for sensor, mine in node.items():
        theirs = hub.get(at_hub(sensor, name), {})
        wanted = {start: one for start, one in mine.items() if start >= since}
        found += [f"{sensor} {start}: missing" for start in wanted.keys() - theirs.keys()]
        found += [f"{sensor} {start}: too much" for start in theirs.keys() - mine.keys()]
        found += [
            f"{sensor} {start}: other" for start in wanted.keys() & theirs.keys() if wanted[start] != theirs[start]
        ]
    return found


def post_past(node: Running, sensor: str, windows: int, *, before: Millis = 0, value: float = 20.0) -> None:
    """Post readings of windows that are over; the node sums them up some seconds later."""
    end = int(time.time() * 1000 - before) // FIVE_MINUTES * FIVE_MINUTES
    stamps = [(end - each * FIVE_MINUTES + 1_000) / 1_000 for each in range(windows, 0, -1)]
    document = {"sensor": sensor, "timestamps": stamps, "values": [value] * windows}
    assert node.post("/api/readings", document).status == 200
