"""What stories of the notifier begin with; and one that is killed: `python -m tests.engine.telling FOLDER URL N`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import apsw
import uvloop

from outstation.core.readings import Alert, Alerted, Happened, Note, Severity
from outstation.engine.notifier import Notifier
from outstation.engine.receivers import Receiver
from outstation.store.alerts import put
from outstation.store.database import Store
from outstation.store.deliveries import add
from tests.store.given import BOOT, MORNING


def hot(number: int, severity: Severity = "warning") -> Alert:
    return Alert(number, "rule", "too hot", severity, "31.4 °C", MORNING + number, values={"air": 31.4})


def webhook(url: str, name: str = "hub", severity: Severity = "info", secret: str = "") -> Receiver:
    return Receiver(name, "webhook", url, secret, severity, timeout=2_000)


async def tell(store: Store, notifier: Notifier, alert: Alert, happened: Happened = "raised") -> None:
    """Store an alert and what is to be delivered of it, as the runner does."""
    made = notifier.deliveries(Alerted(alert, happened, tell=True))

    def work(connection: apsw.Connection) -> None:
        put(connection, alert)
        add(connection, made)

    await store.write(work)
    notifier.wake()


@contextlib.asynccontextmanager
async def telling(
    store: Store, receivers: Sequence[Receiver], notes: list[Note] | None = None
) -> AsyncIterator[Notifier]:
    """A notifier at work."""
    notifier = Notifier(store, receivers, "greenhouse", (notes if notes is not None else []).append)
    notifier.start()
    try:
        yield notifier
    finally:
        await notifier.close()


async def main(folder: Path, url: str, number: int) -> None:
    """Tell of so many alerts, then go on until all is delivered, and say so."""
    with Store(folder, boot=BOOT) as store:
        async with telling(store, [webhook(url)]) as notifier:
            for alert in range(1, number + 1):
                await tell(store, notifier, hot(alert))
            while notifier.queue()["hub"].waiting:  # noqa: ASYNC110  nobody rings when it does
                await asyncio.sleep(0.01)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
