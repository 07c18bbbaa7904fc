"""The parts of one node, built from its configuration and not started."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from outstation import clock, plugins
from outstation.assembly import Hardware, assemble
from outstation.config import Config, UplinkTable
from outstation.core.node import Node
from outstation.core.readings import Millis, Reading, Value
from outstation.core.sensors import SensorSpec
from outstation.engine.backups import Backups
from outstation.engine.boards import Boards
from outstation.engine.clerk import Clerks
from outstation.engine.feed import Feed
from outstation.engine.line import UPLINK, Tellers
from outstation.engine.local_time import LocalTime
from outstation.engine.notebook import Notebook
from outstation.engine.refill import refill
from outstation.engine.resuming import last_value, remember, remember_reported, resume
from outstation.engine.retaining import Retaining
from outstation.engine.runner import Runner
from outstation.engine.site import Site
from outstation.store.database import Store
from outstation.store.deliveries import Deliveries
from outstation.store.history import History
from outstation.store.journal import Journal
from outstation.store.keys import Keys
from outstation.store.outbox import Outbox
from outstation.store.sessions import Sessions
from outstation.supervised import Supervision

if TYPE_CHECKING:
    from outstation.engine.forwarder import Forwarder
    from outstation.engine.notifier import Notifier


_DECIDED_WITHIN = 5_000
"""Milliseconds: rules are decided once a second at least."""


class Parts(msgspec.Struct, frozen=True):
    """What a node consists of. notifier: None: nobody is told of alerts. forwarder: None: nothing is sent elsewhere."""

    config: Config
    hardware: Hardware
    history: History
    runner: Runner
    notifier: Notifier | None
    forwarder: Forwarder | None
    clerks: Clerks
    backups: Backups
    retaining: Retaining
    boards: Boards


def build(
    config: Config, place: plugins.Place, store: Store, local: LocalTime, supervision: Supervision | None = None
) -> Parts:
    """Return a node that knows what it knew before: its outputs can be opened, and its rules can decide."""
    history, notifier = History(store), _notifier(config, store)
    node, hardware = assemble(config, msgspec.structs.replace(place, last=partial(_last_said, config, history)))
    forwarder = _forwarder(config, place, store, node, local, lambda: _is_well(runner))
    _forget_others(config, store)
    remember(node, history)
    remember_reported(node, store)
    local.place = config.node.place if node.decisions.ask_for_the_sun else None
    local.believed = store.was_trusted()
    teller = Tellers([one for one in (notifier, forwarder) if one])
    runner = Runner(node, store, hardware.outputs, Feed(), config.node.clock, local, teller)
    if supervision:
        runner.heartbeat, runner.notebook = supervision.beat, Notebook(supervision.notebook)
    resume(runner, config.node.clock)
    refill(runner, config.node.clock)
    backups = Backups(store, config.backup, _name(config), config.node.clock)
    retaining = Retaining(store, config)
    boards = Boards(config.devices, store, lambda name, unit: node.learn(SensorSpec(name, unit=unit)))
    return Parts(config, hardware, history, runner, notifier, forwarder, Clerks(store), backups, retaining, boards)


def site_of(parts: Parts, remark: str, urls: tuple[str, ...] = ()) -> Site:
    """Return what the web and the protocols see of a node. remark: for its page."""
    config, runner, store = parts.config, parts.runner, parts.runner.store
    notifier, forwarder = parts.notifier, parts.forwarder
    return Site(
        config=config,
        name=_name(config),
        node=runner.node,
        runner=runner,
        store=store,
        history=parts.history,
        keys=(keys := Keys(store)),
        sessions=Sessions(store, keys, config.node.clock),
        feed=runner.feed,
        started=clock.now(),
        simulated=parts.hardware.simulated,
        troubles=lambda: [
            *_troubles(store),
            *parts.backups.troubles(),
            *parts.retaining.troubles(),
            *parts.boards.troubles(),
            *(notifier.troubles() if notifier else []),
            *(forwarder.troubles() if forwarder else []),
        ],
        simulate=parts.hardware.simulate,
        flat=config.flat_keys,
        notifier=notifier,
        forwarder=forwarder,
        clerks=parts.clerks,
        backups=parts.backups,
        retaining=parts.retaining,
        boards=parts.boards,
        remark=remark,
        urls=urls,
    )


def _troubles(store: Store) -> list[str]:
    stats = store.stats()
    damaged = [f"The data file was damaged; it was set aside as {stats.damaged}."] if stats.damaged else []
    dropped = [f"{stats.dropped} own readings were lost: they could not be stored."] if stats.dropped else []
    damaged += [store.lost] if store.lost else []
    return damaged + ([stats.gone] if stats.gone else []) + dropped


def _name(config: Config) -> str:
    return config.node.name or socket.gethostname().partition(".")[0].lower() or "node"


def _notifier(config: Config, store: Store) -> Notifier | None:
    """Return who delivers alerts; a node that tells nobody does not even load it."""
    if not (config.webhooks or config.apprise):
        return None
    from outstation.engine import notifier, receivers  # noqa: PLC0415

    webhooks = [
        receivers.Receiver(one.name, "webhook", one.url, one.secret or "", one.severity, one.timeout)
        for one in config.webhooks
    ]
    others = [receivers.Receiver(one.name, "apprise", one.url, severity=one.severity) for one in config.apprise]
    journal = Journal(store)
    return notifier.Notifier(store, [*webhooks, *others], _name(config), lambda note: journal.add([note]))


def _forwarder(
    config: Config, place: plugins.Place, store: Store, node: Node, local: LocalTime, is_well: Callable[[], bool]
) -> Forwarder | None:
    """Return who sends elsewhere; a node that sends nothing does not even load it."""
    if not config.uplinks:
        Outbox(store).learn((), clock.at())
        return None
    from outstation.engine import forwarder, forwarding  # noqa: PLC0415

    facts = forwarding.Facts(
        node=_name(config),
        sensors=lambda: {name: plugins.About(one.spec.unit, one.spec.label) for name, one in node.sensors.items()},
        clock=config.node.clock,
        is_believed=lambda: local.believed,
        is_well=is_well,
        newest=lambda: _newest(node),
    )
    sendings = [
        forwarder.Sending(one.name, _uplink(one, facts.node, place), one.every, one.timeout) for one in config.uplinks
    ]
    journal = Journal(store)
    return forwarder.Forwarder(store, sendings, facts, lambda note: journal.add([note]))


def _newest(node: Node) -> list[Reading]:
    """Return what each sensor said last, and each output's level, which holds until it is driven again."""
    moment = clock.moment()
    outputs = ((name, one.level) for name, one in node.actuators.items())
    levels = [Reading(name, level, moment.at, moment.now, moment.at) for name, level in outputs if level is not None]
    return [one.newest for one in node.sensors.values() if one.newest is not None] + levels


def _uplink(table: UplinkTable, node: str, place: plugins.Place) -> Callable[[plugins.Exchange], plugins.Uplink]:
    kind: type[plugins.Uplink] = plugins.load("uplinks", table.kind)
    options = kind.Options.model_validate(table.options, context={"base": place.base})
    return lambda exchange: kind(table.name, options, node, exchange)


def _last_said(config: Config, history: History, name: str, since: Millis) -> Value | None:
    """Return the last value of one of the node's own sensors as its driver said it, before calibration."""
    value = last_value(history, name, since)
    table = next((table for table in config.sensors if table.name == name), None)
    if table is None or value is None or isinstance(value, bool | str):
        return value
    return table.calibration.raw(value)


def _is_well(runner: Runner) -> bool:
    """Tell whether rules are decided, and readings stored."""
    return not runner.store.stats().error and clock.now() - runner.decided_at < _DECIDED_WITHIN


def _forget_others(config: Config, store: Store) -> None:
    """Forget alerts that wait for those who are not in the config any more."""
    webhooks = [one.name for one in config.webhooks]
    others = [one.name for one in config.apprise]
    uplinks = [UPLINK + one.name for one in config.uplinks]
    Deliveries(store).forget_others([*webhooks, *others, *uplinks], clock.at())
