"""The running node: hands every event to the core, one at a time, and does what it says.

The law of this file: only the runner calls `handle`, only in the loop's thread; outputs act
first and are recorded after; and a store that fails never keeps an output from moving.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from outstation import clock
from outstation.core import standing
from outstation.core.actuation import Claim
from outstation.core.node import Node
from outstation.core.readings import (
    Acknowledge,
    Adjust,
    Alert,
    Alerted,
    Command,
    Effect,
    Event,
    Keep,
    Level,
    Note,
    Reading,
    Record,
    Switch,
    Switched,
    Tick,
)
from outstation.core.restarts import Stamp
from outstation.engine.chatter import Chatter
from outstation.engine.feed import Feed, Happening, measured
from outstation.engine.local_time import LocalTime
from outstation.engine.notebook import Notebook
from outstation.engine.outputs import Outputs
from outstation.errors import DeviceError, StoreError
from outstation.store import alerts, deliveries
from outstation.store.database import Boot, Recorded, Store
from outstation.store.journal import Journal

if TYPE_CHECKING:
    from outstation.engine.line import Teller  # a node that tells nobody does not load it

log = logging.getLogger(__name__)

_LONGEST_SLEEP = 1_000
"""The runner looks at least once a second: for a step of the clock, and as its heartbeat."""

_CLOCK_STEP = 1_000
"""A change of UTC against the time since boot that counts as a step (RELIABILITY: over 1 s)."""

_LEVELS = {"output failed": logging.WARNING, "sensor failed": logging.DEBUG, "sensor well": logging.DEBUG}
"""How loud a line of the journal is in the log: what a sensor does, the sampler has said there already."""

_STAMP_EVERY = 60_000
"""How often it is kept that an output is still on: what max_on has counted at a power cut is known to the minute."""

_UNSTORED_AT_MOST = 1_000
"""Alerts in memory that could not be stored yet: as many as whoever delivers them carries."""

_PATIENCE = 6.0
"""Seconds that a command waits for its output: while others command it too, its driver may be busy for long."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of a command: the output's level, the claim that stands, and whether that is somebody else's by now."""

    level: Level | None
    claim: Claim | None
    overtaken: bool
    recorded: bool


