"""The way of the summaries of one uplink: once per `every`, or one parcel after another while there is a backlog.

The law of this file: the cursor moves only over what the other side has, or what is parked with a line in the journal.
Whatever fails is read from the store and sent again, so that what came meanwhile goes with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from outstation import clock
from outstation.core.closing import GRACE
from outstation.core.delivery import LONGEST_BATCH, SELDOM, Answer, jittered, judge_uplink, own_moment, told
from outstation.core.readings import Millis, Note, Reading
from outstation.engine.failing import Failing
from outstation.engine.line import STORE_AGAIN
from outstation.engine.traffic import Meter, Traffic
from outstation.engine.underway import Part, Size, Underway
from outstation.errors import StoreError
from outstation.plugins import About, Doing, Outcome, Parcel, Uplink
from outstation.store.database import Store
from outstation.store.outbox import Account, Load, Outbox

log = logging.getLogger(__name__)

UNSURE: Millis = 86_400_000
"""Windows of a clock that is not trusted wait so long for it to be set: then their times are what they are."""

PARKED_IN_A_ROW = 10
"""Refused one after another: from here on it looks like a mistake of a person, and there is time to mend it, unless
the newest one is taken."""

_EXCUSED = 100
"""So many more may be refused before the newest one is tried again."""

_HELD = "the clock of this node was not set yet: summaries wait for that, for up to a day since boot"

_AT_LEAST = 100
"""Summaries read at once, also for those that send one at a time."""

_STORE_EVERY: Millis = 5_000
"""Between two commits, for uplinks that send one at a time: each is a page or two of the card."""

_WRITTEN: Millis = 2_000
"""After the grace for late readings, until the summaries of all sensors are on disk: they are to go together."""

_LEAST = 50
"""Summaries that even a slow link carries in time: about 5 kB."""

_AHEAD_AT_MOST = 500
"""Newest summaries beside the oldest ones: so a batch is not longer than a hub takes."""

_LOOK: Millis = 60_000
"""The wall clock may be set at any time: no sleep by it is longer."""


class Facts(msgspec.Struct, frozen=True):
    """What an uplink says of its node.

    sensors: all known now. is_believed: the clock was right once. is_well: rules are decided, and readings stored.
    newest: what sensors and outputs say now.
    """

    node: str
    sensors: Callable[[], Mapping[str, About]]
    clock: clock.Setting
    is_believed: Callable[[], bool]
    is_well: Callable[[], bool]
    newest: Callable[[], Iterable[Reading]] = tuple


class Report(msgspec.Struct, frozen=True):
    """How an uplink does. waiting, parked, lost: summaries not sent, refused, gone unsent. alerts: not sent."""

    waiting: int
    parked: int
    lost: int
    last_error: str
    last_ok: Millis | None
    traffic: Traffic
    alerts: int = 0


def _chance(name: str) -> float:
    """Return a number in [0, 1) that is the same for a name at every start, and as if drawn for each name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32


