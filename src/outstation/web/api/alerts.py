"""POST /api/alerts/{id}/acknowledge and /api/alerts/test: somebody has seen an alert; does one reach anybody at all?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from outstation import clock
from outstation.core.readings import Acknowledge
from outstation.engine.site import Site
from outstation.errors import RefusedError, UnknownNameError
from outstation.http import Answer, Later, Request, Response, json
from outstation.web.api.incoming import Stamp, check_in_time

if TYPE_CHECKING:
    from outstation.engine.notifier import Trial  # a node that tells nobody does not load it

_DIGITS = 15
"""Of an alert's number: more than any node ever counts to."""


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """The body: none, or an empty object."""


class Seen(msgspec.Struct, forbid_unknown_fields=True):
    """The body: none, or `before`: later than that it is not done."""

    before: Stamp | None = None


class TestMessage(msgspec.Struct, forbid_unknown_fields=True):
    """The body: whom to send a test message; null: all of them."""

    receiver: str | None = None


_seen, _test = msgspec.json.Decoder(Seen), msgspec.json.Decoder(TestMessage)


class Alerts:
    """Takes what people do about one node's alerts."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def acknowledge(self, request: Request) -> Answer:
        """Handle POST /api/alerts/{id}/acknowledge: 200, 404 no such alert stands, 422 too late."""
        check_in_time(_seen.decode(request.body or b"{}").before)
        number, who, moment = _number(request.params["id"]), request.principal.name, clock.moment()
        if (alert := self._site.runner.elsewhere.get(number)) is not None:
            raise RefusedError(f"Alert {number} is one of {alert.node}.", cure="It is acknowledged at that node.")
        doing = asyncio.ensure_future(self._site.runner.change(Acknowledge(number, who, moment.at, moment.now)))
        return Later(doing, lambda recorded: json({"acknowledged": number, "by": who, "recorded": recorded}))

    def test(self, request: Request) -> Answer:
        """Handle POST /api/alerts/test: 200 with what came of it, 404 no such receiver, 422 when there is none."""
        receiver = _test.decode(request.body or b"{}").receiver
        if self._site.notifier is None:
            raise RefusedError("Nobody is told of alerts here.", cure="Add a [[webhooks]] table to the config.")
        return Later(asyncio.ensure_future(self._site.notifier.test(receiver)), _tested)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise UnknownNameError("There is no such alert.", cure="GET /api/alerts lists them.")
    return int(text)


def _tested(trials: Sequence[Trial]) -> Response:
    found = [{"receiver": one.receiver, "reached": not one.error, "error": one.error or None} for one in trials]
    return json({"tested": found})
