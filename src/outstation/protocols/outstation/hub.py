"""POST /api/ingest: a node reports, and is answered when all of it is on disk.

The law of this file: a receipt promises that what was sent is stored; what was refused is named in it, and holds up
nothing else. What is sent again changes nothing, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from outstation import clock
from outstation.core import reporting
from outstation.core.readings import Reading
from outstation.core.reporting import MOST
from outstation.engine import reported
from outstation.engine.site import Site
from outstation.errors import RefusedError
from outstation.http import Answer, Later, Request, Response, json, problem
from outstation.protocols.outstation import live, plain, wire
from outstation.protocols.outstation.taking import LONGEST_MARK, Taken, Taking, Terms
from outstation.protocols.outstation.watch import Watch
from outstation.protocols.outstation.wire import Batch
from outstation.store.nodes import EVERY

ALERTS_AT_ONCE = 1_000

MOST_BEFORE = 64
"""Epochs that a batch may say it follows."""

_NOT_ADDED = "This key is not that of a node; on the hub: outstation nodes add NAME."
_CLONED = "Two senders report as this node; neither is heard until, on the hub: outstation nodes renew NAME."
_BEHIND = "This is not where the hub is: begin a new epoch, and go on from the cursor in `standing`."


class Hub:
    """Takes what nodes report to one hub."""

    def __init__(self, site: Site, watch: Watch) -> None:
        self._site, self._watch, self._audience = site, watch, live.Audience(site)
        self._trust = clock.Trust.UNSET
        self._trust_until = 0

    def post(self, request: Request) -> Answer:
        """Handle the request. Raises RefusedError, and msgspec's errors for what is no JSON."""
        node = request.principal.device
        try:
            body = wire.unpacked(request.body) if request.header(b"content-encoding") == b"gzip" else request.body
        except wire.TooLongError as error:
            return problem(413, str(error))
        if (document := plain.batch(body, request.query)) is not None:
            return self._take(node, document, _answer_plainly)
        batch = wire.decode_batch(body)
        if len(batch.summaries) + len(batch.ahead) + len(batch.hours) > wire.BATCH_ITEMS:
            return problem(413, f"At most {wire.BATCH_ITEMS} summaries at once; send the rest after.")
        _refuse(batch)
        if live.is_live(batch):
            return self._show(node, batch)
        return self._take(node, batch, partial(self._answer, node or "", batch))

    def _show(self, node: str | None, batch: Batch) -> Answer:
        """Take what is worth nothing tomorrow: it waits for no disk."""
        if node is None:
            return problem(403, _NOT_ADDED)
        if self._watch.is_cloned(node):
            return problem(409, _CLONED)
        moment = clock.moment()
        self._look_at_clock(moment.now)
        live.hear(self._site, node, batch, moment, is_sure=self._trust is clock.Trust.SYNCHRONISED)
        return self._receipt(node, batch)

    def _take(self, node: str | None, batch: Batch, answer: Callable[[Taken], Response]) -> Answer:
        if node is None:
            return problem(403, _NOT_ADDED)
        site, moment = self._site, clock.moment()
        self._look_at_clock(moment.now)
        counter = site.node.decisions.alerts
        terms = Terms(
            node,
            moment,
            self._trust is clock.Trust.SYNCHRONISED,
            site.config.web.accept_new_sensors,
            answer is _answer_plainly,
            iter([counter.number() for _ in batch.alerts]),
            reported.asleep(site.runner),
            partial(reported.messages, site.runner),
        )

        def finish(taken: Taken) -> Response:
            self._take_in(node, batch, taken)
            return answer(taken)

        return Later(site.store.report(Taking(batch, terms).store), finish)

    def _take_in(self, node: str, batch: Batch, taken: Taken) -> None:
        """Have this node know what is on disk now."""
        runner, moment = self._site.runner, clock.moment()
        # To a clock that nobody has set a whole backlog may be of the future: what is old is known by the node's own.
        is_sure, every = self._trust is clock.Trust.SYNCHRONISED, taken.report.every if taken.report else EVERY
        reported.describe(runner, list(taken.sensors.values()))
        readings = [
            Reading(name, value, at, moment.now, moment.at, sender_stamped=True)
            for name, (at, value) in taken.newest.items()
            if is_sure or not reporting.is_history(at, batch.sent_at, every)
        ]
        if readings:
            reported.hear(runner, readings)
        reported.tell(runner, taken.told)
        if taken.report is not None:
            self._watch.heard(node, taken.report, moment)

    def _answer(self, node: str, batch: Batch, taken: Taken) -> Response:
        report, conflict = taken.report, taken.conflict
        if report is None:
            return problem(403, _NOT_ADDED)
        if conflict is not None:
            is_cloned = conflict.cloned is not None
            where = wire.Standing(conflict.epoch, conflict.cursor, is_cloned)
            return problem(409, _CLONED if is_cloned else _BEHIND, standing=where)
        token, refused = report.standing.issued if batch.epoch else "", tuple(taken.refused)
        return self._receipt(node, batch, token, refused, tuple(taken.alerts))

    def _receipt(
        self,
        node: str,
        batch: Batch,
        token: str = "",
        refused: tuple[wire.Refused, ...] = (),
        alerts: tuple[str, ...] = (),
    ) -> Response:
        trust, is_watched = self._trust.name.lower(), self._audience.watches(node, clock.now())
        given = batch.epoch, batch.upto, token, clock.at(), trust, refused, alerts, is_watched
        return Response(wire.encode(wire.Receipt(wire.VERSION, *given)))

    def _look_at_clock(self, now: int) -> None:
        if now >= self._trust_until:
            self._trust, self._trust_until = clock.trust(self._site.config.node.clock), now + 1_000


def _answer_plainly(taken: Taken) -> Response:
    if taken.refused:
        raise RefusedError(f"This was not taken: {taken.refused[0].error}.")
    return json({"accepted": 1})


def _refuse(batch: Batch) -> None:
    """Raise RefusedError for a batch of which no part can be taken."""
    if batch.version != wire.VERSION:
        raise RefusedError(
            f"This hub speaks version {wire.VERSION} of the protocol, and the node version {batch.version}.",
            cure="Bring the older of the two up to date.",
        )
    marks = (batch.epoch, batch.token, *batch.before)
    if len(batch.before) > MOST_BEFORE or any(len(mark) > LONGEST_MARK for mark in marks):
        raise RefusedError(f"An epoch and a token have at most {LONGEST_MARK} letters.")
    if len(batch.live) > wire.LIVE_ITEMS:
        raise RefusedError(f"A batch has at most {wire.LIVE_ITEMS} live values.")
    if not 0 <= batch.after <= batch.upto <= MOST:
        raise RefusedError("A batch goes from `after` up to `upto`, which is no less.")
    counts = (batch.sent_at, batch.node.waiting, batch.node.parked, batch.node.lost)
    if not all(0 <= count <= MOST for count in counts) or len(batch.alerts) > ALERTS_AT_ONCE:
        raise RefusedError(
            f"The times and counts of a batch are not below 0, and it has at most {ALERTS_AT_ONCE} alerts."
        )
    if not batch.epoch and (batch.summaries or batch.ahead or batch.hours):
        raise RefusedError("Summaries come with the epoch that their numbers are of.")
