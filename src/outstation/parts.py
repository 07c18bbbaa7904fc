"""The parts of one node, built from its configuration and not started."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import msgspec

from outstation import clock, plugins
from outstation.assembly import Hardware, assemble
from outstation.config import Config
from outstation.engine.backups import Backups
from outstation.engine.clerk import Clerks
from outstation.engine.feed import Feed
from outstation.engine.local_time import LocalTime
from outstation.engine.notebook import Notebook
from outstation.engine.refill import refill
from outstation.engine.resuming import remember, resume
from outstation.engine.retaining import Retaining
from outstation.engine.runner import Runner
from outstation.engine.site import Site
from outstation.store.database import Store
from outstation.store.deliveries import Deliveries
from outstation.store.history import History
from outstation.store.journal import Journal
from outstation.store.keys import Keys
from outstation.supervised import Supervision

if TYPE_CHECKING:
    from outstation.engine.notifier import Notifier


class Parts(msgspec.Struct, frozen=True):
    """What a node consists of. notifier: None: nobody is told of alerts."""

    config: Config
    hardware: Hardware
    history: History
    runner: Runner
    notifier: Notifier | None
    clerks: Clerks
    backups: Backups
    retaining: Retaining


def build(config: Config, place: plugins.Place, store: Store, supervision: Supervision | None = None) -> Parts:
    """Return a node that knows what it knew before: its outputs can be opened, and its rules can decide."""
    node, hardware = assemble(config, place)
    history, notifier = History(store), _notifier(config, store)
    remember(node, history)
    where = config.node.place if node.decisions.ask_for_the_sun else None
    local = LocalTime(config.node.clock, config.node.timezone, where)
    local.believed = store.was_trusted()
    runner = Runner(node, store, hardware.outputs, Feed(), config.node.clock, local, notifier)
    if supervision:
        runner.heartbeat, runner.notebook = supervision.beat, Notebook(supervision.notebook)
    resume(runner, config.node.clock)
    refill(runner, config.node.clock)
    backups = Backups(store, config.backup, _name(config), config.node.clock)
    return Parts(config, hardware, history, runner, notifier, Clerks(store), backups, Retaining(store, config))


def site_of(parts: Parts, remark: str) -> Site:
    """Return what the web and the protocols see of a node. remark: for its page."""
    config, runner, store = parts.config, parts.runner, parts.runner.store
    notifier = parts.notifier
    return Site(
        config=config,
        name=_name(config),
        node=runner.node,
        runner=runner,
        store=store,
        history=parts.history,
        keys=Keys(store),
        feed=runner.feed,
        started=clock.now(),
        simulated=parts.hardware.simulated,
        troubles=lambda: [
            *_troubles(store),
            *parts.backups.troubles(),
            *parts.retaining.troubles(),
            *(notifier.troubles() if notifier else []),
        ],
        simulate=parts.hardware.simulate,
        flat=config.flat_keys,
        notifier=notifier,
        clerks=parts.clerks,
        backups=parts.backups,
        retaining=parts.retaining,
        remark=remark,
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
        Deliveries(store).forget_others((), clock.at())
        return None
    from outstation.engine import notifier, receivers  # noqa: PLC0415

    webhooks = [
        receivers.Receiver(one.name, "webhook", one.url, one.secret or "", one.severity, one.timeout)
        for one in config.webhooks
    ]
    others = [receivers.Receiver(one.name, "apprise", one.url, severity=one.severity) for one in config.apprise]
    journal = Journal(store)
    return notifier.Notifier(store, [*webhooks, *others], _name(config), lambda note: journal.add([note]))