class Forwarding:
    """The task of one uplink. reached: called after each success. alerts_first: what is waited for before a try."""

    def __init__(
        self,
        store: Store,
        name: str,
        uplink: Uplink,
        every: Millis,
        facts: Facts,
        note: Callable[[Note], object],
        meter: Meter,
    ) -> None:
        self._outbox, self._name, self._uplink, self._every = Outbox(store), name, uplink, every
        self._facts, self._meter = facts, meter
        self._what = "summaries" if uplink.batch else "signs of life"
        self._failing = Failing(name, "uplink", self._what, note)
        self._account = Account(0, 0, 0, 0)
        self._woken, self._hurry = asyncio.Event(), asyncio.Event()
        self._moment = own_moment(_chance(facts.node), every)
        self._phase = GRACE + _WRITTEN + self._moment
        self._slot: int | None = None
        self._attempt = 0
        self._size = Size(uplink.batch)
        self._ahead_at = self._stored_at = self._excused = 0
        self._is_idle_due = False
        self._left: Underway | None = None
        self.reached: Callable[[], None] = lambda: None
        self.heard: Callable[[Outcome], None] = lambda _: None
        self.alerts_first: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)

    def wake(self) -> None:
        """There is something to send: wait for no moment."""
        self._woken.set()
        self._hurry.set()

    def hurry(self) -> None:
        """The other side can be reached again: whoever waits for the next try waits no longer."""
        self._hurry.set()

    async def report(self) -> Report:
        """Return how it does. Raises StoreError."""
        await self._look()
        account, failing = self._account, self._failing
        error = failing.error or (_HELD if account.waiting and not self._is_sure() else "")
        return Report(account.waiting, account.parked, account.lost, error, failing.last_ok, self._meter.traffic)

    def trouble(self) -> str:
        """Return a sentence when somebody should look, or ""."""
        if not self._failing.is_long:
            return ""
        waiting = f"; {self._account.waiting} wait" if self._uplink.batch else ""
        return f'{self._what.capitalize()} do not reach "{self._name}": {self._failing.error}{waiting}.'

    async def run(self) -> None:
        """Forward until cancelled."""
        is_new = True
        while True:
            try:
                if is_new:
                    await self._look()
                    self._meter.recall(self._account.traffic)
                is_new = False
                await self._store_left()
                await self._until_due()
                await self._drain()
            except StoreError as error:
                log.warning("Uplink %s: %s", self._name, error)
                await asyncio.sleep(STORE_AGAIN)
            except Exception as error:
                # A mistake over one parcel, ours or of a stranger's uplink, must not silence all later ones.
                log.exception("Uplink %s: sending failed.", self._name)
                self._failing.fail(f"a mistake in this program ({type(error).__name__}); see its log", urgent=True)
                await asyncio.sleep(STORE_AGAIN)

    async def _store_left(self) -> None:
        """Wait until what is done is written down, or until a sign of life is due."""
        while self._left is not None and not (self._uplink.idle and self._slot != self._slot_now()):
            try:
                await self._store(self._left)
                self._woken.set()  # there may be more to send
            except StoreError:
                await asyncio.sleep(STORE_AGAIN)

    async def _look(self) -> None:
        """See how the uplink stands. Raises StoreError."""
        if self._uplink.batch:
            self._account = await asyncio.to_thread(self._outbox.account, self._name)

    async def _until_due(self) -> None:
        """Wait for this node's moment of the next window; after a start only for as long as nodes are spread over."""
        if self._slot is None:
            await self._pause(self._moment, self._woken)
        while self._slot == (slot := self._slot_now()) and not self._woken.is_set():
            due = (slot + 1) * self._every + self._phase
            await self._pause(min(due - clock.at(), _LOOK), self._woken)
        self._woken.clear()
        self._slot = self._slot_now()

    def _slot_now(self) -> int:
        return (clock.at() - self._phase) // self._every

    async def _drain(self) -> None:
        """Send all there is."""
        self._is_idle_due, is_first = self._uplink.idle, True
        while not self._uplink.only_well or self._facts.is_well():
            if is_first or self._attempt:  # else it is reached, and alerts know that
                await self.alerts_first()
            is_first = False
            way = await self._next()
            if not (way.items or way.instead or self._is_idle_due):
                return
            is_last = not (way.load.is_more or way.instead)
            if await self._pass_on(way) and is_last:
                return

    async def _next(self) -> Underway:
        """Return what is to be sent. Raises StoreError.

        What is done must be written down first. As long as that fails, nothing is sent twice: a sign of life goes.
        """
        if self._left is not None:
            try:
                await self._store(self._left)
            except StoreError:
                if not self._is_idle_due:
                    raise
                return self._left
        load = await self._load()
        return Underway(load, load.items, load.instead, load.token, load.after, load.after)

    async def _load(self) -> Load:
        """Read what is next; nothing while the clock is not trusted, for who knows of when its windows are."""
        if not self._uplink.batch:
            return Load((), "", 0, 0)
        ahead = self._uplink.books and clock.now() >= self._ahead_at
        limit = max(self._uplink.batch, _AT_LEAST)
        load = await asyncio.to_thread(self._outbox.load, self._name, limit, ahead=ahead)
        if self._attempt or self._is_idle_due:
            await self._look()
        return load if self._is_sure() else Load(load.epochs, load.token, load.after, load.after)

    def _is_sure(self) -> bool:
        return self._facts.is_believed() or clock.now() >= UNSURE

    async def _pass_on(self, way: Underway) -> bool:
        """Send a load; tell whether all of it is done. What is done is written down, also when this is cut short."""
        try:
            return await self._send(way)
        finally:
            if way.is_unstored and way is not self._left:
                with contextlib.suppress(StoreError):  # then it is left for the next time
                    await self._store(way)

    async def _send(self, way: Underway) -> bool:
        """Send it in as many parcels as it takes; tell whether all of it is done."""
        while way.items or way.instead or self._is_idle_due:
            part = way.part(self._size.limit)
            parcel = self._parcel(way, part)
            outcome = await self._uplink.send(parcel)
            self.heard(outcome)
            wait = await self._settle(way, part, parcel, outcome)
            is_over = wait is not None or not (way.items or way.instead)
            is_due = is_over or self._uplink.books or clock.now() - self._stored_at >= _STORE_EVERY
            if is_due and way.is_unstored:  # a try that failed writes nothing: of these there may be many
                await self._store(way)
            if wait is not None:
                await self._pause(wait, asyncio.Event() if outcome.answer.retry_after else self._hurry)
                return False
        return True

    def _parcel(self, way: Underway, part: Part) -> Parcel:
        load, account, books = way.load, self._account, self._uplink.books
        # Not while a bad item is looked for, which may be one of these.
        is_ahead = self._size.is_full and not part.is_instead
        trust = clock.trust(self._facts.clock).name.lower()
        return Parcel(
            at=clock.at(),
            items=tuple(part.items) if not (part.is_instead and books) else (),
            after=way.had,
            upto=part.upto,
            ahead=load.ahead[:_AHEAD_AT_MOST] if is_ahead else (),
            instead=tuple(part.items) if part.is_instead and books else (),
            epoch=load.epochs[0] if load.epochs else "",
            before=load.epochs[1:],
            token=way.token,
            sensors=self._facts.sensors(),
            node=Doing(trust, self._every, self._waiting_after(part), account.parked, account.lost),
        )

    async def _settle(self, way: Underway, part: Part, parcel: Parcel, outcome: Outcome) -> Millis | None:
        """Do what an outcome says; return how long to wait before all is tried again, None: go on."""
        if outcome.cloned:
            return self._wait(outcome.answer.error or "another sender uses its key", SELDOM, urgent=True)
        if outcome.back_to is not None:
            return await self._go_back(outcome.back_to)
        self._attempt += 1
        verdict = judge_uplink(self._attempt, outcome.answer, random.random(), LONGEST_BATCH)  # noqa: S311
        if verdict.then == "again":
            self._lighten(part, outcome.answer)
            return self._wait(told(outcome.answer), verdict.after, urgent=verdict.urgent)
        self._attempt = 0
        if verdict.then == "done":
            self._take(way, part.until(outcome.cursor), parcel, outcome)
            return None
        if not part.items:  # it refuses what says nothing: the address or the key is wrong, not what is sent
            return self._wait(outcome.answer.error, SELDOM, urgent=True)
        return await self._refused(way, part, parcel, outcome.answer)

    def _take(self, way: Underway, part: Part, parcel: Parcel, outcome: Outcome) -> None:
        """The other side has a part, objections aside."""
        for one in outcome.objections:
            if one.item < len(part.items):
                way.park(part.items[one.item], one.error)
        refused = {one.item for one in outcome.objections}
        self._meter.passed([item for place, item in enumerate(part.items) if place not in refused])
        way.passed(part)
        self._account = msgspec.structs.replace(self._account, waiting=self._waiting_after(part))
        way.token = outcome.token or way.token
        if parcel.ahead:
            self._ahead_at = clock.now() + self._every
        self._is_idle_due, self._excused = False, 0
        self._size.taken(len(part.items))
        self._failing.recover("", taken=True)
        self.reached()

    def _waiting_after(self, part: Part) -> int:
        """Return how many wait once a part is there, as far as is known: they are counted when a drain begins."""
        return max(0, self._account.waiting - len(part.items))

    async def _refused(self, way: Underway, part: Part, parcel: Parcel, answer: Answer) -> Millis | None:
        """Look for the bad item by halves; park it, and have the rest go on."""
        if len(part.items) > 1 or parcel.ahead:
            self._size.halve(len(part.items))
            return None
        if self._size.in_a_row >= PARKED_IN_A_ROW and not self._excused:
            self._excused = _EXCUSED if await self._takes_newest(way, part) else 1
            if self._excused == 1:
                return self._wait(f"it refuses one summary after another: {answer.error}", SELDOM, urgent=True)
        self._excused = max(0, self._excused - 1)
        way.park(part.items[0], answer.error)
        way.passed(part, is_had=not self._uplink.books)
        self._is_idle_due |= self._uplink.books
        self._size.parked()
        return None

    async def _takes_newest(self, way: Underway, part: Part) -> bool:
        """Tell whether what it refuses are old ones, and no mistake of a person: the newest comes again in its turn."""
        load = await asyncio.to_thread(self._outbox.load, self._name, _AT_LEAST, ahead=True)
        found = [item for item in (*load.items, *load.ahead) if item.number > part.upto]
        if not found:
            return False
        newest = (max(found, key=lambda item: item.summary.start),)
        parcel = self._parcel(way, Part((), way.had))
        is_ahead = self._uplink.books
        parcel = msgspec.structs.replace(parcel, items=() if is_ahead else newest, ahead=newest if is_ahead else ())
        outcome = await self._uplink.send(parcel)
        way.token = outcome.token or way.token
        is_moved = outcome.objections or outcome.back_to is not None or outcome.cloned
        return not is_moved and judge_uplink(1, outcome.answer, 0).then == "done"

    def _lighten(self, part: Part, answer: Answer) -> None:
        """Send less at once where nothing came back in time of what was sent: the link may be slow, or it is small."""
        if answer.sent and not answer.received and len(part.items) > _LEAST:
            self._size.halve(len(part.items), _LEAST)

    async def _go_back(self, cursor: int) -> Millis:
        """The other side knows nothing after this: what is missing there is sent again, in an epoch of its own."""
        await self._outbox.back(self._name, cursor)
        self._failing.say("summaries again", "it was restored, or this node was: what it misses is sent again")
        self._ahead_at = 0
        self._attempt += 1
        if self._attempt == 1:
            return 0
        error = "it does not follow: it was sent what it asked for, and asks again"
        return self._wait(error, jittered(self._attempt, random.random(), LONGEST_BATCH), urgent=False)  # noqa: S311

    def _wait(self, error: str, wait: Millis, *, urgent: bool) -> Millis:
        self._failing.fail(error, urgent=urgent)
        return wait

    async def _store(self, way: Underway) -> None:
        """Have the store know what is done. Raises StoreError."""
        if not self._uplink.batch:
            return
        try:
            await way.stored(self._outbox, self._name, self._meter.kept())
        except StoreError:
            self._left = way
            raise
        self._left = None
        self._stored_at = clock.now()

    @staticmethod
    async def _pause(wait: Millis, until: asyncio.Event) -> None:
        """Wait so long, or until somebody says."""
        if wait <= 0:
            return
        until.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait / 1000):
                await until.wait()
