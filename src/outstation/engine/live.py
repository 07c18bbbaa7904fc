"""What a node shows of itself to who watches elsewhere: the newest readings, every two seconds.

The law of this file: nothing here is kept or sent again, and nothing is sent while nobody watches. It moves no cursor,
holds up no summary, and is nobody's trouble when it fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from outstation.core.readings import Millis, Reading
from outstation.plugins import About, Outcome, Uplink

log = logging.getLogger(__name__)

EVERY_S = 2.0

LONGEST_S = 60.0
"""Between two tries while they fail."""


class Live:
    """The live values of one uplink. newest: of all sensors and outputs of the node, sensors: what is known of them."""

    def __init__(
        self,
        uplink: Uplink,
        newest: Callable[[], Iterable[Reading]],
        sensors: Callable[[], Mapping[str, About]],
    ) -> None:
        self._uplink, self._newest, self._sensors = uplink, newest, sensors
        self._wanted = asyncio.Event()
        self._sent: dict[str, Millis] = {}
        if uplink.live == "always":
            self._wanted.set()

    def heard(self, outcome: Outcome) -> None:
        """Take note of what the other side said last: whether somebody watches there."""
        if self._uplink.live != "watched":
            return
        if outcome.watched:
            self._wanted.set()
        else:
            self._wanted.clear()

    async def run(self) -> None:
        """Show what is new until cancelled."""
        wait = EVERY_S
        while True:
            await self._wanted.wait()
            try:
                is_shown = await self._show()
            except Exception:
                # A stranger's uplink may raise anything: the next readings are other ones.
                log.exception("Uplink %s: showing live values failed.", self._uplink.name)
                is_shown = False
            wait = EVERY_S if is_shown else min(wait * 2, LONGEST_S)
            await asyncio.sleep(wait)

    async def _show(self) -> bool:
        new = self._new()
        if not new:
            return True
        outcome = await self._uplink.show(new, self._sensors())
        self.heard(outcome)
        status = outcome.answer.status
        if status is None or not 200 <= status < 300:
            return False
        self._sent |= {one.sensor: one.at for one in new}
        return True

    def _new(self) -> list[Reading]:
        """Return what was not sent yet, as much as goes at once; what waits for the longest first."""
        new = [one for one in self._newest() if one.value is not None and self._sent.get(one.sensor) != one.at]
        return sorted(new, key=lambda one: self._sent.get(one.sensor, 0))[: self._uplink.shown]
