"""Going on after a restart: what was kept of rules, outputs, settings and alerts is given back to the core.

The law of this file: it comes before the outputs are opened, and a node without what was kept starts
all the same, with everything at its default.
"""

from __future__ import annotations

import logging

import msgspec

from outstation import clock
from outstation.core.readings import Keep
from outstation.engine.runner import Runner, stamp_now
from outstation.errors import StoreError
from outstation.store import alerts

log = logging.getLogger(__name__)


def resume(runner: Runner, setting: clock.Setting) -> None:
    """Give the core what has outlived the restart. Blocks while it reads."""
    node, store = runner.node, runner.store
    try:
        kept, then = store.kept()
        with store.read() as connection:
            node.decisions.alerts.count_from(alerts.highest(connection))
    except StoreError as error:
        log.warning("starting without what outputs, rules and settings were before: %s", error)
        return
    if then is None:
        return
    try:
        effects = node.restore(kept, then, stamp_now(setting))
    except msgspec.DecodeError as error:
        log.error("what outputs, rules and settings were before cannot be read, so they begin anew: %s", error)
        # All of it: what would stay is in the time of another boot than what is kept from now on.
        runner.do(Keep(kind, name, None) for kind, name in kept)
        return
    runner.do(effects)