class Runner:
    """Ties the core, the store, the outputs and the feed together. Lives in the loop's thread."""

    def __init__(
        self,
        node: Node,
        store: Store,
        outputs: Outputs,
        feed: Feed,
        clock_setting: clock.Setting = "auto",
        local: LocalTime | None = None,
        teller: Teller | None = None,
    ) -> None:
        self.node, self.store, self.outputs, self.feed = node, store, outputs, feed
        outputs.late = self._drive_again
        self.local = local or LocalTime(clock_setting)
        self.teller = teller
        self._journal = Journal(store)
        self._chatter = Chatter()
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[str, Level] = {}
        self._answered: deque[Switched] = deque()
        self._unstored: dict[int, Alert] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = self._look_at = self._stamp_at = 0
        self._closed = False
        self._clock = clock_setting
        self._boot = boot_now(clock_setting)
        self.elsewhere: dict[int, Alert] = {}  # alerts that stand at nodes that report here, by their id here
        self.decided_at = 0  # the last Tick that went well, in time since boot
        self.notebook: Notebook | None = None
        self.heartbeat: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin: outputs that are not where they are wanted are driven there, and time is told."""
        self._tell_time()

    def close(self) -> None:
        """Decide nothing more. May be called twice."""
        if self._timer:
            self._timer.cancel()
        self._closed = True

    def take(self, readings: Sequence[Reading]) -> asyncio.Future[Recorded]:
        """Take in readings from outside; the future ends when they are on disk. May raise StoreError."""
        return self.store.record(self.decide(readings))

    def decide(self, readings: Sequence[Reading]) -> list[Reading]:
        """Act on readings from outside; return those that the caller has to store."""
        effects = self.node.handle_all(readings)
        if len(effects) > len(readings):
            self.do(effects)
        records = [effect.reading for effect in effects if type(effect) is Record]
        if self.node.next_due_before(self._wakes_at):
            self._wake()
        if self.feed.watched:
            self.show(records)
        return records

    def report(self, event: Event) -> None:
        """Take in an event of this node's own: a reading or a failure of one of its sensors, an output's answer."""
        self.settle(self.node.handle(event), event if type(event) is Reading else None)

    def report_all(self, events: Sequence[Switched]) -> None:
        """Take in what became of outputs that were driven together: all of it, before anything else is driven."""
        if events:
            self.settle(self.node.switched(events))

    def settle(self, effects: list[Effect], said: Reading | None = None) -> None:
        """Do what the core says, records as well. said: a reading that is shown, whether it is stored or not."""
        # That outputs go safe at a stop is no decision: what rules make of it is neither told nor kept.
        self.do([one for one in effects if not isinstance(one, Keep | Alerted)] if self._closed else effects)
        self._record(effects, said)
        self._wake()

    def _record(self, effects: list[Effect], said: Reading | None = None) -> None:
        records = [effect.reading for effect in effects if type(effect) is Record]
        if records:
            self.store.record_soon(records)
        if self.feed.watched:
            self.show([said, *(one for one in records if one.sensor != said.sensor)] if said else records)

    async def command(self, command: Command) -> Outcome:
        """Carry out a person's command; return where the output is then, and whether that is on disk.

        Raises RefusedError where it cannot be asked for, DeviceError where the output does not obey.
        """
        state = self.node.actuator(command.actuator)
        self.do(self.node.handle(command))
        claim = state.claim
        self._wake()
        if driving := self._driving.get(command.actuator):
            await asyncio.wait({driving}, timeout=_PATIENCE)
        if self._closed:
            raise DeviceError(f"{command.actuator} was not driven: the node is stopping.")
        if state.error:
            raise DeviceError(state.error)
        return Outcome(state.level, state.claim, state.claim is not claim, await self._recorded())

    async def change(self, event: Adjust | Acknowledge) -> bool:
        """Take in what a person does to a setting or an alert; tell whether that is on disk.

        Raises UnknownNameError, RefusedError.
        """
        self.do(self.node.handle(event))
        self._wake()
        return await self._recorded()

    def do(self, effects: Sequence[Effect]) -> None:
        """Do what the core says, but for records: these are for whoever brought the readings.

        What an output has answered meanwhile is told to the core after all of it, in its turn.
        """
        for effect in effects:
            if isinstance(effect, Switch):
                self._drive(effect.actuator, effect.level)
        # Together, so that no commit has a part of it; and before the alerts, whose commit has it then.
        if keeps := [effect for effect in effects if isinstance(effect, Keep)]:
            self.keep(keeps)
        for effect in effects:
            self._tell_of(effect)
        while self._answered:
            answer = self._answered.popleft()
            self.report(answer)  # may answer in its turn; rules that look at outputs turn once a second at most
            self._show_output(answer.actuator)

    async def _recorded(self) -> bool:
        """Bring what has happened to disk; tell whether that worked."""
        try:
            await self.store.flush()
        except StoreError:
            return False
        return True

    def _tell_of(self, effect: Effect) -> None:
        if isinstance(effect, Alerted):
            self._tell(effect)
        elif isinstance(effect, Note):
            self._note(self._chatter.written(effect, clock.now()))

    def _note(self, notes: Sequence[Note]) -> None:
        for note in notes:
            log.log(_LEVELS.get(note.kind, logging.INFO), "%s: %s: %s", note.subject, note.kind, note.text)
        if notes:
            self._forget_error(self._journal.add(notes))

    def keep(self, keeps: Sequence[Keep]) -> None:
        """Have this outlive a crash at once, and a power cut with the next commit."""
        if self.notebook:
            self.notebook.keep(keeps)
        self.store.keep(keeps)

    def _tell(self, told: Alerted) -> None:
        """Store an alert with the messages about it; whoever delivers them begins when they are on disk."""
        messages = self.teller.deliveries(told) if self.teller else []
        self._store_alerts({**self._unstored, told.alert.id: told.alert}, messages)
        if self.feed.watched:
            self.feed.publish([Happening("alert", {"happened": told.happened, **alerts.document(told.alert)})])

    def _store_alerts(self, found: Mapping[int, Alert], messages: Sequence[deliveries.Delivery] = ()) -> None:
        def work(connection: Any) -> None:
            for alert in found.values():
                alerts.put(connection, alert)
            deliveries.add(connection, messages)

        self.store.write(work).add_done_callback(lambda done: self._deliver(done, found, messages))

    def _deliver(
        self, stored: asyncio.Future[None], found: Mapping[int, Alert], messages: Sequence[deliveries.Delivery]
    ) -> None:
        if stored.cancelled():
            return
        failed = stored.exception() is not None
        others = {number: alert for number, alert in self._unstored.items() if number not in found}
        self._unstored = dict([*others.items(), *(found.items() if failed else ())][-_UNSTORED_AT_MOST:])
        if self.teller and failed:
            self.teller.carry(messages)
        elif self.teller:
            self.teller.wake()

    def _drive(self, name: str, level: Level) -> None:
        """Have an output driven; what is asked for while its driver is busy comes right after it."""
        if self._closed:
            return  # it was told to be safe, and is told nothing else
        if name not in self._driving and self._drive_at_once(name, level):
            return
        self._asked[name] = level
        if name not in self._driving:
            self._driving[name] = asyncio.create_task(self._drive_until_done(name))

    def _drive_again(self, name: str) -> None:
        """Drive an output whose driver hung, and has now done what it was told then: that may be long undone."""
        if not self._closed:
            self._drive(name, self.node.actuators[name].wanted)

    def _drive_at_once(self, name: str, level: Level) -> bool:
        """Drive an output here and now where its driver takes no time for it; tell whether it did."""
        try:
            if not self.outputs.set_at_once(name, level):
                return False
            error = ""
        except DeviceError as failure:
            error = _words(failure)
        moment = clock.moment()
        self._answered.append(Switched(name, None if error else level, moment.at, moment.now, error))
        return True

    async def _drive_until_done(self, name: str) -> None:
        try:
            while (level := self._asked.pop(name, None)) is not None:
                error = await self._set(name, level)
                if self._closed:  # what became of it, whoever made it safe will tell
                    return
                moment = clock.moment()
                self.report(Switched(name, None if error else level, moment.at, moment.now, error))
                self._show_output(name)
        finally:
            del self._driving[name]

    async def _set(self, name: str, level: Level) -> str:
        try:
            await self.outputs.set(name, level)
        except DeviceError as error:
            return _words(error)
        return ""

    def _tell_time(self) -> None:
        moment = clock.moment()
        self._look_at = moment.now + _LONGEST_SLEEP
        try:
            effects = self.node.handle(Tick(moment.at, moment.now, self.local.zone(moment.at)))
            self.do(effects)
            self._record(effects)
            self._watch_clock(moment)
            self._stamp(moment.now)
            if self.notebook:
                self.notebook.write()
            self.decided_at = moment.now
            self.heartbeat()
        finally:
            self._wake()  # whatever failed: without this timer no claim would ever end

    def _stamp(self, now: int) -> None:
        """Keep now and then that what is kept still holds: a power cut tells nobody when it was."""
        if now >= self._stamp_at:
            self._stamp_at = now + _STAMP_EVERY
            self.store.keep(self.node.decisions.still_kept())
            if self._unstored:
                self._store_alerts(self._unstored)

    async def say_levels(self) -> None:
        """Store the levels of all outputs once more."""
        at, now = clock.moment()
        levels = {name: state.level for name, state in self.node.actuators.items() if state.level is not None}
        self.store.record_soon([Reading(name, level, at, now, at) for name, level in levels.items()])

    def _watch_clock(self, moment: clock.Moment) -> None:
        """Tell the store when the clock was set, or is trusted from now on: it knows what to re-stamp."""
        before, boot = self._boot, boot_now(self._clock)
        step = boot.offset - before.offset
        if abs(step) <= _CLOCK_STEP and boot.trust == before.trust:
            return
        self._boot = boot
        self._stamp_at = 0
        self._forget_error(self.store.set_boot(boot))
        words = boot.trust.name.lower()
        self._tell_of(Note("clock", "clock", f"the wall clock moved by {step / 1000:+.1f} s and is {words}", moment.at))

    def _wake(self) -> None:
        """Set the one timer: to when the core wants to be asked, and to a second after the last look at the latest."""
        if self._timer:
            self._timer.cancel()
        if self._closed:
            return
        due = self.node.next_due()
        # Not a second from now: of a node that is woken more often than that, the clock would never be looked at.
        self._wakes_at = self._look_at if due is None else min(self._look_at, due)
        wait = self._wakes_at - clock.now()
        self._timer = asyncio.get_running_loop().call_later(max(0, wait) / 1000, self._tell_time)

    def show(self, readings: Iterable[Event]) -> None:
        """Show readings to whoever watches."""
        self.feed.publish([measured(reading) for reading in readings if isinstance(reading, Reading)])

    def _show_output(self, name: str) -> None:
        if self.feed.watched:
            state, moment = self.node.actuators[name], clock.moment()
            who = standing.who(state, at=moment.at, now=moment.now)
            document: dict[str, object] = {
                "actuator": name,
                "level": state.level,
                "error": state.error,
                "decided_by": who.line,
                "why": who.text,
            }
            self.feed.publish([Happening("output", document)])

    def _forget_error(self, future: asyncio.Future[None]) -> None:
        """A journal line that cannot be written is not worth more than the log line that it already is."""
        future.add_done_callback(lambda done: done.cancelled() or done.exception())


def _words(error: DeviceError) -> str:
    return str(error) or "The driver failed and did not say why."


def stamp_now(setting: clock.Setting) -> Stamp:
    """Return the moment with all that is needed to find it again."""
    moment = clock.moment()
    return Stamp(clock.boot_id(), moment.now, moment.at, clock.trust(setting) is clock.Trust.SYNCHRONISED)


def boot_now(setting: clock.Setting) -> Boot:
    """Return which boot this is, how far UTC is from its time, and how far to trust that."""
    moment = clock.moment()
    return Boot(clock.boot_id(), moment.at - moment.now, clock.trust(setting))
