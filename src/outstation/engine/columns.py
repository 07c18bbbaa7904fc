"""Readings by columns on their way in: most of them are for the store alone, and cost a tenth of what the others do.

The law of this file: rules, pages and the file end as if every reading had come by itself; only who watches sees of a
column the newest reading alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from outstation import clock
from outstation.core.node import Series
from outstation.core.readings import Reading
from outstation.engine.runner import Runner
from outstation.store.columns import Column
from outstation.store.database import Recorded


def take(runner: Runner, columns: Mapping[str, Series], moment: clock.Moment) -> list[asyncio.Future[Recorded]]:
    """Take in what senders say of known sensors; the futures end when all of it is on disk. Raises StoreError."""
    alone: list[Column] = []
    others: list[Reading] = []
    for name, series in columns.items():
        if runner.node.store_alone({name: series}, *moment):
            alone.append(Column(name, *series))
        else:
            others += _readings(name, series, moment)
    futures = [runner.take(others)] if others else []
    if alone:
        if runner.feed.watched:
            newest = [(one.sensor, (one.times[-1:], columns[one.sensor][1][-1:])) for one in alone]
            runner.show([reading for name, series in newest for reading in _readings(name, series, moment)])
        futures.append(runner.store.record_columns(alone))
    return futures


def _readings(name: str, series: Series, moment: clock.Moment) -> list[Reading]:
    return [
        Reading(name, value, at, moment.now, moment.at, sender_stamped=True) for at, value in zip(*series, strict=True)
    ]
