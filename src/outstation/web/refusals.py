"""What was refused, in the log: one line for the first of its kind in a minute.

The law of this file: nothing that came in is written but what the table of routes knows: keys
travel in URLs, and escape sequences in names. A board that is wrong once a second must not wear out the card.
"""

from __future__ import annotations

import logging
from collections import OrderedDict

from outstation import clock
from outstation.http import Request
from outstation.routes import Table

log = logging.getLogger(__name__)

QUIET_FOR = 60_000
_REMEMBERED = 1_024


class Refusals:
    """Tells the log of answers of 400 and above."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._told: OrderedDict[tuple[str, str, str, int], int] = OrderedDict()

    def note(self, request: Request, status: int) -> None:
        """Write a line, unless the same was written within the minute."""
        match = self._table.find(request.path)
        path = next(iter(match.rows.values())).path if match else "an unknown path"
        refusal = (request.peer.address or "the control socket", request.method or "a request", path, status)
        now = clock.now()
        if now - self._told.get(refusal, -QUIET_FOR) < QUIET_FOR:
            return
        self._told.pop(refusal, None)
        self._told[refusal] = now
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        log.info("%s: %s %s was answered %d", *refusal)
