"""A node's store and its way to a hub, in this process: for what a real node does only after hours."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from outstation import clock
from outstation.clock import Trust
from outstation.core.readings import Millis, Note
from outstation.engine.forwarder import Forwarder, Sending
from outstation.engine.forwarding import Facts
from outstation.plugins import Exchange
from outstation.protocols.outstation.uplink import NativeOptions, NativeUplink
from outstation.store.database import Boot, Store
from outstation.store.outbox import Outbox
from tests.proxy import Proxy
from tests.running import Running
from tests.system.reporting import HUB, NAME

FACTS = Facts(NAME, dict, "trust", lambda: True, lambda: True)


class Joined(msgspec.Struct):
    """A hub, the line to it, and what goes into an uplink's table."""

    hub: Running
    line: Proxy
    options: NativeOptions


@contextmanager
def hub_alone(folder: Path) -> Iterator[Joined]:
    """Run a hub that knows a node by the name of NAME, which does not run."""
    with Running(folder / "hub" / "data", HUB) as hub, Proxy(hub.port) as line:
        printed = hub.said("nodes", "add", NAME, "--url", line.url, "--data", str(hub.data))
        (table,) = tomllib.loads(printed[printed.index("[[uplinks]]") :])["uplinks"]
        yield Joined(hub, line, NativeOptions(url=table["url"], key=table["key"]))


@contextmanager
def stored(folder: Path, boot: Boot | None = None, at: Callable[[], Millis] = clock.at) -> Iterator[Store]:
    """Open the node's store."""
    folder.mkdir(exist_ok=True)
    boot = boot or Boot("here", clock.at() - clock.now(), Trust.SYNCHRONISED)
    with Store(folder, boot=boot, at=at) as store:
        yield store


async def learn(store: Store) -> None:
    """Have the store know its uplink, before there is anything to send."""
    await Outbox(store).learn(["hub"], clock.at())


async def forward(
    store: Store, joined: Joined, kind: type[NativeUplink] = NativeUplink, note: Callable[[Note], object] = id
) -> None:
    """Send until nothing waits."""

    def make(exchange: Exchange) -> NativeUplink:
        return kind("hub", joined.options, NAME, exchange)

    forwarder = Forwarder(store, [Sending("hub", make, 10_000, 10_000)], FACTS, note)
    forwarder.start()
    async with asyncio.timeout(500):
        while (await forwarder.reports())["hub"].waiting:  # noqa: ASYNC110  nobody rings
            await asyncio.sleep(0.05)
    await forwarder.close()
