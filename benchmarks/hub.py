"""A hub of the benchmarks: nodes that may report to it, and what it has of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from outstation.clock import Trust
from outstation.core.readings import Millis
from outstation.core.summaries import Summary, summary
from outstation.core.windows import Tier, Window
from outstation.store import file, packs
from outstation.store.database import Boot, Store
from outstation.store.keys import Keys
from outstation.store.nodes import Nodes

CONFIG = '[node]\nname = "hub"\nclock = "trust"\n'

Known = dict[str, dict[Millis, Summary]]
"""Of each sensor, its five-minute summaries by their start."""


def admit(folder: Path, names: Sequence[str]) -> list[str]:
    """Let nodes report to a hub that does not run; return their keys."""

    async def story() -> list[str]:
        with Store(folder, boot=Boot("a benchmark", 0, Trust.SYNCHRONISED)) as store:
            keys, nodes, made = Keys(store), Nodes(store), []
            for name in names:
                key, text = await keys.create(f"node {name}", ["write"], device=name)
                await nodes.put(name, key.id)
                made.append(text)
            return made

    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(story())


def known(folder: Path) -> Known:
    """Return what a data file says of all sensors."""
    with closing(apsw.Connection(str(folder / file.NAME), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        connection.set_busy_timeout(5_000)
        sensors: Any = connection.execute("SELECT id, name FROM sensors").fetchall()
        return {name: found for number, name in sensors if (found := _of(connection, number))}


def _of(connection: apsw.Connection, sensor: int) -> dict[Millis, Summary]:
    rows = packs.stored(connection, sensor, Tier.FIVE_MINUTES, -(2**53), 2**53)
    found = (summary(Window(start, width), row) for start, width, row in rows)
    return {one.start: one for one in found if not one.is_empty}


def judge(what: str, found: float, target: float, unit: str, *, at_least: bool = False) -> bool:
    """Print how a figure does; return whether it is met."""
    met = found >= target if at_least else found <= target
    bound = "at least" if at_least else "at most"
    print(f"{'ok' if met else 'MISSED'}: {what}: {found:,.2f} {unit} ({bound} {target:,g})", flush=True)
    return met
